"""What is seen of a box from outside: which ports it listens on, and how much memory it uses."""

import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import pytest

from harness.starter import FOLDER

OTHERS = set()  # the ports of boxes that are not looked at


def listening():
    """The ports of this network that somebody listens on, where no other network is seen."""
    if not os.environ.get(FOLDER):
        return set()
    ports = set()
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text("utf-8").splitlines()[1:]:
                local, state = line.split()[1], line.split()[3]
                if state == "0A":
                    ports.add(int(local.rpartition(":")[2], 16))
    return ports - OTHERS


def worked(process):
    """How many seconds of a processor a process has had, where that can be seen."""
    try:
        text = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def can_see_memory():
    """Whether this system tells how much memory another process uses."""
    return Path("/proc/self/statm").is_file()


class Memory:
    """What tracemalloc tells of this process, told of a box: its memory, in bytes."""

    def __init__(self, process):
        self.process = process  # a function: the number of its process

    def start(self):
        self.before = self.used()

    def stop(self):
        pass

    def get_traced_memory(self):
        used = max(0, self.used() - self.before)
        return used, used

    def used(self):
        pages = Path(f"/proc/{self.process()}/statm")
        if not pages.is_file():
            pytest.skip("not graded: the memory of another process cannot be seen here")
        return int(pages.read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def replace_tracemalloc(self):
        """Let tests that look at the memory of this process look at the box instead."""
        for name in ("start", "stop", "get_traced_memory"):
            setattr(tracemalloc, name, getattr(self, name))
