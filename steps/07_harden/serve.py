"""Serve the app for real: python serve.py [--port PORT]"""

import argparse
import asyncio

import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class Protocol(WebSocketsSansIOProtocol):
    """Cuts off a client for which something has been waiting for 20 seconds."""

    def connection_made(self, transport):
        super().connection_made(transport)
        transport.set_write_buffer_limits(0)  # bytes that may wait without a pause

    def pause_writing(self):
        super().pause_writing()
        self.patience = asyncio.get_running_loop().call_later(20, self.transport.abort)

    def resume_writing(self):
        self.patience.cancel()
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
    options = parser.parse_args()
    uvicorn.run("websocket:app", port=options.port, **SETTINGS)
