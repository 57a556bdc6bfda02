"""A log of the last messages, numbered in one order for everyone."""

import asyncio
import json
import secrets
from collections import deque
from functools import lru_cache
from itertools import islice

from doors import Goodbye

FRAME_SIZE = 16_000  # characters; with more, the rest waits for the next frame


class Log:
    """The last `size` messages; a client's cursor is the id of the last one it has had."""

    def __init__(self, size):
        self.name = secrets.token_hex(4)  # ids count from 1 again when the server starts again
        self.last = 0  # the newest message's id
        self.messages = deque(maxlen=size)
        self.news = asyncio.Event()
        # Who is at the same cursor gets the same frame, which is encoded once.
        self.frame = lru_cache(4)(self.encode)

    def append(self, message):
        """Give a message the next id, and wake all who wait for it."""
        self.messages.append(message)
        self.last += 1
        self.news.set()
        self.news.clear()

    def dropped(self):
        """The id of the last message that is no longer kept."""
        return self.last - len(self.messages)

    def find(self, name, cursor):
        """Where a client goes on, and why it misses messages, if it does."""
        if not name:
            return self.last, None
        if name != self.name:
            return self.dropped(), "new log"
        if cursor < self.dropped():
            return self.dropped(), "too old"
        return min(cursor, self.last), None

    def place(self, cursor, gap):
        """The frame that tells a client where it goes on."""
        return json.dumps({"log": self.name, "last": cursor, "gap": gap})

    def encode(self, cursor, last):
        """The frame with the messages after a cursor, and the cursor after it."""
        start, messages, size = cursor - self.dropped(), [], 0
        for message in islice(self.messages, start, start + last - cursor):
            messages.append(message)
            size += len(message)
            if size > FRAME_SIZE:
                break
        return json.dumps({"first": cursor + 1, "messages": messages}), cursor + len(messages)

    async def after(self, cursor):
        """The next frame for a client, and its cursor after it; waits until there is news."""
        while cursor == self.last:
            await self.news.wait()
        if cursor < self.dropped():  # the client was too slow
            raise Goodbye(1013, "You read too slowly: come back for what is left.")
        return self.frame(cursor, self.last)
