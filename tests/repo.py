"""Where the repository is and what is in it."""

import contextlib
import functools
import importlib.util
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path

import forking
import pytest

from workshop import serving
from workshop.steps import all_steps

ROOT = Path(__file__).resolve().parents[1]
STEPS = all_steps()
RUNS_ALL = os.environ.get("WORKSHOP_ALL") == "1"  # what `workshop test --all` sets
IS_EXHAUSTIVE = os.environ.get("WORKSHOP_EXHAUSTIVE") == "1"  # `workshop test --all FILE`
# The command in a copy of the repository, whose packages are those of the Python that runs it.
COMMAND = (
    "import sys; sys.path.insert(0, '.'); from workshop import environment, cli; "
    "environment.ensure = lambda *sets: None; environment.is_ready = lambda *sets: True; "
    "[one.reconfigure(errors='replace') for one in (sys.stdout, sys.stderr)]; cli.main()"
)
# The same in a process that forks what it would start, for those that start much.
COMMAND_THAT_FORKS = [sys.executable, ROOT / "tests/forking.py"]
# Since 0.23, Quart raises ClientDisconnectedError in a task that waits in receive() when the client
# disconnects, and in a send() right after. An app may log that, and some mistakes change nothing.
RAISES_AT_DISCONNECT = tuple(map(int, metadata.version("quart").split(".")[:2])) >= (0, 23)
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1


def free_port():
    """A free port that no other process of these tests is told of at the same time."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 10
    return serving.free_port(10_000 + 1_000 * worker + random.randrange(1_000))


def can_link():
    """Whether links can be made: Windows takes a right of its own for that."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            Path(folder, "link").symlink_to(folder)
        except OSError:
            return False
    return True


def load_script(name):
    """A script of docs/ as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


needs_links = pytest.mark.skipif(not can_link(), reason="needs the right to make links")


@functools.cache
def tracked_files():
    """The files of the repository, also those not yet added to git, as relative paths."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    paths = [Path(name) for name in names.split("\0") if name and (ROOT / name).is_file()]
    return [path for path in paths if path.parts[0] != "websocket"]  # the learner's own


def copy_repository(folder, parts=None):
    """Copy the repository as a stranger has it after cloning: no .venv, nothing made.

    With `parts`, only the files and folders at its root that are named there. Only what Python has
    compiled comes along, which it would compile again.
    """
    names = [name for name in tracked_files() if not parts or name.parts[0] in parts]
    compiled = {}
    for place in {name.parent for name in names}:
        (folder / place).mkdir(parents=True, exist_ok=True)
        if (ROOT / place / "__pycache__").is_dir():
            (folder / place / "__pycache__").mkdir(exist_ok=True)
            compiled[place] = set(os.listdir(ROOT / place / "__pycache__"))
    for name in names:
        shutil.copy2(ROOT / name, folder / name)  # with its time, by which Python knows it again
        made = f"{name.stem}.{sys.implementation.cache_tag}.pyc"
        if name.suffix == ".py" and made in compiled.get(name.parent, ()):
            cache = name.parent / "__pycache__" / made
            with contextlib.suppress(OSError):  # another process compiles it again
                shutil.copyfile(ROOT / cache, folder / cache)
    return folder


def run_command(clone, *arguments, environ=None, **options):
    """Run the command in a clone, which never ends in a traceback: its exit code and its output."""
    command = [sys.executable, "-c", COMMAND]
    code, output = run(forking.COMMAND, command, arguments, clone, environ, **options)
    assert "Traceback" not in output, output
    return code, output


def run_pytest(folder, *arguments, environ=None):
    """Run pytest in a folder: its exit code and its output."""
    return run("pytest", [sys.executable, "-m", "pytest"], arguments, folder, environ)


def run(what, command, arguments, folder, environ, timeout=100, forks=forking.CAN_FORK, **options):
    """Run what a command starts; `forks`, or in a process of its own."""
    environ = {**os.environ, **(environ or {})}
    words = [str(word) for word in arguments]
    if forks:
        return forking.run(what, words, folder, environ, timeout)
    result = subprocess.run(
        [*command, *words],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding=environ.get("PYTHONIOENCODING") or "utf-8",
        timeout=timeout,
        **options,
    )
    return result.returncode, result.stdout


@functools.cache
def shared_clone(folder):
    """A copy of the repository for tests that change nothing in it but websocket/ and attempts/."""
    clone = copy_repository(folder / "shared/clone")
    return clone, set(os.listdir(clone))


def new_learner(tmp_path_factory):
    """A learner who has not begun, in the clone that tests share."""
    clone, names = shared_clone(tmp_path_factory.getbasetemp())
    for path in (clone / "websocket", clone / "attempts"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = set(os.listdir(clone)) - names
    assert not left, f"a test has left {left} in the clone that others share: give it its own"
    return Learner(clone)


class Learner:
    """Somebody with a clone of their own, whose .venv is the one that runs the tests."""

    def __init__(self, clone, **environ):
        self.clone, self.environ = clone, {"PYTHONUTF8": "1", **environ}
        self.folder = clone / "websocket"

    def __call__(self, *arguments, **options):
        """Run the command, which never ends in a traceback: its exit code and its output."""
        return run_command(self.clone, *arguments, environ=self.environ, **options)

    def start(self, *arguments, **options):
        """Run the command in a process of its own, as it is when a learner types it."""
        return self(*arguments, forks=False, **options)

    def write(self, name, content):
        """Write a file of the project, in bytes or as text."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    def progress(self):
        """What progress.json says."""
        return json.loads((self.folder / "progress.json").read_text(encoding="utf-8"))


def get_when_served(url, seconds=20):
    """The text at a URL, once a server listens there: some say that they do before it is so."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with HTTP.open(url, timeout=seconds) as response:
                return response.read().decode()
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert time.monotonic() < deadline, f"nothing is served at {url}"
            time.sleep(0.05)


def assert_no_failure(output):
    """Assert that a server's log has no exception, but for that of RAISES_AT_DISCONNECT."""
    if RAISES_AT_DISCONNECT:
        kinds = re.findall(r"^[ |]*([\w.]+(?:Error|Group|Disconnected|Exit))(?=:|$)", output, re.M)
        assert set(kinds) <= {"ExceptionGroup", "quart.wrappers.base.ClientDisconnectedError"}, (
            output
        )
    else:
        assert "Traceback" not in output


def build_site(folder):
    """Build the docs site with the command, which takes warnings as errors.

    Unless it is --all, without translations and without Python for its pages, which takes a minute.
    """
    without = {} if RUNS_ALL else {"WORKSHOP_WITHOUT_LIVE": "1"}
    english = [] if RUNS_ALL else ["--english"]
    return subprocess.run(
        [sys.executable, "-m", "workshop", "docs", "--build", str(folder), *english],
        cwd=ROOT,
        env={**os.environ, **without},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=220,
    )
