"""Steps 6 to 8 in earnest: on real servers in processes of their own, cut off, flooded, killed."""

import asyncio
import json
import os
import random
import shutil
import signal
import ssl
import sys
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
from repo import ROOT, STEPS, free_port, get_when_served
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.protocol import State

RESUME, HARDEN, SCALE_OUT = STEPS[5:8]
NO_LIMITS = {
    "QUART_RATE": "1000000",
    "QUART_CONNECTIONS": "10000",
    "QUART_CONNECTIONS_PER_ADDRESS": "10000",
}
# Serves as serve.py does, but waits for nobody as long as that.
IMPATIENT = """
import sys, serve, uvicorn
serve.PATIENCE = 1
uvicorn.run("websocket:app", port=int(sys.argv[1]), **serve.SETTINGS)
"""
# Serves as serve.py does, but the app's minutes are half a second long.
SHORT_MINUTES = """
import asyncio, sys, serve, uvicorn
wait_for = asyncio.wait_for
asyncio.wait_for = lambda awaitable, timeout: wait_for(awaitable, timeout / 120)
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


class Client:
    """A client that comes back, and checks that it has every id exactly once, in order."""

    def __init__(self, host):
        self.host, self.log, self.last, self.gaps, self.cuts = host, "", 0, [], 0
        self.ids, self.texts = [], []
        self.connection, self.is_in = None, asyncio.Event()

    @asynccontextmanager
    async def connected(self):
        query = f"?log={self.log}&last={self.last}" if self.log else ""
        url = f"ws://{self.host}/api/v3/ws{query}"
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


@pytest.fixture
def serve(start):
    """Start a step on a free port in a process of its own: the process and its host."""

    def serve(step, *options, port=None, script=None, **environ):
        port = port or free_port()
        if script:
            command = ["-c", script, port]
        elif step is RESUME:
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


def end_of(process):
    process.process.send_signal(signal.SIGTERM)
    return process.end(5)[1]


async def are_in(*clients):
    async with asyncio.timeout(30):
        await asyncio.gather(*(client.is_in.wait() for client in clients))


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
@pytest.mark.parametrize("step", [RESUME, HARDEN], ids=lambda step: step.name)
async def test_cut_off_200_times_each_client_has_every_id_once_and_in_order(step, serve):
    process, host = serve(step, QUART_LOG_SIZE="10000", **NO_LIMITS)
    clients = [Client(host) for _ in range(5)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    messages = [f"message {number}" for number in range(4000)] + ["the end"]
    saying = asyncio.create_task(say(host, messages, pause_every=5))
    while not saying.done():
        client = random.choice(clients)
        client.connection.transport.abort()  # as when the network goes; the server sees a reset
        await asyncio.sleep(0.003)
    await asyncio.wait_for(asyncio.gather(saying, *listening), 30)
    check_all_have(clients, messages)
    cuts = sum(client.cuts for client in clients)
    assert cuts >= 200, f"the test itself should cut clients off more often than {cuts} times"
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


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
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


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
        await say(host, messages, pause_every=100)
        await asyncio.wait_for(listening, 20)
        grown = (rss(process) - before) / 1e6
        bob.transport.abort()
    check_all_have([alice], messages)
    assert grown < 5, f"bob never read, and the server's memory grew by {grown:.1f} MB"


HANDSHAKE = (
    b"GET /api/v3/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


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
        _, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(
            b"POST /api/v2/messages HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n"
        )
        writer.write(b"half")
        await alice.ping()
        process.process.send_signal(signal.SIGTERM)
        _, output = await asyncio.to_thread(process.end, 1)
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionClosed):
                await alice.recv()
        assert alice.close_code in (1001, 1012)
        bob.transport.abort()
        writer.transport.abort()
    assert "Traceback" not in output


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_one_connection_too_many_is_cut_off_and_those_inside_stay(serve):
    process, host = serve(HARDEN, QUART_CONNECTIONS="10")
    async with connect(f"ws://{host}/api/v3/ws", proxy=None) as alice:
        opened = [await asyncio.open_connection(*host.split(":")) for _ in range(30)]
        reads = [asyncio.create_task(reader.read()) for reader, _ in opened]
        await asyncio.wait(reads[19:], timeout=5)
        await alice.ping()
        assert [task.done() for task in reads] == [False] * 19 + [True] * 11
        for _, writer in opened:
            writer.transport.abort()
        await asyncio.gather(*reads, return_exceptions=True)
    await say(host, ["let in again"])
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


async def test_who_says_nothing_by_tcp_for_a_minute_is_let_go(serve):
    port = free_port()
    serve(HARDEN, script=SHORT_MINUTES, QUART_TCP_PORT=str(port))
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


# Each sends the first, waits for an answer if it is a handshake, sends the second once, and the
# third until it is cut off.
PIECE = b"\x00\x80\0\0\0\0"  # of a message: empty, and not the last
ATTACKS = {
    "nothing": (b"", b"", b""),
    "half a request": (b"", b"GET / HTTP/1.1\r\nHost: 127", b""),
    "a broken handshake": (b"", HANDSHAKE.replace(b"AAAA", b"A"), b""),
    "a handshake with two keys": (b"", HANDSHAKE[:-2] + b"Sec-WebSocket-Key: A\r\n\r\n", b""),
    "a header that is too long": (b"", HANDSHAKE[:-2] + b"X: " + b"x" * 20_000 + b"\r\n\r\n", b""),
    "frames before the answer": (b"", HANDSHAKE + PIECE * 10, PIECE),
    "pings": (HANDSHAKE, b"", (b"\x89\xfd\0\0\0\0" + b"p" * 125) * 100),
    "a message in endless pieces": (HANDSHAKE, b"\x01\x80\0\0\0\0", PIECE * 1000),
    "a message without an end": (HANDSHAKE, b"\x81\xff\0\0\0\1\0\0\0\0\0\0\0\0", b"x" * 65536),
}


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_who_attacks_the_protocol_is_cut_off_and_costs_next_to_nothing(serve):
    process, host = serve(HARDEN, script=IMPATIENT)
    await say(host, ["warm-up"])
    before = rss(process)
    biggest = [before]

    async def attack(handshake, once, again):
        reader, writer = await asyncio.open_connection(*host.split(":"))
        writer.write(handshake)
        sent = 0
        try:
            async with asyncio.timeout(10):
                if handshake:
                    await reader.readuntil(b"\r\n\r\n")
                writer.write(once)
                while again and sent < 64 * 2**20:
                    writer.write(again)
                    await writer.drain()
                    sent += len(again)
                    biggest.append(rss(process))
                    await asyncio.sleep(0)
                if not again:
                    await reader.read()  # until it is cut off
        except ConnectionError:
            return True
        except TimeoutError:
            return False
        finally:
            writer.transport.abort()
        return not again

    async with connect(f"ws://{host}/api/v3/ws", proxy=None) as alice:
        attacks = await asyncio.gather(*(attack(*what) for what in ATTACKS.values()))
        assert alice.state is State.OPEN, "alice did nothing wrong, and was cut off, too"
    assert dict(zip(ATTACKS, attacks, strict=True)) == dict.fromkeys(ATTACKS, True)
    grown = (max(biggest) - before) / 1e6
    assert grown < 10, f"they made the server's memory grow by {grown:.1f} MB"
    await say(host, ["still here"])
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


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
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


GOODBYES = {
    "text that is not UTF-8": (b"\xff\xfe", True, 1007),
    "bytes": (b"bytes", None, 1003),
    "no bytes": (b"", None, 1003),
    "16 MiB": ("x" * 2**24, None, 1009),
}


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_as_it_is_served_a_bad_message_is_closed_with_its_code_and_a_reason(serve):
    process, host = serve(HARDEN)
    await say(host, ["warm-up"])
    before = rss(process)
    for message, is_text, code in GOODBYES.values():
        async with connect(f"ws://{host}/api/v3/ws", proxy=None) as alice:
            assert "Sec-WebSocket-Extensions" not in alice.response.headers, "it is compressed"
            async with asyncio.timeout(10):
                await alice.recv()
                with suppress(ConnectionClosed):  # it is ended while it still sends
                    await alice.send(message, text=is_text)
                with pytest.raises(ConnectionClosed):
                    await alice.recv()
            assert (alice.close_code, bool(alice.close_reason)) == (code, True)
    grown = (rss(process) - before) / 1e6
    assert grown < 5, f"16 MiB were not taken, but memory grew by {grown:.1f} MB"
    assert "Traceback" not in await asyncio.to_thread(end_of, process)


# ---- Behind a reverse proxy, with TLS

NGINX = """
daemon off; master_process off; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER; proxy_temp_path FOLDER; fastcgi_temp_path FOLDER;
  uwsgi_temp_path FOLDER; scgi_temp_path FOLDER;
  SERVER
}
"""


def require(command, package):
    path = shutil.which(command) or shutil.which(command, path="/usr/sbin")
    if not path:
        why = f"no {command}: install it (on Debian: sudo apt install {package})"
        (pytest.fail if os.environ.get("WORKSHOP_REQUIRE_ALL") == "1" else pytest.skip)(why)
    return path


async def test_behind_nginx_with_tls_as_the_docs_have_it(serve, start, tmp_path):
    nginx, openssl = require("nginx", "nginx-light"), require("openssl", "openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = start(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    assert made.end()[0] == 0
    port = free_port()
    origin = f"https://chat.example:{port}"
    settings = {"QUART_ORIGINS": origin, "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    _, host = serve(HARDEN, QUART_CONNECTIONS_PER_ADDRESS="2", **settings)
    server = (ROOT / "docs/nginx.conf").read_text(encoding="utf-8")
    for documented, own in {
        "listen 443": f"listen 127.0.0.1:{port}",
        "/etc/ssl/chat.example.pem": str(certificate),
        "/etc/ssl/chat.example.key": str(key),
        "127.0.0.1:5000": host,
    }.items():
        assert documented in server
        server = server.replace(documented, own)
    settings = NGINX.replace("SERVER", server).replace("FOLDER", str(tmp_path))
    (tmp_path / "nginx.conf").write_text(settings, encoding="utf-8")
    start(nginx, "-p", tmp_path, "-c", tmp_path / "nginx.conf")
    trusted = ssl.create_default_context(cafile=certificate)

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

    async with asyncio.timeout(20):
        while True:
            try:
                alice = await through_nginx()
                break
            except OSError:
                await asyncio.sleep(0.05)  # nginx is not there yet
    async with alice, through_nginx() as bob:
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


async def test_where_no_proxy_is_expected_nobody_can_make_up_an_address(serve):
    _, host = serve(HARDEN, QUART_CONNECTIONS_PER_ADDRESS="1")

    def from_address(address):
        headers = {"X-Forwarded-For": address}
        return connect(f"ws://{host}/api/v3/ws", proxy=None, additional_headers=headers)

    async with from_address("10.1.2.3"):
        with pytest.raises(InvalidStatus, match="429"):
            await from_address("10.9.9.9")


# ---- Many workers


@pytest.fixture
def redis_url(start):
    """The address of a Redis server of the test's own."""
    command, port = require("redis-server", "redis-server"), free_port()
    redis = start(command, "--port", port, "--bind", "127.0.0.1", "--save", "")
    redis.wait_for("Ready to accept connections")
    return f"redis://127.0.0.1:{port}"


async def let_in(url):
    """Connect as often as it takes until the server lets one in."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await connect(url, proxy=None, compression=None)
            except (OSError, InvalidStatus, ConnectionClosed):
                await asyncio.sleep(0.05)


async def say_surely(host, name, number_of_messages):
    """Send numbered messages, each once it is seen that the one before was accepted or refused.

    Returns those that were accepted for sure: who sends sees them come back.
    """
    accepted, me = [], Client(host)
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
    accepted = [text for text in me.texts if text.startswith(f"{name} ")]
    return accepted


@pytest.mark.skipif(os.name == "nt", reason="Uvicorn's workers are ended by SIGKILL here")
async def test_four_workers_are_one_room_even_if_one_is_killed(serve, redis_url):
    process, host = serve(
        SCALE_OUT, "--workers", "4", REDIS_URL=redis_url, QUART_LOG_SIZE="10000", **NO_LIMITS
    )
    (await let_in(f"ws://{host}/api/v3/ws")).transport.abort()
    clients = [Client(host) for _ in range(200)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    senders = [
        asyncio.create_task(say_surely(host, name, 500))
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


OPEN = [  # what is written in place of what in serve.py, and the promise that is not kept then
    ("len(self.connections) > CONNECTIONS", "False", "one_connection_too_many"),
    ("if self.transport.is_closing()", "if False", "who_is_cut_off_while_messages_come"),
    ("call_later(PATIENCE, transport.abort)", "call_later(60, print)", "who_attacks_the_protocol"),
    ("if self.unread > BACKLOG or ", "if ", "who_attacks_the_protocol"),
    ('1007, "Text has to be UTF-8."', "1007", "as_it_is_served_a_bad_message"),
    ('bool(os.environ.get("FORWARDED_ALLOW_IPS"))', "True", "where_no_proxy_is_expected"),
]


@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(("find", "replace", "promise"), OPEN, ids=[one[0] for one in OPEN])
async def test_each_line_of_serve_py_closes_a_door(find, replace, promise, serve, tmp_path):
    folder = shutil.copytree(HARDEN, tmp_path / "step", ignore=shutil.ignore_patterns("tests"))
    code = (folder / "serve.py").read_text(encoding="utf-8")
    assert code.count(find) == 1
    code = code.replace(find, replace)
    (folder / "serve.py").write_text(code, encoding="utf-8", newline="\n")
    (test,) = [it for name, it in globals().items() if name.startswith(f"test_{promise}")]
    with pytest.raises((AssertionError, OSError, pytest.fail.Exception)):
        await test(lambda step, *options, **environ: serve(folder, *options, **environ))
