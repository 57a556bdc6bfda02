"""Ports of this machine: which is free, and who listens on one."""

import asyncio
import socket
from contextlib import suppress
from random import randrange

from harness import failures, journey, patience
from harness.patience import within

TRIES = 5  # to connect, one for each turn of the event loop


def free_port():
    """A free port of 127.0.0.1, and not one of those that the system itself gives away."""
    while True:
        port = randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def connect_tcp(port, host="127.0.0.1", app=None):
    """Connect to the app's TCP server: a reader and a writer."""
    for _ in range(TRIES):  # an app may start its server in a task
        with suppress(OSError):
            return await within(patience.DEADLINE, asyncio.open_connection(host, port))
        await asyncio.sleep(0)
    raise AssertionError(
        f"nothing listens on TCP port {port} of {host}{why_nothing_listens(app, port)}"
    )


def why_nothing_listens(app, port):
    """Say what an app may lack that should listen on a port: a clause."""
    if because := app and failures.because(app):
        return because
    if closed := journey.closed_server():
        return f": {closed}"
    if app and str(app.config.get("TCP_PORT")) != str(port):
        return (
            ": the app has no setting TCP_PORT, which app.config.from_prefixed_env() takes from "
            "QUART_TCP_PORT"
        )
    return (
        ": is the server started when the app starts, by @app.while_serving or "
        "@app.before_serving, and does it take the port of QUART_TCP_PORT?"
    )
