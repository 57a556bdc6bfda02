"""An app on a real server in a process of its own, which tells the tests what happens in it.

The project's code runs in this process, and could write whatever it likes in its place. So what is
told here explains a failure, or ends a wait; it makes no check pass.
"""

import asyncio
import json
import socket
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from harness import errors, failures, patience
from harness.inprocess import load
from harness.live_server import LiveServer

MOST = 2000  # characters of a sentence
BUSY = "after a while the code is still busy here: is there a loop without an end, or a call"


class TellingServer(LiveServer):
    """A LiveServer that tells when the handler of a client has ended, and when the app has."""

    def __init__(self, app, tell):
        super().__init__(app)
        self.tell = tell

    async def asgi(self, scope, receive, send):
        async def send_or_stay(message):
            if message["type"] == "lifespan.shutdown.complete":
                self.tell(stopped=True)
                await asyncio.Event().wait()  # so that one can see what the app did not stop
            await send(message)

        try:
            await super().asgi(scope, receive, send_or_stay)
        finally:
            if scope["type"] == "websocket":
                self.tell(ended=scope["client"][1])


def serve(control, listener, project, deadline):
    """Serve the project on a listening socket, and do what is asked on another one."""
    patience.DEADLINE = deadline
    connection = socket.socket(fileno=control)
    lock = threading.Lock()

    def tell(**event):
        with lock, suppress(OSError):
            connection.sendall(json.dumps(event).encode() + b"\n")

    app = load(project)
    if isinstance(app, failures.NoApp):
        return tell(no_app=app.reason[:MOST])
    server = TellingServer(app, tell)
    try:
        server.start(socket.socket(fileno=listener))
    except AssertionError as error:
        return tell(no_start=str(error)[:MOST])
    sys.stdout.flush()
    tell(started=app.config.get("TCP_PORT", ""))
    for line in connection.makefile(encoding="utf-8"):
        if line == "stop\n":
            server.stop(wait=False)
        elif line == "explain\n":
            tell(explained=explain(app))
        elif line == "leave\n":
            server.leave()
            tell(left=True)
        elif line == "come back\n":
            server.come_back()


def explain(app):
    """What went wrong in the app so far: a sentence, or ""."""
    if app.errors:
        return errors.describe(app.errors[-1])[:MOST]
    if app.never_awaited:
        return app.never_awaited[0][:MOST]
    places = [where_it_is_busy()]
    if places[0]:
        time.sleep(0.1)  # a server that is at the same place again is busy there
        places.append(where_it_is_busy())
    if not places[-1] or places[0] != places[-1]:
        return ""
    return f"{places[0]}: {BUSY} that blocks, such as time.sleep?"


def where_it_is_busy():
    """The file and line of the project that the server is at; "" if it is at none."""
    thread = next((one for one in threading.enumerate() if one.name == "live server"), None)
    frame = thread and sys._current_frames().get(thread.ident)
    while frame:
        if Path(frame.f_code.co_filename).parent in errors.PROJECTS:
            return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
        frame = frame.f_back
    return ""
