"""TCP without a network: a server and its clients in the same Python.

A loop with the methods of `InMemory` connects clients to servers in `network`. A port belongs to
the server that listens on it, as on a machine of its own.
"""

import asyncio
import errno
import socket
from collections import deque

READ_SIZE = 256 * 1024  # bytes, what asyncio reads at once
# Bytes: a writer pauses when more is left, and continues when less is left.
HIGH, LOW = 64 * 1024, 16 * 1024
ANY = ("", "0.0.0.0")  # the addresses of a server that listens on all of them


class Network:
    """Which server listens on which port."""

    def __init__(self):
        self.servers = {}
        self.last_port = 40_000  # of those that the system itself gives away

    def free_port(self):
        """A port that nobody has."""
        self.last_port += 1
        return self.last_port

    def listen(self, loop, factory, host, port):
        """A server on a port, 0 for any; raises OSError as a real one does."""
        try:
            number = int(port or 0)
        except ValueError:
            raise socket.gaierror(-8, "Servname not supported for ai_socktype") from None
        if not 0 <= number <= 65535:
            raise OverflowError("bind(): port must be 0-65535.")
        number = number or self.free_port()
        if number in self.servers:
            where = f"error while attempting to bind on address ({host!r}, {number})"
            raise OSError(errno.EADDRINUSE, f"{where}: [Errno 98] address already in use")
        self.on_listen((host, number))
        return Server(self, loop, factory, named(host), number)

    def on_listen(self, address):
        """Called with each address that is listened on."""

    def connect(self, loop, factory, host, port):
        """Both ends of a new connection, from here: raises ConnectionRefusedError if none is."""
        server = self.servers.get(int(port))
        host = named(host)
        if not server or not server.factory or server.host not in (*ANY, host):
            why = f"Connect call failed ({host!r}, {port})"
            raise ConnectionRefusedError(errno.ECONNREFUSED, why)
        here = Transport(loop, (host, self.free_port()))
        there = Transport(server.loop, (host, server.port))
        here.peer, there.peer = there, here
        protocol = factory()
        there.start(server.factory())
        here.start(protocol)
        return here, protocol


def named(host):
    """An address by its number; "" for all."""
    return {"localhost": "127.0.0.1", None: ""}.get(host, host)


class InMemory:
    """What a loop has that connects in memory."""

    async def create_server(self, factory, host=None, port=None, **_):
        """Listen on a port, as `asyncio.start_server` asks for."""
        return network.listen(self, factory, host, port)

    async def create_connection(self, factory, host=None, port=None, **_):
        """Connect to a port, as `asyncio.open_connection` asks for."""
        return network.connect(self, factory, host, port)


class Server:
    """What `create_server` returns, and a listening socket as well."""

    def __init__(self, network, loop, factory, host, port):
        self.network, self.loop, self.factory = network, loop, factory
        self.host, self.port = host, port
        network.servers[port] = self
        self.sockets = [self]

    def getsockname(self):
        """Its address: a host and a port."""
        return self.host, self.port

    def is_serving(self):
        """Whether it still listens."""
        return self.network.servers.get(self.port) is self

    def get_loop(self):
        """The loop that it belongs to."""
        return self.loop

    def close(self):
        """Listen no longer."""
        if self.is_serving():
            del self.network.servers[self.port]
        self.sockets = []

    def close_clients(self):
        """Its clients stay: they end by themselves."""

    async def start_serving(self):
        """It serves from the start."""

    async def serve_forever(self):
        """Wait to be cancelled."""
        await self.loop.create_future()

    async def wait_closed(self):
        """There is nothing to wait for."""

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Transport(asyncio.Transport):
    """One end of a connection: what it was sent is in `inbox` until its protocol takes it."""

    def __init__(self, loop, name):
        super().__init__()
        self.loop, self.name, self.peer, self.protocol = loop, name, None, None
        self.inbox, self.size = deque(), 0  # None in the inbox is the end
        self.is_closed = self.is_lost = False
        self.is_paused = self.is_writer_paused = False
        self.has_sent_eof = self.is_scheduled = False

    def start(self, protocol):
        """Tell a protocol that it is connected."""
        self.protocol = protocol
        self.loop.call_soon(protocol.connection_made, self)

    def get_extra_info(self, name, default=None):
        """The addresses of both ends."""
        known = {"sockname": self.name, "peername": self.peer.name, "socket": self}
        return known.get(name, default)

    def setsockopt(self, *_):
        """There is no socket to set anything of."""

    def get_protocol(self):
        """The protocol that takes what arrives."""
        return self.protocol

    def set_protocol(self, protocol):
        """Let another protocol take what arrives."""
        self.protocol = protocol

    def is_closing(self):
        """Whether this end is closed."""
        return self.is_closed

    # ---- what this end sends

    def get_write_buffer_size(self):
        """Bytes that the other end has not taken yet."""
        return self.peer.size

    def set_write_buffer_limits(self, high=None, low=None):
        """The limits stay as they are."""

    def write(self, data):
        """Put bytes into the other end's inbox, and pause where it takes none."""
        if self.is_closed or not data:
            return
        peer = self.peer
        if peer.is_closed:
            self._lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))
            return
        content = bytes(data)
        pieces = range(0, len(content), READ_SIZE)
        peer.inbox.extend(content[start : start + READ_SIZE] for start in pieces)
        peer.size += len(content)
        peer.wake()
        if peer.size > HIGH and not self.is_writer_paused:
            self.is_writer_paused = True
            self.protocol.pause_writing()

    def can_write_eof(self):
        """The other end can be told that no more is sent."""
        return True

    def write_eof(self):
        """Tell the other end that no more is sent."""
        if not self.has_sent_eof and not self.is_closed:
            self.has_sent_eof = True
            self.peer.inbox.append(None)
            self.peer.wake()

    def close(self):
        """Close this end, after what was sent has arrived."""
        if not self.is_closed:
            unread = self.size
            self.write_eof()
            self.is_closed = True
            self.loop.call_soon(self._gone, None)
            if unread:  # a system resets a connection that is closed with something unread
                self.peer._lose(ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"))

    def abort(self):
        """Close this end at once: the other end is reset."""
        if not self.is_closed:
            reset = ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")
            self.peer._lose(reset)
            self._lose(None)

    def _lose(self, error):
        if not self.is_closed:
            self.is_closed = True
            self.loop.call_soon(self._gone, error)

    def _gone(self, error):
        if not self.is_lost:
            self.is_lost = True
            self.inbox.clear()
            self.size = 0
            self.protocol.connection_lost(error)
            self.peer.go_on_writing()

    def go_on_writing(self):
        """Write again, if this end was paused because the other one took nothing."""
        if self.is_writer_paused and not self.is_closed:
            self.is_writer_paused = False
            self.protocol.resume_writing()

    # ---- what this end receives

    def is_reading(self):
        """Whether it takes what arrives."""
        return not self.is_paused and not self.is_closed

    def pause_reading(self):
        """Take nothing for now."""
        self.is_paused = True

    def resume_reading(self):
        """Take again what arrives."""
        self.is_paused = False
        self.wake()

    def wake(self):
        """Have the protocol take what is in the inbox, soon."""
        if not self.is_scheduled:
            self.is_scheduled = True
            self.loop.call_soon(self._deliver)

    def _deliver(self):
        self.is_scheduled = False
        if self.is_paused or self.is_closed or not self.inbox:
            return
        data = self.inbox.popleft()
        if data is None:
            if not self.protocol.eof_received():
                self.close()
            return
        self.size -= len(data)
        self.protocol.data_received(data)
        if self.size < LOW:
            self.peer.go_on_writing()
        if self.inbox:
            self.wake()


network = Network()
