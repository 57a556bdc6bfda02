"""A log of the last messages, numbered in one order for everyone."""

import asyncio
import json
import os
import secrets
from collections import deque
from functools import lru_cache
from itertools import islice

from doors import Goodbye

FRAME_SIZE = 16_000  # characters; once reached, the rest goes into the next frame


class LogAway(Exception):
    """The log cannot be reached, or cannot store anything; nobody knows what it has stored."""


class NotStored(LogAway):
    """The log has answered that it cannot store a message."""


def open_log(size, senders):
    """The log in Redis if REDIS_URL is set, otherwise one in this process."""
    if not os.environ.get("REDIS_URL"):
        return Log(size, senders)
    from redis_log import RedisLog  # needs the package redis

    return RedisLog(size, senders, os.environ["REDIS_URL"])


class Log:
    """The last `size` messages; a client's cursor is the id of the last message it has."""

    def __init__(self, size, senders):
        self.senders = senders  # how many to remember
        self.numbers = {}  # of each sender's last message; the sender that sent last is at the end
        self.name = secrets.token_hex(4)  # ids start from 1 again when the server restarts
        self.last = 0  # the newest message's id
        self.messages = deque(maxlen=size)
        self.news = asyncio.Event()
        # Clients at the same cursor share one encoded frame.
        self._frame = lru_cache(4)(self._encode)

    async def running(self):
        """Runs while the app serves, through `while_serving`: nothing to do here."""
        yield

    async def check(self):
        """Raise LogAway unless a message could be stored."""

    async def append(self, message, sender="", number=1, follows=False):
        """Give a message the next id, and wake everyone who waits for it.

        A sender's numbers only grow: a message with another number is stored already. One that
        `follows` is stored only after the number before it.
        """
        last = self.numbers.pop(sender, 0) if sender else 0
        if number > last:
            self.messages.append(message)
            self.last += 1
            self._wake()
        if sender:
            self.numbers[sender] = max(number, last)
        if len(self.numbers) > self.senders:
            del self.numbers[next(iter(self.numbers))]

    def _wake(self):
        # Wakes the tasks that wait now; later ones wait for the next message.
        self.news.set()
        self.news.clear()

    async def frames(self, name, last):
        """A client's frames: the first says where it resumes, the others contain what follows."""
        cursor, gap = await self._resume(name, last)
        name = self.name
        yield json.dumps({"log": self.name, "last": cursor, "gap": gap})
        while True:
            while cursor == self.last and name == self.name:
                await self.news.wait()
            if name != self.name:
                raise Goodbye(1012, "The log is away or another one: reconnect.")
            if cursor < self._dropped():  # the client reads too slowly
                raise Goodbye(1013, "You read too slowly: reconnect for the messages still kept.")
            frame, cursor = self._frame(cursor, self.last)
            yield frame

    async def _resume(self, name, last):
        """Where a client resumes, and why any messages are missing."""
        if not name:
            return self.last, None
        if name != self.name:
            return self._dropped(), "new log"
        if last < self._dropped():
            return self._dropped(), "too old"
        return min(last, self.last), None

    def _dropped(self):
        """The id of the last message that is no longer kept."""
        return self.last - len(self.messages)

    def _encode(self, cursor, last):
        """The frame with the messages after a cursor, and the cursor after that frame."""
        start, messages, size = cursor - self._dropped(), [], 0
        for message in islice(self.messages, start, start + last - cursor):
            messages.append(message)
            size += len(message)
            if size > FRAME_SIZE:
                break
        return json.dumps({"first": cursor + 1, "messages": messages}), cursor + len(messages)
