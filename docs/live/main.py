"""What a page's worker calls: run a project, check it, and take the tabs' messages."""

import asyncio
import linecache
import os
import sys
import time
import traceback
from pathlib import Path

from docs.live import stubs
from docs.live.busy import Watch
from docs.live.network import InMemory
from workshop import language
from workshop.outcomes import END_OF_PYTHON

RUN = "/websocket"  # where the project is that runs
TCP_PORT = "5001"  # that of the project that runs
CLASS_WORD = "tulip"  # the same


class Worker:
    """Python in a worker: `post(**message)` speaks to the page."""

    def __init__(self, post):
        self.post = post
        self.watch = Watch(self.on_stuck)
        self.teller = None

    def start(self, code=language.ENGLISH):
        """Get ready to run a project; what only a check needs is imported by `get_ready`.

        `code` is the language of what it tells, whose catalogues the page has loaded.
        """
        from pyodide.webloop import WebLoop

        language.use(code)
        stubs.install()
        self.sleep = time.sleep  # a real one
        stubs.end_instead(self.on_exit, self.watch.on_sleep)
        WebLoop.create_server = InMemory.create_server
        WebLoop.create_connection = InMemory.create_connection
        os.environ["QUART_TCP_PORT"] = TCP_PORT
        os.environ["QUART_CLASS_WORD"] = CLASS_WORD
        self.watch.start()

        import quart  # noqa: F401

        from docs.live.bridge import Bridge

        self.bridge = Bridge(self.post)

    def on_stuck(self, why):
        """Tell that the app that runs is stuck, and wait for the page to end this worker."""
        self.post(kind="stuck", why=language.sentence(why))
        while True:
            self.sleep(1)

    def on_exit(self):
        """End as a process does that calls os._exit."""
        self.watch.tell_end(END_OF_PYTHON)
        raise SystemExit

    def handle(self, message):
        """Take a message of the page, or of a tab."""
        self.watch.free()
        if message["kind"] == "run":
            self.bridge.spawn(self.run(message["id"]))
        elif message["kind"] == "halt":
            self.bridge.spawn(self.halt(message["id"]))
        else:
            self.bridge.handle(message)

    async def run(self, id):
        """Serve the project in RUN, in place of what was served."""
        from harness import errors, loading

        await self.bridge.stop()
        linecache.clearcache()
        self.watch.on_stuck = self.on_stuck
        self.watch.watch(RUN)
        try:
            with loading.modules_beside(Path(RUN)):
                app = loading.load(Path(RUN))
            await self.bridge.start(app)
        except loading.NotLoaded as problem:
            self.post(kind="failed", id=id, text=language.sentence(str(problem)))
        except Exception as error:
            traceback.print_exc()
            self.post(kind="failed", id=id, text=language.sentence(errors.describe(error)))
        else:
            self.post(kind="answer", id=id)

    async def halt(self, id):
        """Stop the server."""
        await self.bridge.stop()
        self.post(kind="answer", id=id)

    def get_ready(self):
        """Import what a check needs."""
        from docs.live import check

        check.install()
        import pytest  # noqa: F401
        import pytest_asyncio.plugin  # noqa: F401

        import workshop.verdict  # noqa: F401

    def check(self, id, project, next_messages=None, thorough=False):
        """Check a project against an exercise; with `next_messages`, also in tabs."""
        self.get_ready()
        from docs.live import check, loop, tabs

        linecache.clearcache()
        tabs.outside.connect(self.post, next_messages, asyncio._get_running_loop())
        loop.PageLoop.outside = tabs.outside if next_messages else None
        check.check(id, project, self.post, self.watch, bool(next_messages), thorough)
        for name in [name for name in sys.modules if name.startswith("steps.")]:
            del sys.modules[name]
