"""A project apart: its code runs in another process, and the tests speak to it over sockets alone.

What that process tells of itself explains a failure, or ends a wait. Everything else is seen from
outside: what arrives over sockets, what it prints, which ports it listens on, how much memory it
uses.
"""

import os
import socket
import threading
from contextlib import asynccontextmanager, suppress

from harness import outside, patience
from harness.heard import Heard
from harness.inprocess import NEVER_YIELDS
from harness.live_client import SMALL_BUFFER
from harness.live_server import LiveApp
from harness.patience import PatienceWithAnother
from harness.starter import end_all, starter

MOST_WORK = 3  # seconds of a processor, for an app to start
ENDED = "the code ended Python itself, or had no memory left: is there an os._exit()?"
SERVERS = []  # the ones that run
FAILED = {}  # what does not start once, does not start the next time: project, port to why


class Server:
    """A project on a real server in a box, with what can happen to it."""

    def __init__(self, project):
        self.project, self.port, self.process, self.heard = project, 0, None, None
        self.app = Told(self)

    @property
    def thread(self):
        """What a live server has while it runs."""
        return None if self.process is None or self.is_stopped else self.process

    @property
    def is_over(self):
        """Whether the box has ended."""
        return self.heard is not None and self.heard.is_over

    @property
    def handlers(self):
        """The handlers of WebSockets, by the client's port: futures that are done when they end."""
        return self.heard.handlers

    @property
    def events(self):
        """What the box has told of itself."""
        return self.heard.events

    def start(self):
        """Start serving, at the same address as before."""
        known = (self.project, os.environ.get("QUART_TCP_PORT", "") == "")
        assert known not in FAILED, FAILED[known]
        self.cookie = ""  # of whoever has signed in on another one
        if self.process:
            self._end()
        self.is_stopped = False
        with socket.create_server(("127.0.0.1", self.port)) as listener:
            self.port = listener.getsockname()[1]
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # connections inherit it
            self.process, self.control, self.printed = starter(self.project).start(
                listener, deadline=patience.DEADLINE
            )
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}/"
        SERVERS.append(self)
        self.heard = Heard(self.control)
        waiting = PatienceWithAnother(6 + 3 * patience.DEADLINE)
        events = {"started", "no_app", "no_start"}
        until_event(self, events, waiting, lambda: outside.worked(self.process) > MOST_WORK)
        why = self.events.get("no_app") or self.events.get("no_start")
        if not why and "started" not in self.events:
            why = ENDED if self.is_over else f"the app does not start{NEVER_YIELDS}"
            FAILED[known] = why
        if why:
            self.stop(wait=False)
            raise AssertionError(str(why))
        for port in outside.listening() - {self.port}:
            with suppress(OSError), socket.socket() as probe:
                probe.bind(("127.0.0.1", port))  # tests that watch for bind() see it

    def ask(self, what, answer, seconds):
        """Ask the box for something, and wait for its answer: that, or "" if there is none."""
        self.events.pop(answer, None)
        with suppress(OSError):
            self.control.sendall(f"{what}\n".encode())
        until_event(self, {answer}, PatienceWithAnother(seconds))
        return self.events.get(answer, "")

    def stop(self, wait=True):
        """Stop serving: as a server does when it is told to, or at once."""
        if wait:
            # Its process stays, so that one can see what the app did not stop.
            if self.process and not self.is_stopped:
                self.is_stopped = True
                self.ask("stop", "stopped", 2 * patience.DEADLINE + 1)
        elif self.process:
            self._end()

    def _end(self):
        process, self.process = self.process, None
        starter(self.project).ask(end=process)
        self.printed.close()
        self.control.close()
        with suppress(ValueError):
            SERVERS.remove(self)

    def start_again(self):
        """Stop, load the app afresh, and serve it at the same address."""
        self.stop(wait=False)
        self.start()

    def leave(self):
        """Cut all connections, and let no WebSocket in; the app runs on."""
        self.ask("leave", "left", patience.DEADLINE)

    def come_back(self):
        """Let WebSockets in again."""
        self.control.sendall(b"come back\n")


def until_event(server, names, waiting, is_enough=bool):
    """Wait until one of some events, until the box has ended, or until patience runs out."""
    while not (names & set(server.events) or server.is_over or waiting.is_over() or is_enough()):
        threading.Event().wait(0.005)


class Told:
    """In place of an app in this process: what it tells of its errors, when it is asked."""

    never_awaited = ()

    def __init__(self, server):
        self.server, self.root_path = server, server.project

    @property
    def config(self):
        return {"TCP_PORT": self.server.events.get("started")}

    @property
    def errors(self):
        """What went wrong in the app, as a sentence, or nothing."""
        server = self.server
        if server.thread is None or server.is_over:
            return [ENDED] if server.is_over else []
        told = server.ask("explain", "explained", 1.5)
        return [told] if told else []


class App(LiveApp):
    """A Server with the surface of a Quart app under test."""

    def __init__(self, project):
        self.server = Server(project)

    @asynccontextmanager
    async def test_app(self):
        """The server runs in this block; what it prints, this process prints, too."""
        self.test_client()
        print(self.server.printed.news(), end="")
        async with super().test_app():
            yield self


def configure(config):
    """Look at the box where tests would look at this process."""
    outside.Memory(lambda: SERVERS[-1].process).replace_tracemalloc()
    patience.OF_APP = PatienceWithAnother
    config.add_cleanup(unconfigure)


def unconfigure():
    """End all boxes."""
    for one in list(SERVERS):
        one.stop(wait=False)
    end_all()
