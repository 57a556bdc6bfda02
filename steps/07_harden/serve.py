"""Serve the app to others: python serve.py [--port PORT]"""

import argparse
import os

import uvicorn

from protocol import BoundedWebSocket

SETTINGS = {
    "ws": BoundedWebSocket,
    "ws_max_size": 4096,  # bytes; a longer message is rejected before all of it arrives
    "ws_per_message_deflate": False,  # a few bytes could unpack to many
    "ws_ping_interval": 20,  # seconds between pings
    "ws_ping_timeout": 20,  # seconds to answer one; otherwise the client is closed
    "timeout_graceful_shutdown": 0.5,  # seconds to close all connections
    # Set FORWARDED_ALLOW_IPS to the address of a proxy to trust its X-Forwarded-For.
    "proxy_headers": bool(os.environ.get("FORWARDED_ALLOW_IPS")),
    "workers": 1,  # whatever WEB_CONCURRENCY says: two would be two rooms
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the app to others.")
    parser.add_argument("--port", type=int, default=5000)
    options = parser.parse_args()
    uvicorn.run("websocket:app", port=options.port, **SETTINGS)
