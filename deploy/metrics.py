"""What a deployed app reports about itself: metrics for Prometheus, and whether it is ready."""

import json
from collections import Counter
from functools import lru_cache

NO_CODE = 1005  # what Uvicorn reports for a connection that ended without a code


@lru_cache(8)  # clients at the same cursor share one frame, which is parsed once
def messages_in(frame):
    return len(json.loads(frame).get("messages", ()))


class Watched:
    """ASGI middleware that watches the app, and adds /ready and /metrics."""

    def __init__(self, app, log):
        self.app, self.log, self.is_draining = app, log, False
        self.connections = self.deliveries = 0
        self.closes, self.refused = Counter(), Counter()

    async def __call__(self, scope, receive, send):
        path = scope.get("path")
        if scope["type"] == "websocket":
            await self.watch(scope, receive, send)
        elif path == "/metrics" and not is_forwarded(scope):
            await answer(send, 200, self.metrics())
        elif path == "/ready" and self.is_draining:
            await answer(send, 503, "draining\n")
        else:
            # Unless it is draining, a server is ready if it is healthy.
            scope = {**scope, "path": "/health"} if path == "/ready" else scope
            await self.app(scope, receive, send)

    async def watch(self, scope, receive, send):
        """Serve one WebSocket, and count how it starts, what it gets, and how it ends."""
        is_open = False

        def end(code):
            nonlocal is_open
            if is_open:
                is_open = False
                self.connections -= 1
                self.closes[code] += 1

        async def receiving():
            event = await receive()
            if event["type"] == "websocket.disconnect":
                end(event["code"])
            return event

        async def sending(event):
            nonlocal is_open
            await send(event)
            if event["type"] == "websocket.accept":
                is_open = True
                self.connections += 1
            elif event["type"] == "websocket.send":
                self.deliveries += messages_in(event["text"])
            elif event["type"] == "websocket.close":
                end(event["code"])
            elif event["type"] == "websocket.http.response.start":
                self.refused[event["status"]] += 1

        try:
            await self.app(scope, receiving, sending)
        finally:
            end(NO_CODE)  # unless it has ended before

    def metrics(self):
        """All numbers, in the text format of Prometheus."""
        log = self.log
        families = [
            ("connections", "gauge", "Clients connected now.", self.connections),
            ("deliveries_total", "counter", "Messages sent to clients.", self.deliveries),
            ("closes_total", "counter", "Connections that ended, by close code.", self.closes),
            ("refused_total", "counter", "Handshakes refused, by HTTP status.", self.refused),
            ("messages_total", "counter", "The last id in the log that servers share.", log.last),
            ("log_messages", "gauge", "Messages that the log keeps.", len(log.messages)),
            ("log_up", "gauge", "Whether the log can be reached.", int(bool(log.name))),
            ("draining", "gauge", "Whether the server is about to stop.", int(self.is_draining)),
        ]
        return "".join(family(f"websocket_{name}", *rest) for name, *rest in families)


def family(name, kind, about, value):
    """The lines about one metric; that of a Counter has a line for each code."""
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    if isinstance(value, Counter):
        lines += [f'{name}{{code="{code}"}} {count}' for code, count in sorted(value.items())]
    else:
        lines.append(f"{name} {value}")
    return "\n".join(lines) + "\n"


def is_forwarded(scope):
    """Whether a request came through a proxy: then it comes from outside."""
    return any(name == b"x-forwarded-for" for name, _ in scope["headers"])


async def answer(send, status, text):
    headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
