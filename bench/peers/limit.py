"""The limit of one write for each delivery: a ready frame to every transport, and nothing else."""

import asyncio
import base64
import hashlib
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
transports = set()


class Connection(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport, self.buffer = transport, b""

    def connection_lost(self, error):
        transports.discard(self.transport)

    def data_received(self, data):
        self.buffer += data
        if self.transport not in transports:
            self.shake_hands()
        # A frame's mask is all zeros (load.py), so that its payload is ready to be sent.
        while len(self.buffer) >= 2 and len(self.buffer) >= (end := 6 + self.buffer[1] - 0x80):
            frame = b"\x81" + bytes([end - 6]) + self.buffer[6:end]
            self.buffer = self.buffer[end:]
            for transport in transports:
                transport.write(frame)

    def shake_hands(self):
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        key = head.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
        accept = base64.b64encode(hashlib.sha1(key + GUID).digest())
        self.transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        transports.add(self.transport)


async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", int(sys.argv[1]), backlog=2048)
    await server.serve_forever()


asyncio.run(main())
