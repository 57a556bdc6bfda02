"""Clients of step 6 and later that come back whenever they are cut off, and miss nothing."""

import asyncio
import http.client
import json
import random
import time
from contextlib import asynccontextmanager

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.protocol import State

from harness.sign_in import PATH, cookie_of, form


def signed_in(host, name):
    """The headers of somebody who has signed in, or none if the app doesn't ask who it is."""
    options, connection = form(name), http.client.HTTPConnection(host, timeout=10)
    connection.request("POST", PATH, options["data"], options["headers"])
    cookie = cookie_of(connection.getresponse())
    connection.close()
    return {"Cookie": cookie} if cookie else {}


class Client:
    """A client that comes back, and keeps what it got: ids, texts, and seconds it was away."""

    def __init__(self, host, headers=None):
        self.host, self.log, self.last, self.gaps, self.cuts = host, "", 0, [], 0
        self.headers = headers or {}
        self.ids, self.texts, self.query = [], [], ""
        self.away, self.cut_at = [], None
        self.connection, self.is_in = None, asyncio.Event()

    @asynccontextmanager
    async def connected(self):
        place = f"?log={self.log}&last={self.last}" if self.log else self.query
        url = f"ws://{self.host}/api/v3/ws{place}"
        options = {"proxy": None, "compression": None, "max_size": None}
        async with connect(url, additional_headers=self.headers, **options) as connection:
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
            self.cut_at = self.cut_at or time.monotonic()
            await asyncio.sleep(random.uniform(0, 0.02))

    def take(self, frame):
        if "log" in frame:
            self.log, self.last = frame["log"], frame["last"]
            self.gaps += [frame["gap"]] if frame["gap"] else []
            self.away += [time.monotonic() - self.cut_at] if self.cut_at else []
            self.cut_at = None
            self.is_in.set()
        elif "messages" in frame:
            self.ids += range(frame["first"], frame["first"] + len(frame["messages"]))
            self.texts += map(text_of, frame["messages"])
            self.last = self.ids[-1]


def text_of(message):
    """The text of a message, which from step 9 on says as well who wrote it."""
    return message if isinstance(message, str) else message["text"]


async def are_in(*clients):
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.is_in.wait() for client in clients))


async def say_surely(me, name, starts, size=25, pause=0):
    """Send batches of numbered messages, each once the one before was accepted or refused.

    `me` is the client that sends, `starts` are the first numbers of the batches. Returns what was
    accepted for sure: `me` has seen it come back. Nothing is sent again.
    """
    listening = asyncio.create_task(me.listen_until(f"{name} is done"))
    await are_in(me)
    for number in starts:
        batch = [f"{name} {one}" for one in range(number, number + size)]
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
        await asyncio.sleep(pause)
    listening.cancel()
    return [text for text in me.texts if text.startswith(f"{name} ")]
