"""Who may come in, how much each may send, and what the page may do."""

import time
from collections import Counter
from contextlib import contextmanager

from quart import abort

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex, nofollow",
}


class Goodbye(Exception):
    """Ends a connection with a close code and a reason."""

    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Room:
    """Counts who is connected: so many in all, and so many from each address."""

    def __init__(self, size, for_each):
        self.size, self.for_each = size, for_each
        self.taken = Counter()

    @contextmanager
    def seat(self, address):
        if self.taken[address] >= self.for_each:
            abort(429)
        if self.taken.total() >= self.size:
            abort(503)
        self.taken[address] += 1
        try:
            yield
        finally:
            self.taken[address] -= 1
            self.taken += Counter()  # drops addresses that nobody is at


class TokenBucket:
    """Holds a second's worth of tokens, is refilled all the time, and gives one for a message."""

    def __init__(self, rate):
        self.rate = self.tokens = rate
        self.time = time.monotonic()

    def take(self):
        """Whether there was a token."""
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.time) * self.rate)
        self.time = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
