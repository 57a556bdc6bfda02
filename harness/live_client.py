"""A client of an app on a real server: over real sockets, with the surface of Quart's own."""

import asyncio
import http.client
import socket
from contextlib import suppress

from quart import Response

from harness import failures, patience, sign_in
from harness.patience import wait, within

SMALL_BUFFER = 16 * 1024  # bytes in the system, so that it soon shows who does not read


class LiveClient:
    def __init__(self, server):
        self.server = server

    def websocket(self, path, headers=None):
        return LiveConnection(self.server, path, headers)

    async def get(self, path, **options):
        return await self.open(path, method="GET", **options)

    async def post(self, path, **options):
        return await self.open(path, method="POST", **options)

    async def open(self, path, *, method="GET", headers=None, data=None, scheme="http"):
        server = self.server
        headers = await sign_in.as_somebody(server, server.app, self.post, headers)
        if scheme != "http":  # as a proxy says it that has taken away the TLS
            headers["X-Forwarded-Proto"] = scheme
        data = data.encode() if isinstance(data, str) else data
        connection = http.client.HTTPConnection(self.server.host)

        def ask():
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return Response(answer.read(), answer.status, answer.getheaders())

        try:
            response = await within(patience.DEADLINE, asyncio.to_thread(ask))
        except TimeoutError:
            raise failures.unanswered(path) from None
        finally:
            with suppress(OSError, AttributeError):  # a thread may still wait for an answer
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()
        return failures.explained(self.server.app, path, response)


class LiveConnection:
    def __init__(self, server, path, headers):
        self.server, self.app, self.path = server, server.app, path
        self.headers = dict(headers or {})
        self.host = self.headers.pop("Host", server.host)
        self.sent, self.name, self.expects = None, "", None  # a test may name it

    async def __aenter__(self):
        from websockets.asyncio.client import connect
        from websockets.exceptions import InvalidStatus

        server, post = self.server, LiveClient(self.server).post
        self.headers = await sign_in.as_somebody(server, self.app, post, self.headers)
        # asyncio sets TCP_NODELAY, and so sends at once, only if the socket says that it is TCP.
        sock = socket.socket(proto=socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        sock.connect(("127.0.0.1", self.server.port))
        try:
            opening = connect(
                f"ws://{self.host}{self.path}",
                sock=sock,
                additional_headers=self.headers,
                open_timeout=None,
                close_timeout=patience.DEADLINE,
                max_size=None,
                proxy=None,
            )
            self.connection = await within(patience.DEADLINE, opening)
        except InvalidStatus as error:
            answer = error.response
            response = Response(answer.body, answer.status_code, dict(answer.headers.raw_items()))
            raise failures.Refused(self.app, self.path, response) from None
        except TimeoutError:
            raise failures.no_answer(self.app, self.path) from None
        except ValueError:  # on a socket of ours, websockets follows no redirect
            raise AssertionError(
                f"the handshake on {self.path} is not accepted, but redirected: is there a slash "
                "at the end of the route?"
            ) from None
        self.port = self.connection.local_address[1]
        return self

    async def __aexit__(self, kind, error, trace):
        await self.connection.close()
        handler = asyncio.wrap_future(self.server.handlers[self.port])
        if not await wait({handler}, patience.DEADLINE) and error is None:
            raise failures.still_runs(self.path)

    async def send(self, data):
        from websockets.exceptions import ConnectionClosed

        self.sent = data
        with suppress(ConnectionClosed):  # receive() tells that, as it does in-process
            await self.connection.send(data)

    async def receive(self):
        from websockets.exceptions import ConnectionClosed

        try:
            data = await within(patience.DEADLINE, self.connection.recv())
        except TimeoutError:
            raise failures.no_message(self) from None
        except ConnectionClosed:
            closed = self.connection
            raise failures.Closed(
                self.app, self.path, closed.close_code, closed.close_reason, self.sent
            ) from None
        self.sent = None  # it was answered, so whatever is missing next is no answer to it
        return data

    def stop_reading(self):
        self.connection.transport.pause_reading()

    def read_again(self):
        self.connection.transport.resume_reading()

    async def disconnect(self):
        self.connection.transport.abort()

    async def close(self, code=1000):
        await self.connection.close(code)
