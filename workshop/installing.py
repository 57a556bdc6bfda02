"""Making .venv from Pipfile.lock, by the standard library's venv and by pip.

What is half-made has the file UNFINISHED in it; what was there before is kept aside until its
successor is complete.
"""

import ast
import contextlib
import importlib.util
import os
import re
import subprocess
import sys
import threading
import time

from workshop import machine, moving, venv
from workshop.language import _, sentence
from workshop.tied import end
from workshop.venv import PYTHON, ROOT, SET_ASIDE, SETS, STAMP, UNFINISHED, VENV

SILENCE = 2  # seconds after which the user is told what this waits for
# What pip may be told by a user's settings: where packages come from, and nothing of where they go.
PIP_SETTINGS = {
    *("index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "proxy", "cert"),
    *("client-cert", "timeout", "default-timeout", "retries", "cache-dir", "no-cache-dir"),
    *("keyring-provider", "use-feature"),
}
# What pip or venv print when something is wrong, and what to tell the user.
CAUSES = (
    # Windows says these in its own language, so their numbers are looked for.
    (
        r"WinError (5|32|145)\b",
        "a program still uses .venv: stop what runs in other terminals, close your editor, and "
        "run this again",
    ),
    (
        r"WinError 206\b|Windows Long Path|[Ff]ile ?name too long",
        f"the path of {ROOT} is too long: move the workshop to a folder with a shorter one",
    ),
    (
        r"No space left|not enough space|WinError 112\b",
        "the disk is full: free some space, then run this again",
    ),
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
    """The packages are not installed; the message says why and what to do.

    `output` is what pip or venv printed, if one of them failed.
    """

    def __init__(self, message, output=""):
        super().__init__(message)
        self.output = output


def make(last, lock, is_inside):
    """Make .venv hold the sets up to `last`; `lock` is the file of the lock that is held.

    Raises EnvironmentFailed or OSError; a working .venv is kept then.
    """
    if is_inside or (venv.works() and venv.is_whole()):
        _install(last, lock)
        return
    with _kept_unless_replaced():
        _create(lock)
        _install(last, lock)


def network_variables():
    """The names of variables that say how packages are fetched, for children that fetch some."""
    of_pip = {f"PIP_{key.upper().replace('-', '_')}" for key in PIP_SETTINGS}
    return {*machine.NETWORK, *of_pip, "PIP_CONFIG_FILE"}


@contextlib.contextmanager
def _kept_unless_replaced():
    """Set the .venv that is there aside; put it back if the new one does not get finished."""
    if VENV.is_symlink():
        raise EnvironmentFailed(".venv is a link to an environment that can't be used: remove it")
    if VENV.exists():
        if UNFINISHED.exists():
            print(_("Making .venv again, because it wasn't finished."), flush=True)
            _discard(VENV)
        else:
            words = _("Making .venv again, because {why}.")
            print(words.format(why=sentence(_what_is_wrong())), flush=True)
            _discard(SET_ASIDE)  # what replaced it was complete
            moving.rename(VENV, SET_ASIDE)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # what went wrong first is to be told
            _discard(VENV)
            if SET_ASIDE.exists():
                moving.rename(SET_ASIDE, VENV)
        raise
    _discard(SET_ASIDE)


def _discard(path):
    """Remove an environment that is there: all of it or, where that is not possible, nothing.

    It is renamed first, since one that was removed in part may look as if it were whole. What can't
    be removed, as a program uses it, is left under another name.
    """
    for left in path.parent.glob(f"{path.name}.gone*"):
        moving.remove(left)
    if path.exists():
        gone = path.with_name(f"{path.name}.gone")
        moving.remove(moving.rename(path, moving.free(gone)))


def _what_is_wrong():
    if not venv.is_in_place():
        return "this folder was moved"
    return (
        "it isn't complete"
        if venv.works() or not venv.config()
        else "its Python is gone or too old"
    )


def _create(lock):
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise EnvironmentFailed(cause("ensurepip"))
    with Progress(_("Making .venv")) as progress:
        VENV.mkdir()
        UNFINISHED.touch()
        run(sys.executable, "venv", [str(VENV)], machine.environ(), lock, progress.show)


def _install(last, lock):
    """Install the sets up to `last`, each package checked against its hashes in the lock file."""
    STAMP.unlink(missing_ok=True)
    sets = venv.up_to(last)
    packages = {name: entry for group in sets for name, entry in venv.locked(group).items()}
    requirements = VENV / "requirements.txt"
    requirements.write_text(
        "".join(requirement(*item) for item in packages.items()), encoding="utf-8", newline="\n"
    )
    title = _("Installing {what}").format(what=_(SETS[last]))
    with Progress(title, len(packages)) as progress:
        options = ["--require-hashes", "--no-deps", "--no-input", "--progress-bar=off"]
        pip = ["install", *options, "-r", str(requirements)]
        environ = pip_environ(lock)
        progress.wait_for("the package index")
        output = run(PYTHON, "pip", pip, environ, lock, progress.show)
    if missing := _missing(packages, output):
        raise EnvironmentFailed(
            f"pip says that all is installed, but .venv lacks {', '.join(missing)}: "
            "delete .venv and try again"
        )
    venv.stamp(sets)
    UNFINISHED.unlink(missing_ok=True)


def _missing(packages, output):
    """The names of packages that pip did not leave out for this Python, and that are not there."""
    left_out = set(re.findall(r"^Ignoring (\S+): markers", output, re.MULTILINE))
    there = {plain(info.name.partition("-")[0]) for info in venv.infos()}
    return [name for name in packages if name not in left_out and plain(name) not in there]


def plain(name):
    """A package's name as it is compared: in lower case, and with - in place of _ and dots."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pip_environ(lock=None):
    """The variables for pip, with a user's settings of where packages come from, and no others."""
    variables = machine.environ(also=machine.NETWORK)
    of_pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    try:
        listed = run(PYTHON, "pip", ["config", "list"], {**variables, **of_pip}, lock)
    except EnvironmentFailed as failure:
        where = machine.as_typed(PYTHON, "-m", "pip", "config", "debug")
        raise EnvironmentFailed(f"pip can't read its settings ({failure}): see {where}") from None
    found = re.findall(r"^(global|install|:env:)\.([\w-]+)=(.+)$", listed, re.MULTILINE)
    settings = {}
    for section in ("global", "install", ":env:"):  # the later ones count
        settings |= {key: value for where, key, value in found if where == section}
    for key in PIP_SETTINGS & settings.keys():
        variables[f"PIP_{key.upper().replace('-', '_')}"] = ast.literal_eval(settings[key])
    return {**variables, "PIP_CONFIG_FILE": os.devnull, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def requirement(name, entry):
    """A line for pip, with the version, marker and hashes that the lock file has for a package."""
    marker = f" ; {entry['markers']}" if "markers" in entry else ""
    hashes = "".join(f" --hash={value}" for value in entry["hashes"])
    return f"{name}{entry['version']}{marker}{hashes}\n"


def run(python, module, arguments, environ, lock=None, show=lambda line: None):
    """Run a module and return its output, line by line to `show`, too.

    It ends with this process, and has the lock until then, if there is one. Raises
    EnvironmentFailed with the cause if it fails.
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
        **({"pass_fds": [lock.fileno()]} if lock and os.name != "nt" else {}),
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
        raise EnvironmentFailed(cause("".join(output)), "".join(output))
    return "".join(output)


def cause(output):
    """What to tell the user of what pip or venv printed."""
    for pattern, what_to_do in CAUSES:
        if re.search(pattern, output):
            return what_to_do
    return (
        output.strip().rpartition("\n")[2].removeprefix("ERROR: ").rstrip(".") or "no reason given"
    )


class Progress:
    """A line that says what is being done and how far it is; it moves on a terminal only.

    If nothing is done after a while, it says what is waited for, if that is known.
    """

    def __init__(self, title, total=0):
        self.title, self.total, self.done = title, total, 0
        self.timer = self.waiting = None
        self.length = len(title) + 2  # of what was shown last
        self.started = time.monotonic()

    def __enter__(self):
        print(f"{self.title} …", end="" if machine.is_terminal(sys.stdout) else "\n", flush=True)
        return self

    def wait_for(self, what):
        """Say what this waits for if nothing is done within some seconds."""
        self.timer = threading.Timer(SILENCE, self._say_waiting, [what])
        self.timer.daemon = True
        self.timer.start()

    def _say_waiting(self, what):
        if self.done == 0:
            self.waiting = _("waiting for {what}").format(what=_(what))
            if machine.is_terminal(sys.stdout):
                self.show("")
            else:
                print(f"  {self.waiting}", flush=True)

    def show(self, line):
        self.done += line.startswith(("Collecting ", "Requirement already satisfied", "Ignoring "))
        if machine.is_terminal(sys.stdout):
            stage = f"{self.done or ''}"
            if self.total:
                stage = _("{number} of {count}").format(number=self.done, count=self.total)
            if self.done == 0 and self.waiting:
                stage = self.waiting
            if line.startswith("Installing collected packages"):
                stage = _("unpacking")
            print(f"\r{self._over(f'{self.title} … {stage}')}", end="", flush=True)

    def _over(self, text):
        """The text, long enough to hide the one before: some terminals of Windows can't erase."""
        before, self.length = self.length, len(text)
        return text.ljust(before)

    def __exit__(self, kind, error, trace):
        if self.timer:
            self.timer.cancel()
        seconds = time.monotonic() - self.started
        result = _("done in {seconds} s").format(seconds=f"{seconds:.0f}")
        result = _("stopped") if kind else result
        is_terminal = machine.is_terminal(sys.stdout)
        line = f"\r{self._over(f'{self.title}: {result}')}" if is_terminal else f"  {result}"
        print(line, flush=True)  # before what may be said of it on stderr
