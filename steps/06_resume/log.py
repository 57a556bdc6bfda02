"""A log of the last messages, numbered in one order for everyone."""

import asyncio
import json
import secrets
from collections import deque
from functools import lru_cache
from itertools import islice

FRAME_SIZE = 16_000  # characters; once reached, the rest goes into the next frame


class Log:
    """The last `size` messages; a client's cursor is the id of the last message it has."""

    def __init__(self, size):
        self.name = secrets.token_hex(4)  # ids start from 1 again when the server restarts
        self.last = 0  # the newest message's id
        self.messages = deque(maxlen=size)
        self.news = asyncio.Event()
        # Clients at the same cursor share one encoded frame.
        self._frame = lru_cache(4)(self._encode)

    def append(self, message):
        """Give a message the next id, and wake everyone who waits for it."""
        self.messages.append(message)
        self.last += 1
        # Wakes the tasks that wait now; later ones wait for the next message.
        self.news.set()
        self.news.clear()

    async def frames(self, name, last):
        """A client's frames: the first says where it resumes, the others contain what follows."""
        cursor, gap = self._resume(name, last)
        yield json.dumps({"log": self.name, "last": cursor, "gap": gap})
        while True:
            while cursor == self.last:
                await self.news.wait()
            if cursor < self._dropped():  # the client reads too slowly
                cursor = self._dropped()
                yield json.dumps({"log": self.name, "last": cursor, "gap": "too old"})
            else:
                frame, cursor = self._frame(cursor, self.last)
                yield frame

    def _resume(self, name, last):
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
