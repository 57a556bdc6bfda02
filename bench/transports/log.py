"""The last messages, numbered: what the three apps have in common."""

import asyncio

SIZE = 1000  # messages that are kept


class Log:
    """The last messages, each with its number; a client says the last number that it has."""

    def __init__(self):
        self.last = 0
        self.messages = []
        self.news = asyncio.Event()

    def append(self, text):
        """Give a message the next number, and wake everyone who waits for it."""
        self.last += 1
        self.messages.append((self.last, text))
        del self.messages[:-SIZE]
        # Wakes the tasks that wait now; later ones wait for the next message.
        self.news.set()
        self.news.clear()

    async def after(self, number):
        """Wait for messages after a number; returns each as its number and its text."""
        if number > self.last:  # from before a restart: the numbers start from 1 again
            number = 0
        while number == self.last:
            await self.news.wait()
        return self.messages[number - self.last :]
