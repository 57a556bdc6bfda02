"""What would be noise in a cell: loading a step, serving it, recording what travels, and drawing.

The steps are loaded as their tests load them, from their own files.
"""

import asyncio
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import matplotlib.pyplot as plt

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "steps"
sys.path.append(str(ROOT))

from harness import inprocess
from harness.browser import launch
from harness.failures import NoApp
from harness.live_server import LiveServer
from harness.ports import free_port

# Colours that people who see few colours can tell apart (Okabe and Ito).
BLUE, ORANGE, GREEN, RED, GREY = "#0072B2", "#E69F00", "#009E73", "#D55E00", "#999999"
OPCODES = {0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
START_SECONDS = 20
os.environ.setdefault("QUART_TCP_PORT", "")  # no TCP source: the notebooks do not look at it
plt.rcParams.update(
    {"figure.figsize": (8, 3), "figure.dpi": 110, "figure.constrained_layout.use": True}
)


# ---- The steps


def load(folder):
    """The app of a step, by its folder's name, or that of any folder, loaded afresh."""
    app = inprocess.load(STEPS / folder)
    if isinstance(app, NoApp):
        raise SystemExit(app.reason)
    app.logger.disabled = True  # what goes wrong is shown in a cell, and not logged as well
    return app


def names_in(app):
    """What stands in the app's websocket.py: a dictionary of names."""
    return app.view_functions["index"].__globals__


@contextlib.contextmanager
def copy_of(step):
    """A copy of a step's folder to change at will; it is gone after the block."""
    with tempfile.TemporaryDirectory() as parent:
        ignored = shutil.ignore_patterns("tests", "challenges", "__pycache__")
        yield Path(shutil.copytree(STEPS / step, Path(parent) / "websocket", ignore=ignored))


def files_in(folder):
    """The files of a folder as text, one in a line."""
    paths = sorted(path for path in (STEPS / folder).rglob("*") if path.is_file())
    unwanted = {"__pycache__", "tests", "challenges"}
    names = [path.relative_to(STEPS / folder).as_posix() for path in paths]
    return "\n".join(name for name in names if not unwanted & set(name.split("/")))


# ---- Packages


def requirements(package):
    """The names of the packages that a package needs here, as it says itself."""
    from packaging.requirements import Requirement

    wanted = map(Requirement, metadata.requires(package) or [])
    return [one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]


def tree(package, depth=2, indent=""):
    """A package and what it needs, as text; each level is further in."""
    lines = [f"{indent}{package} {metadata.version(package)}"]
    if depth:
        lines += [tree(name, depth - 1, indent + "    ") for name in requirements(package)]
    return "\n".join(lines)


def size(package):
    """The size of a package's files, in kB."""
    files = metadata.files(package) or []
    return sum(file.size or 0 for file in files) / 1000


def all_requirements(package):
    """A package and all that it needs, and what that needs, each once."""
    found, to_do = [], [package]
    while to_do:
        name = to_do.pop(0)
        if name.lower() not in [one.lower() for one in found]:
            found.append(name)
            to_do += requirements(name)
    return found


# ---- Servers


@contextlib.asynccontextmanager
async def serve(step):
    """Serve a step on a real server in this process, and give its host, such as 127.0.0.1:5000."""
    server = LiveServer(load(step))
    server.start()
    try:
        yield server.host
    finally:
        await asyncio.to_thread(server.stop)


@contextlib.contextmanager
def process_of(step):
    """Serve a step in a process of its own, and give its host; it ends with the block."""
    port = free_port()
    script = ROOT / "workshop/serving.py"
    process = subprocess.Popen(
        [sys.executable, script, STEPS / step, str(port)],
        stdin=subprocess.PIPE,  # it ends when this is closed, as it is when the kernel ends
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    try:
        while "is served" not in process.stdout.readline():
            if process.poll() is not None:
                raise SystemExit("the server has ended at once")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.communicate()


# ---- What travels


@dataclass
class Frame:
    """A WebSocket frame, taken apart."""

    at: float  # seconds since the recording began
    sender: str  # "client" or "server"
    raw: bytes
    is_final: bool
    opcode: str
    mask: bytes  # four bytes, or none
    payload: bytes  # unmasked

    @property
    def parts(self):
        """The frame's bytes, each part with its name: a list of (name, bytes)."""
        end = len(self.raw) - len(self.payload)
        length = self.raw[1 : end - len(self.mask)]
        named = [("opcode", self.raw[:1]), ("length", length), ("mask", self.mask)]
        return [(name, part) for name, part in [*named, ("payload", self.raw[end:])] if part]


class Recording:
    """What a client and a server have said, byte by byte."""

    def __init__(self):
        self.started = time.perf_counter()
        self.chunks = []  # (seconds, sender, bytes)

    def add(self, sender, data):
        """Note that some bytes have passed."""
        self.chunks.append((time.perf_counter() - self.started, sender, data))

    def said_by(self, sender):
        """All bytes of one side."""
        return b"".join(data for _, who, data in self.chunks if who == sender)

    def handshake(self):
        """The request and the response with which the connection began, as text."""
        heads = [self.said_by(sender).partition(b"\r\n\r\n")[0] for sender in ("client", "server")]
        return "\n\n".join(head.decode().replace("\r\n", "\n") for head in heads)

    def frames(self):
        """The frames of both sides, in the order in which they passed."""
        found = []
        for sender in ("client", "server"):
            position = self.said_by(sender).index(b"\r\n\r\n") + 4
            data = self.said_by(sender)
            while position < len(data):
                frame = take_apart(data[position:], sender, self.time_of(sender, position))
                found.append(frame)
                position += len(frame.raw)
        return sorted(found, key=lambda frame: frame.at)

    def time_of(self, sender, position):
        """When the byte at a position passed, in seconds."""
        for at, who, data in self.chunks:
            if who == sender:
                position -= len(data)
                if position < 0:
                    return at


def take_apart(data, sender="client", at=0.0):
    """The first frame in some bytes; see RFC 6455, section 5.2."""
    length, start = data[1] & 0x7F, 2
    if length >= 126:  # a longer one stands in the next two or eight bytes
        size = 2 if length == 126 else 8
        length, start = int.from_bytes(data[2 : 2 + size], "big"), 2 + size
    mask = data[start : start + 4] if data[1] & 0x80 else b""
    start += len(mask)
    masked = data[start : start + length]
    payload = bytes(byte ^ mask[i % 4] for i, byte in enumerate(masked)) if mask else masked
    opcode = OPCODES.get(data[0] & 0x0F, "unknown")
    return Frame(at, sender, data[: start + length], bool(data[0] & 0x80), opcode, mask, payload)


@contextlib.asynccontextmanager
async def record(host):
    """A host to connect to in place of `host`, and a Recording of what passes."""
    recording = Recording()
    address, port = host.split(":")

    async def pass_on(reader, writer, sender):
        with contextlib.suppress(OSError), contextlib.closing(writer):
            while data := await reader.read(65536):
                recording.add(sender, data)
                writer.write(data)

    async def connected(reader, writer):
        to_server, from_client = await asyncio.open_connection(address, int(port))
        await asyncio.gather(
            pass_on(reader, from_client, "client"), pass_on(to_server, writer, "server")
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}", recording
    finally:
        server.close()


def traced(app):
    """The app, and a list to which every message between it and its server will be added."""
    inner, messages = app.asgi_app, []

    async def asgi_app(scope, receive, send):
        async def receive_traced():
            message = await receive()
            messages.append(("to the app", message))
            return message

        async def send_traced(message):
            messages.append(("from the app", message))
            await send(message)

        await inner(scope, receive_traced, send_traced)

    app.asgi_app = asgi_app
    return messages


# ---- Clients of step 5


class Clients:
    """Named clients of one app, and what each hears, and when."""

    def __init__(self, app, *names):
        self.app, self.names = app, names
        self.events = []  # (milliseconds, sender, receiver, text)

    async def __aenter__(self):
        self.stack = contextlib.AsyncExitStack()
        self.connections = {}
        for name in self.names:
            connection = self.app.test_client().websocket("/api/v2/ws")
            self.connections[name] = await self.stack.enter_async_context(connection)
        self.started = time.perf_counter()
        return self

    async def __aexit__(self, *error):
        await self.stack.aclose()

    def note(self, sender, receiver, text):
        """Note who said what to whom, now."""
        self.events.append(((time.perf_counter() - self.started) * 1000, sender, receiver, text))

    async def say(self, name, text):
        """Let one client send a message, and all receive it."""
        self.note(name, "app", text)
        await self.connections[name].send(text)
        for other, connection in self.connections.items():
            self.note("app", other, await connection.receive())


async def queue_lengths(app, seconds=0.5, messages_a_second=200, reads_a_second=50):
    """Broadcast at one pace to a client that reads at another; returns times and queue lengths."""
    module = names_in(app)
    connection = app.test_client().websocket("/api/v2/ws")
    put = connection.from_app.put

    async def put_slowly(message):
        await asyncio.sleep(1 / reads_a_second)
        await put(message)

    connection.from_app.put = put_slowly
    times, lengths, started = [], [], time.perf_counter()
    async with connection:
        while (now := time.perf_counter() - started) < seconds:
            module["broadcast"]("news")
            times.append(now)
            lengths.append(sum(queue.qsize() for queue in module["connected_websockets"]))
            await asyncio.sleep(1 / messages_a_second)
    return times, lengths


async def who_hears(hosts, text, seconds=0.5):
    """Connect a client to each host, let the first say something, and tell who hears it.

    Returns a dictionary of names, each with (number of the process, whether it has heard).
    """
    from websockets.asyncio.client import connect

    processes = list(dict.fromkeys(hosts))
    async with contextlib.AsyncExitStack() as stack:
        urls = [f"ws://{host}/api/v2/ws" for host in hosts]
        clients = [await stack.enter_async_context(connect(url, proxy=None)) for url in urls]
        await clients[0].send(text)
        hearing = [asyncio.ensure_future(client.recv()) for client in clients]
        heard, _ = await asyncio.wait(hearing, timeout=seconds)
        for task in hearing:
            task.cancel()
    return {
        name: (processes.index(host), task in heard)
        for name, host, task in zip(["alice", "bob", "carol", "dave"], hosts, hearing, strict=False)
    }


# ---- Drawings


def draw_frame(frame):
    """Draw a frame's bytes as boxes, a colour for each part."""
    colours = {"opcode": BLUE, "length": ORANGE, "mask": GREY, "payload": GREEN}
    _, axes = plt.subplots(figsize=(8, 1.9))
    x = 0
    for name, part in frame.parts:
        for number, byte in enumerate(part):
            axes.add_patch(plt.Rectangle((x, 0), 0.94, 1, color=colours[name], alpha=0.35))
            axes.text(x + 0.47, 0.5, f"{byte:02x}", ha="center", va="center", family="monospace")
            if name == "payload":
                text = chr(frame.payload[number])
                axes.text(x + 0.47, -0.3, text if text.isprintable() else "·", ha="center")
            x += 1
        axes.text(x - len(part) / 2 - 0.03, 1.12, name, ha="center", fontsize=8)
    axes.set(xlim=(-0.2, max(x, 16)), ylim=(-0.5, 1.6), xlabel="byte", yticks=[])
    axes.set_title(f"A {frame.opcode} frame from the {frame.sender}: {len(frame.raw)} bytes")
    axes.spines[:].set_visible(False)
    plt.show()


def draw_sequence(events, lanes, title):
    """Draw who says what to whom: times run downwards, in the order of the events."""
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.36 * len(events)))
    at = {name: number for number, name in enumerate(lanes)}
    colours = dict(zip(lanes, [BLUE, GREY, ORANGE, GREEN, RED], strict=False))
    for row, (milliseconds, sender, receiver, text) in enumerate(events):
        axes.annotate(
            "",
            (at[receiver], row),
            (at[sender], row),
            arrowprops={"arrowstyle": "->", "color": colours[sender], "linewidth": 1.8},
        )
        # Between the receiver's lifeline and the next one, so that it crosses none.
        x = at[receiver] + (0.5 if at[sender] > at[receiver] else -0.5)
        axes.text(x, row - 0.12, text, ha="center", fontsize=9)
        axes.text(
            len(lanes) - 0.55, row, f"{milliseconds:.1f}", ha="right", va="center", fontsize=8
        )
    axes.set(xlim=(-0.4, len(lanes) - 0.5), ylim=(len(events) - 0.5, -0.9), yticks=[])
    axes.set_xticks(range(len(lanes)), lanes)
    axes.xaxis.tick_top()
    axes.set_ylabel("the order of events")
    axes.set_title(f"{title} (at the right: milliseconds)")
    for x in at.values():
        axes.axvline(x, color=GREY, linestyle=":", zorder=0)
    axes.spines[:].set_visible(False)
    plt.show()


def draw_timeline(events, title):
    """Draw what happened in which order: a list of (milliseconds, lane, text)."""
    lanes = list(dict.fromkeys(lane for _, lane, _ in events))
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.8 * len(lanes)))
    colours = [BLUE, ORANGE, GREEN, RED, GREY]
    for y in range(len(lanes)):
        axes.axhline(y, color=GREY, linestyle=":", linewidth=0.8, zorder=0)
    for x, (_, lane, text) in enumerate(events):
        y = lanes.index(lane)
        axes.plot(x, y, "o", color=colours[y])
        axes.text(x, y + 0.15, textwrap.fill(text, 10), ha="center", fontsize=8)
    axes.set_yticks(range(len(lanes)), lanes)
    axes.set_xticks(range(len(events)), [f"{milliseconds:.0f}" for milliseconds, *_ in events])
    axes.set(xlim=(-0.7, len(events) - 0.3), ylim=(-0.4, len(lanes) - 0.2))
    axes.set_xlabel("events in order, each with its time in milliseconds")
    axes.set_title(title)
    plt.show()


def draw_queue(runs):
    """Draw how long queues grew: a dictionary of labels, each with (times, lengths)."""
    _, axes = plt.subplots()
    styles = zip([BLUE, ORANGE, GREEN], ["-", "--", ":"], strict=True)
    for (label, (times, lengths)), (colour, style) in zip(runs.items(), styles, strict=False):
        axes.plot(times, lengths, style, color=colour, linewidth=2, label=label)
    axes.set(xlabel="time (seconds)", ylabel="messages in the queue")
    axes.set_title("A queue without a limit")
    axes.legend()
    plt.show()


def draw_sizes(packages):
    """Draw how big packages are."""
    _, axes = plt.subplots(figsize=(8, 0.8 + 0.28 * len(packages)))
    ordered = sorted(packages, key=size)
    axes.barh(ordered, [size(name) for name in ordered], color=BLUE)
    axes.set(xlabel="size on disk (kB)")
    axes.set_title("Quart and the packages it needs")
    plt.show()


def draw_who_heard(heard):
    """Draw which clients heard a message: a dictionary of names, each with (process, whether)."""
    _, axes = plt.subplots(figsize=(8, 1.9))
    for x, (name, (process, has_heard)) in enumerate(heard.items()):
        colour, sign = (GREEN, "received it") if has_heard else (RED, "nothing")
        axes.plot(x, process, "o" if has_heard else "x", color=colour, markersize=12, mew=3)
        axes.text(x, process + 0.25, f"{name}: {sign}", ha="center", fontsize=9)
    axes.set_yticks([0, 1], ["process 1", "process 2"])
    axes.set(
        xlim=(-0.6, len(heard) - 0.4),
        ylim=(-0.4, 1.6),
        xlabel="clients in the order in which they connected",
    )
    axes.set_xticks([])
    axes.set_title("One message, two processes")
    plt.show()


# ---- The browser

WATCH = """
const Plain = WebSocket;
window.WebSocket = class extends Plain {
  constructor(...address) {
    super(...address);
    for (const name of ["open", "message", "close"]) {
      this.addEventListener(name, () => console.log(`event ${name}`));
    }
  }
};
"""


async def watch_browser(host, texts):
    """Open a step's page in a browser, send texts, and return what happened as a timeline.

    Returns an empty list where there is no browser.
    """

    def run():
        # The event loop of a kernel cannot start processes on Windows; this one can.
        factory = getattr(asyncio, "ProactorEventLoop", None)
        with asyncio.Runner(loop_factory=factory) as runner:
            return runner.run(watch_in_browser(host, texts))

    return await asyncio.to_thread(run)


async def watch_in_browser(host, texts):
    """What `watch_browser` does, in an event loop that can start processes."""
    try:
        from playwright.async_api import async_playwright, expect
    except ImportError:
        return []
    events, started = [], time.perf_counter()

    def note(lane, text):
        events.append(((time.perf_counter() - started) * 1000, lane, text))

    async with async_playwright() as playwright:
        browser = await launch(playwright)
        if browser is None:
            return []
        page = await browser.new_page()
        await page.add_init_script(WATCH)

        def socket(ws):
            note("the socket", "connects")
            ws.on("framesent", lambda data: note("frames out", str(data)))
            ws.on("framereceived", lambda data: note("frames in", str(data)))
            ws.on("close", lambda _: note("the socket", "is closed"))

        page.on("websocket", socket)
        page.on("console", lambda m: m.text.startswith("event") and note("the page", m.text))
        started = time.perf_counter()
        await page.goto(f"http://{host}/")
        await expect(page.get_by_role("status")).to_have_text("Connected")
        for number, text in enumerate(texts, 1):
            await page.get_by_role("textbox").fill(text)
            await page.get_by_role("button").click()
            await expect(page.get_by_role("listitem")).to_have_count(number)
        await page.evaluate("ws.close()")
        await expect(page.get_by_role("status")).to_contain_text("Disconnected")
        await browser.close()
    return events
