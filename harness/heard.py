"""What the process of an app that runs apart tells of itself: lines of JSON, or anything else."""

import json
import threading
from collections import defaultdict
from concurrent.futures import Future
from contextlib import suppress

LONGEST_LINE = 1 << 14


class Heard:
    """What one box tells of itself.

    Each box has its own: the end of one may be noticed only after the next has started.
    """

    def __init__(self, control):
        self.handlers, self.events, self.is_over = defaultdict(Future), {}, False
        threading.Thread(target=self._hear, args=[control], daemon=True).start()

    def _hear(self, control):
        """Read until the box ends; then every handler has ended, too."""
        with suppress(OSError), control.makefile("rb") as lines:
            while line := lines.readline(LONGEST_LINE):
                with suppress(ValueError, TypeError, AttributeError, RecursionError):
                    self._take(json.loads(line))
        self.is_over = True
        for handler in list(self.handlers.values()):
            end(handler)

    def _take(self, event):
        if isinstance(port := event.get("ended"), int) and 0 < port < 1 << 16:
            end(self.handlers[port])
        for name in ("started", "no_app", "no_start", "stopped", "explained", "left"):
            if name in event:
                self.events[name] = printable(event[name])


def end(handler):
    """Note that a handler has ended."""
    with suppress(Exception):  # it may have ended before
        handler.set_result(None)


def printable(told):
    """What a box tells, without anything that a terminal would obey."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(told))
