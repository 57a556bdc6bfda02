"""Values that expire, in Redis, where all servers find them."""

from contextlib import contextmanager

from redis.exceptions import RedisError

from log import LogAway

PREFIX = "workshop:"
REMOVE = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


class RedisStore:
    """The same as a Store; each method raises LogAway while Redis is away."""

    def __init__(self, redis):
        self.redis = redis

    async def add(self, key, value, seconds):
        with log_away():
            milliseconds = int(1000 * seconds)
            return bool(await self.redis.set(PREFIX + key, value, nx=True, px=milliseconds))

    async def get(self, *keys):
        with log_away():
            return await self.redis.mget([PREFIX + key for key in keys]) if keys else []

    async def pop(self, key):
        with log_away():
            return await self.redis.getdel(PREFIX + key)

    async def remove(self, key, value):
        with log_away():
            await self.redis.eval(REMOVE, 1, PREFIX + key, value)


@contextmanager
def log_away():
    try:
        yield
    except RedisError:
        raise LogAway from None
