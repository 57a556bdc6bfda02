"""The environment in .venv: made from Pipfile.lock with the standard library alone.

Pipfile.lock has three sets, each of which builds on those before it: `default` is what running a
step needs, `develop` what checking needs, `maintenance` what docs, notebooks and benchmarks need.
pipenv finds and uses the same .venv.

One command at a time makes it, and holds a lock meanwhile; another one waits. What is half-made
has the file UNFINISHED in it; what was there before is kept aside until its successor is complete.
"""

import ast
import contextlib
import errno
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

from workshop import machine

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "Pipfile.lock"
VENV = ROOT / ".venv"
SET_ASIDE = ROOT / ".venv.old"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PIP = PYTHON.with_name("pip.exe" if os.name == "nt" else "pip")  # has its own path in it
UNFINISHED = VENV / "workshop.unfinished"  # there until the first packages are installed
STAMP = VENV / "workshop.json"  # what is installed, written when all of it is
MUTEX = ROOT / ".venv.lock"  # held by the command that makes .venv
# The sets of the lock file, each with what it is for.
SETS = {
    "default": "what the steps need",
    "develop": "what checking needs",
    "maintenance": "what docs, notebooks and all tests need",
}
OLDEST = (3, 11)  # the oldest Python that will do
WAIT_SECONDS = 1800  # for another command that makes .venv
LONGEST_STAMP = 10_000  # characters
# What pip may be told by a user's settings: where packages come from, and nothing of where they go.
PIP_SETTINGS = {
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "cert"),
    *("client-cert", "timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"),
    *("keyring-provider", "use-feature"),
}

# What pip or venv print when something is wrong, and what to tell the user.
CAUSES = (
    (r"No space left|not enough space", "the disk is full: make room, then run this again"),
    (r"Read-only file system", f"{ROOT} cannot be written to: copy the workshop to another folder"),
    (r"Permission denied|PermissionError", f"{ROOT} may not be written to by you: check its owner"),
    (
        r"Refusing to create a venv",
        f"no environment can have {os.pathsep!r} in its path: move the workshop to another folder",
    ),
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
    if inside():
        if not _is_in_place():  # it cannot be made again by the Python that lives in it
            hand_over([sys._base_executable, str(ROOT / "workshop"), *sys.argv[1:]])
        if is_ready() and machine.own_environ() == dict(os.environ):
            return
    for name in ("SIGTERM", "SIGBREAK"):  # clean up as after Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        ensure()
    except EnvironmentFailed as failure:
        sys.exit(f"Could not create the environment: {failure}.")
    except KeyboardInterrupt:
        sys.exit("\nStopped. The environment isn't complete; the next command makes it again.")
    if not inside() and _version() != sys.version_info[:2]:
        print(
            "Using .venv, which has Python {}.{}; to use {}.{}, delete .venv first.".format(
                *_version(), *sys.version_info[:2]
            ),
            file=sys.stderr,
        )
    hand_over([str(PYTHON), str(ROOT / "workshop"), *sys.argv[1:]], machine.own_environ())


def inside():
    """Whether this process runs on the Python in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def is_ready(last="default"):
    """Whether .venv is whole, in its place, and holds the sets of the lock file up to `last`."""
    installed = _stamp()
    return _works() and all(installed.get(name) == _digest(name) for name in _up_to(last))


def ensure(last="default"):
    """Make .venv hold the sets of the lock file up to `last`, doing only what is missing.

    Raises EnvironmentFailed with the reason and the remedy; a working .venv is kept then.
    """
    if is_ready(last):
        return
    if not LOCK.is_file():
        raise EnvironmentFailed("there is no Pipfile.lock: clone the workshop again")
    try:
        with _alone() as lock:
            if is_ready(last):  # another command has just made it so
                return
            if inside() or (_works() and _is_whole()):
                _install(last, lock)
            else:
                with _kept_unless_replaced():
                    _create(lock)
                    _install(last, lock)
    except OSError as error:
        raise EnvironmentFailed(_cause(f"{type(error).__name__}: {error}")) from None


def network_variables():
    """The names of variables that say how packages are fetched, for children that fetch some."""
    of_pip = {f"PIP_{key.upper().replace('-', '_')}" for key in PIP_SETTINGS}
    return {*machine.NETWORK, *of_pip, "PIP_CONFIG_FILE"}


def hand_over(command, environ=None):
    """Run a command in place of this process, which ends with the command's exit code."""
    sys.stdout.flush()
    environ = dict(os.environ) if environ is None else environ
    if os.name != "nt":
        os.execve(command[0], command, environ)
    # Windows has no exec: wait for a child, and leave Ctrl-C to it.
    child = subprocess.Popen(command, env=environ)
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


@contextlib.contextmanager
def _alone():
    """Hold the lock by which one command at a time makes .venv; say so if it has to wait."""
    with MUTEX.open("a") as lock:
        deadline = time.monotonic() + WAIT_SECONDS
        has_said_so = False
        while not _is_locked(lock):
            if time.monotonic() > deadline:
                raise EnvironmentFailed("another command has been making it for too long: end that")
            if not has_said_so:
                print("Another command is making .venv: waiting for it …", flush=True)
            has_said_so = True
            time.sleep(0.1)
        yield lock


def _is_locked(lock):
    """Whether this process has the lock, which the system gives back when the process ends."""
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        # Some network drives know no locks: there, nobody waits.
        return error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
    return True


# What is there


def locked(name):
    """A set of the lock file: package names to their version, hashes and markers."""
    return json.loads(LOCK.read_text(encoding="utf-8"))[name]


def _digest(name):
    return hashlib.sha256(json.dumps(locked(name), sort_keys=True).encode()).hexdigest()


def _stamp():
    try:
        with STAMP.open(encoding="utf-8") as file:
            return dict(json.loads(file.read(LONGEST_STAMP)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def _version():
    """The version of .venv's Python, such as (3, 11); (0, 0) if that is not known."""
    found = re.search(r"^version(?:_info)? *= *(\d+)\.(\d+)", _config(), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def _config():
    try:
        with (VENV / "pyvenv.cfg").open(encoding="utf-8", errors="replace") as file:
            return file.read(LONGEST_STAMP)
    except OSError:
        return ""


def _works():
    """Whether .venv was finished, is where it was made, and has a Python that is still there."""
    home = re.search(r"^home *= *(.+)$", _config(), re.MULTILINE)
    return bool(
        home
        and Path(home[1].strip()).is_dir()
        and PYTHON.exists()
        and _version() >= OLDEST
        and _is_in_place()
        and not UNFINISHED.exists()
    )


def _is_in_place():
    """Whether .venv is where it was made: its scripts, such as quart, name that place."""
    try:
        return os.fsencode(VENV) in PIP.read_bytes()
    except OSError:  # there is no such script, so nothing names a place
        return True


def _is_whole():
    # pip writes INSTALLER once a package's files are there: without it, pip was interrupted.
    infos = list(_infos())
    has_pip = any(info.name.startswith("pip-") for info in infos)
    return has_pip and all((info / "INSTALLER").is_file() for info in infos)


def _infos():
    """The folders in which pip notes what is installed, one for each package."""
    yield from VENV.glob("lib/python*/site-packages/*.dist-info")
    if os.name == "nt":
        yield from VENV.glob("Lib/site-packages/*.dist-info")


# Making it


@contextlib.contextmanager
def _kept_unless_replaced():
    """Set the .venv that is there aside; put it back if the new one does not get finished."""
    if VENV.is_symlink():
        raise EnvironmentFailed(".venv is a link to an environment that can't be used: remove it")
    if VENV.exists():
        if UNFINISHED.exists():
            print("Making .venv again, because it wasn't finished.")
            shutil.rmtree(VENV)
        else:
            print(f"Making .venv again, because {_what_is_wrong()}.")
            shutil.rmtree(SET_ASIDE, ignore_errors=True)  # what replaced it was complete
            VENV.rename(SET_ASIDE)
    try:
        yield
    except BaseException:
        shutil.rmtree(VENV, ignore_errors=True)
        if SET_ASIDE.exists():
            SET_ASIDE.rename(VENV)
        raise
    shutil.rmtree(SET_ASIDE, ignore_errors=True)


def _what_is_wrong():
    if not _is_in_place():
        return "this folder was moved"
    return "it isn't complete" if _works() or not _config() else "its Python is gone or too old"


def _create(lock):
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentFailed(_cause("ensurepip"))
    with _Progress("Making .venv") as progress:
        VENV.mkdir()
        UNFINISHED.touch()
        _run(sys.executable, "venv", [str(VENV)], machine.environ(), lock, progress.show)


def _up_to(last):
    names = list(SETS)
    return names[: names.index(last) + 1]


def _install(last, lock):
    """Install the sets up to `last`, each package checked against its hashes in the lock file."""
    STAMP.unlink(missing_ok=True)
    sets = _up_to(last)
    packages = {name: entry for group in sets for name, entry in locked(group).items()}
    requirements = VENV / "requirements.txt"
    requirements.write_text(
        "".join(_requirement(*item) for item in packages.items()), encoding="utf-8", newline="\n"
    )
    with _Progress(f"Installing {SETS[last]}", len(packages)) as progress:
        options = ["--require-hashes", "--no-deps", "--no-input", "--progress-bar=off"]
        pip = ["install", *options, "-r", str(requirements)]
        output = _run(PYTHON, "pip", pip, _pip_environ(lock), lock, progress.show)
    if missing := _missing(packages, output):
        raise EnvironmentFailed(
            f"pip says that all is installed, but .venv lacks {', '.join(missing)}: "
            "delete .venv and try again"
        )
    stamp = json.dumps({group: _digest(group) for group in sets}, indent=2)
    new = STAMP.with_suffix(".new")
    new.write_text(stamp + "\n", encoding="utf-8", newline="\n")
    new.replace(STAMP)
    UNFINISHED.unlink(missing_ok=True)


def _missing(packages, output):
    """The names of packages that pip did not leave out for this Python, and that are not there."""
    left_out = set(re.findall(r"^Ignoring (\S+): markers", output, re.MULTILINE))
    there = {_plain(info.name.partition("-")[0]) for info in _infos()}
    return [name for name in packages if name not in left_out and _plain(name) not in there]


def _plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip_environ(lock):
    """The variables for pip, with a user's settings of where packages come from, and no others."""
    variables = machine.environ(also=machine.NETWORK)
    of_pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    listed = _run(PYTHON, "pip", ["config", "list"], {**variables, **of_pip}, lock)
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listed, re.MULTILINE)
    settings = {}
    for section in ("global", "install", ":env:"):  # the later ones count
        settings |= {key: value for where, key, value in found if where == section}
    for key in PIP_SETTINGS & settings.keys():
        variables[f"PIP_{key.upper().replace('-', '_')}"] = ast.literal_eval(settings[key])
    return {**variables, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _requirement(name, entry):
    marker = f" ; {entry['markers']}" if "markers" in entry else ""
    hashes = "".join(f" --hash={value}" for value in entry["hashes"])
    return f"{name}{entry['version']}{marker}{hashes}\n"


def _run(python, module, arguments, environ, lock, show=lambda line: None):
    """Run a module and return its output, line by line to `show`, too.

    It ends with this process, and has the lock until then. Raises EnvironmentFailed with the cause
    if it fails.
    """
    output = []
    tied = str(ROOT / "workshop/tied.py")
    child = subprocess.Popen(
        [str(python), tied, module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        env={**environ, "PYTHONUTF8": "1"},
        start_new_session=True,  # so that Ctrl-C comes here alone, and ends it with its children
        **({} if os.name == "nt" else {"pass_fds": [lock.fileno()]}),
    )
    try:
        for line in child.stdout:
            output.append(line)
            show(line)
        child.wait()
    except BaseException:
        end(child)
        raise
    if child.returncode:
        raise EnvironmentFailed(_cause("".join(output)))
    return "".join(output)


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
        print(f"{self.title} …", end="" if machine.is_terminal(sys.stdout) else "\n", flush=True)
        return self

    def show(self, line):
        self.done += line.startswith(("Collecting ", "Requirement already satisfied", "Ignoring "))
        if machine.is_terminal(sys.stdout):
            stage = f"{self.done} of {self.total}" if self.total else ""
            if line.startswith("Installing collected packages"):
                stage = "unpacking"
            print(f"\r\033[K{self.title} … {stage}", end="", flush=True)

    def __exit__(self, kind, error, trace):
        seconds = time.monotonic() - self.started
        result = "stopped" if kind else f"done in {seconds:.0f} s"
        print(
            f"\r\033[K{self.title}: {result}" if machine.is_terminal(sys.stdout) else f"  {result}"
        )
