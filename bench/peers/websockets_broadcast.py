"""`broadcast()` of the package websockets: it writes to everyone, and awaits nobody."""

import asyncio
import os
import sys

from websockets.asyncio.server import broadcast, serve
from websockets.exceptions import ConnectionClosedError

COMPRESSION = "deflate" if "DEFLATE" in os.environ else None
connections = set()


async def handler(connection):
    connections.add(connection)
    try:
        async for message in connection:
            broadcast(connections, message)
    except ConnectionClosedError:
        pass
    finally:
        connections.remove(connection)


async def main():
    port = int(sys.argv[1])
    async with serve(handler, "127.0.0.1", port, compression=COMPRESSION, backlog=2048) as server:
        await server.serve_forever()


asyncio.run(main())
