"""What .venv is: where it lies, whether it works, and which sets of Pipfile.lock it holds.

Pipfile.lock has three sets, each of which builds on those before it: `default` is what running a
step needs, `develop` what checking needs, `maintenance` what docs, notebooks and benchmarks need.
"""

import hashlib
import json
import os
import re
from pathlib import Path

from workshop.language import N_

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "Pipfile.lock"
VENV = ROOT / ".venv"
SET_ASIDE = ROOT / ".venv.old"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
PIP = PYTHON.with_name("pip.exe" if os.name == "nt" else "pip")  # has its own path in it
UNFINISHED = VENV / "workshop.unfinished"  # there until the first packages are installed
STAMP = VENV / "workshop.json"  # what is installed, written when all of it is
# The sets of the lock file, each with what it is for.
SETS = {
    "default": N_("what the steps need"),
    "develop": N_("what checking needs"),
    "maintenance": N_("what docs, notebooks and all tests need"),
}
OLDEST = (3, 11)  # the oldest Python that will do
LONGEST_STAMP = 10_000  # characters


def locked(name):
    """A set of the lock file: package names to their version, hashes and markers."""
    return json.loads(LOCK.read_text(encoding="utf-8"))[name]


def up_to(last):
    """The names of the sets up to `last`."""
    names = list(SETS)
    return names[: names.index(last) + 1]


def holds(last):
    """Whether .venv works, and holds the sets of the lock file up to `last`."""
    installed = _stamp()
    return works() and all(installed.get(name) == _digest(name) for name in up_to(last))


def stamp(sets):
    """Note that .venv holds these sets of the lock file."""
    from workshop import moving  # here, because a page has no such module

    text = json.dumps({group: _digest(group) for group in sets}, indent=2)
    new = STAMP.with_suffix(".new")
    new.write_text(text + "\n", encoding="utf-8", newline="\n")
    moving.replace(new, STAMP)


def _digest(name):
    return hashlib.sha256(json.dumps(locked(name), sort_keys=True).encode()).hexdigest()


def _stamp():
    try:
        with STAMP.open(encoding="utf-8") as file:
            return dict(json.loads(file.read(LONGEST_STAMP)))
    except (OSError, ValueError, TypeError, RecursionError):
        return {}


def version():
    """The version of .venv's Python, such as (3, 11); (0, 0) if that is not known."""
    found = re.search(r"^version(?:_info)? *= *(\d+)\.(\d+)", config(), re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def config():
    """What .venv says of itself, in pyvenv.cfg; "" if Python can't read that."""
    try:
        with (VENV / "pyvenv.cfg").open(encoding="utf-8") as file:
            return file.read(LONGEST_STAMP)
    except (OSError, UnicodeDecodeError):
        return ""


def works():
    """Whether .venv was finished, is where it was made, and has a Python that is still there."""
    home = re.search(r"^home *= *(.+)$", config(), re.MULTILINE)
    return bool(
        home
        and Path(home[1].strip()).is_dir()
        and PYTHON.exists()
        and version() >= OLDEST
        and is_in_place()
        and not UNFINISHED.exists()
    )


def is_in_place():
    """Whether .venv is where it was made: its scripts, such as quart, name that place."""
    try:
        # What comes before it must not be a part of another path that ends the same.
        pattern = rb"""[!"'\s]""" + re.escape(os.fsencode(VENV))
        flags = re.IGNORECASE if os.name == "nt" else 0  # c: is C:
        return bool(re.search(pattern, PIP.read_bytes(), flags))
    except OSError:  # there is no such script, so nothing names a place
        return True


def is_whole():
    """Whether pip was never interrupted in the middle of a package."""
    # pip writes INSTALLER once a package's files are there: without it, pip was interrupted.
    found = list(infos())
    has_pip = any(info.name.startswith("pip-") for info in found)
    return has_pip and all((info / "INSTALLER").is_file() for info in found)


def infos():
    """The folders in which pip notes what is installed, one for each package."""
    yield from VENV.glob("lib/python*/site-packages/*.dist-info")
    if os.name == "nt":
        yield from VENV.glob("Lib/site-packages/*.dist-info")
