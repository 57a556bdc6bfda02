"""Another asyncio server: each line that a TCP client sends becomes a message."""

import asyncio
from contextlib import closing, suppress


async def tcp_source(port, broadcast):
    async def tcp_client(reader, writer):
        # A bad line (ValueError) or a lost connection disconnects this client and nobody else.
        with closing(writer), suppress(ValueError, ConnectionError):
            async for line in reader:
                broadcast(line.decode().rstrip("\r\n"))

    server = await asyncio.start_server(tcp_client, "127.0.0.1", port)
    print("Each line sent to TCP port", port, "becomes a message.")
    yield  # until the app stops
    server.close()
