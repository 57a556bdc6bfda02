"""A WebSocket protocol for Uvicorn that limits what a client can make the server keep."""

from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from doors import TokenBucket

PATIENCE = 20  # seconds for which a client may leave data unread
BACKLOG = 2**21  # bytes that it may send meanwhile
PIECES = 100  # fragments of one message
CONTROLS = 100  # pings and pongs a second


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """Cuts off a client that doesn't read, or that sends too many pings, pongs or fragments."""

    def connection_made(self, transport):
        super().connection_made(transport)
        self.unread, self.controls = 0, TokenBucket(CONTROLS)
        transport.set_write_buffer_limits(0)  # pause as soon as the client accepts no more

    def pause_writing(self):
        super().pause_writing()
        self.patience = self.loop.call_later(PATIENCE, self.transport.abort)

    def resume_writing(self):
        super().resume_writing()
        self.patience.cancel()
        self.unread = 0

    def data_received(self, data):
        self.unread += 0 if self.writable.is_set() else len(data)
        if self.unread > BACKLOG or len(self.frames) > PIECES:
            return self.transport.abort()
        super().data_received(data)

    def handle_ping(self):
        if not self.controls.take():
            return self.transport.abort()
        super().handle_ping()

    def handle_pong(self, event):
        if not self.controls.take():
            return self.transport.abort()
        super().handle_pong(event)

    async def receive(self):
        # If the bytes are empty, Quart looks for a text, and would fail without one.
        message = await super().receive()
        return {"text": message.get("bytes"), **message}

    def send(self, message):
        if self.transport.is_closing():  # cut off, but the app doesn't know yet
            raise ClientDisconnected
        return super().send(message)
