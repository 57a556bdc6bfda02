"""The environment of every command: .venv, which is made with the standard library alone.

One command at a time makes it, and holds a lock meanwhile; another one waits. pipenv finds and uses
the same .venv.
"""

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from workshop import installing, machine, venv
from workshop.installing import EnvironmentFailed, cause
from workshop.language import _, sentence
from workshop.venv import LOCK, PYTHON, ROOT, VENV

MUTEX = ROOT / ".venv.lock"  # held by the command that makes .venv
WAIT_SECONDS = 1800  # for another command that makes .venv


def enter():
    """Go on inside .venv, making it first if need be; ends the process if it cannot be made."""
    if inside():
        if not venv.is_in_place():  # it cannot be made again by the Python that lives in it
            hand_over([base_python(), str(ROOT / "workshop"), *sys.argv[1:]])
        if is_ready() and machine.own_environ() == dict(os.environ):
            return
    for name in ("SIGTERM", "SIGBREAK"):  # clean up as after Ctrl-C
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        ensure()
    except EnvironmentFailed as failure:
        words = _("Could not create the environment: {why}.")
        sys.exit(words.format(why=sentence(str(failure))))
    if not inside() and venv.version() != sys.version_info[:2]:
        words = _("Using .venv, which has Python {its}; to use {other}, delete .venv first.")
        its, other = ("{}.{}".format(*one) for one in (venv.version(), sys.version_info))
        print(words.format(its=its, other=other), file=sys.stderr)
    hand_over([str(PYTHON), str(ROOT / "workshop"), *sys.argv[1:]], machine.own_environ())


def inside():
    """Whether this process runs on the Python in .venv."""
    return Path(sys.prefix).resolve() == VENV.resolve()


def base_python():
    """The command of the Python that made the environment in which this process runs."""
    return getattr(sys, "_base_executable", sys.executable)


def is_ready(last="default"):
    """Whether .venv is whole, in its place, and holds the sets of the lock file up to `last`."""
    return venv.holds(last)


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
            installing.make(last, lock, inside())
    except OSError as error:
        raise EnvironmentFailed(cause(f"{type(error).__name__}: {error}")) from None
    except KeyboardInterrupt:
        words = _("Stopped. The next command that needs these packages continues.")
        print(f"\n{words}", file=sys.stderr)
        sys.exit(130)


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


@contextlib.contextmanager
def _alone():
    """Hold the lock by which one command at a time makes .venv; say so if it has to wait."""
    with MUTEX.open("a") as lock:
        deadline = time.monotonic() + WAIT_SECONDS
        has_said_so = False
        while not is_locked(lock):
            if time.monotonic() > deadline:
                raise EnvironmentFailed("another command has been making it for too long: end that")
            if not has_said_so:
                print(_("Another command is making .venv: waiting for it …"), flush=True)
            has_said_so = True
            time.sleep(0.1)
        yield lock


def is_locked(lock):
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
