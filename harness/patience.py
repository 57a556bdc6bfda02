"""How long to wait for an app that says nothing: as long as it would take on a quiet machine.

A deadline is for a conversation that has stopped, not for a slow machine. So waiting happens in
short turns, and what a turn counts depends on what was done in it.
"""

import asyncio
import time
from contextlib import asynccontextmanager, contextmanager

DEADLINE = 3  # seconds, for whatever a test waits for; --deadline sets another
TURN = 0.05  # seconds between two looks
LONG_TURN = 0.25  # the same, for another process
WORKS = 0.1  # of a turn: whoever gets that much of a processor is at work
REST = 3  # turns without work: until then it may be waiting for a processor
SLOWEST = 0.1  # of full speed: less is not believed, so that every wait comes to its end


class Patience:
    """Some seconds to wait for an app in this process, to be asked once a turn or more often.

    While the app works, only the time that it gets of a processor counts: beside others, it needs
    longer. A turn that the whole process was kept waiting counts as one turn.
    """

    turn = TURN

    def __init__(self, seconds):
        self.left = seconds
        self.idle_turns = 0
        self.last_look, self.worked = time.monotonic(), time.process_time()

    def is_over(self):
        """Whether the seconds have passed."""
        passed = time.monotonic() - self.last_look
        if passed > self.turn / 2:
            self._count(min(passed, self.turn))
            self.last_look = time.monotonic()
        return self.left <= 0

    def _count(self, seconds):
        before, self.worked = self.worked, time.process_time()
        worked = self.worked - before
        if worked > WORKS * seconds:
            self.idle_turns = 0
            self.left -= min(worked, seconds)
        else:
            self.idle_turns += 1
            if self.idle_turns >= REST:
                self.left -= seconds * (REST if self.idle_turns == REST else 1)


class PatienceWithAnother(Patience):
    """Some seconds to wait for another process: the slower this machine is, the less they count."""

    turn = LONG_TURN
    best = float("inf")  # seconds that a known piece of work took at best

    def _count(self, seconds):
        took = self.work()
        PatienceWithAnother.best = min(self.best, took)
        self.left -= seconds * max(SLOWEST, self.best / took)

    @staticmethod
    def work():
        """How many seconds a known piece of work takes at the moment."""
        began = time.perf_counter()
        sum(number * number for number in range(200_000))
        return time.perf_counter() - began


OF_APP = Patience  # the patience with an app; where it is apart, another one is put here


async def wait(tasks, seconds):
    """Wait until one of the tasks is done; returns whether one is when the seconds are over."""
    patience = OF_APP(seconds)
    while not any(task.done() for task in tasks) and not patience.is_over():
        await asyncio.wait(tasks, timeout=TURN, return_when=asyncio.FIRST_COMPLETED)
    return any(task.done() for task in tasks)


async def within(seconds, awaitable):
    """What is awaited; raises TimeoutError when the seconds are over."""
    task = asyncio.ensure_future(awaitable)
    try:
        if not await wait({task}, seconds):
            raise TimeoutError
        return task.result()
    finally:
        if task.cancel():
            await asyncio.wait({task}, timeout=TURN)  # it may have something to clean up


@asynccontextmanager
async def deadline(seconds):
    """Like `asyncio.timeout(seconds)`, but with patience: on a busy machine it takes longer."""
    async with asyncio.timeout(None) as timeout:
        watching = asyncio.create_task(_end_when_over(timeout, seconds))
        try:
            yield
        finally:
            watching.cancel()


async def _end_when_over(timeout, seconds):
    patience = OF_APP(seconds)
    while not patience.is_over():
        await asyncio.sleep(TURN)
    timeout.reschedule(0)


def until(condition, seconds):
    """Wait until a function returns something true; returns whether it did in time."""
    patience = Patience(seconds)
    while not condition():
        if patience.is_over():
            return False
        time.sleep(0.01)
    return True


@contextmanager
def longer_by(seconds):
    """Wait some seconds longer than usual in a block, for what takes its time."""
    global DEADLINE
    DEADLINE += seconds
    try:
        yield
    finally:
        DEADLINE -= seconds
