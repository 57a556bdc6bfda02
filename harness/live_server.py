"""An app on a real server, in a thread of this process."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from contextlib import asynccontextmanager

from harness import failures, patience
from harness.inprocess import NEVER_YIELDS
from harness.live_client import SMALL_BUFFER, LiveClient
from harness.mended import with_both_keys
from harness.patience import until
from harness.remembering import remember_error


class LiveServer:
    """An app on a real server, in a thread of its own."""

    def __init__(self, app, load_again=None):
        assert not isinstance(app, failures.NoApp), app.reason
        self.app, self.load_again = app, load_again
        self.handlers = {}  # the client's port: a Future that is done when its handler has ended
        self.thread = None
        self.port = 0  # any free one
        self.is_away = False

    def start(self, listener=None):
        """Start to serve, at the same address as before."""
        import uvicorn  # which an environment for step 2 does not have

        self.cookie = ""  # of whoever has signed in on another one
        listener = listener or socket.create_server(("127.0.0.1", self.port))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
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
        until(lambda: self.server.started or not self.thread.is_alive(), 4 + 2 * patience.DEADLINE)
        assert self.server.started, f"the app does not start{self.why_not()}"

    def why_not(self):
        """Say why the app does not start: a clause."""
        loop = getattr(self, "loop", None)
        waits = failures.meanwhile(loop) if loop and self.thread.is_alive() else ""
        return failures.because(self.app) or waits or NEVER_YIELDS

    def stop(self, wait=True):
        if self.thread:
            self.server.should_exit = True
            if wait:
                until(lambda: not self.thread.is_alive(), 2 * patience.DEADLINE)
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

        handler = self.handlers[scope["client"][1]] = Future()
        try:
            await self.app(scope, with_both_keys(receive), send)
        except Exception as error:
            await remember_error(self.app, error)
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
