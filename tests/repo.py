"""Where the repository is and what is in it."""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from workshop.serving import any_free_port
from workshop.steps import all_steps

ROOT = Path(__file__).resolve().parents[1]
STEPS = all_steps()
free_port = any_free_port
# The command in a copy of the repository, whose packages are those of the Python that runs it.
COMMAND = (
    "import sys; sys.path.insert(0, '.'); from workshop import environment, cli; "
    "environment.ensure = lambda *sets: None; environment.is_ready = lambda *sets: True; cli.main()"
)
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1


def tracked_files():
    """The files of the repository, also those not yet added to git, as relative paths."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, text=True).stdout
    paths = [Path(name) for name in names.split("\0") if name and (ROOT / name).is_file()]
    return [path for path in paths if path.parts[0] != "websocket"]  # the learner's own


def copy_repository(folder):
    """Copy the repository as a stranger has it after cloning: no .venv, nothing made."""
    for name in tracked_files():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


class Learner:
    """Somebody with a clone of their own, whose .venv is the one that runs the tests."""

    def __init__(self, clone, **environ):
        self.clone, self.environ = clone, {"PYTHONUTF8": "1", **environ}
        self.folder = clone / "websocket"

    def __call__(self, *arguments, **options):
        """Run the command, which never ends in a traceback: its exit code and its output."""
        result = subprocess.run(
            [sys.executable, "-c", COMMAND, *map(str, arguments)],
            cwd=self.clone,
            env={**os.environ, **self.environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=options.pop("timeout", 100),
            **options,
        )
        assert "Traceback" not in result.stdout, result.stdout
        return result.returncode, result.stdout

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


def build_site(folder):
    """Build the docs site with the command, which takes warnings as errors."""
    return subprocess.run(
        [sys.executable, "-m", "workshop", "docs", "--build", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=150,
    )
