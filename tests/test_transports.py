"""The three transports carry the same messages, and what the page says of each is so."""

import asyncio
import http.client
import json
import logging
import runpy
import shutil
import subprocess
import sys
import threading
from contextlib import closing, contextmanager

import hypercorn.asyncio
import pytest
import uvicorn
from hypercorn.config import Config
from playwright.async_api import async_playwright
from quart import Quart, websocket
from repo import ROOT, free_port
from websockets.asyncio.client import connect

from bench import running, transport_browser, transport_proxy, transports
from bench.load import LoadProblem
from bench.servers import is_open
from bench.transport_load import FOLDER, LOADS, EventsLoad, PollingLoad
from harness.browser import NO_BROWSER, launch
from harness.live_server import LiveServer
from harness.missing import missing
from harness.patience import until, within

SECONDS = 30  # that a slow machine may take
transport = pytest.mark.parametrize("name", LOADS)


@pytest.fixture
def load_app(monkeypatch):
    """Load the app of a transport, with its own log.py."""

    def load(name, **config):
        module, _ = LOADS[name]
        sys.modules.pop("log", None)  # a step's, or that of another app
        with monkeypatch.context() as patch:
            patch.syspath_prepend(str(FOLDER))
            app = runpy.run_path(str(FOLDER / f"{module}.py"), run_name=module)["app"]
        app.config |= config
        app.settings, app.errors = {}, []  # for LiveServer
        return app

    yield load
    sys.modules.pop("log", None)


@pytest.fixture
def serve(load_app):
    """Serve the app of a transport in a thread; gives its port."""
    servers = []

    def serve(name, **config):
        servers.append(LiveServer(load_app(name, **config)))
        servers[-1].start()
        return servers[-1].port

    yield serve
    for server in servers:
        server.stop()


@contextmanager
def ask(port, path="/messages", body=None, headers=None):
    """The answer to a request, as long as it is read."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)) as connection:
        connection.request("POST" if body else "GET", path, body, headers or {})
        yield connection.getresponse()


def say(port, *texts):
    for text in texts:
        with ask(port, body=text) as answer:
            assert answer.status == 204


def next_event(answer):
    """The lines of an event, or of a comment, with the empty one at its end."""
    return "".join(iter(lambda: answer.readline().decode(), "\n")) + "\n"


def first_event(port, last=None):
    """The first event that a client gets which had the event with a number."""
    with ask(port, headers={"Last-Event-ID": last} if last else {}) as answer:
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        return next_event(answer)


# ---- The apps


@transport
def test_three_clients_get_each_message_once_and_in_order(serve, name):
    with LOADS[name][1](serve(name), seconds=SECONDS) as load:
        load.open(3)
        load.join()
        load.round(1)
        load.round(5)
        load.round(1)


@pytest.mark.asyncio
async def test_a_websocket_client_may_also_send(serve):
    address = f"ws://127.0.0.1:{serve('WebSocket')}/messages"
    async with connect(address, proxy=None) as alice, connect(address, proxy=None) as bob:
        await alice.send("from alice")
        for one in (alice, bob):
            assert json.loads(await within(SECONDS, one.recv())) == [[1, "from alice"]]


@pytest.mark.asyncio
async def test_a_websocket_client_says_in_the_address_where_it_resumes(serve):
    port = serve("WebSocket")
    await asyncio.to_thread(say, port, "one", "two", "three")
    async with connect(f"ws://127.0.0.1:{port}/messages?after=1", proxy=None) as alice:
        assert json.loads(await within(SECONDS, alice.recv())) == [[2, "two"], [3, "three"]]


def test_an_event_has_its_number_and_a_field_for_each_line(serve):
    port = serve("server-sent events")
    say(port, "one\ntwo\r\nthree")
    assert first_event(port) == "id: 1\ndata: one\ndata: two\ndata: three\n\n"


def test_events_go_on_after_the_last_one_that_a_browser_had(serve):
    port = serve("server-sent events")
    say(port, "one", "two", "three")
    assert first_event(port, last="2") == "id: 3\ndata: three\n\n"


def test_a_number_from_before_a_restart_gets_all_messages(serve):
    port = serve("server-sent events")
    say(port, "one")
    assert first_event(port, last="99") == "id: 1\ndata: one\n\n"


def test_events_last_longer_than_other_answers_may(serve):
    port = serve("server-sent events", QUIET=0.05, RESPONSE_TIMEOUT=0.2)
    with ask(port) as answer:
        for _ in range(10):
            assert next_event(answer) == ":\n\n", "a comment is due when nothing is said"


def test_a_poll_is_answered_by_what_came_after_a_number(serve):
    port = serve("long polling")
    say(port, "one", "two", "three")
    with ask(port, "/messages?after=1") as answer:
        assert json.load(answer) == [[2, "two"], [3, "three"]]
        assert answer.headers["Cache-Control"] == "no-store"


def test_where_nothing_is_said_a_poll_is_answered_by_nothing(serve):
    with ask(serve("long polling", QUIET=0)) as answer:
        assert json.load(answer) == []


# ---- The clients that measure


@pytest.fixture
def load_without_server():
    """A load that has no server: what it reads is given to it."""

    def make(kind):
        load = kind.__new__(kind)
        load.known, load.deflate = {}, False
        return load

    return make


def test_half_a_chunk_waits_for_its_other_half(load_without_server):
    load = load_without_server(EventsLoad)
    events = b"id: 1\ndata:        7 .\n\n"
    chunk = b"%x\r\n%s\r\n" % (len(events), events)
    assert load.read(chunk + chunk[:-1], None) == ([7], b"", chunk[:-1])
    assert load.read(chunk + b"3\r\n:\n\n\r\n", None) == ([7], b"", b"")


def test_a_poll_asks_for_what_comes_after_its_answer(load_without_server):
    load = load_without_server(PollingLoad)
    body = b'[[41,"       7 ."],[42,"       8 ."]]'
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    assert load.read(answer[:-1], None) == ([], b"", answer[:-1])
    numbers, asks, rest = load.read(answer, None)
    assert (numbers, rest) == ([7, 8], b"")
    assert asks.startswith(b"GET /messages?after=42 HTTP/1.1\r\n")
    with pytest.raises(LoadProblem, match="504 Gateway"):
        load.read(b"HTTP/1.1 504 Gateway Time-out\r\n\r\n", None)


# ---- Behind nginx


@pytest.fixture
def nginx():
    return transport_proxy.program() or missing("no nginx: install it (apt install nginx-light)")


BEHIND = {
    "WebSocket, as it comes": ("WebSocket", "", "405 Method Not Allowed"),
    "WebSocket": ("WebSocket", transport_proxy.UPGRADE, ""),
    "events": ("server-sent events", "", ""),
    "events, held back": ("server-sent events", transport_proxy.IGNORE, "nothing in 2.5 s"),
    "polls": ("long polling", "", ""),
}


@pytest.mark.parametrize(("name", "more", "seen"), BEHIND.values(), ids=BEHIND)
def test_what_nginx_does_with_a_first_message(nginx, serve, name, more, seen):
    seconds = transport_proxy.PATIENCE if "nothing" in seen else SECONDS
    with transport_proxy.behind_nginx(serve(name), more) as port:
        if not seen:
            assert transport_proxy.delay(name, port, seconds) > 0
            return
        with pytest.raises(LoadProblem) as problem:
            transport_proxy.delay(name, port, seconds)
        assert transport_proxy.briefly(problem.value) == seen


@transport
def test_nginx_closes_a_silent_connection(nginx, serve, name):
    more = transport_proxy.UPGRADE + transport_proxy.IMPATIENT
    with transport_proxy.behind_nginx(serve(name, QUIET=600), more) as port:
        ended = "504 Gateway Time-out" if name == "long polling" else "connection closed"
        assert transport_proxy.how_it_ends(name, port, SECONDS).startswith(f"{ended} after ")


# ---- What the page says of servers


@pytest.mark.parametrize("name", ("WebSocket", "server-sent events"))
def test_uvicorn_waits_for_the_end_of_events_but_closes_websockets(
    load_app, name, caplog, monkeypatch
):
    caplog.set_level(logging.INFO, "uvicorn.error")
    # What Uvicorn has set up in this process keeps its messages from all other handlers.
    monkeypatch.setattr(logging.getLogger("uvicorn.error"), "handlers", [caplog.handler])
    config = uvicorn.Config(load_app(name), port=0, lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert until(lambda: server.started, SECONDS)
    port = server.servers[0].sockets[0].getsockname()[1]
    with LOADS[name][1](port, seconds=SECONDS) as load:
        load.open(3)
        load.join()
        load.poster.close()
        server.should_exit = True
        if name == "WebSocket":
            with pytest.raises(LoadProblem, match="closed with 1012"):
                load.wait(lambda: False, "")
        else:
            assert until(lambda: "Waiting for connections to close" in caplog.text, SECONDS)
            assert thread.is_alive()
    thread.join(SECONDS)
    assert not thread.is_alive(), "it waits for clients that have left"


@pytest.mark.asyncio
async def test_fragments_reach_the_app_as_one_message(serve):
    async with connect(f"ws://127.0.0.1:{serve('WebSocket')}/messages", proxy=None) as alice:
        await alice.send(["one ", "message ", "in three frames"])
        received = json.loads(await within(SECONDS, alice.recv()))
        assert received == [[1, "one message in three frames"]]


# ---- In a browser


@pytest.mark.thorough
@pytest.mark.browser
def test_a_browser_resumes_events_by_itself_and_nothing_else(serve):
    ports = {name: serve(name) for name in LOADS}

    async def look(browser, name):
        async with transport_browser.Relay(ports[name]) as relay:
            context = await browser.new_context()
            return await transport_browser.what_a_cut_does(context, relay, ports[name], name)

    async def look_at_all():
        async with async_playwright() as playwright:
            browser = await launch(playwright) or missing(NO_BROWSER)
            return await asyncio.gather(*(look(browser, name) for name in LOADS))

    told = {
        name: one["resumes"] for name, one in zip(LOADS, asyncio.run(look_at_all()), strict=True)
    }
    expected = {"WebSocket": "no", "long polling": "no"}
    assert told == {**expected, "server-sent events": "yes, with Last-Event-ID"}


ANSWER = """
([address, ...protocols]) => new Promise((tell) => {
  const socket = new WebSocket(address, protocols);
  socket.addEventListener("message", (event) => tell(`${event.data} ${socket.protocol}`));
  socket.addEventListener("close", (event) => tell(`closed with ${event.code}`));
})
"""


@pytest.mark.thorough
@pytest.mark.browser
def test_a_websocket_over_http_2_and_subprotocols(tmp_path):
    openssl = shutil.which("openssl") or missing("no openssl: install it (apt install openssl)")
    config = Config()
    config.certfile, config.keyfile = str(tmp_path / "certificate"), str(tmp_path / "key")
    made = "req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost".split()
    made += ["-keyout", config.keyfile, "-out", config.certfile]
    subprocess.run([openssl, *made], check=True, capture_output=True)
    config.bind, config.errorlog = [f"127.0.0.1:{free_port()}"], None
    app = Quart("versions")

    @app.get("/")
    async def index():
        return ""

    @app.websocket("/version")
    async def version():
        await websocket.accept(subprotocol="v2" if websocket.requested_subprotocols else None)
        await websocket.send(f"HTTP/{websocket.scope['http_version']}")

    @app.websocket("/none")
    async def none():
        await websocket.send("welcome")

    async def look(browser):
        context = await browser.new_context(ignore_https_errors=True)
        page = await context.new_page()
        host = config.bind[0]
        while not await asyncio.to_thread(is_open, int(host.rpartition(":")[2])):
            await asyncio.sleep(0.05)
        await page.goto(f"https://{host}/")
        for path, *protocols in (["version"], ["version", "v1", "v2"], ["none", "v1"]):
            yield await page.evaluate(ANSWER, [f"wss://{host}/{path}", *protocols])
        yield await page.evaluate("'WebSocketStream' in window")

    async def serve_and_look():
        over = asyncio.Event()
        server = asyncio.create_task(
            hypercorn.asyncio.serve(app, config, shutdown_trigger=over.wait)
        )
        try:
            async with asyncio.timeout(SECONDS), async_playwright() as playwright:
                browser = await launch(playwright) or missing(NO_BROWSER)
                seen = [one async for one in look(browser)]
                await browser.close()
        finally:
            over.set()
            await server
        return seen

    assert asyncio.run(serve_and_look()) == ["HTTP/2 ", "HTTP/2 v2", "closed with 1006", True]


# ---- The benchmark


def test_nothing_measured_is_no_claim():
    assert {claim.verdict for claim in transports.claims([])} == {"not measured"}
    assert transports.tables([]) == []


@pytest.mark.exhaustive
def test_the_benchmark_gives_tables_claims_and_files(capsys, tmp_path):
    plan = transports.Plan(clients=5, deliveries=50, rounds=10, repetitions=2, seconds=60)
    assert running.measure("transports", transports, plan, tmp_path), capsys.readouterr()
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "transports.json").read_text(encoding="utf-8"))["results"]
    of_browser = {one["name"]: one for one in results if one["kind"] == "browser"}
    assert {name: one["tabs"] for name, one in of_browser.items()} == {
        "WebSocket": 10,
        "server-sent events": 6,
        "long polling": 6,
    }
    for one in results:
        if one["kind"] == "proxy" and one["delay"]:
            assert one["with_signs"].startswith("open"), one
            assert not one["silent"].startswith("open"), one
    assert "long polling / WebSocket, bytes for a message in a browser: measured" in printed
    page = (ROOT / "docs/measured/transports.md").read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if "405" in line], "the page is of another run"
