"""Rules for who may connect, how much each client may send, and how a connection ends."""

import logging
import re
import time
from collections import Counter
from contextlib import contextmanager

from quart import abort

logger = logging.getLogger(__name__)
ORIGIN = re.compile(r"(https?)://([\w.-]+|\[[\da-f:]+\])(:\d{1,5})?")
DEFAULT_PORTS = {"http": ":80", "https": ":443"}
MOST_REFUSALS = 100  # different origins to log; more than that would be a flood


class Goodbye(Exception):
    """Ends a connection with a close code and a reason."""

    def __init__(self, code, reason):
        super().__init__(code, reason)
        self.code, self.reason = code, reason


class Origins:
    """The origins that may connect: this machine's own and the listed ones."""

    def __init__(self, listed):
        words = str(listed).replace(",", " ").split()
        self.listed = {self.normalized(word) for word in words}
        self.refused = set()

    @staticmethod
    def normalized(word):
        """An origin as browsers write it; anything else ends the program with an explanation."""
        match = ORIGIN.fullmatch(word.lower().removesuffix("/"))
        if not match:
            raise SystemExit(f"QUART_ORIGINS: {word} is not an origin such as https://chat.example")
        scheme, host, port = match.groups()
        return f"{scheme}://{host}" + (port if port and port != DEFAULT_PORTS[scheme] else "")

    def allow(self, origin, host):
        """Whether a page of this origin may connect to this host; logs each rejection once."""
        # Anyone can point a name at this machine, so by default only its own names count.
        is_local = host.partition(":")[0] in ("127.0.0.1", "localhost")
        same_origin = {f"http://{host}", f"https://{host}"} if is_local else set()
        # Browsers always send an origin, and no page can change it; other clients may omit it.
        if not origin or origin in same_origin | self.listed:
            return True
        if origin not in self.refused and len(self.refused) < MOST_REFUSALS:
            self.refused.add(origin)
            expected = " or ".join(sorted(same_origin | self.listed)) or "http://localhost"
            logger.warning(
                "403: a page of %.100s asked for %.100s, where only pages of %s may connect: "
                "QUART_ORIGINS lists more.",
                origin,
                host,
                expected,
            )
        return False


class Room:
    """Limits how many clients are connected, in total and from each address."""

    def __init__(self, size, per_address):
        self.size, self.per_address = size, per_address
        self.taken = Counter()

    @contextmanager
    def seat(self, address):
        if self.taken[address] >= self.per_address:
            abort(429)
        if self.taken.total() >= self.size:
            abort(503)
        self.taken[address] += 1
        try:
            yield
        finally:
            self.taken[address] -= 1
            self.taken += Counter()  # drops addresses without a connection


class TokenBucket:
    """Holds a second's worth of tokens, refills steadily, and gives one for each message."""

    def __init__(self, rate):
        self.rate = self.tokens = rate
        self.time = time.monotonic()

    def take(self):
        """Take a token; returns whether there was one."""
        now = time.monotonic()
        self.tokens = min(self.rate, self.tokens + (now - self.time) * self.rate)
        self.time = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True
