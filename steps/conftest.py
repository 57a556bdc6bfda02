"""What the tests of every step use: the project's app, in-process or on a real server.

`--project DIR` tests the websocket.py in DIR in place of the step's own. `--live` puts it on a
real server on a free port, and the same tests talk to it over real sockets.
"""

import asyncio
import json
import os
import re
import runpy
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.error
import urllib.request
import warnings
from collections import deque
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from random import randrange

import pytest
import pytest_asyncio
from jinja2 import TemplateSyntaxError
from quart import Quart, Response, got_request_exception, got_websocket_exception
from quart.testing import QuartClient, TestApp, WebsocketResponseError

DEADLINE = 3  # seconds, for whatever a test waits for; --deadline sets another
PATIENCE = 9  # seconds, for a browser, which is slower than a socket; --patience sets another
PROJECTS = set()  # the folders that an app was loaded from
STUCK_TASKS = set()  # kept, because collecting them as garbage would wake them up
A_TEST_FAILED = pytest.StashKey[bool]()
QUART_RUN = pytest.StashKey["QuartRun"]()
SMALL_BUFFER = 16 * 1024  # bytes in the system, so that it soon shows who does not read
START_DEADLINE = 20  # seconds, for a server to start
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1
NEVER_YIELDS = ": does what it runs before serving wait for something that never comes?"
NEVER_ENDS = ": does what it runs after serving wait for something that never comes?"
NEVER_LOADS = "the page does not finish loading: is there a loop without an end in its script?"
NO_BROWSER = "no browser: install Chromium, Chrome or Edge (on Debian: sudo apt install chromium)"


def pytest_addoption(parser):
    group = parser.getgroup("workshop")
    group.addoption("--project", type=Path, help="test the websocket.py in this folder")
    group.addoption("--live", action="store_true", help="test on a real server, over real sockets")
    group.addoption("--deadline", type=float, default=DEADLINE, help="seconds, for each wait")
    group.addoption("--patience", type=float, default=PATIENCE, help="the same, for a browser")


def pytest_configure(config):
    global DEADLINE
    DEADLINE = config.getoption("deadline")


@pytest.hookimpl(trylast=True)  # when it is known which tests were deselected
def pytest_collection_modifyitems(config, items):
    """Put what is slow last: the `quart` command, then the browser."""
    slow = ["quart_run", "context"]
    items.sort(
        key=lambda item: max(name in item.fixturenames and slow.index(name) + 1 for name in slow)
    )
    project = config.getoption("project")
    if (
        project
        and absolute(project, config).is_dir()
        and any("quart_run" in item.fixturenames for item in items)
    ):
        # It takes as long to start as the tests before it take to run, so it starts with them.
        config.stash[QUART_RUN] = QuartRun(absolute(project, config))


def pytest_unconfigure(config):
    if QUART_RUN in config.stash:
        config.stash[QUART_RUN].end()


def absolute(project, config):
    return (project if project.exists() else config.rootpath / project).resolve()


# ---- The project and its app


@pytest.fixture
def project(request, tmp_path_factory):
    """The folder that is tested: --project, or else the one that the test belongs to."""
    folder = request.path.parents[1]
    if given := request.config.getoption("project"):
        return absolute(given, request.config)
    if folder.parent.name != "challenges":
        return folder
    # A challenge holds only the files that differ from those of its step.
    whole = tmp_path_factory.mktemp(folder.name) / "websocket"
    shutil.copytree(folder.parents[1], whole, ignore=shutil.ignore_patterns("tests", "challenges"))
    return shutil.copytree(folder, whole, dirs_exist_ok=True)


@pytest.fixture
def tcp_port(request, monkeypatch):
    """A free port, in QUART_TCP_PORT before the app is loaded."""
    port = request.param if hasattr(request, "param") else free_port()
    if port is None:
        monkeypatch.delenv("QUART_TCP_PORT", raising=False)
    else:
        monkeypatch.setenv("QUART_TCP_PORT", str(port))
    return port


@pytest.fixture
def app(request, project, tcp_port):
    """The project's app, loaded afresh: in-process, or with --live on a real server."""
    loaded = load(project)
    if isinstance(loaded, NoApp) or not request.config.getoption("live"):
        yield loaded
    else:
        live_app = LiveApp(loaded)
        yield live_app
        live_app.server.stop(wait=False)


@pytest.fixture
def server(project, tcp_port):
    """A real server with the project's app: its `.url`, and what can happen to it."""
    loaded = load(project)
    assert not isinstance(loaded, NoApp), loaded.reason
    server = LiveServer(loaded, lambda: load(project))
    server.start()
    yield server
    server.stop(wait=False)


class NoApp:
    """In place of an app that cannot be loaded: whoever uses it is told why."""

    def __init__(self, reason):
        self.reason = reason

    def test_client(self):
        raise AssertionError(self.reason)

    test_app = test_client


def load(project):
    """Run the project's websocket.py and return its app, or a NoApp that says what is wrong."""
    path = project / "websocket.py"
    if not path.is_file():
        return NoApp("there is no websocket.py yet")
    PROJECTS.add(project)
    run, modules = Quart.run, set(sys.modules)
    Quart.run = lambda *_, **__: None  # for those who call app.run() at the bottom
    never_awaited = remember_never_awaited()
    sys.path.insert(0, str(project))  # for modules beside websocket.py
    try:
        app = runpy.run_path(str(path), run_name="websocket").get("app")
        serve = project / "serve.py"  # how to serve it for real, from step 7 on
        settings = runpy.run_path(str(serve)).get("SETTINGS", {}) if serve.is_file() else {}
    except (Exception, SystemExit) as error:
        reason = describe(error)
        return NoApp(reason if re.match(r"\w+\.py", reason) else f"websocket.py: {reason}")
    finally:
        Quart.run = run
        sys.path.remove(str(project))
        for name in set(sys.modules) - modules:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project)):
                del sys.modules[name]  # so that it is loaded afresh, too
    if not isinstance(app, Quart):
        return NoApp("websocket.py makes no `app` that is a Quart app")
    app.test_client_class = InProcessClient
    app.test_app_class = InProcessApp
    app.errors, app.never_awaited, app.settings = [], never_awaited, settings
    app.is_stuck = False
    for signal in (got_request_exception, got_websocket_exception):
        signal.connect(remember_error, app)
    return app


async def remember_error(app, exception):
    app.errors.append(exception)


def describe(error):
    """Say what an exception is and where in the project it was raised."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        name = Path(error.filename or "websocket.py").name
        line = f", line {error.lineno}" if error.lineno else ""
        return f"{name}{line}: {type(error).__name__}: {error.msg}"
    if isinstance(error, TemplateSyntaxError):
        return f"templates/{error.name}, line {error.lineno}: {type(error).__name__}: {error}"
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, UnicodeDecodeError) and any("jinja2" in one.filename for one in frames):
        return f"a template is not UTF-8: {what}"
    if "(coroutine)" in what:
        what += ": is there an `await` before what is returned?"
    lines = [
        f"{Path(frame.filename).name}, line {frame.lineno}: "
        for frame in frames
        if Path(frame.filename).parent in PROJECTS
    ]
    return f"{''.join(lines[-1:])}{what}"


def remember_never_awaited():
    """A list to which Python's warnings of coroutines that were never awaited will be added."""
    sys.set_coroutine_origin_tracking_depth(1)
    found, show = [], warnings.showwarning

    def remember(message, category, filename, lineno, file=None, line=None):
        first, _, origin = str(message).partition("\n")
        places = [*re.findall(r'File "(.+)", line (\d+)', origin), (filename, lineno)]
        own = [(Path(name), line) for name, line in places if Path(name).parent in PROJECTS]
        if first.endswith("was never awaited") and own:
            found.append(f"{own[0][0].name}, line {own[0][1]}: {first}")
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = remember
    return found


def because(app):
    if app.errors:
        return f" after {describe(app.errors[-1])}"
    return f": {app.never_awaited[0]}" if app.never_awaited else ""


# ---- What a client can meet, each with a sentence


class Refused(WebsocketResponseError, AssertionError):
    """The server answered the handshake with a response, which stands in `.response`."""

    def __init__(self, app, path, response):
        super().__init__(response)
        hint = ": is there an @app.websocket for it?" if response.status_code in (400, 404) else ""
        self.sentence = (
            f"the server answers the handshake on {path} with {response.status}"
            f"{because(app) or hint}"
        )

    def __str__(self):
        return self.sentence


class Closed(AssertionError):
    """The server closed the connection: the close code is in `.code`, and `.reason` says why."""

    def __init__(self, app, path, code, reason=""):
        hint = ": a handler that returns ends its connection, so is there a loop?"
        why = because(app) or (f" ({reason})" if reason else hint if code == 1000 else "")
        super().__init__(f"the server closes the connection on {path} with code {code}{why}")
        self.code, self.reason = code, reason


def no_answer(app, path):
    hint = (
        ": a handler that waits for something else than its client must "
        "`await websocket.accept()` first"
    )
    return AssertionError(
        f"the handshake on {path} is not answered within {DEADLINE} s{because(app) or hint}"
    )


def nothing_came(app, path, sent):
    why = because(app)
    if not why and sent is not None:
        why = f" after {sent!r:.40} was sent"
    return AssertionError(f"nothing came on {path} within {DEADLINE} s{why}")


def still_runs(path):
    return AssertionError(
        f"the client left {path}, but {DEADLINE} s later its handler still runs: does it catch "
        "the CancelledError that ends it?"
    )


def explained(app, path, response):
    """The response, unless it is a 500: then the exception behind it."""
    assert response.status_code != 500 or not app.errors, (
        f"{path} is answered with {response.status}{because(app)}"
    )
    return response


# ---- In-process: Quart's own test client for HTTP, and one with deadlines for WebSockets


class InProcessConnection:
    """A client's end of a WebSocket, speaking ASGI with the app: no server, no sockets."""

    def __init__(self, app, scope):
        self.app, self.scope, self.path = app, scope, scope["path"]
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}  # as Uvicorn has it
        self.to_app, self.from_app = asyncio.Queue(), asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent = None

    async def __aenter__(self):
        tasks_before = asyncio.all_tasks()
        await self.to_app.put({"type": "websocket.connect"})
        app = self.app(self.scope, self.to_app.get, self._take)
        self.handler = asyncio.create_task(app)
        # A real client waits for the handshake, so this one does too.
        message = await self._next()
        self.tasks = asyncio.all_tasks() - tasks_before - {asyncio.current_task()}
        if message["type"] == "websocket.accept":
            return self
        await self._leave()
        if message["type"] == "websocket.http.response.start":
            headers = [(key.decode(), value.decode()) for key, value in message["headers"]]
            body = b"".join(
                [self.from_app.get_nowait()["body"] for _ in range(self.from_app.qsize())]
            )
            raise Refused(self.app, self.path, Response(body, message["status"], headers))
        raise no_answer(self.app, self.path)

    async def __aexit__(self, kind, error, trace):
        if not await self._leave() and error is None:
            raise still_runs(self.path)

    async def send(self, data):
        self.sent = data
        # Quart looks for a text where the bytes are empty, and would fail without one.
        both = {"text": data} if isinstance(data, str) else {"text": data, "bytes": data}
        await self.to_app.put({"type": "websocket.receive", **both})

    async def receive(self):
        message = await self._next()
        if message["type"] == "websocket.close":
            raise Closed(self.app, self.path, message.get("code", 1000), message.get("reason", ""))
        if message["type"] != "websocket.send":
            raise nothing_came(self.app, self.path, self.sent)
        return message["bytes"] if message.get("text") is None else message["text"]

    def stop_reading(self):
        """Take nothing more from the app, which then has to wait with what it sends."""
        self.reads.clear()

    def read_again(self):
        self.reads.set()

    async def disconnect(self, code=1006):
        await self.to_app.put({"type": "websocket.disconnect", "code": code})

    async def close(self, code=1000):
        await self.disconnect(code)

    async def _take(self, message):
        await self.reads.wait()
        await self.from_app.put(message)

    async def _next(self):
        """What the app sends next, or a message of type None when it sends nothing."""
        getting = asyncio.create_task(self.from_app.get())
        await asyncio.wait({getting, self.handler}, timeout=DEADLINE, return_when="FIRST_COMPLETED")
        if getting.done():
            return getting.result()
        getting.cancel()
        if self.handler.done() and self.handler.exception():
            self.app.errors.append(self.handler.exception())
        return {"type": None} if self.from_app.empty() else self.from_app.get_nowait()

    async def _leave(self):
        """Disconnect, and return whether the handler has ended."""
        await self.disconnect()
        deadline = 0.1 if self.app.is_stuck else DEADLINE  # once was long enough
        await asyncio.wait({self.handler}, timeout=deadline)
        if not self.handler.done():
            self.app.is_stuck = True
            for task in self.tasks:
                # It catches every CancelledError, so the event loop must not wait for it, either.
                asyncio.tasks._unregister_task(task)
            STUCK_TASKS.update(self.tasks)
        return self.handler.done()


class InProcessApp(TestApp):
    def __init__(self, app):
        super().__init__(app, startup_timeout=2 * DEADLINE, shutdown_timeout=2 * DEADLINE)

    async def startup(self):
        try:
            await super().startup()
        except TimeoutError:
            raise AssertionError(f"the app does not start{NEVER_YIELDS}") from None

    async def shutdown(self):
        try:
            await super().shutdown()
        except TimeoutError:
            raise AssertionError(f"the app does not stop{NEVER_ENDS}") from None


class InProcessClient(QuartClient):
    websocket_connection_class = InProcessConnection

    async def open(self, path, **options):
        try:
            async with asyncio.timeout(DEADLINE):
                return explained(self.app, path, await super().open(path, **options))
        except TimeoutError:
            raise AssertionError(f"{path} is not answered within {DEADLINE} s") from None


# ---- Live: the same surface over real sockets


class LiveServer:
    """An app on a real server, in a thread of its own."""

    def __init__(self, app, load_again=None):
        self.app, self.load_again = app, load_again
        self.handlers = {}  # the client's port: a Future that is done when its handler has ended
        self.thread = None
        self.port = 0  # any free one
        self.is_away = False

    def start(self):
        import uvicorn

        listener = socket.create_server(("127.0.0.1", self.port))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        self.port = listener.getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}/"
        settings = {
            "ws": "websockets-sansio",
            "ws_per_message_deflate": False,  # or a message of zeros would be none
            "timeout_graceful_shutdown": 1,
            **self.app.settings,
        }
        config = uvicorn.Config(
            self.asgi, interface="asgi3", lifespan="on", log_level="critical", **settings
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(
            target=self.server.run, args=[[listener]], daemon=True, name="live server"
        )
        self.thread.start()
        deadline = time.monotonic() + 4 + 2 * DEADLINE
        while not self.server.started and self.thread.is_alive() and time.monotonic() < deadline:
            self.thread.join(0.01)
        assert self.server.started, f"the app does not start{because(self.app) or NEVER_YIELDS}"

    def stop(self, wait=True):
        if self.thread:
            self.server.should_exit = True
            if wait:
                self.thread.join(2 * DEADLINE)
            self.thread = None

    def start_again(self):
        """Stop, load the app afresh, and serve it at the same address."""
        self.stop()
        self.app = self.load_again()
        self.start()

    def leave(self):
        """Cut all connections, and let no WebSocket in; the app runs on."""
        self.is_away = True
        for connection in list(self.server.server_state.connections):
            self.loop.call_soon_threadsafe(connection.transport.abort)

    def come_back(self):
        self.is_away = False

    async def asgi(self, scope, receive, send):
        self.loop = asyncio.get_running_loop()
        if scope["type"] != "websocket":
            return await self.app(scope, receive, send)
        if self.is_away:
            await receive()
            return await send({"type": "websocket.close", "code": 1013})

        async def receive_both():
            # Quart looks for a text where the bytes are empty, and would fail without one.
            message = await receive()
            return {"text": message.get("bytes"), **message}

        handler = self.handlers[scope["client"][1]] = Future()
        try:
            await self.app(scope, receive_both, send)
        except Exception as error:
            self.app.errors.append(error)
        finally:
            handler.set_result(None)


class LiveApp:
    """A LiveServer with the surface of a Quart app under test."""

    def __init__(self, app):
        self.server = LiveServer(app)

    def test_client(self):
        if not self.server.thread:
            self.server.start()
        return LiveClient(self.server)

    @asynccontextmanager
    async def test_app(self):
        self.test_client()
        yield self
        await asyncio.to_thread(self.server.stop)


class LiveClient:
    def __init__(self, server):
        self.server = server

    def websocket(self, path, headers=None):
        return LiveConnection(self.server, path, headers)

    async def get(self, path, **options):
        return await self.open(path, method="GET", **options)

    async def post(self, path, **options):
        return await self.open(path, method="POST", **options)

    async def open(self, path, *, method="GET", headers=None, data=None):
        url = f"http://{self.server.host}{path}"
        data = data.encode() if isinstance(data, str) else data
        request = urllib.request.Request(url, data, headers or {}, method=method)
        response = await asyncio.to_thread(self._ask, request)
        return explained(self.server.app, path, response)

    def _ask(self, request):
        try:
            answer = HTTP.open(request, timeout=DEADLINE)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return Response(answer.read(), answer.status, dict(answer.headers))


class LiveConnection:
    def __init__(self, server, path, headers):
        self.server, self.app, self.path = server, server.app, path
        self.headers = dict(headers or {})
        self.host = self.headers.pop("Host", server.host)
        self.sent = None

    async def __aenter__(self):
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus

        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.connect(("127.0.0.1", self.server.port))
        try:
            self.connection = await connect(
                f"ws://{self.host}{self.path}",
                sock=sock,
                additional_headers=self.headers,
                open_timeout=DEADLINE,
                close_timeout=DEADLINE,
                max_size=None,
                proxy=None,
            )
        except InvalidStatus as error:
            answer = error.response
            response = Response(answer.body, answer.status_code, dict(answer.headers.raw_items()))
            raise Refused(self.app, self.path, response) from None
        except TimeoutError:
            raise no_answer(self.app, self.path) from None
        self.port = self.connection.local_address[1]
        return self

    async def __aexit__(self, kind, error, trace):
        await self.connection.close()
        handler = asyncio.wrap_future(self.server.handlers[self.port])
        done, _ = await asyncio.wait({handler}, timeout=DEADLINE)
        if not done and error is None:
            raise still_runs(self.path)

    async def send(self, data):
        self.sent = data
        await self.connection.send(data)

    async def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            async with asyncio.timeout(DEADLINE):
                return await self.connection.recv()
        except TimeoutError:
            raise nothing_came(self.app, self.path, self.sent) from None
        except ConnectionClosed:
            closed = self.connection
            raise Closed(self.app, self.path, closed.close_code, closed.close_reason) from None

    def stop_reading(self):
        self.connection.transport.pause_reading()

    def read_again(self):
        self.connection.transport.resume_reading()

    async def disconnect(self):
        self.connection.transport.abort()

    async def close(self, code=1000):
        await self.connection.close(code)


# ---- A client of the log, from step 6 on


class LogClient:
    """A client that takes frames apart: `.log` and `.last` are its place, and `.gaps` what it was
    told that it missed.
    """

    def __init__(self, app, log="", last=0, **options):
        query = f"?log={log}&last={last}" if log else ""
        self.connection = app.test_client().websocket(f"/api/v3/ws{query}", **options)
        self.log, self.last, self.gaps = "", None, []
        self.frames = self.longest = 0  # how many, and the bytes of the longest
        self.refused = deque()  # messages that the server could not store, from step 8 on
        self.waiting = deque()

    async def __aenter__(self):
        await self.connection.__aenter__()
        try:
            await self._take_frame()
        except BaseException as error:
            await self.connection.__aexit__(type(error), error, None)
            raise
        return self

    async def __aexit__(self, *error):
        return await self.connection.__aexit__(*error)

    def __getattr__(self, name):
        return getattr(self.connection, name)

    async def receive(self):
        """The next message, whose id is then in `.last`."""
        while not self.waiting:
            await self._take_frame()
        self.last, text = self.waiting.popleft()
        return text

    async def refusal(self):
        """The message that the server says it could not store."""
        while not self.refused:
            await self._take_frame()
        return self.refused.popleft()

    async def closing(self):
        """The close code and the reason, when the server closes; passes over what comes before."""
        try:
            while True:
                await self.connection.receive()
        except Closed as closed:
            return closed.code, closed.reason
        except AssertionError:
            raise AssertionError(
                "the server should close the connection: it is not closed"
            ) from None

    async def _take_frame(self):
        data = await self.connection.receive()
        self.frames += 1
        self.longest = max(self.longest, len(data))
        try:
            frame = json.loads(data)
            if "messages" in frame:
                assert self.log, f"the first frame should tell the client its place, not {data:.80}"
                frame = {"first": frame["first"], "messages": frame["messages"]}
                self.waiting += enumerate(frame["messages"], frame["first"])
            elif "refused" in frame:
                return self.refused.append(frame["refused"])
            else:
                self.log, last, gap = frame["log"], frame["last"], frame["gap"]
        except (ValueError, TypeError, KeyError):
            raise AssertionError(
                f"this is no frame as the task describes it: {data!r:.80}"
            ) from None
        if "messages" not in frame:
            self.gaps += [gap] if gap else []
            self.end = self.last = last
            return
        assert frame["first"] == self.end + 1, (
            f"after the message with the id {self.end} comes one with the id {frame['first']}"
        )
        self.end += len(frame["messages"])


@pytest.fixture
def connect_to():
    """Connect a LogClient to an app: `async with connect_to(app) as alice`."""
    return LogClient


@pytest.fixture
def log_client(app):
    """Connect a LogClient: `async with log_client() as alice`, or with `log` and `last`."""
    return partial(LogClient, app)


@pytest.fixture
def eventually():
    """Connect a client as soon as the server lets it in: `async with eventually(connect)`."""

    @asynccontextmanager
    async def eventually(connect, *arguments):
        deadline = time.monotonic() + 4 + 2 * DEADLINE
        async with AsyncExitStack() as stack:
            while True:
                try:
                    client = await stack.enter_async_context(connect(*arguments))
                    break
                except Refused:
                    assert time.monotonic() < deadline, "the server lets nobody in again"
                    await asyncio.sleep(0.05)
            yield client

    return eventually


# ---- Redis, and many servers, from step 8 on


class RedisServer:
    """A Redis server on a free port, whose data outlive it: `.client` commands it."""

    def __init__(self, command, folder):
        from redis import Redis

        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = Redis(port=self.port, socket_timeout=START_DEADLINE)
        self.command = [command, "--port", str(self.port), "--bind", "127.0.0.1"]
        self.command += ["--dir", str(folder), "--save", "", "--appendonly", "yes"]
        self.start()

    def start(self):
        from redis.exceptions import RedisError

        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + START_DEADLINE
        while True:
            try:
                return self.client.ping()
            except RedisError:  # not there yet, or still loading
                assert time.monotonic() < deadline, "the Redis server does not start"
                time.sleep(0.01)

    def stop(self):
        self.process.kill()
        self.process.wait(START_DEADLINE)


@pytest.fixture
def redis_server(tmp_path):
    command = shutil.which("redis-server") or missing(
        "no Redis server: install it (on Debian: sudo apt install redis-server)"
    )
    server = RedisServer(command, tmp_path)
    yield server
    server.client.close()
    server.stop()


@pytest.fixture
def serve(project):
    """Start a server with the project's app; each call starts another, as other machines do."""
    apps = []

    def serve():
        loaded = load(project)
        assert not isinstance(loaded, NoApp), loaded.reason
        apps.append(LiveApp(loaded))
        return apps[-1]

    yield serve
    for app in apps:
        app.server.stop(wait=False)


# ---- Processes and sockets


def free_port():
    """A free port of 127.0.0.1, and not one of those that the system itself gives away."""
    while True:
        port = randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


class QuartRun:
    """`quart --app websocket run` in a project's folder, on a free port."""

    def __init__(self, project):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self.output = tempfile.TemporaryFile()
        quart = shutil.which("quart", path=Path(sys.executable).parent) or "quart"
        self.process = subprocess.Popen(
            [quart, "--app", "websocket", "run", "--port", str(port)],
            cwd=project,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "QUART_TCP_PORT": ""},
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )

    def page(self):
        """The page at /, as soon as it is served."""
        deadline = time.monotonic() + 8 + 2 * DEADLINE
        while time.monotonic() < deadline:
            has_ended = self.process.poll() is not None
            self.output.seek(0)
            output = self.output.read().decode(errors="replace").strip()
            if "Running on" in output and self.url.rstrip("/") not in output:
                raise AssertionError(
                    f"`quart run` serves nothing at {self.url}: does websocket.py itself call "
                    "app.run()?"
                )
            if has_ended:
                last_line = output.rpartition("\n")[2]
                raise AssertionError(f"`quart run` ends at once, with: {last_line}")
            try:
                return HTTP.open(self.url, timeout=DEADLINE).read().decode()
            except urllib.error.HTTPError as error:
                raise AssertionError(f"the app answers GET / with {error.code}") from None
            except OSError:
                time.sleep(0.01)  # `quart run` says so before it listens, so ask again
        raise AssertionError(f"`quart run` serves nothing at {self.url}, and does not say why")

    def end(self):
        self.process.kill()  # it may have a server of its own that waits for its clients
        self.process.wait(START_DEADLINE)
        self.output.close()


@pytest.fixture
def quart_run(request, project):
    """Run `quart --app websocket run` in the project, and return the page that it serves at /."""
    runs = []

    async def run():
        runs.append(request.config.stash.get(QUART_RUN, None) or QuartRun(project))
        return await asyncio.to_thread(runs[-1].page)

    yield run
    for one in runs:
        one.end()


@pytest_asyncio.fixture
async def tcp_connect(tcp_port):
    """Connect to the app's TCP source: returns a reader and a writer."""
    writers = []

    async def connect(port=tcp_port, host="127.0.0.1"):
        try:
            async with asyncio.timeout(DEADLINE):
                reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            raise AssertionError(
                f"nothing listens on TCP port {port} of {host}: the port is in the app's setting "
                "TCP_PORT; does it take that from QUART_TCP_PORT?"
            ) from None
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()


# ---- A real browser


def missing(what):
    """Skip a test for want of `what`, or fail it where everything is required."""
    (pytest.fail if os.environ.get("WORKSHOP_REQUIRE_ALL") == "1" else pytest.skip)(what)


async def launch_browser(playwright):
    """An installed Chromium, Chrome or Edge, without a window; None if there is none."""
    from playwright.async_api import Error

    # The first is made for this, and takes a third of the others' time.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = filter(None, map(shutil.which, names))
    ways = [{"executable_path": path} for path in found]
    for way in [*ways, {"channel": "chrome"}, {"channel": "msedge"}, {}]:
        try:
            return await playwright.chromium.launch(**way)
        except Error:
            continue


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser():
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        missing("no Playwright: pipenv install --dev playwright")
    async with async_playwright() as playwright:
        browser = await launch_browser(playwright)
        if browser is None:
            missing(NO_BROWSER)
        yield browser
        await browser.close()


# What a page did before a test could look: the state's texts, and where it connected to.
WATCH_STATE = """
window.states = [];
new MutationObserver(() => {
  const text = document.querySelector("[role=status]")?.textContent.trim();
  if (text && text !== states.at(-1)) states.push(text);
}).observe(document, {subtree: true, childList: true, characterData: true});
"""
WATCH_SOCKET = """
window.sockets = [];
window.WebSocket = class extends EventTarget {
  constructor(url) {
    super();
    sockets.push(this);
    window.connectedTo = new URL(url, location.href.replace(/^http/, "ws")).href;
  }
  send() {}
};
"""


@pytest.fixture
def patience(request):
    """How many milliseconds to wait for the browser, which is slower than a socket."""
    patience = request.config.getoption("patience") * 1000
    return patience / 2 if request.config.stash.get(A_TEST_FAILED, False) else patience


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser, patience):
    context = await browser.new_context()
    context.set_default_timeout(patience)
    context.problems = []
    context.on("console", lambda m: m.type == "error" and context.problems.append(m.text))
    context.on("weberror", lambda problem: context.problems.append(describe_web(problem.error)))
    yield context
    await context.close()


def describe_web(error):
    """Say what an exception in a page is, and where in its script."""
    if not error.stack:  # a syntax error; which line it is in, the browser alone knows
        return f"a script cannot be read: {error.message}"
    where = re.search(r"/(static/[^?:]+):(\d+):\d+", error.stack)
    return f"{where[1]}, line {where[2]}: {error.message}" if where else error.message


async def load_page(page, address, patience):
    from playwright.async_api import TimeoutError

    try:
        await page.goto(address, timeout=2000 + patience)
    except TimeoutError:
        raise AssertionError(NEVER_LOADS) from None


@pytest_asyncio.fixture(loop_scope="session")
async def page(context, server, patience):
    """The project's page, open in a browser; `states` in it is what its state has said."""
    page = await context.new_page()
    await page.add_init_script(WATCH_STATE)
    await load_page(page, server.url, patience)
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def page_at(context, server, patience):
    """Open the project's page as if it lived at another address: `connectedTo` is in it."""

    async def open_at(address):
        page = await context.new_page()
        await page.add_init_script(WATCH_SOCKET)

        async def from_server(route):
            path = route.request.url.removeprefix(address)
            await route.fulfill(response=await route.fetch(url=server.url + path))

        await page.route("**/*", from_server)
        await load_page(page, address, patience)
        return page

    return open_at


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    context = item.funcargs.get("context")
    if report.failed and not item.config.stash.get(A_TEST_FAILED, False):
        # Who has an app that does not work wants to hear soon of the rest.
        item.config.stash[A_TEST_FAILED] = True
        global DEADLINE
        DEADLINE *= 0.5
    if report.failed and context and context.problems:
        report.sections.append(("The browser's console", "\n".join(context.problems)))
    return report


@pytest.fixture
def console_errors(context):
    """What the browser's console has complained of so far."""
    return context.problems


@pytest.fixture
def expect(patience):
    """Playwright's assertions, which wait until they hold."""
    from playwright.async_api import expect

    expect.set_options(timeout=patience)
    return expect
