"""Serve the app for real: python serve.py [--port PORT] [--workers NUMBER]"""

import argparse
import asyncio
import os

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

BACKLOG = 2**21  # bytes from a client that reads nothing meanwhile


class Protocol(WebSocketsSansIOProtocol):
    """Cuts off a client for which something has been waiting for 20 seconds."""

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

    def pause_writing(self):
        super().pause_writing()
        self.patience = asyncio.get_running_loop().call_later(20, self.transport.abort)

    def resume_writing(self):
        self.patience.cancel()
        self.unread = 0
        super().resume_writing()


SETTINGS = {
    "ws": Protocol,
    "ws_max_size": 4096,  # bytes; a longer message is refused before it is all there
    "ws_per_message_deflate": False,  # a few bytes could unpack to many
    "ws_ping_interval": 20,  # seconds; who does not answer a ping
    "ws_ping_timeout": 20,  # in as many is gone
    "timeout_graceful_shutdown": 0.5,  # seconds for goodbyes
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the app.")
    parser.add_argument("--port", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=1, help="needs REDIS_URL if over 1")
    options = parser.parse_args()
    if options.workers > 1 and not os.environ.get("REDIS_URL"):
        parser.error("each worker would be a room of its own: set REDIS_URL")
    uvicorn.run("websocket:app", port=options.port, workers=options.workers, **SETTINGS)
