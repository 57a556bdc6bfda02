"""Clients by hand for each transport, on what `load` has: each message is posted to /messages."""

import json
import re
import selectors
import socket
from pathlib import Path

from bench.contestants import Contestant
from bench.load import CHUNK, HOST, Client, Load, LoadProblem, text_of

FOLDER = Path(__file__).parent / "transports"
PATH = "/messages"


def get(path):
    """A request, with the headers that HTTP asks for and no others."""
    return f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()


def post(text):
    """A request that posts a message."""
    data = text.encode()
    head = f"POST {PATH} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def check(head):
    """Raise LoadProblem if the head of an answer doesn't say that all is well."""
    if not head.startswith(b"HTTP/1.1 2"):
        raise LoadProblem(f"the server answered {head.splitlines()[0].decode()!r}")


def texts(messages):
    """The messages in a frame, of which each has its number before it."""
    return [text for _, text in json.loads(messages)]


class WebSocketLoad(Load):
    """Clients that receive by WebSocket what another connection posts."""

    def __init__(self, port, seconds=60):
        super().__init__(port, PATH, texts, seconds=seconds)
        self.poster = socket.create_connection((HOST, port), timeout=10)
        self.selector.register(self.poster, selectors.EVENT_READ, self.read_answers)

    def __exit__(self, *_):
        super().__exit__()
        self.poster.close()

    def send(self, *numbers):
        """Post messages, all in one go."""
        self.poster.sendall(b"".join(post(text_of(number)) for number in numbers))

    def read_answers(self):
        """Read what the server says to what was posted."""
        if not (data := self.poster.recv(CHUNK)):
            raise LoadProblem("the server hung up on a POST")
        if wrong := re.search(rb"HTTP/1.1 [^2].*", data):
            raise LoadProblem(f"the server answered {wrong[0].decode().strip()!r} to a POST")


class EventsLoad(WebSocketLoad):
    """Clients that receive an endless answer, of which each chunk contains whole events."""

    def new_client(self, **options):
        """A client that asks once."""
        return EventsClient(self, **options)

    def parse(self, data, _):
        """The numbers of the messages in whole chunks, no answer, and the rest."""
        numbers = []
        while (size := re.match(rb"([0-9a-f]+)\r\n", data)) and int(size[1], 16):
            end = size.end() + int(size[1], 16)
            if len(data) < end + 2:
                break
            chunk = data[size.end() : end].decode()
            numbers += [int(text) for text in re.findall("^data: (.{8})", chunk, re.MULTILINE)]
            data = data[end + 2 :]
        return numbers, b"", data


class EventsClient(Client):
    """One connection with one request."""

    def request(self, path):
        """What the client sends, once."""
        return get(path)

    def shake_hands(self, data):
        """Look at the head of the answer; returns what comes after it."""
        head, _, rest = data.partition(b"\r\n\r\n")
        check(head)
        self.is_open = True
        self.load.opened += 1
        return rest


class PollingLoad(WebSocketLoad):
    """Clients that ask again after each answer."""

    last = 0  # the number that the server gave to the newest message that came

    def new_client(self, **options):
        """A client that asks again and again."""
        return PollingClient(self, **options)

    def parse(self, data, _):
        """The numbers of the messages in an answer, the next request, and the rest."""
        head, _, rest = data.partition(b"\r\n\r\n")
        check(head)
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        if not length or len(rest) < int(length[1]):
            return [], b"", data
        messages = json.loads(rest[: int(length[1])])
        if messages:
            self.last = messages[-1][0]
        numbers = [int(text[:8]) for _, text in messages]
        return numbers, get(f"{PATH}?after={self.last}"), rest[int(length[1]) :]


class PollingClient(EventsClient):
    """One connection with one request after another; the first is answered by a message."""

    def __init__(self, load, **options):
        super().__init__(load, **options)
        self.is_open = True
        load.opened += 1


LOADS = {
    "WebSocket": ("websocket", WebSocketLoad),
    "server-sent events": ("server_sent_events", EventsLoad),
    "long polling": ("long_polling", PollingLoad),
}


def contestant(name, **environ):
    """The app of a transport, as it is measured."""
    module, _ = LOADS[name]
    return Contestant(name, FOLDER, [f"{module}:app"], PATH, environ=environ, workers=1)
