"""A log that any number of servers share: a stream in Redis, and a copy of it in each server."""

import asyncio
import secrets

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from log import Log, LogAway

STREAM, NAME = "workshop:messages", "workshop:log"  # keys in Redis
FORGET = "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end"


def number_of(entries):
    """The id of the first of some entries, 0 if there is none; Redis writes it as 0-1, 0-2…"""
    return int(entries[0][0].removeprefix("0-")) if entries else 0


class RedisLog(Log):
    """The log's name is empty while Redis is away."""

    def __init__(self, size, url):
        super().__init__(size)
        self.size, self.copied, self.name = size, None, ""
        # No retries: a message whose answer was lost would be stored twice.
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 3, "decode_responses": True}
        self.redis = Redis.from_url(url, **options)
        self.outbox = asyncio.Queue()

    def jobs(self):
        return [self.reading(), self.writing()]

    async def append(self, message):
        """Have a message stored; who waits for it is woken when it comes back from Redis."""
        if not self.name:  # who knows which log this would go to
            raise LogAway
        stored = asyncio.get_running_loop().create_future()
        self.outbox.put_nowait((message, stored))
        await stored

    async def find(self, name, cursor):
        if name == self.name and cursor > self.last:  # it comes from a server that was faster
            try:
                await self.copy()
            except RedisError:
                raise LogAway from None
        if not self.name:
            raise LogAway
        return await super().find(name, cursor)

    async def writing(self):
        while True:
            batch = [await self.outbox.get()]
            while not self.outbox.empty():
                batch.append(self.outbox.get_nowait())
            try:
                # In one transaction, so that a burst comes back, and goes out, as one.
                async with self.redis.pipeline() as pipeline:
                    for message, _ in batch:
                        entry = {"text": message}
                        pipeline.xadd(
                            STREAM,
                            entry,
                            "0-*",
                            maxlen=self.size,
                            approximate=False,
                            nomkstream=True,
                        )
                    # Without its stream, Redis has lost the log, and ids would begin again.
                    answer = None if all(await pipeline.execute()) else LogAway()
            except RedisError:
                answer = LogAway()
            for _, stored in batch:
                if not stored.done():  # who sent it may have left
                    stored.set_exception(answer) if answer else stored.set_result(None)
                self.outbox.task_done()

    async def reading(self):
        while True:
            try:
                await self.find_stream()
                while await self.copy(block=200):  # milliseconds
                    pass
            except (RedisError, LookupError, ValueError):  # or an entry that is none of ours
                self.name = ""
                await self.redis.connection_pool.disconnect()  # they are all broken now
                await self.outbox.join()  # senders are told before they are closed
                self.wake()
                await asyncio.sleep(0.2)

    async def find_stream(self):
        """Agree with the other servers on the log's name; copy the log if it is another."""
        last, name = self.last, await self.redis.get(NAME)
        newest = await self.redis.xrevrange(STREAM, count=1)
        has_lost = name == self.copied and number_of(newest) < last
        if has_lost:
            await self.redis.eval(FORGET, 1, NAME, name)  # unless it is another by now
        if not name or has_lost:
            await self.redis.set(NAME, secrets.token_hex(4), nx=True)  # unless there is one
            name = await self.redis.get(NAME)
        if not newest and not await self.redis.exists(STREAM):
            await self.redis.xgroup_create(STREAM, "none", "$", mkstream=True)  # an empty one
        if name != self.copied:
            self.name = ""
            self.messages.clear()
            self.frame.cache_clear()
            self.last = 0
            self.copied = name
            await self.copy()
        self.name = name
        self.wake()

    async def copy(self, block=None):
        """Copy what is new in Redis; returns whether there was anything."""
        streams = await self.redis.xread({STREAM: f"0-{self.last}"}, block=block)
        for _, entries in streams:
            for entry in entries:
                number = number_of([entry])
                if number <= self.last:  # copied meanwhile
                    continue
                if number > self.last + 1:  # what is between is no longer kept
                    self.messages.clear()
                self.last = number
                self.messages.append(entry[1]["text"])
        self.wake()
        return bool(streams)
