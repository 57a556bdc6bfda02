"""The environment in .venv: made from Pipfile.lock with the standard library alone.

`default` is the light set, all that running a step needs; `develop` is what the tests, the docs
and the notebooks need as well. pipenv finds and uses the same .venv.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "Pipfile.lock"
VENV = ROOT / ".venv"
SET_ASIDE = ROOT / ".venv.old"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
UNFINISHED = VENV / "workshop.unfinished"  # there while venv is at work
STAMP = VENV / "workshop.json"  # what is installed, written when all of it is

# What pip or venv print when something is wrong, and what to tell the user.
CAUSES = (
    (r"No space left|not enough space", "the disk is full: make room, then run this again"),
    (r"Read-only file system", f"{ROOT} cannot be written to: copy the workshop to another folder"),
    (r"Permission denied|PermissionError", f"{ROOT} may not be written to by you: check its owner"),
    (
        r"DO NOT MATCH THE HASHES",
        "a package is not the one that Pipfile.lock names: try again, and on another network",
    ),
    (
        r"NewConnectionError|ConnectTimeout|ReadTimeout|Failed to (resolve|establish)|ProxyError"
        r"|ConnectionError|name resolution|No matching distribution|Network is unreachable",
        "no package index can be reached: connect to a network, or set PIP_NO_INDEX=1 and "
        "PIP_FIND_LINKS=FOLDER to install from a folder of packages",
    ),
    (
        r"ensurepip",
        "this Python cannot make environments: install its venv module "
        "(on Debian and Ubuntu: sudo apt install python3-venv)",
    ),
)


class EnvironmentFailed(Exception):
    """The packages are not installed; the message says why and what to do."""


def enter():
    """Go on inside .venv, making it first if need be; ends the process if it cannot be made."""
    if inside() and is_ready():
        return
    for name in ("SIGTERM", "SIGBREAK"):  # clean up as after Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        ensure("default")
    except EnvironmentFailed as failure:
        sys.exit(f"The environment is not made: {failure}.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The environment is not made; the next run starts it again.")
    if not inside():
        hand_over([str(PYTHON), str(ROOT / "workshop"), *sys.argv[1:]])


def inside():
    """Whether this process runs on the Python in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def is_ready(*sets):
    """Whether .venv is whole, of this Python, and holds these sets of the lock file."""
    installed = _stamp()
    return _is_of_this_python() and all(
        installed.get(name) == _digest(name) for name in sets or ["default"]
    )


def ensure(*sets):
    """Make .venv hold these sets of the lock file, doing only what is missing.

    Raises EnvironmentFailed with the reason and the mend; a working .venv is kept then.
    """
    if is_ready(*sets):
        return
    if not LOCK.is_file():
        raise EnvironmentFailed("there is no Pipfile.lock: clone the workshop again")
    try:
        if inside() or (_is_of_this_python() and _is_whole()):
            _install(sets)
        else:
            with _kept_unless_replaced():
                _create()
                _install(sets)
    except OSError as error:
        raise EnvironmentFailed(_cause(f"{type(error).__name__}: {error}")) from None


def hand_over(command):
    """Run a command in place of this process, which ends with the command's exit code."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    # Windows has no exec: wait for a child, and leave Ctrl-C to it.
    child = subprocess.Popen(command)
    while True:
        with contextlib.suppress(KeyboardInterrupt):
            sys.exit(child.wait())


def end(child):
    """End a process that leads a session of its own and, but on Windows, all that it started."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        if os.name == "nt":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


# What is there


def locked(name):
    """A set of the lock file: package names to their version, hashes and markers."""
    return json.loads(LOCK.read_text(encoding="utf-8"))[name]


def _digest(name):
    return hashlib.sha256(json.dumps(locked(name), sort_keys=True).encode()).hexdigest()


def _stamp():
    try:
        return dict(json.loads(STAMP.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _is_of_this_python():
    try:
        text = (VENV / "pyvenv.cfg").read_text(encoding="utf-8")
    except OSError:
        return False
    version = re.search(r"^version(?:_info)? *= *(\d+)\.(\d+)", text, re.MULTILINE)
    home = re.search(r"^home *= *(.+)$", text, re.MULTILINE)
    return (
        PYTHON.exists()
        and bool(version and home)
        and (int(version[1]), int(version[2])) == sys.version_info[:2]
        and Path(home[1].strip()).is_dir()
    )


def _is_whole():
    # pip writes INSTALLER once a package's files are there: without it, pip was interrupted.
    infos = [*VENV.glob("lib/*/site-packages/*.dist-info"), *VENV.glob("Lib/*/*.dist-info")]
    has_pip = any(info.name.startswith("pip-") for info in infos)
    return (
        not UNFINISHED.exists()
        and has_pip
        and all((info / "INSTALLER").is_file() for info in infos)
    )


# Making it


@contextlib.contextmanager
def _kept_unless_replaced():
    """Set the .venv that is there aside; put it back if the new one does not get finished."""
    if VENV.exists():
        print("The .venv that is here is half-made or of another Python: making it again.")
        if SET_ASIDE.exists():
            shutil.rmtree(VENV)
        else:
            VENV.rename(SET_ASIDE)
    try:
        yield
    except BaseException:
        shutil.rmtree(VENV, ignore_errors=True)
        if SET_ASIDE.exists():
            SET_ASIDE.rename(VENV)
        raise
    shutil.rmtree(SET_ASIDE, ignore_errors=True)


def _create():
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentFailed(_cause("ensurepip"))
    with _Progress("Making .venv") as progress:
        VENV.mkdir()
        UNFINISHED.touch()
        _run([sys.executable, "-m", "venv", str(VENV)], progress)
        UNFINISHED.unlink()


def _install(sets):
    """Install these sets with pip, each package checked against its hashes in the lock file."""
    STAMP.unlink(missing_ok=True)
    packages = {name: entry for group in sets for name, entry in locked(group).items()}
    requirements = VENV / "requirements.txt"
    requirements.write_text(
        "".join(_requirement(*item) for item in packages.items()), encoding="utf-8", newline="\n"
    )
    what = "the tools for tests and docs" if "develop" in sets else "what the steps need"
    with _Progress(f"Installing {what}", len(packages)) as progress:
        options = ["--require-hashes", "--no-deps", "--no-input", "--disable-pip-version-check"]
        pip = [str(PYTHON), "-m", "pip", "install", *options, "--progress-bar=off"]
        _run([*pip, "-r", str(requirements)], progress)
    stamp = json.dumps({group: _digest(group) for group in sets}, indent=2)
    STAMP.write_text(stamp + "\n", encoding="utf-8", newline="\n")


def _requirement(name, entry):
    marker = f" ; {entry['markers']}" if "markers" in entry else ""
    hashes = "".join(f" --hash={value}" for value in entry["hashes"])
    return f"{name}{entry['version']}{marker}{hashes}\n"


def _run(command, progress):
    """Run a command and show its progress; raises EnvironmentFailed with the cause if it fails."""
    output = []
    # A user's own settings for pip must not send packages elsewhere.
    environ = {**os.environ, "PIP_USER": "0", "PYTHONUTF8": "1"}
    child = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env=environ,
        start_new_session=True,  # so that Ctrl-C comes here alone, and ends it with its children
    )
    try:
        for line in child.stdout:
            output.append(line)
            progress.show(line)
        child.wait()
    except BaseException:
        end(child)
        raise
    if child.returncode:
        raise EnvironmentFailed(_cause("".join(output)))


def _cause(output):
    for pattern, sentence in CAUSES:
        if re.search(pattern, output):
            return sentence
    return (
        output.strip().rpartition("\n")[2].removeprefix("ERROR: ").rstrip(".") or "no reason given"
    )


class _Progress:
    """A line that says what is being done and how far it is; it moves on a terminal only."""

    def __init__(self, title, total=0):
        self.title, self.total, self.done = title, total, 0
        self.started = time.monotonic()

    def __enter__(self):
        print(f"{self.title} …", end="" if sys.stdout.isatty() else "\n", flush=True)
        return self

    def show(self, line):
        self.done += line.startswith(("Collecting ", "Requirement already satisfied", "Ignoring "))
        if sys.stdout.isatty():
            stage = f"{self.done} of {self.total}" if self.total else ""
            if line.startswith("Installing collected packages"):
                stage = "unpacking"
            print(f"\r\033[K{self.title} … {stage}", end="", flush=True)

    def __exit__(self, kind, error, trace):
        seconds = time.monotonic() - self.started
        result = "stopped" if kind else f"done in {seconds:.0f} s"
        print(f"\r\033[K{self.title}: {result}" if sys.stdout.isatty() else f"  {result}")
