"""Files that another program may have open for a moment: moved and removed all the same.

On Windows, nothing can be moved or removed while a virus scanner or a program that synchronizes
folders looks at it, and what is read-only, such as git's objects, can't be removed at all.
"""

import contextlib
import os
import shutil
import stat
import sys
import time

SECONDS = 2 if os.name == "nt" else 0  # for such a program to finish with a file


def rename(path, target):
    """Rename a file or a folder to what isn't there yet; returns the new path."""
    return _patiently(path.rename, target, until=time.monotonic() + SECONDS)


def replace(path, target):
    """Put a file in the place of another one; returns the new path."""
    return _patiently(path.replace, target, until=time.monotonic() + SECONDS)


def remove(path):
    """Remove a folder or a file, as far as that is possible."""
    until = time.monotonic() + SECONDS

    def once_more(function, name, _):
        if function in (os.unlink, os.rmdir):
            with contextlib.suppress(OSError):
                os.chmod(name, stat.S_IRWXU)
                _patiently(function, name, until=until)

    if path.is_file() or path.is_symlink():
        once_more(os.unlink, path, None)
    else:
        name = "onexc" if sys.version_info >= (3, 12) else "onerror"
        shutil.rmtree(path, **{name: once_more})


def free(path):
    """The path, with a number if there is something already."""
    chosen, number = path, 1
    while os.path.lexists(chosen):
        number += 1
        chosen = path.with_name(f"{path.name}.{number}")
    return chosen


def _patiently(function, *arguments, until):
    while True:
        try:
            return function(*arguments)
        except PermissionError:
            if time.monotonic() >= until:
                raise
            time.sleep(0.05)
