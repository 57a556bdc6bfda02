"""Saves in a project's folder: of its sources only, whatever else is written there.

The folder is watched by its name, so that another one may take its place. A file whose content is
the same as before was not saved; what git ignores, and what no project is made of, does not count.
"""

import hashlib
import os
import subprocess
import time
from pathlib import Path

from workshop.steps import SUFFIXES

LATENCY = {"step": 20, "debounce": 200, "rust_timeout": 200}  # milliseconds
LONGEST = 2**20  # bytes of a source; of longer files only the size is looked at
SKIPPED = ("node_modules", "venv", "env", "tests", "attempts")


def saves(folder, say=print):
    """Yield the sorted names of sources that were saved; an empty list every 0.2 s without one.

    Where the system cannot watch a folder, it is looked at regularly, and `say` is told so.
    """
    from watchfiles import watch

    before, polls, watcher = _sources(folder), None, watch
    while True:
        watched, is_new = _identity(folder), True
        try:
            events = watcher(folder, **LATENCY, yield_on_timeout=True, force_polling=polls)
            for changes in events if watched else ():
                is_another = _identity(folder) != watched
                if changes or is_another or is_new or polls:  # or it was saved just before
                    now = _sources(folder)
                    names = _differences(folder, before, now)
                    yield names or ([f"{Path(folder).name}/"] if is_another else [])
                    before, is_new = now, False
                else:
                    yield []
                if is_another:
                    break
        except UnicodeError:  # a name that watchfiles can't take
            polls, watcher = True, _ticks
        except (OSError, RuntimeError) as error:  # RuntimeError is what watchfiles makes of others
            if polls:
                raise
            if _identity(folder) == watched:
                polls = True
                say(f"The system can't watch {Path(folder).name}/ ({error}), so it is polled.")
        while _identity(folder) is None:
            yield _differences(folder, before, {})
            before = {}
            time.sleep(0.2)


def _ticks(folder, **_):
    """What watchfiles yields of a folder that it is never told of a change in."""
    while True:
        time.sleep(0.2)
        yield set()


def _differences(folder, before, now):
    names = sorted(name for name in {**before, **now} if now.get(name) != before.get(name))
    ignored = _ignored(folder, names)
    return [name for name in names if name not in ignored]


def _sources(folder):
    """The sources below a folder: names to what tells whether the content is another."""
    found = {}
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in SKIPPED and name[0] not in "._"]
        for name in files:
            path = Path(parent, name)
            if name == "Pipfile" or (path.suffix and path.suffix in SUFFIXES):
                try:
                    size = path.stat().st_size
                    content = path.read_bytes() if size <= LONGEST else str(size).encode()
                except OSError:  # it is gone again, or is not to be read
                    continue
                found[path.relative_to(folder).as_posix()] = hashlib.sha256(content).digest()
    return found


def _ignored(folder, names):
    """Those of the names that git ignores; none where there is no git."""
    if not names:
        return set()
    text = "".join(f"{name}\0" for name in names).encode(errors="surrogateescape")
    command = ["git", "check-ignore", "-z", "--stdin"]
    try:
        answer = subprocess.run(command, cwd=folder, input=text, capture_output=True, timeout=5)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return set(answer.stdout.decode(errors="surrogateescape").split("\0"))


def _identity(folder):
    """What tells a folder from another one of the same name; None if it is not there."""
    try:
        state = Path(folder).stat()
    except OSError:
        return None
    return (state.st_dev, state.st_ino, state.st_ctime_ns if os.name == "nt" else 0)
