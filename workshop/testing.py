"""The tests of everything, or of what somebody names, run by pytest."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from workshop import machine
from workshop.environment import ROOT, ensure, hand_over, network_variables
from workshop.steps import STEPS

PARALLEL = 5  # tests at once, also on fewer cores, because half of the time they wait


def run(arguments):
    """Run pytest with these arguments, in place of this process.

    Without a file or a folder among them it is everything, from wherever it is called.
    """
    paths = list(filter(None, map(path_of, arguments)))
    is_of_steps = paths and all(path.resolve().is_relative_to(STEPS) for path in paths)
    ensure("develop" if is_of_steps else "maintenance")
    options = [] if paths else ["-n", str(PARALLEL), "--maxschedchunk", "1"]
    if not paths:
        os.chdir(ROOT)
    variables = machine.environ(also={*network_variables(), "NODE_PATH"})
    pytest = [sys.executable, "-m", "pytest", *options, *map(without_brackets, arguments)]
    hand_over(pytest, variables)


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
