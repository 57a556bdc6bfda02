"""Clients of step 6 and later that come back whenever they are cut off, and miss nothing."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State


class Client:
    """A client that comes back, and checks that it has every id exactly once, in order."""

    def __init__(self, host):
        self.host, self.log, self.last, self.gaps, self.cuts = host, "", 0, [], 0
        self.ids, self.texts, self.query = [], [], ""
        self.connection, self.is_in = None, asyncio.Event()

    @asynccontextmanager
    async def connected(self):
        place = f"?log={self.log}&last={self.last}" if self.log else self.query
        url = f"ws://{self.host}/api/v3/ws{place}"
        async with connect(url, proxy=None, compression=None, max_size=None) as connection:
            yield connection

    async def listen_until(self, text):
        """Receive, and come back whenever the connection is cut, until a text has come."""
        while text not in self.texts[-200:]:
            try:
                async with self.connected() as self.connection:
                    async for data in self.connection:
                        self.take(json.loads(data))
                        if text in self.texts[-200:]:
                            return
            except (OSError, ConnectionClosed, InvalidHandshake):
                pass
            self.cuts += 1
            await asyncio.sleep(random.uniform(0, 0.02))

    def take(self, frame):
        if "log" in frame:
            self.log, self.last = frame["log"], frame["last"]
            self.gaps += [frame["gap"]] if frame["gap"] else []
            self.is_in.set()
        elif "messages" in frame:
            self.ids += range(frame["first"], frame["first"] + len(frame["messages"]))
            self.texts += frame["messages"]
            self.last = self.ids[-1]


async def are_in(*clients):
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.is_in.wait() for client in clients))


async def say_surely(me, name, number_of_messages):
    """Send numbered messages, each once it is seen that the one before was accepted or refused.

    `me` is the client that sends. Returns those that were accepted for sure: it has seen them come
    back.
    """
    listening = asyncio.create_task(me.listen_until(f"{name} is done"))
    await are_in(me)
    for number in range(0, number_of_messages, 25):
        batch = [f"{name} {one}" for one in range(number, number + 25)]
        async with asyncio.timeout(20):
            while me.connection.state is not State.OPEN:
                await asyncio.sleep(0.005)  # it is coming back
        before, cuts = len(me.texts), me.cuts
        try:
            for message in batch:
                await me.connection.send(message)
        except ConnectionClosed:
            continue  # what came through is seen in the log
        async with asyncio.timeout(20):
            while batch[-1] not in me.texts[before:] and me.cuts == cuts:
                await asyncio.sleep(0.005)
    listening.cancel()
    return [text for text in me.texts if text.startswith(f"{name} ")]
