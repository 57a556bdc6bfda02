"""Ports of this machine: which is free, and who listens on one."""

import asyncio
import socket
from contextlib import suppress
from random import randrange

from harness import patience
from harness.patience import within


def free_port():
    """A free port of 127.0.0.1, and not one of those that the system itself gives away."""
    while True:
        port = randrange(20_000, 32_000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def connect_tcp(port, host="127.0.0.1"):
    """Connect to the app's TCP source: a reader and a writer."""
    try:
        return await within(patience.DEADLINE, asyncio.open_connection(host, port))
    except OSError:
        raise AssertionError(
            f"nothing listens on TCP port {port} of {host}: the port is in the app's setting "
            "TCP_PORT; does it take that from QUART_TCP_PORT?"
        ) from None
