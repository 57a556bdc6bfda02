"""Where the repository is and what is in it."""

import shutil
import socket
import subprocess
import urllib.request
from pathlib import Path

from workshop.steps import all_steps

ROOT = Path(__file__).resolve().parents[1]
STEPS = all_steps()
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


def needs_browser(test_file):
    """Whether the tests in a file look at a page in a browser."""
    return "(page" in test_file.read_text(encoding="utf-8")


def free_port():
    """A port of 127.0.0.1 that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
