"""A log that any number of servers share: a stream in Redis, and a copy of it in each server."""

import asyncio
import logging
import secrets
from contextlib import suppress
from itertools import chain

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from doors import Goodbye
from log import Log, LogAway, NotStored

logger = logging.getLogger(__name__)
STREAM, NAME, PROBE = "workshop:messages", "workshop:log", "workshop:probe"  # keys in Redis
NUMBERS, SENDERS = "workshop:numbers", "workshop:senders"
# Redis runs a script without interruption, so all servers agree on one log. The script creates a
# new log if there is none, if somebody else has written into it (ARGV[4] names such a log), or if
# it has lost messages: this server has copied the log named ARGV[2] up to ARGV[3].
FIND_OR_MAKE = """
local name = redis.call('type', KEYS[2]).ok == 'string' and redis.call('get', KEYS[2])
if redis.call('type', KEYS[1]).ok == 'stream' and name and name ~= ARGV[4] then
  local newest = redis.call('xrevrange', KEYS[1], '+', '-', 'count', 1)[1]
  local last = newest and tonumber(string.match(newest[1], '^0%-(%d+)$')) or 0
  if name ~= ARGV[2] or last >= tonumber(ARGV[3]) then return name end
end
redis.call('del', KEYS[1])
redis.call('xgroup', 'create', KEYS[1], 'none', '$', 'mkstream')  -- an empty stream
redis.call('set', KEYS[2], ARGV[1])
return ARGV[1]
"""

# For each message of a batch, looks up its sender's last number, stores the message, and remembers
# its number, in one: so it is stored once even if two servers have it, or if one is killed. SENDERS
# is sorted by a score, which is highest for the sender that sent last.
STORE = """
local size, most = ARGV[1], tonumber(ARGV[2])
local function store(text, sender, number, follows)
  local last = tonumber(redis.call('hget', KEYS[2], sender) or 0)
  if sender ~= '' then
    if follows == '1' and tonumber(number) > last + 1 then return 0 end
    local newest = redis.call('zrevrange', KEYS[3], 0, 0, 'withscores')[2] or 0
    redis.pcall('zadd', KEYS[3], newest + 1, sender)  -- fails if there is no memory left
    while redis.call('zcard', KEYS[3]) > most do
      redis.call('hdel', KEYS[2], redis.call('zpopmin', KEYS[3])[1])
    end
  end
  if tonumber(number) > last then
    if not redis.call('xadd', KEYS[1], 'nomkstream', 'maxlen', size, '0-*', 'text', text) then
      return 0  -- the stream is gone
    end
    if sender ~= '' then redis.call('hset', KEYS[2], sender, number) end
  end
  return 1
end
local stored = {}
for i = 3, #ARGV, 4 do table.insert(stored, store(unpack(ARGV, i, i + 3))) end
return stored
"""
TRY = "return redis.call('xadd', KEYS[1], 'nomkstream', '*', 'text', '')"  # as STORE adds them


class RedisLog(Log):
    """The log's name is empty while Redis is away."""

    def __init__(self, size, senders, url):
        super().__init__(size, senders)
        self.size, self.name, self.copied, self.spoiled = size, "", "", ""
        self.waiting, self.lock = [], asyncio.Lock()
        self.troubles = {}  # what fails, and the kinds of error so far
        # No retries: a message whose answer was lost would be stored twice if it has no number.
        options = {"retry": Retry(NoBackoff(), 0), "socket_timeout": 3, "decode_responses": True}
        try:
            self.redis = Redis.from_url(url, **options)
        except ValueError as error:
            what = "REDIS_URL has to be the address of a Redis server, not of a Sentinel"
            raise SystemExit(f"{what}: {error}") from None

    async def running(self):
        reading = asyncio.create_task(self._reading())
        with suppress(TimeoutError):  # a server starts even without its log
            async with asyncio.timeout(3):
                while not self.name:
                    await self.news.wait()
        yield
        reading.cancel()
        await self.redis.aclose()

    async def check(self):
        if not self.name:
            raise LogAway
        # There is no such stream, so this adds nothing, but it fails if Redis can't add entries.
        await self._write(self.redis.eval(TRY, 1, PROBE))

    async def append(self, message, sender="", number=1, follows=False):
        """Store a message; clients get it when it comes back from Redis."""
        if not self.name:
            raise LogAway
        self.waiting.append((message, sender, number, int(follows)))
        place = len(self.waiting) - 1
        if place == 0:
            self.storing = asyncio.create_task(self._store())
        are_stored = await asyncio.shield(self.storing)  # even if the sender disconnects
        if not are_stored[place]:
            raise LogAway

    async def _store(self):
        async with self.lock:  # meanwhile, more messages wait for the next batch
            batch, self.waiting = self.waiting, []
            # In one script, so that a burst comes back and goes out together.
            keys = STREAM, NUMBERS, SENDERS
            values = self.size, self.senders, *chain.from_iterable(batch)
            return await self._write(self.redis.eval(STORE, len(keys), *keys, *values))

    async def _write(self, command):
        try:
            answer = await command
        except RedisError as error:
            self._report("written to", error)
            # If Redis has answered with an error, it has stored nothing.
            raise (NotStored if isinstance(error, ResponseError) else LogAway) from None
        self._report("written to")
        return answer

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
            await asyncio.sleep(0.2)  # senders are told before they are closed
            self._wake()

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
            if int(number) > self.last + 1:  # those in between are no longer kept
                self.messages.clear()
            if int(number) > self.last:  # not copied meanwhile
                self.last = int(number)
                self.messages.append(entry["text"])
        self._wake()
        return bool(streams)

    async def _resume(self, name, last):
        try:
            if name == self.name and last > self.last:  # it was on a server that was faster
                await self._copy()
        except (RedisError, ValueError):
            raise Goodbye(1012, "The log is away: reconnect.") from None
        if not self.name:
            raise Goodbye(1012, "The log is away: reconnect.")
        return await super()._resume(name, last)

    def _report(self, what, error=None):
        """Log each kind of error once, and log once that the problem is over."""
        known = self.troubles.setdefault(what, set())
        if error and type(error) not in known:
            known.add(type(error))
            logger.error("The log in Redis cannot be %s: %s", what, error)
        elif known and not error:
            known.clear()
            logger.warning("The log in Redis can be %s again.", what)
