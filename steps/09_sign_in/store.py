"""Values that expire, in this process."""

import time


def open_store(log):
    """The store in Redis if the log is there, otherwise one in this process."""
    if not hasattr(log, "redis"):
        return Store()
    from redis_store import RedisStore  # needs the package redis

    return RedisStore(log.redis)


class Store:
    """Each value has a key, and expires after some seconds."""

    def __init__(self):
        self.values = {}  # a key, and its value with the time when it expires

    async def add(self, key, value, seconds):
        """Store a value unless the key has one; returns whether it was stored."""
        now = time.monotonic()
        self.values = {key: pair for key, pair in self.values.items() if pair[1] > now}
        return self.values.setdefault(key, pair := (value, now + seconds)) is pair

    async def get(self, *keys):
        """The value of each key, or None where there is none."""
        return [self._fresh(self.values.get(key)) for key in keys]

    async def pop(self, key):
        """Remove a key; returns its value, or None if there was none."""
        return self._fresh(self.values.pop(key, None))

    async def remove(self, key, value):
        """Remove a key if it has this value."""
        if await self.get(key) == [value]:
            del self.values[key]

    def _fresh(self, pair):
        value, expires = pair or (None, 0)
        return value if expires > time.monotonic() else None
