"""Finds code that is busy for too long: an endless loop, or a call that blocks.

A worker has one thread, so nobody can look from outside. Python itself calls `Watch` for each line
of the project's files, and the event loop tells it whenever it has been free.
"""

import asyncio
import sys
import time

from workshop.outcomes import BUSY, frames_of, still_running, stuck

TOOL = 3  # one of the numbers that sys.monitoring has for tools


class Watch:
    """Tells `on_stuck` the sentence with file and line, once code of a project is busy too long."""

    def __init__(self, on_stuck):
        self.on_stuck = on_stuck
        self.project = None  # the folder whose code is watched
        self.free_at = time.perf_counter()
        self.busy = []  # the frames that have not returned since then
        self.is_told = False

    def start(self):
        """Watch from now on; called once."""
        run = asyncio.Handle._run

        def run_and_note(handle):
            self.free()
            run(handle)

        asyncio.Handle._run = run_and_note
        monitoring = sys.monitoring
        monitoring.use_tool_id(TOOL, "workshop")
        monitoring.register_callback(TOOL, monitoring.events.PY_START, self.on_start)
        monitoring.register_callback(TOOL, monitoring.events.LINE, self.on_line)
        monitoring.set_events(TOOL, monitoring.events.PY_START)

    def watch(self, project):
        """Look at the code in this folder."""
        self.project, self.is_told = f"{project}/", False
        self.free()
        sys.monitoring.restart_events()

    def free(self):
        """The code that ran until now has finished."""
        self.free_at, self.busy = time.perf_counter(), []

    def on_start(self, code, offset):
        """Look at each line of a function of the project, and never again at any other."""
        if self.project and code.co_filename.startswith(self.project):
            sys.monitoring.set_local_events(TOOL, code, sys.monitoring.events.LINE)
        return sys.monitoring.DISABLE

    def on_line(self, code, line):
        """Tell where the code is, if it has been busy for too long, and end it."""
        seconds = time.perf_counter() - self.free_at
        if seconds > BUSY / 2:
            self.busy = still_running(self.frames_of_project(), self.busy)
        if seconds > BUSY:
            self.tell(self.busy[0].f_code.co_filename, self.busy[0].f_lineno)
            raise KeyboardInterrupt

    def on_sleep(self, seconds):
        """Tell at once of a sleep that is too long, which would only be found once it is over."""
        frames = self.frames_of_project()
        if frames and seconds > BUSY:
            self.tell(frames[0].f_code.co_filename, frames[0].f_lineno)
            raise KeyboardInterrupt

    def frames_of_project(self):
        """The frames on the stack that run a file of the project, the innermost first."""
        return frames_of(sys._getframe(), self.is_of_project)

    def is_of_project(self, path):
        """Whether a file is one of the project whose code is watched."""
        return self.project is not None and path.startswith(self.project)

    def tell(self, path, line):
        """Tell where the code is stuck."""
        self.tell_end(stuck(path, line))

    def tell_end(self, why):
        """Tell once why the code doesn't finish."""
        if not self.is_told:
            self.is_told = True
            self.on_stuck(why)
