"""Another asyncio server: each line that follows the rules becomes a message."""

import asyncio
import re
from contextlib import closing, suppress

from log import LogAway

HTTP_REQUEST = re.compile(rb"\S+ \S+ HTTP/")
QUIET = 60  # seconds after which a silent client is disconnected
RULES = b"Send lines of UTF-8, each at most 4 KiB long, and no HTTP.\n"
AWAY = b"The line is not stored: try again later.\n"


async def tcp_source(port, append, rate, size, clients):
    seats = asyncio.Semaphore(clients)

    async def reading(reader):
        while line := await asyncio.wait_for(reader.readline(), QUIET):
            if HTTP_REQUEST.match(line):  # any web page can make a browser connect to this port
                raise ValueError(line)
            if message := line.decode().rstrip("\r\n"):
                await append(message)
            await asyncio.sleep(1 / rate)  # back-pressure: makes the client wait

    async def tcp_client(reader, writer):
        with closing(writer), suppress(ConnectionError, TimeoutError):  # gone, or silent
            if seats.locked():
                return
            async with seats:
                try:
                    await reading(reader)
                except (LogAway, ValueError) as error:  # or HTTP, not UTF-8, or too long
                    writer.write(AWAY if isinstance(error, LogAway) else RULES)
                    writer.write_eof()
                    # Closing while the client is still sending would cut this message off.
                    async with asyncio.timeout(0.2):
                        while await reader.read(65536):
                            pass

    server = None
    with suppress(OSError):  # another worker may have been faster
        server = await asyncio.start_server(tcp_client, "127.0.0.1", port, limit=size)
        print("Each line sent to TCP port", port, "becomes a message.")
    yield  # until the app stops
    if server:
        server.close()
