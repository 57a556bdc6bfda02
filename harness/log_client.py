"""A client of the log, from step 6 on."""

import asyncio
import json
from collections import deque
from contextlib import AsyncExitStack, asynccontextmanager

from harness import patience
from harness.failures import Closed, Refused
from harness.patience import PatienceWithAnother


class LogClient:
    """A client that takes frames apart: `.log` and `.last` are its place, and `.gaps` what it was
    told that it missed.
    """

    def __init__(self, app, log="", last=0, sender="", number=1, **options):
        query = f"&log={log}&last={last}" if log else ""
        query = f"&sender={sender}&number={number}{query}" if sender else query
        path = f"/api/v3/ws{query.replace('&', '?', 1)}"
        self.connection = app.test_client().websocket(path, **options)
        self.log, self.last, self.gaps = "", None, []
        self.frames = self.longest = 0  # how many, and the bytes of the longest
        self.refused = deque()  # messages that the server could not store, from step 8 on
        self.stored = deque()  # the numbers that it says are stored, if its clients number messages
        self.waiting = deque()
        self.author = None  # of the last message, from step 9 on

    async def __aenter__(self):
        await self.connection.__aenter__()
        try:
            await self._take_frame()
        except BaseException as error:
            await self.connection.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *error):
        return await self.connection.__aexit__(*error)

    def __getattr__(self, name):
        return getattr(self.connection, name)

    async def receive(self):
        """The next message, whose id is then in `.last`."""
        while not self.waiting:
            await self._take_frame()
        self.last, message = self.waiting.popleft()
        if isinstance(message, dict):  # from step 9 on, it says who wrote it
            self.author, message = message["from"], message["text"]
        return message

    async def refusal(self):
        """The message that the server says it could not store."""
        while not self.refused:
            await self._take_frame()
        return self.refused.popleft()

    async def answer(self):
        """The number of the message that the server says is stored."""
        while not self.stored:
            await self._take_frame()
        return self.stored.popleft()

    async def closing(self, within=0, when=""):
        """The close code and the reason, when the server closes; passes over what comes before.

        `within` is a number of seconds that the server may take, beside the usual deadline. `when`
        says why it should close, in a clause.
        """
        sent, size = self.connection.sent, ""
        try:
            with patience.longer_by(within):
                while True:
                    await self.connection.receive()
        except Closed as closed:
            return closed.code, closed.reason
        except AssertionError:
            if isinstance(sent, str):
                size = f" after {len(sent):,} characters, {len(sent.encode()):,} bytes in UTF-8"
            raise AssertionError(
                f"the server should close the connection{size or when}: it is not closed"
            ) from None

    async def _take_frame(self):
        data = await self.connection.receive()
        self.frames += 1
        self.longest = max(self.longest, len(data))
        try:
            frame = json.loads(data)
            if "messages" in frame:
                assert self.log, f"the first frame should tell the client its place, not {data:.80}"
                frame = {"first": frame["first"], "messages": frame["messages"]}
                self.waiting += enumerate(frame["messages"], frame["first"])
            elif "refused" in frame:
                return self.refused.append(frame["refused"])
            elif "stored" in frame:
                return self.stored.append(frame["stored"])
            else:
                self.log, last, gap = frame["log"], frame["last"], frame["gap"]
        except (ValueError, TypeError, KeyError):
            raise AssertionError(
                f"this is no frame as the task describes it: {data!r:.80}"
            ) from None
        if "messages" not in frame:
            self.gaps += [gap] if gap else []
            self.end = self.last = last
            return
        assert frame["first"] == self.end + 1, (
            f"after the message with the id {self.end} comes one with the id {frame['first']}"
        )
        self.end += len(frame["messages"])


@asynccontextmanager
async def eventually(connect, *arguments):
    """Connect a client as soon as the server lets it in: `async with eventually(connect)`."""
    waiting = PatienceWithAnother(4 + 2 * patience.DEADLINE)
    async with AsyncExitStack() as stack:
        while True:
            try:
                client = await stack.enter_async_context(connect(*arguments))
                break
            except Refused:
                assert not waiting.is_over(), "the server lets nobody in again"
                await asyncio.sleep(0.05)
        yield client
