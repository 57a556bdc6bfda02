"""The acceptance tests of an exercise, run on a project, told as checks that pass or fail.

The tests run in a process of their own, which is this file run as a script: it imports what is
slow, waits for a line, runs pytest, and writes a line of JSON for each check.
"""

import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from json import loads
from pathlib import Path

from harness.errors import PROJECTS
from harness.patience import LONG_TURN, TURN, Patience, PatienceWithAnother
from workshop import machine
from workshop.outcomes import (
    BUSY,
    DEADLINE,
    END_OF_PYTHON,
    PATIENCE,
    SILENCE,
    Check,
    Teller,
    frames_of,
    no_end,
    still_running,
    stuck,
)
from workshop.tied import end, end_with_parent
from workshop.venv import ROOT

AT_FIRST = 60  # seconds until the first word: all that is imported may be scanned for viruses
LAST_LINES = 8  # of what a process says of its own failure


class Checker:
    """Checks a project; keeps a process warm for the next check, so that it starts at once.

    Unless it is `thorough`, once a check has failed, what would take seconds is left for later.
    The parts of an exercise that is given come one after the other; once one has failed, so are the
    following parts, and an optional part that is not begun is left out.
    """

    def __init__(
        self,
        project,
        tests,
        live=False,
        thorough=False,
        deadline=DEADLINE,
        patience=PATIENCE,
        exercise=None,
    ):
        options = [f"--project={project}", f"--deadline={deadline}", f"--patience={patience}"]
        options += [*(["--live"] if live else []), *(["--thorough"] if thorough else [])]
        options += [f"--exercise={exercise.id}"] if exercise and exercise.parts else []
        # pytest takes what follows a [ in an argument for a test's parameters, so no argument may
        # name the folder that the workshop is in.
        tests = [str(test).removeprefix(f"{ROOT}{os.sep}") for test in tests]
        project_word = str(project).removeprefix(f"{ROOT}{os.sep}")
        again = machine.as_typed("test", tests[0], "--project", project_word)
        self.why = f"`{machine.COMMAND} {again}` shows more"
        self.tests = ", ".join(tests)
        self.command = [sys.executable, "-m", "workshop.checking", *options, *tests]
        self.running = None
        self.next = self._warm_up()

    def _warm_up(self):
        errors = tempfile.TemporaryFile()  # what it says of its own failure
        child = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
            env=machine.environ(PYTHONUTF8="1"),
            start_new_session=True,  # so that it is ended with all that it started
        )
        child.errors = errors
        return child

    def check(self, warm_up_again=False):
        """Run the tests once, yielding a Check for each as it is known.

        Raises Interrupted when `interrupt` is called meanwhile, from another thread.
        """
        self.running = child = self.next
        with contextlib.suppress(OSError):  # if it has ended, so does its output
            child.stdin.write("go\n")
            child.stdin.flush()
        if warm_up_again:
            self.next = self._warm_up()
        names, is_collected, current, why = [], False, "", ""
        silent = threading.Event()

        def give_up():
            silent.set()
            end(child)

        watchdog = Watchdog(AT_FIRST, give_up)
        try:
            for line in child.stdout:
                watchdog.wait(SILENCE)
                try:
                    event = loads(line)
                except ValueError:
                    break  # it was ended while it wrote
                if "checks" in event:
                    names, is_collected = event["checks"], True
                    if not names:
                        why = f"there are none in {self.tests}: is this clone complete?"
                        yield Check("there are tests to run", "failed", why)
                        return
                elif "running" in event:
                    current = event["running"]
                    why = END_OF_PYTHON
                elif "stuck" in event:
                    why = event["stuck"]
                    break
                elif "done" in event:
                    if is_collected and not names:
                        return
                    break
                else:
                    current = ""
                    if event["words"] in names:
                        names.remove(event["words"])
                    yield Check(**event)
            if self.running is None:
                raise Interrupted
            if silent.is_set():
                why = f"{no_end()}: {self.why}"
            if current:
                names.remove(current)
                yield Check(current, "failed", why)
            else:
                why = f"they ended early; {self.why}{said_by(child)}"
                yield Check("the tests run to their end", "failed", why)
            for words in names:
                yield Check(words, "later")
        finally:
            self.running = None
            watchdog.end()
            end(child)
            with contextlib.suppress(OSError):
                child.stdin.close()
            child.stdout.close()
            child.errors.close()

    def interrupt(self):
        """End the check that is running, if there is one."""
        child, self.running = self.running, None
        if child:
            end(child)

    def close(self):
        """End the process that waits for the next check."""
        end(self.next)


def said_by(child):
    """What a process said of its own failure, as it stands below a sentence: its last lines."""
    end(child)
    child.errors.seek(0)
    lines = child.errors.read().decode(errors="replace").rstrip().splitlines()[-LAST_LINES:]
    return "".join(f"\n  {line}" for line in lines)


class Interrupted(Exception):
    """A check was ended before its time, because what it checks has changed."""


class Watchdog:
    """Calls a function when nothing was heard for some seconds."""

    def __init__(self, seconds, call):
        self.call = call
        self.ended = threading.Event()
        self.wait(seconds)
        threading.Thread(target=self._watch, daemon=True).start()

    def wait(self, seconds):
        """Begin to wait anew."""
        self.patience = PatienceWithAnother(seconds)

    def end(self):
        """Watch no longer."""
        self.ended.set()

    def _watch(self):
        while not self.ended.wait(LONG_TURN):
            if self.patience.is_over():
                return self.call()


def watch_for_loops(teller):
    """Say so when the project's code is busy for too long: it holds up the tests for ever."""
    patience, busy = Patience(BUSY), []
    while True:
        time.sleep(TURN)
        frames = sys._current_frames()
        # Only the threads with an event loop; one of the project's own may take its time.
        loops = [t for t in threading.enumerate() if t.name in ("MainThread", "live server")]
        stacks = [frames_of(frames.get(thread.ident), is_of_project) for thread in loops]
        stack = next(filter(None, stacks), [])
        if not stack:
            patience, busy = Patience(BUSY), []
            continue
        busy = still_running(stack, busy)
        if patience.is_over():
            teller.tell(stuck=stuck(busy[0].f_code.co_filename, busy[0].f_lineno))
            return


def is_of_project(filename):
    """Whether a file stands beside a project's websocket.py; some packages have one, too."""
    is_one = Path(filename).name == "websocket.py" or Path(filename).parent in PROJECTS
    return is_one and "site-packages" not in filename


def main(arguments):
    """Run pytest once a line has come; what was imported before makes it fast."""
    import pytest
    import pytest_asyncio.plugin
    import quart  # noqa: F401

    gc.freeze()  # after a failure, all objects are looked at: not those of what was imported
    if not sys.stdin.readline():
        return
    end_with_parent()
    # pytest will take stdout for itself.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    options = [
        *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
        *("-p", "no:terminal", "-p", "no:cacheprovider", "--assert=plain"),
        *("-o", "addopts=--import-mode=importlib", "-o", "timeout=0"),
    ]
    teller = Teller(output)
    threading.Thread(target=watch_for_loops, args=[teller], daemon=True).start()
    pytest.main([*options, *arguments], plugins=[teller, pytest_asyncio.plugin])


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    main(sys.argv[1:])
