"""The tests of everything, or of what somebody names, run by pytest."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from workshop import machine
from workshop.environment import ensure, hand_over
from workshop.installing import network_variables
from workshop.language import N_, _
from workshop.steps import STEPS
from workshop.venv import ROOT

PLAN = N_("""\
Testing every step, exercise and mistake, the command, docs and notebooks: about three minutes.
Left out, which --all adds: tests that need the network, repeat others or take long.
""")
PLAN_OF_ALL = N_("""\
Testing what --all adds, too, such as real environments and pipenv: five to ten minutes.
Left out: tests marked as exhaustive, which run only if --all and their file are both named.
""")
PARALLEL = 5  # tests at once, also on fewer cores, because half of the time they wait


def run(arguments):
    """Run pytest with these arguments, in place of this process.

    Without a file or a folder among them it is everything, from wherever it is called. With --all,
    tests that are marked as thorough run, too: they need the network, repeat others or take long.
    Those marked as exhaustive run only if --all and their file are both named.
    """
    arguments = list(arguments)
    runs_all = "--all" in arguments
    if runs_all:
        arguments.remove("--all")
    ensure(last_set(arguments))
    paths = paths_in(arguments)
    options = [] if paths else ["-n", str(PARALLEL), "--maxschedchunk", "1"]
    if not paths:
        os.chdir(ROOT)
        print(_(PLAN_OF_ALL if runs_all else PLAN), flush=True)
    variables = machine.environ(also={*network_variables(), "NODE_PATH"})
    variables["WORKSHOP_ALL"] = "1" if runs_all else ""
    variables["WORKSHOP_EXHAUSTIVE"] = "1" if runs_all and paths else ""
    variables.pop("PYTHONDONTWRITEBYTECODE", None)  # or each process compiles the tests again
    pytest = [sys.executable, "-m", "pytest"]
    if not paths and not (ROOT / "tests/__pycache__").exists():
        # Compile them once here; otherwise each process compiles all tests, at the same time.
        subprocess.run([*pytest, "-q", "--collect-only"], env=variables, stdout=subprocess.DEVNULL)
    hand_over([*pytest, *options, *map(without_brackets, arguments)], variables)


def paths_in(arguments):
    """The files and folders that pytest's arguments name."""
    return list(filter(None, map(path_of, arguments)))


def last_set(arguments):
    """The last set of the lock file that the tests which these arguments name need."""
    paths = paths_in(arguments)
    is_of_steps = paths and all(path.resolve().is_relative_to(STEPS) for path in paths)
    return "develop" if is_of_steps else "maintenance"


def path_of(argument):
    """The file or folder that an argument of pytest names; None if it names none."""
    path = Path(argument.partition("::")[0])
    with suppress(OSError, ValueError):  # an expression need not be a possible name
        if path.exists():
            return path
    return None


def without_brackets(argument):
    """An argument for pytest, which takes what follows a [ in a path for a test's parameters."""
    path = path_of(argument)
    if path is None or not path.is_absolute():
        return argument
    with suppress(ValueError):  # it is on another drive
        return os.path.relpath(path) + argument.removeprefix(str(path))
    return argument
