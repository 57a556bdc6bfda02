"""A contestant as a process on a core of its own, with the Redis that it may need."""

import contextlib
import functools
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from bench.contestants import node_environ
from bench.load import HOST, LoadProblem
from workshop.serving import any_free_port
from workshop.tied import end

START_SECONDS = 20
REDIS_OPTIONS = ["--bind", HOST, "--save", "", "--appendonly", "no"]


@functools.cache  # once pinned, this process would see but its own
def cores():
    """A core for servers and one for the load; None where they cannot be told apart."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[-1]) if len(allowed) > 1 else None


@contextlib.contextmanager
def load_on_its_own_core():
    """Keep this process on the load's core."""
    both = cores()
    before = os.sched_getaffinity(0) if both else None
    try:
        if both:
            os.sched_setaffinity(0, {both[1]})
        yield
    finally:
        if both:
            os.sched_setaffinity(0, before)


def allow_sockets(count):
    """Raise the limit of open files, for this process and those it starts; returns the limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return count
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 100
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            with contextlib.suppress(ValueError, OSError):  # only root may raise the hard limit
                resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
        with contextlib.suppress(ValueError, OSError):
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return wanted - 100 if soft == resource.RLIM_INFINITY else min(count, soft - 100)


def wait_until_open(port, child, output, is_ready=lambda: True):
    """Wait until a process listens on a port; raises LoadProblem with its last line."""
    deadline = time.monotonic() + START_SECONDS
    while not (is_open(port) and is_ready()):
        if child.poll() is not None or time.monotonic() > deadline:
            text = output.read_text(encoding="utf-8", errors="replace").strip()
            raise LoadProblem(f"it does not start: {text.rpartition(chr(10))[2]}")
        time.sleep(0.05)


def is_open(port):
    """Whether somebody listens on a port."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


class Server:
    """A running contestant; `processes` are its own, its workers' and its Redis'."""

    def __init__(self, contestant, deflate=False):
        self.contestant, self.deflate, self.port = contestant, deflate, any_free_port()
        self.processes = []

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(
                tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # Windows may still write
            )
            self.output = Path(folder) / "output"
            environ = node_environ() if "node" in self.contestant.needs else os.environ
            environ = {**environ, **self.contestant.environ}
            environ.pop("REDIS_URL", None)
            if self.deflate:
                environ["DEFLATE"] = "1"
            if self.contestant.redis:
                port = any_free_port()
                redis = ["redis-server", "--port", str(port), "--dir", folder, *REDIS_OPTIONS]
                self._start(stack, redis, folder, port, environ)
                environ["REDIS_URL"] = f"redis://{HOST}:{port}/0"
            command = self.contestant.command(self.port, self.deflate)
            folder, workers = self.contestant.folder, self.contestant.workers
            self._start(stack, command, folder, self.port, environ, workers)
            self._ends = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._ends.close()

    def _start(self, stack, command, folder, port, environ, workers=0):
        with self.output.open("ab") as output:
            # A session of its own, so that Ctrl-C comes to the load alone, which ends them all.
            child = subprocess.Popen(
                command,
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        stack.callback(end, child)
        both = cores()
        if both:
            os.sched_setaffinity(child.pid, {both[0]})  # its children will be there, too
        wait_until_open(port, child, self.output, lambda: self._started() >= workers)
        main = psutil.Process(child.pid)
        self.processes += [main, *main.children(recursive=True)]

    def _started(self):
        return self.output.read_bytes().count(b"Application startup complete")  # Uvicorn's words

    def cpu_seconds(self):
        """CPU time of all its processes so far."""
        if sys.platform == "linux":
            # What clock_getcpuclockid(3) does: a process's clock, in ns; psutil's steps are 10 ms.
            return sum(time.clock_gettime(~process.pid << 3 | 2) for process in self.processes)
        return sum(sum(process.cpu_times()[:2]) for process in self.processes)

    def memory(self):
        """Bytes of memory that its processes hold."""
        return sum(process.memory_info().rss for process in self.processes)
