"""The judge of one submission: a process that runs the workshop's own tests on it.

Usage: python -m workshop.grading.judge ORDER, which is a line of JSON.

It never imports what was handed in: that runs in boxes, which it speaks to over sockets. It has
files, processes and a network of its own where the system allows it, and so whatever the submission
starts or writes is gone with it. It tells what it finds by lines of JSON.
"""

import asyncio
import inspect
import json
import os
import random
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path

from harness import namespaces
from harness.patience import PatienceWithAnother
from workshop.grading import confirming, submissions
from workshop.steps import find_exercise
from workshop.tied import end_with_parent
from workshop.venv import ROOT

ROOM = "/dev/shm"  # which becomes an empty folder in memory
MEGABYTES = 600
DEADLINE, PATIENCE = 1.0, 3.0  # seconds that a test waits for a message, and for the browser
MOST_THREADS = 40  # of a submission: one with more would not stop there
MOST_MEMORY = 1 << 30  # bytes, of all processes of a submission
LOOK = 0.2  # seconds between two looks
INSIDE_SECONDS = 40  # for all tests that run inside
IN_BROWSER = "it needs a Redis server, which a submission could misuse, beside a browser"
# What tests use that look into the process of the app, and so must run in it.
WITHIN = {
    "redis_server": "it needs a Redis server, which a submission could misuse",
    "caplog": "it reads the app's log",
    "get_objects": "it counts the tasks of the app",
    "setitem": "it hides packages from the app",
    "setattr": "it breaks the app on purpose",
}
WITHIN_BY_NAME = {
    "test_an_invalid_allowed_origin_is_reported_at_startup": "it reads why the app does not start",
    "test_a_flood_of_posts_is_answered_with_429": "it has to be faster than a limit",
}
OPTIONS = [
    *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
    *("-p", "no:terminal", "-p", "no:cacheprovider", "--assert=plain", "--thorough"),
    *("-o", "addopts=--import-mode=importlib", "-o", "timeout=0"),
]


def used_by(function):
    """The names that a test uses, and those that functions beside it use for it."""
    names, todo = set(), [function]
    while todo:
        one = todo.pop()
        codes = [one.__code__]
        while codes:
            code = codes.pop()
            new = {*code.co_names, *code.co_varnames} - names
            names |= new
            codes += [const for const in code.co_consts if inspect.iscode(const)]
            beside = [one.__globals__.get(name) for name in new]
            todo += [
                other
                for other in beside
                if inspect.isfunction(other) and other.__module__ == function.__module__
            ]
    return names


def why_inside(name, function, fixtures):
    """Why a test can't be run from outside, in a clause; "" if it can."""
    used = used_by(function) | set(fixtures)
    reasons = [reason for word, reason in WITHIN.items() if word in used]
    return reasons[0] if reasons else WITHIN_BY_NAME.get(name, "")


class Plugin:
    """A pytest plugin that leaves out what can't be run from outside, for later."""

    def __init__(self, teller, words_of):
        self.teller, self.words_of = teller, words_of
        self.later = {}  # of tests: words to names

    def pytest_collection_finish(self, session):
        """Leave tests for later, or skip them with a reason."""
        # After the teller has told all of them, as it is registered later; and before the first one
        # runs, since each test tidies up for the one that comes next.
        session.items[:] = [item for item in session.items if not self._leaves_out(item)]

    def _leaves_out(self, item):
        if not why_inside(item.originalname, item.function, item.fixturenames):
            return False
        words = self.words_of(item.nodeid)
        if "context" in item.fixturenames:
            self.teller.tell(words=words, outcome="skipped", reason=f"not graded: {IN_BROWSER}")
        else:
            self.later[words] = item.nodeid
        return True


def run_inside(project, later, tell):
    """Run tests together with the project's code, in a box; tell what that says of them."""
    from harness.boxes import PLACE
    from harness.starter import starter

    place = PLACE if os.environ.get("WORKSHOP_BOXES") else "."
    options = [*OPTIONS, f"--deadline={DEADLINE}", f"--project={place}"]
    names = list(later.values())
    tests = sorted({str(ROOT / name.partition("::")[0]) for name in names})
    process, control, printed = starter(project).start(
        arguments=["workshop.grading.inside", json.dumps(names), *options, *tests]
    )
    waiting = PatienceWithAnother(INSIDE_SECONDS)
    while printed.take() and not waiting.is_over():
        time.sleep(0.05)
    starter(project).ask(end=process)
    control.close()
    said = {}
    for line in printed.data.splitlines():
        with suppress(ValueError, TypeError, KeyError):  # whatever the project prints itself
            event = json.loads(line)
            said.setdefault(event["words"], event)
    for words in later:
        event = said.get(words, {})
        outcome = event.get("outcome")
        known = outcome in ("passed", "failed", "skipped")
        reason = str(event.get("reason", "")) if known else "it didn't finish"
        tell(words=words, outcome=outcome if known else "failed", reason=reason, inside=True)


def options_of(exercise, project=None):
    """What pytest is given to run the tests of an exercise."""
    tests = [str(test.relative_to(ROOT)) for test in exercise.tests]
    options = [*OPTIONS, "--apart"]
    if project is None:
        return [*options, "--collect-only", *tests]
    options += [f"--deadline={DEADLINE}", f"--patience={PATIENCE}", f"--project={project}"]
    options += [f"--exercise={exercise.id}"] if exercise.parts else []
    return [*options, *tests]


def look_after(tell):
    """End it all when a submission has far too many processes, or too much memory."""
    own, page = os.stat("/proc/self/ns/pid").st_ino, os.sysconf("SC_PAGE_SIZE")
    while True:
        time.sleep(LOOK)
        threads = memory = 0
        for process in filter(str.isdecimal, os.listdir("/proc")):
            try:
                if os.stat(f"/proc/{process}/ns/pid").st_ino == own:
                    continue
                memory += int(Path(f"/proc/{process}/statm").read_text("utf-8").split()[1]) * page
                threads += len(os.listdir(f"/proc/{process}/task"))
            except OSError:
                continue  # it has just ended
        if threads > MOST_THREADS:
            tell(stuck="the code keeps starting processes or threads")
        elif memory > MOST_MEMORY or own_memory() > MOST_MEMORY:
            tell(stuck=f"the code uses, or sends, more than {MOST_MEMORY >> 20} MB")
        else:
            continue
        os._exit(1)


def own_memory():
    """How many bytes of memory this process uses: an app that sends too much fills it."""
    return int(Path("/proc/self/statm").read_text("utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def take_place(order):
    """Go where nothing else is, if the order says so; returns a folder to work in."""
    if not order["isolated"]:
        end_with_parent()
        return Path(order["folder"])
    namespaces.enter()
    namespaces.room(ROOM, MEGABYTES, mode="1777")
    for name in ("boxes", "tmp"):
        os.mkdir(f"{ROOM}/{name}")
    os.environ["WORKSHOP_BOXES"] = f"{ROOM}/boxes"
    return Path(ROOM)


def write(project, folder):
    """Write the files of a project into a new folder, for everybody to read."""
    for name, content in project.files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        except (OSError, ValueError) as error:
            raise submissions.NoSubmission(f"{name!r:.80} can't be copied: {error}") from None
    return folder


async def confirm(exercise, project, port):
    """Confirm from outside what passes: yields what was tried, and what arrived instead, or ""."""
    from harness import apart, sign_in

    todo = [(one, ()) for one in confirming.OF_EXERCISE.get(exercise.id, [])]
    step = exercise.previous if exercise.is_challenge else exercise
    if exercise.id in confirming.WITH_TCP and any(
        part.optional and part.is_begun(project) for part in step.parts
    ):
        todo.append((confirming.tcp_line, (port,)))
    os.environ |= {"QUART_TCP_PORT": str(port), **sign_in.SETTINGS}
    app, has_failed = None, True
    for what, more in todo:
        why = ""
        if has_failed or more:
            if app:
                app.server.stop(wait=False)
            app = apart.App(project)
        try:
            await what(app, *more)
        except Exception as error:
            why = str(error) or type(error).__name__
        has_failed = bool(why)
        yield what.__doc__, why
    if app:
        app.server.stop(wait=False)


def main(order):
    """Judge a submission, and tell what is found."""
    folder = take_place(order)
    os.umask(0o022)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder / "tmp")
    os.makedirs(folder / "tmp", exist_ok=True)
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")

    import pytest
    import pytest_asyncio.plugin

    from harness import apart
    from harness.ports import free_port
    from workshop.outcomes import Teller, words_of

    exercise = find_exercise(order["exercise"])
    teller = Teller(output)
    if order["source"] is None:
        pytest.main(options_of(exercise), plugins=[teller, pytest_asyncio.plugin])
        return
    try:
        project = submissions.read(submissions.Source(**order["source"]))
        place = write(project, folder / "websocket")
    except submissions.NoSubmission as problem:
        return teller.tell(none=str(problem))
    teller.tell(place=project.place, notes=project.notes, changed=project.changed)
    if order["isolated"]:
        threading.Thread(target=look_after, args=[teller.tell], daemon=True).start()
    random.seed(0)  # so that the same ports are chosen each time
    shown = [ROOT / "workshop", ROOT / "pyproject.toml", ROOT / "steps/conftest.py"]
    os.environ["WORKSHOP_SHOWN"] = os.pathsep.join(map(str, [*shown, *exercise.tests]))
    plugin = Plugin(teller, words_of)
    plugins = [plugin, teller, pytest_asyncio.plugin]
    pytest.main(options_of(exercise, place), plugins=plugins)
    if plugin.later:
        run_inside(place, plugin.later, teller.tell)

    async def tell_all():
        async for what, why in confirm(exercise, place, free_port()):
            teller.tell(outside=what, reason=why)

    asyncio.run(tell_all())
    apart.unconfigure()
    teller.tell(over=True)


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    main(json.loads(sys.argv[1]))
    sys.stdout.flush()
    os._exit(0)
