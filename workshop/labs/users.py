"""The users of a lab, who do what users do: they write, read, sleep, and reconnect."""

import asyncio
import json
import math
import random
import re
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace

from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from workshop.labs.proxy import connected_to
from workshop.serving import HOST

NAMES = ("ann", "ben", "cem", "dana")
PATH = "/api/v3/ws"
OPTIONS = {"proxy": None, "compression": None, "ping_interval": None}
GONE = (OSError, WebSocketException, EOFError)
# In the page's script, how long it waits before it reconnects: two lines that Python can read, too.
WAITS = re.compile(r"const seconds = (.+);(?:.|\n)*?setTimeout\(connect, (.+)\);")


class User:
    """A page's side of the connection: it knows its place, and comes back to it."""

    def __init__(self, port):
        self.address, self.log, self.last = f"ws://{HOST}:{port}{PATH}", "", 0

    @asynccontextmanager
    async def connected(self, **options):
        """Connect, resume after the last message, and leave without a goodbye."""
        query = f"?log={self.log}&last={self.last}" if self.log else ""
        async with connect(f"{self.address}{query}", **OPTIONS, **options) as connection:
            try:
                yield connection
            finally:
                connection.transport.abort()  # or it would wait for an answer

    async def read(self, connection):
        """Read until the connection ends."""
        async for data in connection:
            frame = json.loads(data)
            if "messages" in frame:
                self.last = frame["first"] + len(frame["messages"]) - 1
            else:
                self.log, self.last = frame["log"], frame["last"]


async def talkers(stage, number, every, length=0):
    """Some users who write and count their messages, each once in `every` seconds."""
    await asyncio.gather(
        *(talker(stage.proxy.port, NAMES[i], every, length) for i in range(number))
    )


async def talker(port, name, every, length):
    """A user who writes, and reconnects after a second."""
    user, count = User(port), 0
    await asyncio.sleep(every * random.random())
    while True:
        with suppress(*GONE):
            async with user.connected() as connection:
                reading = asyncio.create_task(user.read(connection))
                try:
                    while not reading.done():
                        count += 1
                        await connection.send(f"{name} {count}".ljust(length, "."))
                        await asyncio.sleep(every)
                finally:
                    reading.cancel()
                    await asyncio.gather(reading, return_exceptions=True)
        await asyncio.sleep(1)


async def sleeper(stage, seconds):
    """A user who doesn't read for some seconds or until cut off, and then reconnects."""
    while True:
        with suppress(*GONE):
            sock = await connected_to(stage.proxy.port, size=8192)  # which is soon full
            async with User(stage.proxy.port).connected(sock=sock) as connection:
                stage.asleep.append(sock.getsockname()[1])
                connection.transport.pause_reading()
                await asyncio.sleep(seconds)
        await asyncio.sleep(5)


async def crowd(stage, number):
    """Some users who read, and reconnect as the page does: its script says how long it waits."""
    await asyncio.gather(*(reader(stage) for _ in range(number)))


async def reader(stage):
    """A user with a page open, which reconnects by itself."""
    user, tries = User(stage.proxy.port), 0
    while True:
        with suppress(*GONE):
            async with user.connected() as connection:
                tries = 0
                await user.read(connection)
        await asyncio.sleep(wait_of_page(stage.script, tries))
        tries += 1


def wait_of_page(script, tries):
    """For how many seconds a page waits that has tried so often: what its script computes."""
    seconds, milliseconds = WAITS.search(script).groups()
    names = {"Math": SimpleNamespace(min=min, random=random.random, floor=math.floor)}
    names |= {"tries": tries}
    names |= {"seconds": eval(seconds, names)}
    return eval(milliseconds, names) / 1000


async def updates(stage, every, takes):
    """Update the app again and again: all connections are cut, and for a while it is away."""
    while True:
        await asyncio.sleep(every)
        stage.proxy.is_away = True
        stage.proxy.cut()
        await asyncio.sleep(takes)
        stage.proxy.is_away = False


DO = {one.__name__: one for one in (talkers, sleeper, crowd, updates)}
