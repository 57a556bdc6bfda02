"""Steps 6 to 8 in earnest: on real servers in processes of their own, cut off, flooded, killed."""

import asyncio
import inspect
import json
import os
import random
import shutil
import signal
import socket
import ssl
import sys
import time
import tomllib
from collections import deque
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
import uvicorn
from clients import Client, are_in, say_surely
from proxies import make_certificate, nginx_settings, replaced, require, wait_until_listening
from repo import ROOT, STEPS, assert_no_failure, free_port, get_when_served
from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from workshop.steps import find_exercise

BROADCAST, RESUME, HARDEN, SCALE_OUT = STEPS[4:8]
NO_LIMITS = {
    "QUART_RATE": "1000000",
    "QUART_CONNECTIONS": "10000",
    "QUART_CONNECTIONS_PER_ADDRESS": "10000",
}
# Serves as serve.py does, but waits less, and with small buffers in the system.
IMPATIENT = """
import socket, sys, protocol, serve, uvicorn
protocol.PATIENCE, protocol.BACKLOG = 4, 2**18
connection_made = protocol.BoundedWebSocket.connection_made
def with_small_buffer(self, transport):
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    connection_made(self, transport)
protocol.BoundedWebSocket.connection_made = with_small_buffer
uvicorn.run("websocket:app", port=int(sys.argv[1]), **serve.SETTINGS)
"""
# Serves as serve.py does, but a TCP client may be silent for half a second only.
SHORT_QUIET = """
import sys, serve, tcp, uvicorn
tcp.QUIET = 0.5
uvicorn.run("websocket:app", port=int(sys.argv[1]), **serve.SETTINGS)
"""
# Cuts each WebSocket off soon after it came.
CUTTING = """
import random, sys, uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
class Cutting(WebSocketsSansIOProtocol):
    def connection_made(self, transport):
        super().connection_made(transport)
        self.loop.call_later(random.uniform(0, 0.05), transport.abort)
uvicorn.run("websocket:app", ws=Cutting, log_level="warning", port=int(sys.argv[1]))
"""
pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(110)]


@pytest.fixture
def serve(start):
    """Start a step on a free port in a process of its own: the process and its host."""

    def serve(step, *options, port=None, script=None, **environ):
        port = port or free_port()
        if script:
            command = ["-c", script, port]
        elif not (step / "serve.py").exists():
            uvicorn = ["-m", "uvicorn", "websocket:app", "--ws", "websockets-sansio"]
            command = [*uvicorn, "--log-level", "warning", "--port", port]
        else:
            command = ["serve.py", "--port", port, *options]
        env = {"QUART_TCP_PORT": "", **environ}
        process = start(sys.executable, *command, cwd=step, env=env)
        get_when_served(f"http://127.0.0.1:{port}/")
        return process, f"127.0.0.1:{port}"

    return serve


def rss(process):
    return psutil.Process(process.process.pid).memory_info().rss


def ports_of_clients(process):
    connections = psutil.Process(process.process.pid).net_connections("tcp4")
    return {one.raddr.port for one in connections if one.raddr}


def end_of(process):
    process.process.send_signal(signal.SIGTERM)
    return process.end(5)[1]


async def say(host, messages, pause_every=20):
    async with connect(f"ws://{host}/api/v3/ws", proxy=None, compression=None) as sender:
        for number, message in enumerate(messages):
            await sender.send(message)
            if number % pause_every == 0:
                await asyncio.sleep(0.001)  # so that it is no single burst
        heard = ""
        async with asyncio.timeout(60):
            while messages[-1] not in heard:
                heard = await sender.recv()


def check_all_have(clients, messages):
    for client in clients:
        assert client.gaps == []
        assert client.ids == list(range(client.ids[0], client.ids[0] + len(client.ids)))
        own = set(messages)
        assert [text for text in client.texts if text in own] == messages


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(
    "step",
    [BROADCAST, *(pytest.param(step, marks=pytest.mark.thorough) for step in (RESUME, HARDEN))],
    ids=lambda step: step.name,
)
async def test_a_client_that_disconnects_leaves_nothing_in_the_log(step, serve):
    # Since 0.23, Quart raises an exception where a task waits in receive(), but not in the handler.
    process, host = serve(step)
    address = f"ws://{host}/api/{'v2' if step == BROADCAST else 'v3'}/ws"
    for _ in range(5):
        async with connect(address, proxy=None) as client:
            await client.send("hello")
            async with asyncio.timeout(20):
                while "hello" not in await client.recv():
                    pass
    output = await asyncio.to_thread(end_of, process)
    assert "Traceback" not in output, output


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(
    "step", [pytest.param(RESUME, marks=pytest.mark.thorough), HARDEN], ids=lambda step: step.name
)
async def test_cut_off_200_times_each_client_has_every_id_once_and_in_order(step, serve):
    process, host = serve(step, QUART_LOG_SIZE="10000", **NO_LIMITS)
    clients = [Client(host) for _ in range(5)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    messages = [f"message {number}" for number in range(4000)] + ["the end"]
    saying = asyncio.create_task(say(host, messages[:-1], pause_every=5))
    while not saying.done() or sum(client.cuts for client in clients) < 200:
        client = random.choice(clients)
        client.connection.transport.abort()  # as when the network goes; the server sees a reset
        await asyncio.sleep(0.003)
    await saying
    await say(host, ["the end"])
    await asyncio.wait_for(asyncio.gather(*listening), 30)
    check_all_have(clients, messages)
    assert_no_failure(await asyncio.to_thread(end_of, process))


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_cut_off_200_times_by_the_server_each_client_has_every_id_once_and_in_order(serve):
    port = free_port()
    environ = {"QUART_TCP_PORT": str(port), "QUART_LOG_SIZE": "10000", **NO_LIMITS}
    process, host = serve(RESUME, script=CUTTING, **environ)
    clients = [Client(host) for _ in range(5)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    messages = [f"message {number}" for number in range(4000)] + ["the end"]
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(60):
        for message in messages[:-1]:
            writer.write(f"{message}\n".encode())
            await writer.drain()
            await asyncio.sleep(0.001)  # so that there are bursts, and cuts amid them
        while sum(client.cuts for client in clients) < 200:
            await asyncio.sleep(0.01)
        writer.write(b"the end\n")
        await asyncio.gather(*listening)
    writer.close()
    check_all_have(clients, messages)
    assert_no_failure(await asyncio.to_thread(end_of, process))


class Sender(Client):
    """Does what the pages of both challenges do: sends again what may not be stored."""

    def __init__(self, host, name, count):
        super().__init__(host)
        self.name, self.stored, self.again = name, 0, 0
        self.messages = [f"{name} {number}" for number in range(1, count + 1)]
        self.unsent, self.pending = deque(self.messages), deque()

    @property
    def is_done(self):
        return self.stored == len(self.messages)

    async def send_all(self):
        while not self.is_done:
            self.query = f"?sender={self.name}&number={self.stored + 1}"
            with suppress(OSError, ConnectionClosed, InvalidHandshake):
                async with self.connected() as self.connection:
                    self.again += len(self.pending)
                    for text in self.pending:
                        await self.connection.send(text)
                    await self.go_on()
            self.cuts += 1
            await asyncio.sleep(random.uniform(0, 0.02))

    async def go_on(self):
        while not self.is_done:
            while self.unsent and len(self.pending) < 10:
                self.pending.append(self.unsent.popleft())
                await self.connection.send(self.pending[-1])
                await asyncio.sleep(0.003)  # so that there are cuts amid them
            frame = json.loads(await self.connection.recv())
            while self.stored < frame.get("stored", 0):
                self.stored += 1
                self.pending.popleft()


async def check_each_is_stored_once(host, cut=True, meanwhile=()):
    """Check that 4,000 messages of four senders are stored once, in order, through 200 cuts.

    With `cut`, the senders cut themselves off. Each function in `meanwhile` is called once while
    they send.
    """
    reader = Client(host)
    reading = asyncio.create_task(reader.listen_until("end 1"))
    await are_in(reader)
    senders = [Sender(host, name, 1000) for name in ("alice", "bob", "carol", "dave")]
    events, made = deque(meanwhile), 0
    async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
        for sender in senders:
            tasks.create_task(sender.send_all())
        while not all(sender.is_done for sender in senders):
            await asyncio.sleep(0.01)
            stored = sum(sender.stored for sender in senders)
            if events and stored > 1000 * (1 + len(meanwhile) - len(events)):
                events.popleft()()
            sender = random.choice(senders)
            if cut and sender.connection and stored >= 15 * made:
                sender.connection.transport.abort()  # as when the network goes
                made += 1
    await asyncio.wait_for(Sender(host, "end", 1).send_all(), 30)
    await asyncio.wait_for(reading, 30)
    cuts, again = (sum(getattr(one, what) for one in senders) for what in ("cuts", "again"))
    assert cuts >= 200 and again >= 200, f"{cuts} cuts, and {again} messages were sent again"
    assert not events
    assert reader.gaps == []
    for sender in senders:
        stored = [text for text in reader.texts if text.startswith(f"{sender.name} ")]
        assert stored == sender.messages
    assert len(reader.texts) == 4001


@pytest.fixture
def acknowledge(tmp_path):
    """Write the solution of a challenge in which sent means stored: its folder."""
    return lambda name: find_exercise(name).write_to(tmp_path / "websocket")


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(
    "script",
    [
        pytest.param(None, id="by themselves", marks=pytest.mark.exhaustive),
        pytest.param(CUTTING, id="by the server"),
    ],
)
async def test_cut_off_200_times_four_senders_have_each_message_stored_once(
    script, serve, acknowledge
):
    process, host = serve(acknowledge("06_acknowledge"), script=script, QUART_LOG_SIZE="10000")
    await check_each_is_stored_once(host, cut=script is None)
    assert_no_failure(await asyncio.to_thread(end_of, process))


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_a_server_that_starts_again_says_so_and_clients_go_on(serve):
    process, host = serve(RESUME)
    alice = Client(host)
    listening = asyncio.create_task(alice.listen_until("after"))
    await are_in(alice)
    await say(host, ["before"])
    alice.is_in.clear()
    await asyncio.to_thread(end_of, process)
    serve(RESUME, port=int(host.rpartition(":")[2]))
    await are_in(alice)
    await say(host, ["after"])
    await asyncio.wait_for(listening, 10)
    assert (alice.gaps, alice.texts) == (["new log"], ["before", "after"])


@pytest.mark.thorough
async def test_who_never_reads_costs_next_to_nothing_while_100000_messages_pass(serve):
    process, host = serve(RESUME, QUART_LOG_SIZE="20000")
    await say(host, [f"{number:064}" for number in range(25_000)], pause_every=100)  # fills it
    alice = Client(host)
    listening = asyncio.create_task(alice.listen_until("the end"))
    await are_in(alice)
    url = f"ws://{host}/api/v3/ws"
    async with connect(url, proxy=None, compression=None, close_timeout=0.1) as bob:
        bob.transport.pause_reading()
        before = rss(process)
        messages = [f"{number:064}" for number in range(100_000)] + ["the end"]
        for first in range(0, len(messages), 10_000):  # or a slow machine's alice would fall behind
            some = messages[first : first + 10_000]
            await say(host, some, pause_every=100)
            async with asyncio.timeout(60):
                while alice.texts[-1:] != some[-1:]:
                    await asyncio.sleep(0.01)
        await asyncio.wait_for(listening, 20)
        grown = (rss(process) - before) / 1e6
        bob.transport.abort()
    check_all_have([alice], messages)
    assert grown < 5, f"bob never read, and the server's memory grew by {grown:.1f} MB"


HANDSHAKE = (
    b"GET /api/v3/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def connect_raw(host, reads=True):
    """Become a WebSocket by hand: its reader and its writer."""
    sock = socket.socket(proto=socket.IPPROTO_TCP)
    for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        sock.setsockopt(socket.SOL_SOCKET, buffer, 16384)
    sock.setblocking(False)
    address, _, port = host.partition(":")
    await asyncio.get_running_loop().sock_connect(sock, (address, int(port)))
    reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    if not reads:
        writer.transport.pause_reading()
        return reader, writer

    async def reading():
        with suppress(ConnectionError):
            while await reader.read(65536):
                pass

    writer.reading = asyncio.create_task(reading())
    return reader, writer


@pytest.mark.thorough
async def test_300_mib_pushed_at_step_7_grow_it_by_at_most_20_mb(serve):
    process, host = serve(HARDEN)
    await say(host, ["warm-up"])
    before = rss(process)
    pushed, biggest = 0, before
    reader, writer = await asyncio.open_connection(*host.split(":"))
    writer.write(HANDSHAKE)
    await reader.readuntil(b"\r\n\r\n")
    frame = b"\x81\xfe\x10\x00\0\0\0\0" + b"x" * 4096  # text, masked with zeros
    with pytest.raises((ConnectionError, TimeoutError)):
        async with asyncio.timeout(30):
            while pushed < 300 * 2**20:
                writer.write(frame * 64)
                await writer.drain()
                pushed += 64 * len(frame)
                biggest = max(biggest, rss(process))
            raise ConnectionError  # all of it was taken, and thrown away
    writer.transport.abort()
    grown = (biggest - before) / 1e6
    assert grown < 20, f"{pushed / 2**20:.0f} MiB were pushed, and memory grew by {grown:.1f} MB"
    await say(host, ["still here"])


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize("step", [HARDEN, SCALE_OUT], ids=lambda step: step.name)
async def test_on_sigterm_clients_are_told_and_the_server_is_gone_at_once(step, serve):
    process, host = serve(step)
    url = f"ws://{host}/api/v3/ws"
    async with connect(url, proxy=None) as alice, connect(url, proxy=None) as bob:
        bob.transport.pause_reading()
        await alice.recv()
        await alice.ping()
        process.process.send_signal(signal.SIGTERM)
        _, output = await asyncio.to_thread(process.end, 1)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await alice.recv()
        assert alice.close_code in (1001, 1012)
        bob.transport.abort()
    assert_no_failure(output)


@asynccontextmanager
async def idle_connections(number, host, port):
    """Open connections that send nothing: their readers."""
    resource = pytest.importorskip("resource", reason="needs setrlimit")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 2 * number:
        if hard != resource.RLIM_INFINITY and hard < 2 * number:
            pytest.skip(f"more files than {hard} cannot be open here: see `ulimit -n`")
        resource.setrlimit(resource.RLIMIT_NOFILE, (2 * number, hard))
    opened = [await asyncio.open_connection(host, port) for _ in range(number)]
    yield [reader for reader, _ in opened]
    for _, writer in opened:
        writer.transport.abort()


async def test_1010_idle_connections_from_one_address_lock_nobody_out(serve):
    async with idle_connections(0, "", 0):
        pass  # the server inherits what this process may open
    _, host = serve(HARDEN)
    async with idle_connections(1010, *host.split(":")):
        async with asyncio.timeout(10):
            await say(host, ["let in all the same"])


async def test_who_says_nothing_by_tcp_for_a_minute_is_let_go(serve):
    port = free_port()
    serve(HARDEN, script=SHORT_QUIET, QUART_TCP_PORT=str(port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


PIECE = b"\x00\x80\0\0\0\0"  # of a message: empty, and not the last
TEXT = b"\x81\xfe\x10\x00\0\0\0\0" + b"t" * 4096
PING = b"\x89\xfd\0\0\0\0" + b"p" * 125
PONG = b"\x8a\x80\0\0\0\0"
# What each sends without end once it is connected, and whether it reads.
ATTACKS = {
    "nothing, and does not read": (b"", False),
    "pings, and does not read": (PING * 100, False),
    "text, and does not read": (TEXT * 200, False),
    "pings": (PING * 30, True),
    "pongs": (PONG * 1000, True),
    "a message in endless pieces": (PIECE * 1000, True),
}


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_who_attacks_the_protocol_is_cut_off_and_costs_next_to_nothing(serve):
    process, host = serve(HARDEN, script=IMPATIENT)
    await say(host, ["warm-up"])
    before = rss(process)
    biggest = [before]

    async def attack(writer, again):
        """Whether it is cut off before it has sent 2 MiB, and within 10 s."""
        port = writer.get_extra_info("sockname")[1]
        if again == PIECE * 1000:
            writer.write(b"\x01\x80\0\0\0\0")  # the first piece
        sent, deadline = 0, time.monotonic() + 10
        try:
            while sent < 2 * 2**20 and time.monotonic() < deadline:
                async with asyncio.timeout(20):
                    writer.write(again)
                    await writer.drain()
                sent += len(again)
                biggest.append(rss(process))
                if port not in ports_of_clients(process):
                    return True
                await asyncio.sleep(0 if again else 0.05)
        except ConnectionError:
            return True
        except TimeoutError:
            pass
        finally:
            writer.transport.abort()
        return False

    alice = Client(host)
    listening = asyncio.create_task(alice.listen_until("still here"))
    await are_in(alice)
    writers = [(await connect_raw(host, reads))[1] for _, reads in ATTACKS.values()]
    # Now something waits for those who do not read.
    await say(host, [f"{number:04000}" for number in range(20)])
    attacks = [again for again, _ in ATTACKS.values()]
    ended = await asyncio.gather(*map(attack, writers, attacks))
    going_on = [name for name, is_cut_off in zip(ATTACKS, ended, strict=True) if not is_cut_off]
    assert not going_on, f"not cut off: {'; '.join(going_on)}"
    grown = (max(biggest) - before) / 1e6
    assert grown < 10, f"they made the server's memory grow by {grown:.1f} MB"
    await say(host, ["still here"])
    await asyncio.wait_for(listening, 10)
    assert alice.cuts == 0, "alice did nothing wrong, and was cut off, too"
    assert_no_failure(await asyncio.to_thread(end_of, process))


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_who_is_cut_off_while_messages_come_leaves_no_traceback(serve):
    process, host = serve(HARDEN, **NO_LIMITS)

    async def break_a_rule():
        reader, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(HANDSHAKE)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"\x83\x80\0\0\0\0")  # a frame with a reserved opcode
        await reader.read()
        writer.close()

    messages = [f"message {number}" for number in range(1000)]
    saying = asyncio.create_task(say(host, messages, pause_every=1))
    while not saying.done():
        await asyncio.gather(*(break_a_rule() for _ in range(10)))
    await saying
    output = await asyncio.to_thread(end_of, process)
    assert "Traceback" not in output, f"a client that was cut off left a traceback: {output}"


GOODBYES = {
    "bytes": (b"bytes", None, 1003),
    "no bytes": (b"", None, 1003),
    "16 MiB": ("x" * 2**24, None, 1009),
}


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_as_it_is_served_a_bad_message_is_closed_with_its_code_and_a_reason(serve):
    process, host = serve(HARDEN)
    await say(host, ["warm-up"])
    before = rss(process)
    for name, (message, is_text, code) in GOODBYES.items():
        async with connect(f"ws://{host}/api/v3/ws", proxy=None) as alice:
            assert "Sec-WebSocket-Extensions" not in alice.response.headers, "it is compressed"
            async with asyncio.timeout(10):
                await alice.recv()
                with suppress(ConnectionClosed):  # it is ended while it still sends
                    await alice.send(message, text=is_text)
                with pytest.raises(ConnectionClosed):
                    await alice.recv()
            got = alice.close_code, bool(alice.close_reason)
            assert got == (code, True), f"{name}: closed with {got[0]}, reason: {got[1]}"
    grown = (rss(process) - before) / 1e6
    assert grown < 5, f"16 MiB were not taken, but memory grew by {grown:.1f} MB"
    assert_no_failure(await asyncio.to_thread(end_of, process))


async def test_what_protocol_py_overrides_is_still_there_in_uvicorn():
    used = ("connection_made", "pause_writing", "resume_writing", "data_received", "handle_ping")
    used += ("handle_pong", "receive", "send", "transport", "writable", "frames", "loop")
    protocol = WebSocketsSansIOProtocol(Config(lambda *_: None), ServerState(), {})
    moved = [name for name in used if not hasattr(protocol, name)]
    advice = "look at steps/07_harden/protocol.py before you raise the version in Pipfile"
    assert moved == [], f"Uvicorn {uvicorn.__version__} has no {', '.join(moved)}: {advice}"
    arguments = {
        name: list(inspect.signature(getattr(protocol, name)).parameters) for name in used[:8]
    }
    assert arguments == {
        "connection_made": ["transport"],
        "pause_writing": [],
        "resume_writing": [],
        "data_received": ["data"],
        "handle_ping": [],
        "handle_pong": ["event"],
        "receive": [],
        "send": ["message"],
    }, f"Uvicorn {uvicorn.__version__} calls them differently: {advice}"


async def test_uvicorn_is_pinned_to_the_minor_version_that_protocol_py_was_written_for():
    minor = ".".join(uvicorn.__version__.split(".")[:2])
    for pipfile in (ROOT, HARDEN, SCALE_OUT):
        wanted = tomllib.loads((pipfile / "Pipfile").read_text(encoding="utf-8"))["packages"]
        assert wanted["uvicorn"] == f"~={minor}.0", f"{pipfile.name}/Pipfile: {wanted['uvicorn']}"


async def test_in_our_dev_container_the_page_is_let_in(start):
    text = (ROOT / ".devcontainer/devcontainer.json").read_text(encoding="utf-8")
    environ = json.loads(text)["containerEnv"]
    # On the web, a container has a public name, and yet its pages come from localhost.
    public = "name-5000.app.github.dev"
    port = free_port()
    env = {"QUART_TCP_PORT": "", **environ}
    start(sys.executable, "serve.py", "--port", port, cwd=HARDEN, env=env)
    get_when_served(f"http://127.0.0.1:{port}/")

    def from_page(origin):
        return connect(
            f"ws://{public}/api/v3/ws", host="127.0.0.1", port=port, origin=origin, proxy=None
        )

    async with from_page("http://localhost:5000") as alice:
        await alice.recv()
    with pytest.raises(InvalidStatus, match="403"):
        await from_page(f"https://{public}")  # the name may be anybody's


async def test_step_3_echoes_an_empty_binary_message(workshop):
    """As Autobahn's case 1.2.1 asks for: with bytes, and not with `None`."""
    port = free_port()
    workshop("run", "3", "--port", port).wait_for("is served at")
    async with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as alice:
        for data, echo in ((b"", "echo b''"), ("", "echo "), (b"x", "echo b'x'"), ("x", "echo x")):
            await alice.send(data)
            async with asyncio.timeout(5):
                assert await alice.recv() == echo


WRONG_SETTINGS = {
    "an origin": (HARDEN, {"QUART_ORIGINS": "chat.example"}, [], "QUART_ORIGINS"),
    "a Sentinel": (SCALE_OUT, {"REDIS_URL": "redis+sentinel://127.0.0.1"}, ["--workers", 2],
                   "Sentinel"),
    "--workers": (SCALE_OUT, {"REDIS_URL": ""}, ["--workers", 2], "set REDIS_URL"),
    "WEB_CONCURRENCY": (SCALE_OUT, {"WEB_CONCURRENCY": "2", "REDIS_URL": ""}, [], "set REDIS_URL"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("step", "env", "options", "word"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS
)
async def test_a_wrong_setting_ends_the_server_at_once_with_a_sentence(
    start, step, env, options, word
):
    command = [sys.executable, "serve.py", "--port", free_port(), *options]
    code, output = start(*command, cwd=step, env={"QUART_TCP_PORT": "", **env}).end(20)
    assert code != 0
    assert word in output and "Traceback" not in output, output


async def test_in_step_7_web_concurrency_makes_no_second_room(serve):
    process, _ = serve(HARDEN, WEB_CONCURRENCY="2")
    assert psutil.Process(process.process.pid).children() == []


# ---- Behind a reverse proxy, with TLS


@pytest.fixture
def behind_nginx(serve, start, tmp_path):
    """Serve step 7 behind nginx as the docs have it: the port, an SSL context, and an origin."""
    nginx = require("nginx", "nginx-light")
    certificate, key = make_certificate(start, tmp_path)
    port = free_port()
    origin = f"https://chat.example:{port}"
    settings = {"QUART_ORIGINS": origin, "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    _, host = serve(HARDEN, QUART_CONNECTIONS_PER_ADDRESS="2", **settings)
    server = (ROOT / "docs/nginx.conf").read_text(encoding="utf-8")
    own = {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/chat.example.pem": certificate,
        "/etc/ssl/chat.example.key": key,
        "127.0.0.1:5000": host,
        "client_header_timeout 10s": "client_header_timeout 1s",  # so that it is soon over
        "client_body_timeout 10s": "client_body_timeout 1s",
    }
    start(nginx, "-p", tmp_path, "-c", nginx_settings(replaced(server, own), tmp_path))
    wait_until_listening(port)
    return port, ssl.create_default_context(cafile=certificate), origin


async def test_behind_nginx_with_tls_as_the_docs_have_it(behind_nginx):
    port, trusted, origin = behind_nginx

    def through_nginx(own_origin=origin, forwarded="10.1.2.3", **options):
        return connect(
            f"wss://chat.example:{port}/api/v3/ws",
            host="127.0.0.1",
            server_hostname="localhost",
            ssl=trusted,
            origin=own_origin,
            additional_headers={"X-Forwarded-For": forwarded},
            proxy=None,
            **options,
        )

    async with through_nginx() as alice, through_nginx() as bob:
        await alice.send("through nginx")
        for client in (alice, bob):
            assert "log" in json.loads(await client.recv())
            assert json.loads(await client.recv())["messages"] == ["through nginx"]
        with pytest.raises(InvalidStatus, match="429"):  # whatever it says where it comes from
            await through_nginx(forwarded="10.9.9.9")
        if sys.platform == "linux":  # which has many addresses of its own
            async with through_nginx(local_addr=("127.0.0.2", 0)):
                pass  # let in
    with pytest.raises(InvalidStatus, match="403"):
        await through_nginx("https://evil.example")


async def ask_nginx(behind_nginx, request):
    """What nginx answers before it closes the connection; nothing if it stays open for 5 s."""
    port, trusted, _ = behind_nginx
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=trusted, server_hostname="localhost"
    )
    writer.write(request)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    finally:
        writer.transport.abort()


GET = "GET / HTTP/1.1\r\nHost: chat.example\r\nConnection: close\r\n"


async def test_nginx_says_what_the_page_may_do(behind_nginx):
    answer = (await ask_nginx(behind_nginx, f"{GET}\r\n".encode())).decode()
    assert answer.startswith("HTTP/1.1 200"), answer
    assert "Content-Security-Policy: default-src 'self';" in answer
    assert "frame-ancestors 'none'" in answer and "unsafe" not in answer
    assert "X-Content-Type-Options: nosniff" in answer
    assert "X-Robots-Tag: noindex" in answer


STALLED = {
    "nothing": "",
    "half a request": GET,
    "half a POST": GET.replace("GET /", "POST /api/v2/messages") + "Content-Length: 9\r\n\r\nhalf",
}


@pytest.mark.thorough
@pytest.mark.parametrize("request_", STALLED.values(), ids=STALLED)
async def test_nginx_ends_a_client_that_stalls(behind_nginx, request_):
    await ask_nginx(behind_nginx, request_.encode())  # until it is closed


@pytest.mark.thorough
async def test_1010_idle_connections_to_nginx_lock_nobody_out(behind_nginx):
    port, _, _ = behind_nginx
    async with idle_connections(1010, "127.0.0.1", port) as readers:
        answer = await ask_nginx(behind_nginx, f"{GET}\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 200"), answer
        async with asyncio.timeout(10):
            await asyncio.gather(*(reader.read() for reader in readers))  # all are closed


@pytest.mark.thorough
async def test_nginx_answers_a_flood_of_requests_with_503(behind_nginx):
    one = GET.replace("Connection: close\r\n", "") + "\r\n"
    answers = await ask_nginx(behind_nginx, (199 * one + GET + "\r\n").encode())
    let_in, refused = answers.count(b"HTTP/1.1 200"), answers.count(b"HTTP/1.1 503")
    assert let_in >= 100, f"a hundred requests at once are nothing special: {let_in}"
    assert refused > 0, "two hundred requests at once are too many, and all were let in"


async def test_where_no_proxy_is_expected_nobody_can_make_up_an_address(serve):
    _, host = serve(HARDEN, QUART_CONNECTIONS_PER_ADDRESS="1")

    def from_address(address):
        headers = {"X-Forwarded-For": address}
        return connect(f"ws://{host}/api/v3/ws", proxy=None, additional_headers=headers)

    async with from_address("10.1.2.3"):
        with pytest.raises(InvalidStatus, match="429"):
            await from_address("10.9.9.9")


# ---- Many workers


async def let_in(url):
    """Connect as often as it takes until the server lets one in."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await connect(url, proxy=None, compression=None)
            except (OSError, InvalidStatus, ConnectionClosed):
                await asyncio.sleep(0.05)


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="Uvicorn's workers are ended by SIGKILL here")
async def test_four_workers_are_one_room_even_if_one_is_killed(serve, redis_url):
    process, host = serve(
        SCALE_OUT, "--workers", "4", REDIS_URL=redis_url, QUART_LOG_SIZE="10000",
        QUART_TCP_PORT=str(free_port()), **NO_LIMITS  # only one of them can have the port
    )  # fmt: skip
    (await let_in(f"ws://{host}/api/v3/ws")).transport.abort()
    clients = [Client(host) for _ in range(200)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    senders = [
        asyncio.create_task(say_surely(Client(host), name, range(0, 500, 25)))
        for name in ("alice", "bob", "carol", "dave")
    ]
    async with asyncio.timeout(30):
        while len(clients[0].texts) < 500:
            await asyncio.sleep(0.01)
    workers = psutil.Process(process.process.pid).children()
    max(workers, key=lambda worker: worker.cpu_times().user).kill()
    accepted = [await asyncio.wait_for(sender, 60) for sender in senders]
    end = await let_in(f"ws://{host}/api/v3/ws")
    await end.send("the end")
    async with asyncio.timeout(30):
        await asyncio.gather(*listening)
    end.transport.abort()
    order = clients[0].texts
    assert len(set(order)) == len(order), "a message came twice"
    assert all(set(messages) <= set(order) for messages in accepted)
    assert sum(map(len, accepted)) > 1000
    for client in clients:
        assert client.gaps == []
        assert client.ids == list(range(client.ids[0], client.ids[-1] + 1))
        assert client.texts == order
    assert sum(client.cuts for client in clients) > 10, "the worker that was killed had clients"


@pytest.mark.exhaustive
@pytest.mark.skipif(os.name == "nt", reason="Uvicorn's workers are ended by SIGKILL here")
async def test_when_two_of_four_workers_are_killed_each_message_of_four_senders_is_stored_once(
    serve, redis_url, acknowledge
):
    process, host = serve(
        acknowledge("08_acknowledge"), "--workers", "4", REDIS_URL=redis_url,
        QUART_LOG_SIZE="10000", **NO_LIMITS
    )  # fmt: skip
    (await let_in(f"ws://{host}/api/v3/ws")).transport.abort()

    def kill_one():
        workers = psutil.Process(process.process.pid).children()
        max(workers, key=lambda worker: worker.cpu_times().user).kill()

    await check_each_is_stored_once(host, meanwhile=[kill_one, kill_one])


ABORT = "return self.transport.abort()\n        super()"  # at the end of an if
# A file, what is written in place of what in it, the test that fails then, and how.
OPEN = {
    "what waits for one that does not read": (
        *("protocol.py", "self.unread > BACKLOG or ", ""),
        *("who_attacks", r"(?m)^not cut off: text, and does not read$"),
    ),
    "how many pieces a message has": (
        *("protocol.py", " or len(self.frames) > PIECES", ""),
        *("who_attacks", r"(?m)^not cut off: a message in endless pieces$"),
    ),
    "how long one does not read": (
        *("protocol.py", "call_later(PATIENCE, self.transport.abort)", "call_later(60, print)"),
        *("who_attacks", r"(?m)^not cut off: nothing, and does not read$"),
    ),
    "pings": (
        *("protocol.py", f"{ABORT}.handle_ping", "0\n        super().handle_ping"),
        *("who_attacks", r"(?m)^not cut off: .*\bpings$"),
    ),
    "pongs": (
        *("protocol.py", f"{ABORT}.handle_pong", "0\n        super().handle_pong"),
        *("who_attacks", r"(?m)^not cut off: .*\bpongs$"),
    ),
    "what is sent to one that was cut off": (
        *("protocol.py", "if self.transport.is_closing()", "if False"),
        *("who_is_cut_off", r"left a traceback: "),
    ),
    "bytes": (
        *("protocol.py", '"text": message.get("bytes"), ', ""),
        *("as_it_is_served_a_bad_message", r"bytes: closed with 1006, reason: False"),
    ),
    "how long a message is": (
        *("serve.py", '"ws_max_size": 4096', '"ws_max_size": 2**30'),
        *("as_it_is_served_a_bad_message", r"16 MiB were not taken, but memory grew by"),
    ),
    "the address that a header names": (
        *("serve.py", 'bool(os.environ.get("FORWARDED_ALLOW_IPS"))', "True"),
        *("where_no_proxy", r"DID NOT RAISE .*InvalidStatus"),
    ),
}


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(("file", "find", "replace", "test", "told"), OPEN.values(), ids=OPEN)
async def test_each_line_closes_a_door(file, find, replace, test, told, serve, tmp_path):
    folder = shutil.copytree(HARDEN, tmp_path / "step", ignore=shutil.ignore_patterns("tests"))
    code = (folder / file).read_text(encoding="utf-8")
    assert code.count(find) == 1
    code = code.replace(find, replace)
    (folder / file).write_text(code, encoding="utf-8", newline="\n")
    (found,) = [it for name, it in globals().items() if name.startswith(f"test_{test}")]
    with pytest.raises((AssertionError, pytest.fail.Exception), match=told):
        await found(lambda step, *options, **environ: serve(folder, *options, **environ))
