"""Asks for boxes, in which a project's code runs, and takes what they print."""

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import threading
from pathlib import Path

from harness.namespaces import FIRST_USER

ROOT = Path(__file__).resolve().parents[1]
FOLDER = "WORKSHOP_BOXES"  # an empty folder: boxes are isolated, with this as their root
SHOWN = "WORKSHOP_SHOWN"  # what else an isolated box may read
MOST_PRINTED = 1 << 18  # bytes that are kept of what a box prints
# Variables that a box may see.
WANTED = re.compile(r"PATH|LANG|LC_\w+|TZ|QUART_\w+|REDIS_URL|FORWARDED_ALLOW_IPS")
# So that memory which is given back is seen to be.
MEMORY = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
MEMORY["MALLOC_ARENA_MAX"] = "1"
STARTERS = {}  # project to the process that starts its boxes


class Starter:
    """The process that starts the boxes of a project, and ends them."""

    def __init__(self, project):
        self.asked, theirs = socket.socketpair()
        self.answers = self.asked.makefile("rb")
        self.lock = threading.Lock()
        user = FIRST_USER + secrets.randbelow(100_000_000)
        words = [theirs.fileno(), project, user, os.environ.get(FOLDER, "")]
        environ = {name: value for name, value in os.environ.items() if WANTED.fullmatch(name)}
        environ |= {"TMPDIR": os.environ.get("TMPDIR", "/tmp"), "PYTHONUTF8": "1"}
        environ[SHOWN] = os.environ.get(SHOWN, "")
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "harness.boxes", *map(str, words)],
                cwd=ROOT,
                env={**environ, **MEMORY, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def ask(self, files=(), **what):
        """Ask for something, and return the answer: the number of a process."""
        with self.lock:
            socket.send_fds(self.asked, [json.dumps(what).encode()], files)
            return json.loads(self.answers.readline())

    def start(self, listener=None, variables=(), **what):
        """Start a box: its process, a socket to it, and what it prints."""
        control, theirs = socket.socketpair()
        output, printed = os.pipe()
        environ = {name: value for name, value in os.environ.items() if WANTED.fullmatch(name)}
        environ |= {"HOME": "/tmp", "TMPDIR": "/tmp", "PYTHONUNBUFFERED": "1", **dict(variables)}
        files = [theirs.fileno(), printed, *([listener.fileno()] if listener else [])]
        try:
            process = self.ask(files, environ=environ, **what)
        finally:
            os.close(printed)
            theirs.close()
        return process, control, Printed(output)


def starter(project):
    """The process that starts the boxes of a project."""
    if project not in STARTERS:
        STARTERS[project] = Starter(project)
    return STARTERS[project]


class Printed:
    """What a box prints, up to some length."""

    def __init__(self, file):
        self.file, self.data, self.told = file, b"", 0
        self.lock = threading.Lock()
        os.set_blocking(file, False)
        self.ended = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while not self.ended.wait(0.05) and self.take():
            pass

    def take(self):
        """Take what has been printed so far; returns whether more may follow."""
        with self.lock:
            for _ in range(64):
                try:
                    data = os.read(self.file, 1 << 16) if self.file else b""
                except BlockingIOError:
                    return True
                if not data:
                    return False
                self.data += data[: MOST_PRINTED - len(self.data)]
            return True

    def news(self):
        """What has been printed since the last time, as a text."""
        self.take()
        told, self.told = self.told, len(self.data)
        return self.data[told:].decode(errors="replace")

    def close(self):
        """Take the rest, and read no more."""
        self.ended.set()
        self.take()
        with self.lock:
            os.close(self.file)
            self.file = None


def end_all():
    """End all boxes."""
    for one in STARTERS.values():
        one.asked.close()
        one.answers.close()
        one.process.wait(10)
    STARTERS.clear()
