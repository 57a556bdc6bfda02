"""In place of a server: a project's app, and the connections of the page's tabs, by ASGI.

Tabs and app exchange messages, which are dictionaries; `post(**message)` sends one to the page.
"""

import asyncio
import traceback
from collections import defaultdict
from itertools import count

from docs.live.jar import Jar
from workshop.language import _

HOST = "127.0.0.1:5000"
SCOPE = {
    "asgi": {"version": "3.0", "spec_version": "2.4"},  # as Uvicorn has it
    "http_version": "1.1",
    "root_path": "",
    "server": ("127.0.0.1", 5000),
}
GOING = 1012  # the close code of a server that stops
LOST = 1006  # that of a connection that has no end of its own
FAILED = 1011  # that of a handler that fails
TCP_SECONDS = 3  # for an answer to a line


class Bridge:
    """An app that runs, if there is one, and the handlers of its clients."""

    def __init__(self, post):
        self.post, self.app = post, None
        self.inboxes = {}  # the id of a socket to what its handler receives
        self.hung_up = set()  # the ids of sockets whose clients know that they are closed
        self.tasks = set()
        self.ports = count(50_000)  # of clients
        self.jars = defaultdict(Jar)  # the cookies of tabs, which say in which jar theirs are
        self.is_away = False

    def handle(self, message):
        """Take a message of a tab."""
        kind, id = message["kind"], message.get("id")
        if kind == "http":
            self.spawn(self.answer(message))
        elif kind == "open":
            self.inboxes[id] = asyncio.Queue()
            self.spawn(self.serve(message, self.inboxes[id]))
        elif kind == "tcp":
            self.spawn(self.send_line(message))
        elif id in self.inboxes and kind == "send":
            data = message["data"]
            if not isinstance(data, str):
                data = bytes(data)
            # If the bytes are empty, Quart looks for a text, and would fail without one.
            both = {"text": data} if isinstance(data, str) else {"text": data, "bytes": data}
            self.inboxes[id].put_nowait({"type": "websocket.receive", **both})
        elif id in self.inboxes and kind == "close":
            self.inboxes[id].put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def spawn(self, coroutine):
        """Run a coroutine in a task, which is kept as long as it runs."""
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def start(self, app):
        """Serve an app from now on."""
        await app.startup()
        self.app = app

    async def stop(self):
        """Tell the clients that the server stops, and let the app end."""
        app, self.app = self.app, None
        self.hang_up(GOING)
        for _turn in range(50):
            if not self.inboxes:
                break
            await asyncio.sleep(0.01)
        if app:
            await app.shutdown()

    def hang_up(self, code):
        """End all connections: the clients are told a code, and the handlers end."""
        for id, inbox in self.inboxes.items():
            inbox.put_nowait({"type": "websocket.disconnect", "code": code})
            if id not in self.hung_up:
                self.hung_up.add(id)
                self.post(kind="closed", id=id, is_open=True, code=code, reason="")

    def scope(self, kind, message):
        """What ASGI tells an app of a request or a handshake."""
        path, _, query = message["path"].partition("?")
        host = message.get("host") or HOST
        origin = message.get("origin") or f"http://{host}"
        told = [("host", host), ("origin", origin), *(message.get("headers") or [])]
        jar = self.jars[message["jar"]] if message.get("jar") else Jar()
        if cookies := jar.header(f"http://{host}{path}", origin):
            told.append(("cookie", cookies))
        return {
            **SCOPE,
            "type": kind,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "client": ("127.0.0.1", next(self.ports)),
            "headers": [(name.lower().encode(), value.encode()) for name, value in told],
        }

    def take_cookies(self, message, headers):
        """Put the cookies of the answer to a tab's message into its jar."""
        if headers and message.get("jar"):
            url = f"http://{message.get('host') or HOST}{message['path']}"
            self.jars[message["jar"]].take(url, headers)

    async def answer(self, message):
        """Let the app answer a request, and post the answer."""
        self.post(kind="answer", id=message["id"], **await self.respond(message))

    async def respond(self, message):
        """The app's answer to a request: its status, body and headers."""
        body, start = bytearray(), {"status": 500, "headers": []}
        inbox = asyncio.Queue()
        content = bytes(message.get("body") or b"")
        inbox.put_nowait({"type": "http.request", "body": content, "more_body": False})

        async def send(event):
            start.update(event)
            body.extend(event.get("body", b""))
            if event["type"] == "http.response.body" and not event.get("more_body"):
                inbox.put_nowait({"type": "http.disconnect"})  # as a server says; Quart 0.23 waits

        scope = self.scope("http", message)
        try:
            if self.app is None:
                start["status"], body = 503, bytearray(_("The server is stopped.").encode())
            else:
                scope |= {"scheme": "http", "method": message["method"]}
                await self.app(scope, inbox.get, send)
        except Exception:
            traceback.print_exc()
        self.take_cookies(message, start["headers"])
        headers = [[k.decode("latin1"), v.decode("latin1")] for k, v in start["headers"]]
        return {"status": start["status"], "body": bytes(body), "headers": headers}

    async def serve(self, message, inbox):
        """Let the app serve a WebSocket until both have ended."""
        id, state = message["id"], "connecting"

        def closed(code, reason=""):
            nonlocal state
            self.post(kind="closed", id=id, is_open=state == "open", code=code, reason=reason)
            state = "closed"

        async def send(event):
            nonlocal state
            self.take_cookies(message, event.get("headers"))
            if event["type"] == "websocket.accept":
                state = "open"
                self.post(kind="accepted", id=id, protocol=event.get("subprotocol") or "")
            elif event["type"] == "websocket.send":
                text = event.get("text")
                self.post(kind="message", id=id, data=event["bytes"] if text is None else text)
            elif event["type"] == "websocket.close":
                code = event.get("code", 1000)
                closed(code, event.get("reason") or "")
                inbox.put_nowait({"type": "websocket.disconnect", "code": code})
            elif event["type"] == "websocket.http.response.start":
                self.post(kind="refused", id=id, status=event["status"])
            elif not event.get("more_body"):  # the end of the refusal
                inbox.put_nowait({"type": "websocket.disconnect", "code": LOST})

        scope = self.scope("websocket", message)
        scope |= {"scheme": "ws", "subprotocols": list(message.get("protocols") or [])}
        scope["extensions"] = {"websocket.http.response": {}}
        inbox.put_nowait({"type": "websocket.connect"})
        failed = False
        try:
            if self.app and not self.is_away:
                await self.app(scope, inbox.get, send)
        except Exception:
            failed = True
            traceback.print_exc()
        finally:
            self.inboxes.pop(id, None)
            if state != "closed" and id not in self.hung_up:
                closed((FAILED if failed else LOST) if state == "open" else LOST)

    async def send_line(self, message):
        """Send a line to a TCP port of the app, as `nc` does, and post the answer."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", message["port"])
            writer.write(message["text"].encode())
            writer.write_eof()
            text = await asyncio.wait_for(reader.read(), TCP_SECONDS)
            writer.close()
            self.post(kind="answer", id=message["id"], text=text.decode(errors="replace"))
        except TimeoutError:
            self.post(kind="answer", id=message["id"], text="")
        except OSError:
            words = _("nothing listens on TCP port {port}").format(port=message["port"])
            self.post(kind="failed", id=message["id"], text=words)
