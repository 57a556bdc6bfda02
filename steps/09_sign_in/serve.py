"""Serve the app to others: python serve.py [--port PORT] [--workers NUMBER]"""

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
}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the app to others.")
    parser.add_argument("--port", type=int, default=5000)
    workers = os.environ.get("WEB_CONCURRENCY", "1")
    parser.add_argument("--workers", type=int, default=workers, help="needs REDIS_URL if over 1")
    options = parser.parse_args()
    if options.workers > 1 and not os.environ.get("REDIS_URL"):
        parser.error(f"{options.workers} workers would be as many rooms: set REDIS_URL")
    for name in ("QUART_SECRET_KEY", "QUART_CLASS_WORD"):
        if options.workers > 1 and not os.environ.get(name):
            parser.error(f"every worker would make up another one: set {name}")
    import websocket  # noqa: F401  # a wrong setting ends the program here, not in every worker

    uvicorn.run("websocket:app", port=options.port, workers=options.workers, **SETTINGS)
