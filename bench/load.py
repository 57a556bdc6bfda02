"""WebSocket clients by hand: thousands in one thread, so that the server is what is measured.

They know what is needed here and no more: the handshake, whole text frames from the server,
compressed ones too, and pings. Servers send the same bytes to everyone, so what a chunk of bytes
holds is looked up if another client had it before.
"""

import base64
import contextlib
import hashlib
import json
import os
import selectors
import socket
import struct
import time
import zlib
from functools import partial

HOST = "127.0.0.1"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455
SIZE = 64  # bytes of each message
CHUNK = 16384  # bytes; a bigger buffer costs more to make than to fill
BATCH = 50  # connections opened at a time
TEXT, CLOSE, PING, COMPRESSED = 0x1, 0x8, 0x9, 0x40


class LoadProblem(Exception):
    """A server did not do what each of them must; the message says what."""


class Late(LoadProblem):
    """A deadline passed."""


def text_of(number):
    """The text of message `number`, 64 bytes; numbers below 0 only warm up."""
    return f"{number:>8} ".ljust(SIZE, ".")


def frame_of(text):
    """A text as a client sends it: masked, with a mask of zeros, which changes nothing."""
    payload = text.encode()
    return struct.pack("!BBI", 0x80 | TEXT, 0x80 | len(payload), 0) + payload


def split_frames(data):
    """The whole frames in `data`, each its first byte and its payload, and the rest of `data`."""
    frames, start = [], 0
    while len(data) - start >= 2:
        size, header = data[start + 1], 2
        if size >= 126:
            header = 4 if size == 126 else 10
            size = int.from_bytes(data[start + 2 : start + header], "big")
        end = start + header + size
        if len(data) < max(end, start + header):
            break
        frames.append((data[start], data[start + header : end]))
        start = end
    return frames, data[start:]


def plain(text):
    """The messages in a frame of those who send one in each."""
    return [text]


def logged(text):
    """The messages in a frame of the steps with a log; the first frame that comes holds none."""
    return json.loads(text).get("messages", [])


def handshake(port, path, key, deflate=False):
    """What a client sends first."""
    offer = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if deflate else ""
    return (
        f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n{offer}\r\n"
    ).encode()


class Load:
    """Clients of one server, of which the first also sends.

    Each holds that every message comes exactly once and in order. Raises LoadProblem if that is
    not so, or if it is not done within `seconds`.
    """

    def __init__(self, port, path, unpack=plain, deflate=False, seconds=60):
        self.port, self.path, self.unpack, self.deflate = port, path, unpack, deflate
        self.ends = time.monotonic() + seconds
        self.clients = []
        self.sent = self.warm_ups = 0  # messages
        self.opened = self.joined = self.complete = 0  # clients
        self.received = self.asked = 0  # bytes that came, and that clients sent to receive them
        self.known = {}  # what a chunk of bytes holds
        self.selector = selectors.DefaultSelector()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.selector.close()
        for client in self.clients:
            client.socket.close()

    def open(self, count, at_once=BATCH, **options):
        """Open `count` more connections, `at_once` at a time."""
        for number in range(1, count + 1):
            client = self.new_client(**options)
            self.clients.append(client)
            self.selector.register(client.socket, selectors.EVENT_READ, client.read)
            if number % at_once == 0 or number == count:
                self.wait(lambda: self.opened == len(self.clients), "shook hands")

    def new_client(self, **options):
        """A client that connects."""
        return Client(self, **options)

    def join(self):
        """Send until everyone hears: a server may take a client in only after the handshake."""
        while self.joined < len(self.clients):
            self.send(-1)
            self.warm_ups += 1
            with contextlib.suppress(Late):
                self.wait(lambda: self.joined == len(self.clients), "joined", soon=0.2)
            if time.monotonic() > self.ends:
                raise Late(f"only {self.joined} of {len(self.clients)} clients hear anything")

    def send(self, *numbers):
        """Send messages, all in one go."""
        self.clients[0].socket.sendall(b"".join(frame_of(text_of(number)) for number in numbers))

    def round(self, burst):
        """Send `burst` messages at once; returns the seconds until the last client has all."""
        first, self.sent, self.complete = self.sent, self.sent + burst, 0
        self.known.clear()
        # To read each frame of a burst by itself would cost the load more than it costs the server.
        pause = min(0.001, 1e-7 * burst * len(self.clients)) if burst > 1 else 0
        started = time.perf_counter()
        self.send(*range(first, self.sent))
        self.wait(lambda: self.complete == len(self.clients), "had every message", pause)
        return time.perf_counter() - started

    def wait(self, is_done, what, pause=0, soon=None):
        """Read what comes until it is done; raises Late at the end of the load, or `soon`."""
        ends = time.monotonic() + soon if soon else self.ends
        while not is_done():
            for key, _ in self.selector.select(0.1):
                key.data()
            if pause:
                time.sleep(pause)
            if time.monotonic() > ends:
                raise Late(f"the deadline passed before all {len(self.clients)} clients {what}")

    def read(self, data, inflate):
        """The numbers of the messages in `data`, what to answer, and the rest of `data`."""
        found = self.known.get(data)
        if found is None:
            found = self.parse(data, inflate)
            if not self.deflate:  # where the same bytes may mean something else to each client
                self.known[data] = found
        return found

    def parse(self, data, inflate):
        """What `read` returns, for bytes that no other client had."""
        numbers, answer = [], b""
        frames, rest = split_frames(data)
        for flags, payload in frames:
            if flags & 0x0F == TEXT:
                if flags & COMPRESSED:
                    payload = inflate(payload + b"\x00\x00\xff\xff")
                numbers += [int(text[:8]) for text in self.unpack(payload.decode())]
            elif flags & 0x0F == PING:
                answer += struct.pack("!BBI", 0x8A, 0x80 | len(payload), 0) + payload
            elif flags & 0x0F == CLOSE:
                code = int.from_bytes(payload[:2], "big")
                raise LoadProblem(f"the server closed with {code} {payload[2:].decode()}")
        return numbers, answer, rest


class Client:
    """One connection."""

    def __init__(self, load, path=None, expected=None):
        self.load, self.rest, self.is_open = load, b"", False
        self.expected = expected  # the number of the next message; None: nothing came so far
        self.inflate = zlib.decompressobj(wbits=-15).decompress if load.deflate else None
        self.key = base64.b64encode(os.urandom(16))
        self.socket = socket.create_connection((HOST, load.port), timeout=10)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.ask(self.request(path or load.path))

    def request(self, path):
        """What a client sends first."""
        return handshake(self.load.port, path, self.key, self.load.deflate)

    def ask(self, data):
        """Send what it takes to receive messages."""
        self.socket.sendall(data)
        self.load.asked += len(data)

    def read(self):
        """Read what is there, and hold every message against the one that is due."""
        data = self.socket.recv(CHUNK)
        if not data:
            raise LoadProblem("the server hung up")
        self.load.received += len(data)
        if self.rest:
            data = self.rest + data
        if not self.is_open:
            if b"\r\n\r\n" not in data:
                self.rest = data
                return
            data = self.shake_hands(data)
        load = self.load
        numbers, answer, self.rest = load.read(data, self.inflate)
        for number in numbers:
            if number == self.expected:
                self.expected += 1
                load.complete += self.expected == load.sent
            elif number >= 0 or self.expected:
                raise LoadProblem(f"message {number} came where {self.expected} was due")
            elif self.expected is None:
                self.expected = 0
                load.joined += 1
        if answer:
            self.ask(answer)

    def shake_hands(self, data):
        """Look at the server's answer; returns what comes after it."""
        head, _, rest = data.partition(b"\r\n\r\n")
        accept = base64.b64encode(hashlib.sha1(self.key + GUID).digest())
        if not head.startswith(b"HTTP/1.1 101 ") or accept not in head:
            raise LoadProblem(f"the server answered {head.splitlines()[0].decode()!r}")
        if (b"permessage-deflate" in head) != self.load.deflate:
            raise LoadProblem("compression is not as it was asked for")
        self.is_open = True
        self.load.opened += 1
        return rest


def silent_client(port, path):
    """A socket that shakes hands, and reads nothing of what follows."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.settimeout(10)
    client.connect((HOST, port))
    client.sendall(handshake(port, path, base64.b64encode(os.urandom(16))))
    if not b"".join(iter(partial(client.recv, 1), b"\n")).startswith(b"HTTP/1.1 101 "):
        raise LoadProblem("the server refused the handshake")
    return client
