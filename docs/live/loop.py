"""An asyncio event loop for a page's worker: no sockets, no threads, and time that need not pass.

`PageLoop` is Python's own BaseEventLoop, with a selector that never reports anything. So when every
task waits, nothing can happen before the next timer is due, and the clock jumps there: a deadline
of 0.7 s costs no time. Only while a page's tabs are open may something come from outside.
"""

import asyncio
import time

from docs.live.network import InMemory


class Deadlock(RuntimeError):
    """Every task waits, and there is no timer: on another loop, this would be forever."""


class Clock:
    """The time as a PageLoop has it; it stands in for the module `time` where deadlines count."""

    real = staticmethod(time.monotonic)

    def __init__(self):
        self.skipped = 0.0  # seconds that were jumped over

    def monotonic(self):
        """Seconds since some moment, with those that were jumped over."""
        return self.real() + self.skipped

    @staticmethod
    def process_time():
        """Seconds that this process has worked: nothing else runs in a worker."""
        return time.perf_counter()

    def sleep(self, seconds):
        """Jump over some seconds."""
        self.skipped += seconds


clock = Clock()


class Selector:
    """What BaseEventLoop asks for events: there are none, but `outside` may wait for messages."""

    def __init__(self, loop):
        self.loop = loop

    def select(self, timeout):
        """Let time pass, or jump over it; `timeout` is in seconds, None if there is no timer."""
        self.loop.turned = time.perf_counter()
        if PageLoop.outside and PageLoop.outside.is_expected():
            PageLoop.outside.wait(timeout)
            self.loop.turned = time.perf_counter()
        elif timeout is None:
            raise Deadlock("everything waits, for nothing that can come")
        elif timeout > 0:
            clock.skipped += timeout
        return []

    def close(self):
        """There is nothing to close."""


class PageLoop(InMemory, asyncio.BaseEventLoop):
    """A loop that runs to its end without giving the browser a turn."""

    outside = None  # what may bring messages: it has `is_expected()` and `wait(timeout)`

    def __init__(self):
        super().__init__()
        self.turned = time.perf_counter()  # when it last was free to do something else
        self._selector = Selector(self)

    def time(self):
        """The loop's time, in seconds."""
        return clock.monotonic()

    def run_in_executor(self, executor, function, *arguments):
        """Call the function at once, as there are no threads."""
        future = self.create_future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future

    async def shutdown_default_executor(self, timeout=None):
        """There is no executor."""

    def _process_events(self, events):
        pass

    def _write_to_self(self):
        pass
