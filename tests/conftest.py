"""What the tests across steps use: the repository, copies of it, and processes with deadlines."""

import gc
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time

import pytest
from filelock import FileLock
from proxies import require
from repo import (
    IS_EXHAUSTIVE,
    ROOT,
    RUNS_ALL,
    STEPS,
    Learner,
    build_site,
    copy_repository,
    free_port,
    tracked_files,
)

from harness.needs import pytest_itemcollected, pytest_terminal_summary, register_markers
from workshop import language
from workshop.steps import find_exercise

START_SECONDS = 30
MOST_LINES_OF_BUILD = 10  # where nothing is wrong
# Tests that run in the background may ignore Ctrl-C; the processes they start must not.
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["WORKSHOP_LANGUAGE"] = "en"  # whatever the system's language is


def pytest_configure(config):
    register_markers(config)


def pytest_collection_modifyitems(config, items):
    """Begin with what takes longest, so that in the end no process waits for another."""
    left_out = [item for item in items if is_left_out(item)]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_collection_finish():
    """What was imported is no garbage: it need not be looked at again and again."""
    gc.freeze()


def is_left_out(item):
    """Whether a test takes too long for what is asked for."""
    of_challenge = item.path.parents[3]
    is_late = of_challenge in STEPS[7:]
    is_in_browser = item.get_closest_marker("browser")
    if item.get_closest_marker("exhaustive") or (is_late and is_in_browser):
        return not IS_EXHAUSTIVE
    is_slow = of_challenge in STEPS[5:] and (is_in_browser or item.get_closest_marker("redis"))
    return not RUNS_ALL and (item.get_closest_marker("thorough") or is_slow or repeats(item))


def repeats(item):
    """Whether a test in a browser and the script it looks at are those of the step before.

    But for the address to which the script connects, which another test of the step looks at. From
    step 6 on, whether a test in a browser is that of the step before; from step 8 on, any test.
    """
    folder = item.path.parents[1]
    is_in_browser = item.get_closest_marker("browser")
    if folder in STEPS[7:] or (folder in STEPS[5:] and is_in_browser):
        return item.originalname not in find_exercise(folder.name).own_tests
    if folder not in STEPS[1:] or not is_in_browser:
        return False
    before = STEPS[STEPS.index(folder) - 1]
    names = (item.path.relative_to(folder), "static/js/websocket.js")
    pairs = [(before / name, folder / name) for name in names]
    return all(one.is_file() and content(one) == content(other) for one, other in pairs)


def content(path):
    """The text of a file without the address of its step."""
    return re.sub(r"/(?:api/v\d+/)?ws\b", "", path.read_text(encoding="utf-8"))


@pytest.fixture
def root():
    return ROOT


@pytest.fixture
def files():
    return tracked_files()


@pytest.fixture(params=STEPS, ids=lambda step: step.name)
def step(request):
    return request.param


@pytest.fixture
def clone(tmp_path):
    """A copy of the repository as a stranger has it after cloning: no .venv, nothing made."""
    return copy_repository(tmp_path / "clone")


@pytest.fixture
def learner(clone):
    return Learner(clone)


class Started:
    """A process whose output is read line by line, each wait with a deadline."""

    def __init__(self, command, **options):
        environ = {**os.environ, "PYTHONUNBUFFERED": "1", **options.pop("env", {})}
        if os.name == "nt":
            options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            options["start_new_session"] = True
        self.process = subprocess.Popen(
            command,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",  # on Windows, what is started may print in a code page
            env=environ,
            **options,
        )
        self.lines = queue.Queue()
        self.output = ""
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def wait_for(self, text, seconds=START_SECONDS):
        """Return the first line that has the text in it; fail at the deadline or the end."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"no line with {text!r} in {seconds} s, but:\n{self.output}")
            self.output += line
            if text in line:
                return line
            if not line:
                pytest.fail(f"it ended without a line with {text!r}, but:\n{self.output}")

    def interrupt(self):
        """Send what Ctrl-C sends."""
        if os.name == "nt":
            self.process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            os.killpg(self.process.pid, signal.SIGINT)  # a terminal interrupts them all

    def end(self, seconds=START_SECONDS):
        """Wait for the end, and return the exit code and all the output."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it still runs after {seconds} s:\n{self.output}")
        self.reader.join(seconds)
        while not self.lines.empty():
            self.output += self.lines.get()
        return self.process.returncode, self.output


@pytest.fixture
def start():
    """Start a process; what still runs at the end of the test is ended."""
    started = []

    def start(*command, **options):
        started.append(Started([str(word) for word in command], **options))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.terminate()
            try:
                one.process.wait(5)
            except subprocess.TimeoutExpired:
                one.process.kill()
                one.process.wait()


@pytest.fixture
def workshop(start):
    """Start `python -m workshop …` in the repository, on the Python that runs the tests."""

    def run(*arguments, **options):
        options.setdefault("cwd", ROOT)
        return start(sys.executable, "-m", "workshop", *arguments, **options)

    return run


@pytest.fixture
def redis_url(start):
    """The address of a Redis server of the test's own."""
    command, port = require("redis-server", "redis-server"), free_port()
    redis = start(command, "--port", port, "--bind", "127.0.0.1", "--save", "")
    redis.wait_for("Ready to accept connections")
    return f"redis://127.0.0.1:{port}"


@pytest.fixture
def german():
    """Use German, as after `--language de`."""
    language.use("de")
    yield
    language.use(language.ENGLISH)


@pytest.fixture(scope="session")
def site(tmp_path_factory, worker_id):
    """The site, built with warnings as errors, once for all processes that run tests."""
    shared = tmp_path_factory.getbasetemp()
    folder = (shared if worker_id == "master" else shared.parent) / "site"
    problems = folder.with_suffix(".problems")
    with FileLock(folder.with_suffix(".lock")):
        if not problems.exists():
            result = build_site(folder)
            is_well = result.returncode == 0 and result.stdout.count("\n") <= MOST_LINES_OF_BUILD
            problems.write_text("" if is_well else result.stdout, encoding="utf-8")
    assert not problems.stat().st_size, problems.read_text(encoding="utf-8")
    return folder
