"""A log that any number of servers share: a stream in Redis, and a copy of it in each server."""

import asyncio
import logging
import secrets
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from doors import Goodbye
from log import Log, LogAway

logger = logging.getLogger(__name__)
STREAM, NAME, PROBE = "workshop:messages", "workshop:log", "workshop:probe"  # keys in Redis
# Redis runs a script as a whole, with nothing else in between: so all servers agree on one log.
# The log is made anew if it is not there, if somebody else has written into it (ARGV[4] names such
# a log), or if it has lost messages: a server has copied up to ARGV[3] of the log named ARGV[2].
FIND_OR_MAKE = """
local name, kind = redis.call('type', KEYS[2]).ok, redis.call('type', KEYS[1]).ok
if name == 'string' and kind == 'stream' then
  name = redis.call('get', KEYS[2])
  local info = redis.call('xinfo', 'stream', KEYS[1])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      local last = tonumber(string.match(info[i + 1], '^0%-(%d+)$'))
      local has_lost = last and name == ARGV[2] and last < tonumber(ARGV[3])
      if last and not has_lost and name ~= ARGV[4] then return name end
    end
  end
end
redis.call('del', KEYS[1])
redis.call('xgroup', 'create', KEYS[1], 'none', '$', 'mkstream')
redis.call('set', KEYS[2], ARGV[1])
return ARGV[1]
"""


class RedisLog(Log):
    """The log's name is empty while Redis is away."""

    def __init__(self, size, url):
        super().__init__(size)
        self.size, self.name, self.copied, self.spoiled = size, "", "", ""
        self.troubles = {}  # what cannot be done, and the kind of error
        self.outbox = asyncio.Queue()
        # No retries: a message whose answer was lost would be stored twice.
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 3, "decode_responses": True}
        try:
            self.redis = Redis.from_url(url, **options)
        except ValueError as error:
            what = "REDIS_URL has to be the address of a Redis server, not of a Sentinel"
            raise SystemExit(f"{what}: {error}") from None

    async def running(self):
        tasks = [asyncio.create_task(job) for job in (self._reading(), self._writing())]
        with suppress(TimeoutError):  # without its log, a server starts all the same
            async with asyncio.timeout(3):
                while not self.name:
                    await self.news.wait()
        yield
        for task in tasks:
            task.cancel()
        await self.redis.aclose()

    async def check(self):
        if not self.name:
            raise LogAway
        try:
            # There is no such stream, so this adds nothing; but Redis refuses it if it cannot add.
            await self.redis.xadd(PROBE, {"text": ""}, nomkstream=True)
        except RedisError as error:
            self._report("written to", error)
            raise LogAway from None
        self._report("written to")

    async def append(self, message):
        """Have a message stored; clients get it when it comes back from Redis."""
        if not self.name:  # nobody knows which log it would go to
            raise LogAway
        stored = asyncio.get_running_loop().create_future()
        self.outbox.put_nowait((message, stored))
        await stored

    async def _writing(self):
        while True:
            batch = [await self.outbox.get()]
            while not self.outbox.empty():
                batch.append(self.outbox.get_nowait())
            answer = None
            try:
                # In one transaction, so that a burst comes back, and goes out, as one.
                async with self.redis.pipeline() as pipeline:
                    options = {"maxlen": self.size, "approximate": False, "nomkstream": True}
                    for message, _ in batch:
                        pipeline.xadd(STREAM, {"text": message}, "0-*", **options)
                    if not all(await pipeline.execute()):  # the stream is gone
                        answer = LogAway()
                self._report("written to")
            except RedisError as error:
                self._report("written to", error)
                answer = LogAway()
            for _, stored in batch:
                if not stored.done():  # its sender may have left
                    stored.set_exception(answer) if answer else stored.set_result(None)
                self.outbox.task_done()

    async def _reading(self):
        while True:
            try:
                await self._find_or_make()
                self._report("read")
                while await self._copy(block=200):  # milliseconds
                    pass
                continue
            except RedisError as error:
                self._report("read", error)
            except ValueError:
                logger.error("%s holds what is not a message: the log is made anew.", STREAM)
                self.spoiled = self.copied
            self.name = ""
            await self.redis.connection_pool.disconnect()  # the connections are broken now
            await self.outbox.join()  # senders are told before they are closed
            self._wake()
            await asyncio.sleep(0.2)

    async def _find_or_make(self):
        mine = secrets.token_hex(4), self.copied, self.last, self.spoiled
        name = await self.redis.eval(FIND_OR_MAKE, 2, STREAM, NAME, *mine)
        if name != self.copied:
            if self.copied:
                logger.warning("The log %s is gone; %s takes its place.", self.copied, name)
            self.name = ""
            self.messages.clear()
            self._frame.cache_clear()
            self.copied, self.last = name, 0
            await self._copy()
        self.name = name
        self._wake()

    async def _copy(self, block=None):
        """Copy what is new in Redis; returns whether there was anything."""
        name = self.copied
        streams = await self.redis.xread({STREAM: f"0-{self.last}"}, block=block)
        for entry_id, entry in streams[0][1] if streams and name == self.copied else []:
            first, _, number = entry_id.partition("-")
            if first != "0" or entry.keys() != {"text"}:
                raise ValueError(entry_id)
            if int(number) <= self.last:  # copied meanwhile
                continue
            if int(number) > self.last + 1:  # what is between is no longer kept
                self.messages.clear()
            self.last = int(number)
            self.messages.append(entry["text"])
        self._wake()
        return bool(streams)

    async def _resume(self, name, last):
        try:
            if name == self.name and last > self.last:  # it comes from a server that was faster
                await self._copy()
        except (RedisError, ValueError):
            raise Goodbye(1012, "The log is away: reconnect.") from None
        if not self.name:
            raise Goodbye(1012, "The log is away: reconnect.")
        return await super()._resume(name, last)

    def _report(self, what, error=None):
        """Log what cannot be done, and that it can be done again, once each."""
        kind = type(error).__name__ if error else ""
        if kind != self.troubles.get(what, ""):
            self.troubles[what] = kind
            if error:
                logger.error("The log in Redis cannot be %s: %s", what, error)
            else:
                logger.warning("The log in Redis can be %s again.", what)
