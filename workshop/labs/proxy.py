"""The proxy of a lab, which does what nginx or a load balancer does between users and an app.

It counts what passes, as such proxies do, and can show it, as a capture of the wire does.
"""

import asyncio
import itertools
import re
import socket
import time
from collections import Counter
from contextlib import asynccontextmanager, closing, suppress

from websockets.exceptions import WebSocketException
from websockets.frames import Frame
from websockets.streams import StreamReader

from workshop.serving import HOST

HEAD_SECONDS = 10  # to send the head of a request
SMALL = 16384  # bytes of a socket's buffer: a network holds less than this machine could
ABOUT_UPGRADE = re.compile(r"(Connection|Upgrade): ", re.IGNORECASE)
ANSWER = (
    "HTTP/1.1 {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}"
)
USER, PROXY, APP = "user", "proxy", "app"


class Proxy:
    """Passes connections on to the processes of an app; `tell` gets a line for all that passes."""

    def __init__(self, ports, upgrade=True, idle_seconds=60, tell=None):
        self.first, self.in_turn = ports[0], itertools.cycle(ports)
        self.upgrade, self.idle_seconds, self.tell = upgrade, idle_seconds, tell
        self.is_away = False  # while the app is updated
        self.handshakes = Counter()  # by the status of the answer
        self.connections, self.tasks = set(), set()
        self.websockets = set()  # of the connections
        self.received = self.sent = self.number = 0
        self.started = time.monotonic()

    @asynccontextmanager
    async def listening(self, listener=None):
        """Accept connections for the length of an `async with`, if need be on any free port."""
        listener = listener or socket.create_server((HOST, 0))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL)  # and so of all it accepts
        self.port = listener.getsockname()[1]
        server = await asyncio.start_server(self._accept, sock=listener)
        try:
            yield
        finally:
            server.close()
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self):
        """Cut all connections off."""
        for writer in self.connections:
            writer.transport.abort()

    def _accept(self, reader, writer):
        task = asyncio.create_task(self._connected(reader, writer))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _connected(self, reader, writer):
        self.number += 1
        wire = Wire(self.number, self.started, self.tell) if self.tell else None
        self.connections.add(writer)
        try:
            with closing(writer), suppress(OSError, EOFError, asyncio.LimitOverrunError):
                async with asyncio.timeout(HEAD_SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head.decode("latin-1"), reader, writer, wire)
                await writer.drain()
        finally:
            self.connections.discard(writer)
            self.websockets.discard(writer)

    async def _answer(self, head, reader, writer, wire):
        is_handshake = "\r\nupgrade: websocket\r\n" in head.lower()
        if head.startswith("GET /metrics "):
            return writer.write(answer("200 OK", self.metrics()))
        if wire:
            wire.head(USER, PROXY, head)
        if self.is_away:
            self.handshakes["502"] += is_handshake
            return writer.write(answer("502 Bad Gateway", "The app is away.\n"))
        port = next(self.in_turn) if is_handshake else self.first
        from_app, to_app = await asyncio.open_connection(sock=await connected_to(port))
        with closing(to_app):
            if not (is_handshake and self.upgrade):
                head = without_upgrade(head)
            if wire:
                wire.head(PROXY, APP, head)
            to_app.write(head.encode("latin-1"))
            if is_handshake:
                response = await from_app.readuntil(b"\r\n\r\n")
                status = response.split()[1].decode()
                self.handshakes[status] += 1
                if status == "101":
                    self.websockets.add(writer)
                if wire:
                    wire.head(APP, USER, response.decode("latin-1"))
                writer.write(response)
            await self._pass_on(reader, writer, from_app, to_app, wire)

    async def _pass_on(self, reader, writer, from_app, to_app, wire):
        """Pass bytes on in both ways, until one side ends, or no byte has passed for a while."""
        wire = wire if writer in self.websockets else None

        async def pump(source, target, sender, receiver, idle):
            target.transport.set_write_buffer_limits(0)  # wait for a side that doesn't read
            while data := await source.read(SMALL):
                idle.reschedule(asyncio.get_running_loop().time() + self.idle_seconds)
                if wire:
                    wire.data(sender, receiver, data)
                if sender == USER:
                    self.received += len(data)
                target.write(data)
                await target.drain()
                if sender == APP:
                    self.sent += len(data)

        why = "closed"
        try:
            async with asyncio.timeout(self.idle_seconds) as idle:
                ways = [
                    asyncio.create_task(pump(reader, to_app, USER, APP, idle)),
                    asyncio.create_task(pump(from_app, writer, APP, USER, idle)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        except TimeoutError:
            why = f"closed by the proxy: no byte for {self.idle_seconds:g} s"
            writer.transport.abort()
        if wire:
            wire.tell(f"the connection is {why}")

    def metrics(self):
        """What it has counted, in the text format of Prometheus."""
        lines = ["# TYPE websocket_handshakes_total counter"]
        for status, count in sorted(self.handshakes.items()):
            lines.append(f'websocket_handshakes_total{{status="{status}"}} {count}')
        for name, kind, value in (
            ("websockets_open", "gauge", len(self.websockets)),
            ("received_bytes_total", "counter", self.received),
            ("sent_bytes_total", "counter", self.sent),
        ):
            lines += [f"# TYPE {name} {kind}", f"{name} {value}"]
        return "\n".join(lines) + "\n"


class Wire:
    """What passes on one connection, told line by line."""

    def __init__(self, number, started, tell):
        self.number, self.started, self.print = number, started, tell
        self.readers, self.parsers = {}, {}

    def tell(self, words):
        """Tell what happens, with the time in seconds and the number of the connection."""
        self.print(f"{time.monotonic() - self.started:7.2f} s  #{self.number}  {words}")

    def head(self, sender, receiver, head):
        """Tell the first line of a request or response, and those that are about the upgrade."""
        first, *lines = head.rstrip().split("\r\n")
        shown = "  ".join([first, *filter(ABOUT_UPGRADE.match, lines)])
        self.tell(f"{sender:>5} → {receiver:<5}  {shown}")

    def data(self, sender, receiver, data):
        """Tell the frames that are whole now."""
        if sender not in self.parsers:
            self.readers[sender] = StreamReader()
            self.parsers[sender] = self.frames(sender, receiver)
        self.readers[sender].feed_data(data)
        with suppress(StopIteration, WebSocketException):  # no frames, so there is nothing to tell
            next(self.parsers[sender])

    def frames(self, sender, receiver):
        """A generator that tells each frame, and yields where it needs more bytes."""
        read = self.readers[sender].read_exact
        while True:
            frame = yield from Frame.parse(read, mask=sender == USER)
            self.tell(f"{sender:>5} → {receiver:<5}  {frame}")


async def connected_to(port, size=SMALL):
    """A socket that is connected to a port, with a buffer of this size for what it receives."""
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (HOST, port))
    except OSError:
        sock.close()
        raise
    return sock


def without_upgrade(head):
    """The head of a request as a proxy sends it that knows of no WebSocket."""
    first, *lines = head.rstrip().split("\r\n")
    kept = [line for line in lines if not ABOUT_UPGRADE.match(line)]
    return "\r\n".join([first, *kept, "Connection: close", "", ""])


def answer(status, text):
    """An HTTP response in bytes."""
    return ANSWER.format(status, len(text), text).encode()
