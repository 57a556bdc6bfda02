"""Serve the app for real: python serve.py [--port PORT]"""

import argparse
import os

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

CONNECTIONS = 10 + int(os.environ.get("QUART_CONNECTIONS", "1000"))  # with those of no client yet
PATIENCE = 20  # seconds that a client may keep the server waiting
BACKLOG = 2**21  # bytes from a client that reads nothing meanwhile


class HTTP(H11Protocol):
    """Cuts off a client that has not become a WebSocket, however much of a request it has sent."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.patience = self.loop.call_later(PATIENCE, transport.abort)
        if len(self.connections) > CONNECTIONS:
            transport.abort()

    def handle_websocket_upgrade(self, event):
        self.patience.cancel()
        super().handle_websocket_upgrade(event)

    def shutdown(self):
        super().shutdown()
        self.loop.call_later(0.2, self.transport.abort)  # what is not answered by then

    def connection_lost(self, exc):
        self.patience.cancel()
        super().connection_lost(exc)


class WebSocket(WebSocketsSansIOProtocol):
    """Cuts off a client that does not read what is waiting for it."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.unread = 0
        if transport.get_write_buffer_size():  # it has not read the answers to earlier requests
            transport.abort()
        transport.set_write_buffer_limits(0)  # bytes that may wait without a pause

    def data_received(self, data):
        # Pongs and goodbyes wait for nobody: who reads nothing may not go on for ever.
        self.unread += 0 if self.writable.is_set() else len(data)
        if self.unread > BACKLOG or len(self.frames) > 1000:
            return self.transport.abort()
        super().data_received(data)
        if self.conn.handshake_exc:  # Uvicorn would keep it, and stumble over it on SIGTERM
            self.transport.close()

    def handle_parser_exception(self):
        if not self.conn.close_sent:  # it has sent messages before it was let in
            return self.transport.abort()
        super().handle_parser_exception()

    def send_receive_event_to_app(self):
        try:
            if self.curr_msg_data_type == "text":
                b"".join(self.frames).decode()
        except UnicodeDecodeError:
            self.conn.send_close(1007, "Text has to be UTF-8.")
            return self.handle_parser_exception()
        super().send_receive_event_to_app()

    def send(self, message):
        if self.transport.is_closing():  # it was cut off, and the app has not heard of it yet
            raise ClientDisconnected
        return super().send(message)

    def pause_writing(self):
        super().pause_writing()
        self.patience = self.loop.call_later(PATIENCE, self.transport.abort)

    def resume_writing(self):
        self.patience.cancel()
        self.unread = 0
        if not self.transport.is_closing():
            super().resume_writing()


SETTINGS = {
    "http": HTTP,
    "ws": WebSocket,
    "ws_max_size": 4096,  # bytes; a longer message is refused before it is all there
    "ws_per_message_deflate": False,  # a few bytes could unpack to many
    "ws_ping_interval": 20,  # seconds; who does not answer a ping
    "ws_ping_timeout": 20,  # in as many is gone
    "timeout_graceful_shutdown": 0.5,  # seconds for goodbyes
    # Behind a proxy, say which addresses it has: only then is X-Forwarded-For believed.
    "proxy_headers": bool(os.environ.get("FORWARDED_ALLOW_IPS")),
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the app.")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    uvicorn.run("websocket:app", port=options.port, **SETTINGS)
