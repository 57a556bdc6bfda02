"""The fault lab: a running step, what it costs its server, and clients both good and bad."""

import asyncio
import http.client
import json
import os
import secrets
import socket
import statistics
import struct
import time
from collections import deque
from contextlib import closing, suppress

from websockets.asyncio.client import connect
from websockets.client import ClientProtocol
from websockets.exceptions import WebSocketException
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from harness import sign_in as signing
from workshop.language import _
from workshop.serving import HOST

PATHS = ("/api/v3/ws", "/api/v2/ws")  # the first that is there is played against
MESSAGES = "/api/v2/messages"
WORD = "QUART_CLASS_WORD"  # the variable that says what one needs there
MB = 2**20
LONGEST = 4096  # bytes of a message that every step takes
TALKERS = 64
HANDSHAKE_SECONDS = 15
GONE = (OSError, WebSocketException, EOFError)


class CannotPlay(Exception):
    """A fault cannot be played against this target; the message says why in one sentence."""


async def until(condition, seconds):
    """Whether a condition comes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < deadline:
        await asyncio.sleep(0.002)
    return result


class Server:
    """The processes that listen on a port, as far as this system tells about them."""

    def __init__(self, port):
        import psutil  # of the development set, which need not be there for the help

        self.unknown = (psutil.Error, AttributeError)  # which asking may raise
        self.free = lambda: psutil.virtual_memory().available
        self.processes, others = [], set()
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it is somebody else's, or has ended
                connections = process.net_connections("tcp4")
                ports = {one.laddr.port for one in connections if one.status == psutil.CONN_LISTEN}
                if port in ports:
                    self.processes.append(process)
                    others |= ports - {port}
        self.other_port = others.pop() if len(others) == 1 else None  # which is its TCP source

    def _ask(self, question):
        with suppress(*self.unknown):
            return [question(process) for process in self.processes] or None

    def memory(self):
        """Its memory in MB, or None if that is not known."""
        sizes = self._ask(lambda process: process.memory_info().rss)
        return sum(sizes) / MB if sizes else None

    def files(self):
        """How many files and sockets it has open, or None: Windows does not tell."""
        numbers = self._ask(lambda process: process.num_fds())
        return sum(numbers) if numbers else None

    def holds(self, port):
        """Whether it still holds the connection of a client's port, or None if not known."""
        found = self._ask(
            lambda process: any(
                one.raddr and one.raddr.port == port for one in process.net_connections("tcp4")
            )
        )
        return any(found) if found else None

    def change(self, before):
        """The words for how its memory changed."""
        now = self.memory()
        if before is None or now is None:
            return _("not known")
        return f"{before:.0f} MB → {now:.0f} MB ({now - before:+.1f})"


class Lab:
    """What the faults share: where the server is, its memory, and the good client beside them."""

    def __init__(self, port, tell, progress):
        self.server = Server(port)
        self.port, self.tcp_port = port, self.server.other_port
        self.tell, self.progress = tell, progress
        self.path = self.good = None
        self.headers = {}  # of every client: a cookie, if the server requires a sign-in

    async def find_path(self):
        """Find where the server broadcasts; raises CannotPlay if it does not, or is not there."""
        for self.path in PATHS:
            async with Bad(self) as probe:
                if probe.status == 101:
                    return
                if probe.status == 401:
                    return await asyncio.to_thread(self.sign_in)
                if probe.status not in (400, 404, 405):
                    where = f"http://{HOST}:{self.port}"
                    raise CannotPlay(f"no client gets in at {where}: {probe.fate}")
        raise CannotPlay(
            f"it broadcasts nothing: it has no {' and no '.join(PATHS)}, as step 5 has"
        )

    def sign_in(self):
        """Sign in, so that all clients have a cookie; raises CannotPlay if that fails."""
        options = signing.form(f"lab {secrets.token_hex(3)}", os.environ.get(WORD, ""))
        with closing(http.client.HTTPConnection(HOST, self.port, timeout=5)) as connection:
            connection.request("POST", signing.PATH, options["data"], options["headers"])
            answer = connection.getresponse()
        cookie = signing.cookie_of(answer)
        if answer.status != 303 or not cookie:
            raise CannotPlay(
                f"it requires a sign-in, and answers {signing.PATH} with HTTP {answer.status}: "
                f"set {WORD} to its class word"
            )
        self.headers = {"Cookie": cookie}
        self.path = PATHS[0]

    async def settle(self, before):
        """Wait a moment for the server to give memory back."""
        await until(lambda: before is None or (self.server.memory() or 0) < before + 1, 0.5)

    async def post(self, body, **headers):
        """The status of a POST, or None if there was no answer."""
        head = {"Host": f"{HOST}:{self.port}", "Content-Length": len(body), "Connection": "close"}
        head |= {**self.headers, **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        with suppress(*GONE, TimeoutError, ValueError):
            async with asyncio.timeout(5):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(f"POST {MESSAGES} HTTP/1.1\r\n{lines}\r\n".encode() + body)
                    return int((await reader.readline()).split()[1])
                finally:
                    writer.transport.abort()

    async def tcp(self, data):
        """What the TCP source answers to some bytes, or None if it is not known where it is."""
        if self.tcp_port is None:
            return None
        answer = b""
        with suppress(*GONE, TimeoutError):
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(HOST, self.tcp_port)
                try:
                    writer.write(data)
                    writer.write_eof()
                    answer = await reader.read(200)
                finally:
                    writer.transport.abort()
        return answer.decode(errors="replace").strip()

    async def broadcast(self, megabytes):
        """Let the server broadcast some MB, never faster than the good client hears them.

        Many clients send it by TCP, since each may be limited to a few messages a second, or by
        POST if the TCP port is not known. Takes 20 s at most; returns how many MB were received.
        """
        line = b"x" * (LONGEST - 1)
        first, total, deadline = self.good.heard, megabytes * MB // LONGEST, time.monotonic() + 20
        writers = []
        try:
            for _number in range(TALKERS if self.tcp_port else 0):
                writers.append((await asyncio.open_connection(HOST, self.tcp_port))[1])
            for said in range(0, total, TALKERS):
                for writer in writers:
                    writer.write(line + b"\n")
                posts = [] if writers else [self.post(line) for _number in range(TALKERS)]
                if any(status != 204 for status in await asyncio.gather(*posts)):
                    break
                heard = said + TALKERS
                if not await until(lambda heard=heard: self.good.heard - first >= heard, 5):
                    break
                if time.monotonic() > deadline:
                    break
                words = _("{number:.0f} of {total} MB are broadcast")
                self.progress(words.format(number=heard * LONGEST / MB, total=megabytes))
        except OSError:
            pass  # the server hung up
        finally:
            for writer in writers:
                writer.transport.abort()
        return (self.good.heard - first) * LONGEST / MB


class Good:
    """A well-behaved client: it sends ten messages a second, receives all, and reconnects."""

    def __init__(self, lab):
        self.uri, self.tag = f"ws://{HOST}:{lab.port}{lab.path}", secrets.token_hex(4)
        self.headers = lab.headers
        self.waiting, self.delays, self.heard, self.last = {}, [], 0, deque(maxlen=100)
        self.losses, self.is_in = [], False

    async def connect(self):
        options = {"proxy": None, "max_size": None, "compression": None}
        self.connection = await connect(self.uri, additional_headers=self.headers, **options)
        self.is_in = True

    async def __aenter__(self):
        await self.connect()
        self.tasks = [asyncio.create_task(self.speaking()), asyncio.create_task(self.hearing())]
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        self.connection.transport.abort()

    async def speaking(self):
        while True:
            if self.is_in:
                word = f"{self.tag} {time.monotonic()}"
                self.waiting[word] = time.monotonic()
                with suppress(*GONE):
                    await self.connection.send(word)
            await asyncio.sleep(0.1)

    async def hearing(self):
        while True:
            with suppress(*GONE):
                if not self.is_in:
                    await self.connect()
                async for message in self.connection:
                    self.hear(message)
            if self.is_in:
                self.is_in = False
                connection = self.connection
                self.losses.append(code_words(connection.close_code, connection.close_reason))
                self.waiting.clear()
            await asyncio.sleep(0.2)

    def hear(self, message):
        for text in _texts(message, self.uri):
            if text in self.waiting:
                self.delays.append(time.monotonic() - self.waiting.pop(text))
            elif not (isinstance(text, str) and text.startswith(self.tag)):
                self.heard += 1
                self.last.append((text[:60], len(text)))

    def report(self):
        """What it noticed since it was last asked, in words."""
        now = time.monotonic()
        late = [now - since for since in self.waiting.values()]
        delays, self.delays = self.delays, []
        words = _("hears nothing")
        if delays:
            words = _("hears itself after {time}").format(time=ms(statistics.median(delays)))
        if delays or late:
            words += _(", at worst {time}").format(time=ms(max(delays + late)))
        if len(late) > 1:
            words += _("; has not yet heard {number} of its messages").format(number=len(late))
        if self.losses:
            lost = _("; LOST its connection {number} ×: {codes}")
            words += lost.format(number=len(self.losses), codes=", ".join(self.losses))
        return words


def _texts(message, uri):
    if not uri.endswith(PATHS[0]):
        return [message]
    try:
        return [_text(one) for one in json.loads(message).get("messages", [])]
    except (ValueError, AttributeError):
        return [message]


def _text(message):
    """A message's text: from step 9 on, a message says who wrote it, too."""
    return message["text"] if isinstance(message, dict) else message


def ms(seconds):
    """The words for a time: in ms, or in s from 1 s on."""
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def code_words(code, reason):
    """The words for a close code and its reason, if there is one."""
    return f"{code} ({reason})" if reason else f"{code}"


class Bad:
    """A client that does only what it is told: it answers neither pings nor closes."""

    def __init__(self, lab, query="", **headers):
        self.protocol = ClientProtocol(
            parse_uri(f"ws://{HOST}:{lab.port}{lab.path}{query}"), max_size=None
        )
        self.where, self.headers = (HOST, lab.port), {**lab.headers, **headers}
        self.writer = self.status = self.fate = self.reading = None
        self.received = self.pings = 0

    async def __aenter__(self):
        """Connect; `status` is then the one that the handshake was answered with, if it was."""
        self.started = time.monotonic()
        sock = None
        try:
            sock = socket.socket(proto=socket.IPPROTO_TCP)
            # A small buffer, so that it is soon full for one who does not read.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            sock.setblocking(False)
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                await asyncio.get_running_loop().sock_connect(sock, self.where)
                self.reader, self.writer = await asyncio.open_connection(sock=sock)
                self.port = sock.getsockname()[1]
                request = self.protocol.connect()
                for name, value in self.headers.items():
                    request.headers.pop(name, None)
                    request.headers[name] = value
                self.protocol.send_request(request)
                self.writer.write(b"".join(self.protocol.data_to_send()))
                while self.status is None and self.fate is None:
                    await self.read()
        except TimeoutError:
            self.fate = _("no answer in {seconds} s").format(seconds=HANDSHAKE_SECONDS)
        except ConnectionRefusedError:
            self.fate = _("nothing listens there")
        except OSError as error:
            self.fate = error.strerror or str(error)
        finally:
            if sock and self.writer is None:
                sock.close()
        return self

    async def __aexit__(self, *_):
        if self.reading:
            self.reading.cancel()
        if self.writer:
            self.writer.transport.abort()

    async def read(self):
        """Read what is there, or wait for it; at the end, `fate` says how the connection ended."""
        try:
            data = await self.reader.read(65536)
        except OSError:
            data = b""
        self.received += len(data)
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        for event in self.protocol.events_received():
            if isinstance(event, Response):
                self.status = event.status_code
                if self.status != 101:
                    self.fate = _("refused with HTTP {status}").format(status=self.status)
            elif isinstance(event, Frame):
                self.pings += event.opcode == Opcode.PING
        if self.protocol.close_rcvd:
            close = self.protocol.close_rcvd
            code = code_words(close.code, close.reason)
            self.fate = _("closed with {code}").format(code=code)
        elif self.status is None and self.protocol.handshake_exc:
            self.fate = _("what answers there is no WebSocket server")
        elif not data and self.fate is None:
            self.fate = _("cut off without a close code")

    async def read_to_the_end(self):
        """Read until the server closes, and throw away what arrives."""
        while self.fate is None:
            await self.read()

    def start_reading(self):
        """Read in the background from now on."""
        self.reading = asyncio.create_task(self.read_to_the_end())

    async def ended(self, seconds):
        """How it ended, in words, within some seconds or once hardly anything arrives any more."""
        if not self.reading:
            self.start_reading()
        before, deadline = -MB, time.monotonic() + seconds
        while (
            self.fate is None and self.received > before + MB / 64 and time.monotonic() < deadline
        ):
            before = self.received
            await asyncio.wait([self.reading], timeout=0.4)
        return self.fate or _("still connected")

    def leave(self, politely):
        """Close the TCP connection without a WebSocket goodbye, or reset it."""
        if not politely:
            linger = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
            sock = self.writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def frame(payload=b"", first=0x81, masked=True):
    """A frame as bytes, right or wrong; the key of its mask is 0, which changes nothing."""
    if isinstance(payload, str):
        payload = payload.encode()
    size = len(payload)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", first, mask | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask | 127, size)
    return head + bytes(4 if masked else 0) + payload
