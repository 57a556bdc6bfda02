"""An app in this process: Quart's own test client for HTTP, and one for WebSockets.

It speaks ASGI with the app, so it needs no server and no sockets, no threads and no processes.
"""

import asyncio

from quart import Response
from quart.testing import QuartClient, TestApp

from harness import failures, journey, loading, patience, remembering, sign_in
from harness.patience import wait, within
from harness.remembering import CLIENT, remember_errors, remember_never_awaited, remember_tasks

NEVER_YIELDS = ": does what it runs before serving wait for something that never happens?"
NEVER_ENDS = ": does what it runs after serving wait for something that never happens?"


def load(project):
    """The project's app, loaded afresh for tests, or a NoApp that says what is wrong."""
    never_awaited = remember_never_awaited()
    journey.forget_all()
    remembering.FAILED.clear()
    try:
        with loading.modules_beside(project):
            app = loading.load(project)
            app.settings = loading.settings(project)
            loading.require_case(project, app)
    except loading.NotLoaded as problem:
        return failures.NoApp(str(problem))
    app.test_client_class = InProcessClient
    app.test_app_class = InProcessApp
    app.never_awaited, app.is_stuck, app.clients = never_awaited, False, []
    remember_errors(app)
    return app


class InProcessConnection:
    """A client's end of a WebSocket, speaking ASGI with the app: no server, no sockets."""

    def __init__(self, app, scope):
        self.app, self.scope, self.path = app, scope, scope["path"]
        scope["asgi"] = {"version": "3.0", "spec_version": "2.4"}  # as Uvicorn has it
        self.to_app, self.from_app = asyncio.Queue(), asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.sent, self.name, self.expects = None, "", None  # a test may name it
        self.unanswered = []

    async def __aenter__(self):
        self.scope["headers"] = await sign_in.in_scope(self.app, self.scope["headers"])
        tasks_before, self.never_awaited = asyncio.all_tasks(), len(self.app.never_awaited)
        remember_tasks(asyncio.get_running_loop())
        CLIENT.set(self)  # which the handler's task inherits, and each that it creates
        await self.to_app.put({"type": "websocket.connect"})
        app = self.app(self.scope, self.to_app.get, self._take)
        self.handler = asyncio.create_task(app)
        CLIENT.set(None)
        self.app.clients.append(self)
        self.before = {one.text for one in journey.EVENTS}  # messages from before it connected
        # A real client waits for the handshake, so this one does too.
        message = await self._next()
        self.tasks = asyncio.all_tasks() - tasks_before - {asyncio.current_task()}
        if message["type"] == "websocket.accept":
            return self
        # Made now, while the handler still waits where this says.
        no_answer = failures.no_answer(self.app, self.path, self)
        await self._leave()
        if message["type"] == "websocket.http.response.start":
            headers = [(key.decode(), value.decode()) for key, value in message["headers"]]
            body = b"".join(
                [self.from_app.get_nowait()["body"] for _ in range(self.from_app.qsize())]
            )
            raise failures.Refused(self.app, self.path, Response(body, message["status"], headers))
        raise no_answer

    async def __aexit__(self, kind, error, trace):
        before = len(self.app.errors)
        if not await self._leave() and error is None:
            raise failures.still_runs(self.path)
        if error is None and len(self.app.errors) > before:
            raise failures.raised_at_the_end(self.app, self.path)
        if error is None and (forgotten := self.app.never_awaited[self.never_awaited :]):
            raise AssertionError(forgotten[0])

    async def send(self, data):
        self.sent = data
        self.unanswered.append(data)
        # If the bytes are empty, Quart looks for a text, and would fail without one.
        both = {"text": data} if isinstance(data, str) else {"text": data, "bytes": data}
        await self.to_app.put({"type": "websocket.receive", **both})

    async def receive(self):
        message = await self._next()
        if message["type"] == "websocket.close":
            code, reason = message.get("code", 1000), message.get("reason", "")
            raise failures.Closed(self.app, self.path, code, reason, self.sent)
        if message["type"] != "websocket.send":
            raise failures.no_message(self)
        # It was answered, so whatever is missing next is no answer to it.
        self.sent = self.expects = None
        self.note_answer(received := content_of(message))
        return received

    def note_answer(self, received):
        """Remove what a received message answers, which may be itself, from `unanswered`."""
        answered = [one for one in self.unanswered if str(one) in str(received)]
        if answered:
            self.unanswered.remove(answered[0])

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
        if message["type"] == "websocket.send":
            place, _, _ = journey.caller()
            journey.note("sent", content_of(message), place, id(self))
        await self.from_app.put(message)

    async def _next(self):
        """What the app sends next, or a message of type None when it sends nothing."""
        getting = asyncio.create_task(self.from_app.get())
        await wait({getting, self.handler}, patience.DEADLINE)
        if getting.done():
            return getting.result()
        getting.cancel()
        if self.handler.done() and self.handler.exception():
            self.app.errors.append(self.handler.exception())
        return {"type": None} if self.from_app.empty() else self.from_app.get_nowait()

    async def _leave(self):
        """Disconnect, and return whether the handler has ended."""
        self.app.clients.remove(self)
        await self.disconnect()
        deadline = 0.1 if self.app.is_stuck else patience.DEADLINE  # once was long enough
        await wait({self.handler}, deadline)
        if not self.handler.done():
            self.app.is_stuck = True
            remembering.forget(self.tasks)
        return self.handler.done()


def content_of(message):
    """The text or the bytes of an ASGI message, in which either may be missing or None."""
    text = message.get("text")
    return message.get("bytes") if text is None else text


class InProcessApp(TestApp):
    def __init__(self, app):
        super().__init__(app, startup_timeout=None, shutdown_timeout=None)

    async def startup(self):
        try:
            await within(2 * patience.DEADLINE, super().startup())
        except TimeoutError:
            why = failures.meanwhile() or NEVER_YIELDS
            raise AssertionError(f"the app does not start{why}") from None
        except Exception as error:  # which class it is depends on Quart's version
            why = failures.because(self.app) or f": {error}"
            raise AssertionError(f"the app does not start{why}") from None

    async def shutdown(self):
        journey.IS_STOPPING.append(self)
        try:
            await within(2 * patience.DEADLINE, super().shutdown())
        except TimeoutError:
            raise AssertionError(f"the app does not stop{NEVER_ENDS}") from None


class InProcessClient(QuartClient):
    websocket_connection_class = InProcessConnection

    async def open(self, path, headers=None, **options):
        headers = await sign_in.in_process(self.app, headers)
        opening = super().open(path, headers=headers, **options)
        try:
            response = await within(patience.DEADLINE, opening)
        except TimeoutError:
            raise failures.unanswered(path) from None
        return failures.explained(self.app, path, response)
