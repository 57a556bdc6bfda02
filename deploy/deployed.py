"""Serve the app in production: python deployed.py [--port PORT] [--host ADDRESS]"""

import argparse
import asyncio
import os
import time

import uvicorn

from metrics import Watched
from serve import SETTINGS
from websocket import app, log

watched = Watched(app, log)


class DrainingServer(uvicorn.Server):
    """Before it stops, it isn't ready for a while, so proxies send new clients elsewhere."""

    def __init__(self, seconds, **settings):
        super().__init__(uvicorn.Config(watched, **settings, **SETTINGS))
        self.seconds = seconds

    async def shutdown(self, sockets=None):
        watched.is_draining = True
        until = time.monotonic() + self.seconds
        while time.monotonic() < until and not self.force_exit:  # a second Ctrl-C
            await asyncio.sleep(0.05)
        await super().shutdown(sockets)  # closes each client with 1012


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Serve the app in production.")
    parser.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets others connect")
    parser.add_argument("--port", type=int, default=os.environ.get("PORT", 5000))
    parser.add_argument("--drain", type=float, default=5, help="seconds not ready before it stops")
    options = parser.parse_args()
    DrainingServer(options.drain, host=options.host, port=options.port).run()
