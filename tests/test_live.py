"""What runs in a page's worker, looked at in this Python: time, TCP, the bridge, what is loaded."""

import asyncio
import io
import json
import sys
import time
import zipfile

import pytest
from quart import Quart, redirect, request, websocket
from repo import ROOT

from docs import live_runtime as runtime
from docs.live import stubs, tabs
from docs.live.bridge import Bridge
from docs.live.loop import Clock, Deadlock, PageLoop, clock
from docs.live.network import Network, network
from workshop.steps import all_exercises


@pytest.fixture
def run():
    """Run a coroutine on a PageLoop."""
    loop = PageLoop()
    yield loop.run_until_complete
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(1))
    loop.close()


def test_waiting_takes_no_time_when_nothing_else_can_happen(run):
    before, worked = clock.monotonic(), time.process_time()
    run(asyncio.sleep(3600))
    assert clock.monotonic() - before >= 3600
    assert time.process_time() - worked < 1


def test_timers_are_due_in_their_order(run):
    said = []

    async def say(seconds):
        await asyncio.sleep(seconds)
        said.append(seconds)

    async def main():
        await asyncio.gather(say(30), say(10), say(20))

    run(main())
    assert said == [10, 20, 30]


def test_waiting_for_what_never_comes_is_an_error(run):
    async def main():
        await asyncio.Event().wait()

    with pytest.raises(Deadlock):
        run(main())


def test_what_would_run_in_a_thread_runs_at_once(run):
    assert run(asyncio.to_thread(lambda: "done")) == "done"


def test_a_clock_that_sleeps_is_ahead():
    ahead = Clock()
    before = ahead.monotonic()
    ahead.sleep(60)
    assert ahead.monotonic() - before >= 60


@pytest.fixture
def echo(run):
    """Serve an echo on a port of the network in memory: (host, port)."""

    async def client(reader, writer):
        async for line in reader:
            writer.write(line.upper())
            await writer.drain()
        writer.close()

    server = run(asyncio.start_server(client, "127.0.0.1", 0))
    yield server.sockets[0].getsockname()
    server.close()


def test_lines_go_there_and_back(run, echo):
    async def main():
        reader, writer = await asyncio.open_connection(*echo)
        writer.write(b"one\ntwo\n")
        writer.write_eof()
        return await reader.read()

    assert run(main()) == b"ONE\nTWO\n"


def test_a_writer_waits_while_nobody_reads(run, echo):
    async def main():
        _, writer = await asyncio.open_connection(*echo)
        for _ in range(100):
            writer.write(b"x" * 65_000 + b"\n")
            await asyncio.wait_for(writer.drain(), 1)

    with pytest.raises(TimeoutError):
        run(main())


def test_whoever_is_cut_off_is_told(run, echo):
    async def main():
        reader, writer = await asyncio.open_connection(*echo)
        writer.transport.peer.abort()
        return await reader.read()

    with pytest.raises(ConnectionResetError):
        run(main())


def test_nobody_listens_where_nobody_listens(run):
    with pytest.raises(ConnectionRefusedError):
        run(asyncio.open_connection("127.0.0.1", 9))


def test_a_port_belongs_to_one_and_to_its_address(run, echo):
    async def again():
        await asyncio.start_server(lambda *_: None, *echo)

    with pytest.raises(OSError, match="already in use"):
        run(again())
    with pytest.raises(ConnectionRefusedError):
        run(asyncio.open_connection("192.0.2.1", echo[1]))


@pytest.mark.parametrize("port", ["no number", 70_000])
def test_a_port_that_is_none_is_refused(port):
    with pytest.raises((OSError, OverflowError)):
        Network().listen(None, None, "127.0.0.1", port)
    assert network.servers == {}


# The bridge


app = Quart("bridge")


@app.get("/<name>")
async def page(name):
    return f"hello {name}"


@app.route("/cookies", methods=["GET", "POST"])
async def cookies():
    if request.method == "GET":
        return dict(request.cookies)
    response = redirect("/cookies", 303)
    for name, value in (await request.form).items():
        response.set_cookie(name, value, max_age=60 if value else 0, httponly=True)
    response.set_cookie("only_by_tls", "x", secure=True)
    return response


@app.websocket("/ws/cookies")
async def ws_cookies():
    await websocket.accept(headers={"Set-Cookie": "of=handshake; Path=/"})
    await websocket.send(f"{dict(websocket.cookies)} {websocket.headers['Origin']}")


@app.websocket("/ws")
async def ws():
    while True:
        data = await websocket.receive()
        if data == "fail":
            raise RuntimeError("on purpose")
        if data == "leave":
            await websocket.close(4000, "enough")
            return
        await websocket.send(data)


class Told:
    """Runs messages through a bridge, and keeps what it tells."""

    def __init__(self, run):
        self.run, self.told = run, []
        self.bridge = Bridge(lambda **message: self.told.append(message))
        run(self.bridge.start(app))

    def __call__(self, **message):
        count = len(self.told)

        async def handle():
            self.bridge.handle(message)
            for _ in range(100):
                await asyncio.sleep(0)

        self.run(handle())
        return self.told[count:]


@pytest.fixture
def bridge(run):
    told = Told(run)
    yield told
    run(told.bridge.stop())


def test_a_request_is_answered(bridge):
    (answer,) = bridge(kind="http", id=7, method="GET", path="/bob?a=b")
    assert (answer["id"], answer["status"], answer["body"]) == (7, 200, b"hello bob")


@pytest.mark.parametrize("data", ["text", "", b"\x00\xff", b""])
def test_a_message_comes_back_as_it_was(bridge, data):
    assert bridge(kind="open", id=1, path="/ws")[0]["kind"] == "accepted"
    (message,) = bridge(kind="send", id=1, data=data)
    assert message["data"] == data


def test_a_handler_that_closes_says_how(bridge):
    bridge(kind="open", id=1, path="/ws")
    (closed,) = bridge(kind="send", id=1, data="leave")
    assert (closed["kind"], closed["code"], closed["reason"]) == ("closed", 4000, "enough")
    assert bridge.bridge.inboxes == {}


def test_a_handshake_that_is_refused_says_with_which_status(bridge):
    refused, closed = bridge(kind="open", id=1, path="/no/where")
    assert (refused["status"], closed["is_open"]) == (404, False)


def test_a_handler_that_fails_ends_its_connection(bridge):
    bridge(kind="open", id=1, path="/ws")
    (closed,) = bridge(kind="send", id=1, data="fail")
    assert closed["kind"] == "closed" and closed["is_open"]


def test_a_server_that_stops_ends_all_handlers(bridge, run):
    bridge(kind="open", id=1, path="/ws")
    run(bridge.bridge.stop())
    assert bridge.told[-1]["code"] == 1012
    assert bridge.bridge.inboxes == {}
    (answer,) = bridge(kind="http", id=2, method="GET", path="/bob")
    assert answer["status"] == 503


def test_a_line_to_a_port_where_nobody_listens_is_told(bridge):
    (failed,) = bridge(kind="tcp", id=3, port=5001, text="hello\n")
    assert failed["text"] == "nothing listens on TCP port 5001"


# Cookies

FORM = [("Content-Type", "application/x-www-form-urlencoded")]


@pytest.fixture
def cookies_of(bridge):
    """Ask with the cookies of a jar, as a page of an origin: which ones arrive."""

    def ask(jar, **options):
        question = {"kind": "http", "id": 1, "method": "GET", "path": "/cookies", "jar": jar}
        (answer,) = bridge(**question, **options)
        return json.loads(answer["body"])

    return ask


@pytest.fixture
def set_cookie(bridge):
    """Have the app set a cookie in a jar."""

    def send(jar, body):
        message = {"kind": "http", "id": 1, "method": "POST", "path": "/cookies", "jar": jar}
        (answer,) = bridge(**message, headers=FORM, body=body)
        assert answer["status"] == 303

    return send


def test_a_jar_keeps_replaces_and_removes_cookies(set_cookie, cookies_of):
    set_cookie("tabs", b"a=1&b=2")
    assert cookies_of("tabs") == {"a": "1", "b": "2"}, "and none of those that need TLS"
    set_cookie("tabs", b"a=3&b=")
    assert cookies_of("tabs") == {"a": "3"}


def test_a_cookie_is_only_in_its_own_jar_and_in_none_without_one(set_cookie, cookies_of):
    set_cookie("tabs", b"a=1")
    assert cookies_of("Tab B") == {}
    set_cookie("", b"a=1")
    assert cookies_of("") == {}


def test_a_cookie_goes_with_requests_of_the_same_site_which_has_no_port(set_cookie, cookies_of):
    set_cookie("tabs", b"a=1")
    assert cookies_of("tabs", origin="http://127.0.0.1:9") == {"a": "1"}
    assert cookies_of("tabs", origin="http://evil.example") == {}


def test_a_handshake_carries_cookies_and_says_whose_page_it_is_of(bridge, set_cookie, cookies_of):
    set_cookie("tabs", b"a=1")
    handshake = {"kind": "open", "path": "/ws/cookies", "jar": "tabs"}
    _, message, _ = bridge(id=1, **handshake)
    assert message["data"] == "{'a': '1'} http://127.0.0.1:5000"
    assert cookies_of("tabs") == {"a": "1", "of": "handshake"}
    _, message, _ = bridge(id=2, **handshake, origin="http://evil.example")
    assert message["data"] == "{} http://evil.example"


def test_the_requests_of_a_context_have_its_cookies_and_no_other_context_has(run, monkeypatch):
    monkeypatch.setattr(tabs, "outside", outside := tabs.Outside())
    outside.connect(lambda **_: None, None, None)
    server, context = tabs.LiveServer(app), tabs.Context(1000)
    url = f"{server.url}cookies"
    answer = run(context.request.post(url, form={"word": "ä & b"}))
    assert (answer.status, len(server.bridge.jars[context.jar])) == (303, 2)
    assert run(context.request.post(f"{server.url}bob?a=b", data="text")).status == 405
    assert not server.bridge.jars[tabs.Context(1000).jar]
    run(server.bridge.stop())


# What is loaded


def test_a_stub_has_every_name(monkeypatch):
    monkeypatch.setattr(sys, "meta_path", [stubs.Stubs(), *sys.meta_path])
    for name in [name for name in sys.modules if name.partition(".")[0] in stubs.NAMES]:
        monkeypatch.delitem(sys.modules, name)
    from hypercorn.typing import Scope, WebsocketScope

    assert issubclass(Scope, Exception) and Scope is not WebsocketScope
    for name in [name for name in sys.modules if name.partition(".")[0] in stubs.NAMES]:
        monkeypatch.delitem(sys.modules, name)


def test_the_same_files_give_the_same_zip():
    files = {"b.py": b"1", "a.py": b"2"}
    assert runtime.zipped(files) == runtime.zipped(dict(files))
    with zipfile.ZipFile(io.BytesIO(runtime.zipped(files))) as archive:
        assert archive.read("a.py") == b"2"
        assert {info.date_time for info in archive.infolist()} == {runtime.DATE}


def test_the_packages_of_a_page_are_pure_python_with_their_licences():
    files = runtime.package_files()
    assert "quart/app.py" in files and "_pytest/main.py" in files
    assert not [name for name in files if name.endswith((".so", ".pyd"))]
    assert not [name for name in files if name.startswith(("hypercorn/", "pygments/"))]
    assert any(name.startswith("quart-") and "LICENSE" in name for name in files)


def test_an_exercise_of_a_page_has_what_it_starts_from_and_its_solution():
    for exercise in all_exercises():
        made = json.loads(json.dumps(runtime.exercise_of(exercise)))
        assert made["solution"]["websocket.py"].encode() == exercise.solution["websocket.py"]
        assert set(made["start"]) == set(exercise.start)


def test_what_a_page_imports_of_the_workshop_is_there():
    files = runtime.workshop_files()
    needed = {"steps/conftest.py", "harness/inprocess.py", "workshop/verdict.py"}
    assert needed <= set(files)
    assert all((ROOT / name).is_file() for name in files)


@pytest.mark.parametrize("why", ["ERROR: no such host", ""])
def test_without_the_wheel_the_site_says_so(tmp_path, monkeypatch, why):
    told = []

    def compiled(log):
        raise runtime.NoRuntime(why or "pip could not fetch it")

    monkeypatch.setattr(runtime, "compiled", compiled)
    runtime.make(tmp_path, told.append)
    files = json.loads((tmp_path / "files.json").read_text(encoding="utf-8"))
    assert set(files) == {"missing"} and told


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache in place of the one of the docs."""
    monkeypatch.setattr(runtime, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.thorough
def test_without_an_index_a_site_is_built_without_python(cache, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    told = []
    runtime.make(tmp_path / "made", told.append)
    files = json.loads((tmp_path / "made/files.json").read_text(encoding="utf-8"))
    assert "flet-web==1.0.5" in files["missing"]
    assert told and "The pages cannot run Python" in told[0]
    assert list(cache.iterdir()) == []


@pytest.mark.thorough
def test_without_a_browser_a_page_loads_source(cache, tmp_path, monkeypatch):
    pyodide = tmp_path / "pyodide"
    pyodide.mkdir()
    for name in runtime.PYODIDE:
        (pyodide / name).write_bytes(b"")
    (pyodide / runtime.LOCK).write_text('{"packages": {"numpy": {}}}', encoding="utf-8")

    async def launch(playwright):
        return None

    monkeypatch.setattr(runtime, "pyodide", lambda: pyodide)
    monkeypatch.setattr(runtime, "launch", launch)
    told = []
    runtime.make(tmp_path / "made", told.append)
    assert "twice as long: no browser" in told[0]
    with zipfile.ZipFile(tmp_path / "made/site.zip") as archive:
        assert "quart/app.py" in archive.namelist()
    lock = json.loads((tmp_path / "made" / runtime.LOCK).read_text(encoding="utf-8"))
    assert lock["packages"] == {}, "or a page asks another site for them"


def test_a_wheel_that_is_not_the_pinned_one_is_refused(cache, tmp_path, monkeypatch):
    wheel = tmp_path / "flet_web-1.0.5-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("flet_web/web/pyodide/pyodide.mjs", "evil()")
        about = "Metadata-Version: 2.1\nName: flet-web\nVersion: 1.0.5\n"
        archive.writestr("flet_web-1.0.5.dist-info/METADATA", about)
        archive.writestr("flet_web-1.0.5.dist-info/WHEEL", "Wheel-Version: 1.0\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(runtime.NoRuntime, match=r"(?i)hash"):
        runtime.pyodide()
