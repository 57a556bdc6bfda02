"""Limits how many connections one machine may have to the board, whatever it does with them."""

from uvicorn.protocols.http.h11_impl import H11Protocol

PER_ADDRESS = 100  # as in step 7; a page has a few, and a report has one for a moment


class BoundedHTTP(H11Protocol):
    """Closes connections that an address opens beyond its share, to leave room for the others."""

    def connection_made(self, transport):
        super().connection_made(transport)
        address = self.client and self.client[0]
        mine = [other for other in self.connections if other.client and other.client[0] == address]
        if len(mine) > PER_ADDRESS:
            transport.abort()
