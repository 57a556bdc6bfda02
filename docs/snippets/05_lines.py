"""A TCP server that reads lines, and a client of it."""

import asyncio


async def count(reader, writer):
    async for line in reader:
        print("received", line)
    print("the client has disconnected")
    writer.close()


async def main():
    server = await asyncio.start_server(count, "127.0.0.1", 0)  # 0: any free port
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"three sheep\nfour sheep\n")
    writer.write_eof()
    await reader.read()  # until the server closes the connection
    writer.close()
    server.close()


asyncio.run(main())
