"""What may be wrong on this machine, a line each, with the remedy."""

import os
import shutil
import sys
import tempfile
import time
import urllib.request
from importlib import metadata
from pathlib import Path

from workshop import environment, serving, venv
from workshop.language import sentence
from workshop.machine import COMMAND

LONGEST = 165  # characters of a package's file, below .venv
LONGEST_OF_WINDOWS = 260  # unless its setting says otherwise
SIGNS = {True: "✓", False: "✗", None: "·"}


def main():
    """Print what was found, with nothing but the standard library; returns an exit code."""
    found = list(examine())
    for what, is_well, remedy in found:
        what, remedy = sentence(what), sentence(remedy)
        print(SIGNS[is_well], what if is_well else f"{what}: {remedy}")
    return exit_code(found)


def exit_code(found):
    """1 if something has to be fixed, else 0."""
    return int(any(is_well is False for _, is_well, _ in found))


def examine():
    """Look at one thing after the other; yields what, whether it is well, and the remedy.

    Nothing is changed. Where it is None, there is nothing to fix, only something to know.
    """
    version = sys.version.split()[0]
    yield f"Python {version}", sys.version_info >= (3, 11), "install Python 3.11 or newer"
    ready = environment.is_ready()
    yield ".venv has what running a step needs", ready, f"{COMMAND} run installs it"
    checks = environment.is_ready("develop")
    yield ".venv has what the checks need", checks, f"{COMMAND} check installs it"
    if ready:
        wrong = list(_not_as_locked())
        yield (
            "the packages are those of Pipfile.lock",
            not wrong,
            (f"{', '.join(wrong)}: delete .venv, then {COMMAND} run"),
        )
    port = serving.FIRST_PORT
    is_free = serving.is_free(port)
    yield (
        f"port {port} is {'free' if is_free else 'taken'}",
        is_free or None,
        ("`run` uses the next free one; on macOS, AirPlay Receiver in the settings takes it"),
    )
    yield (
        "there is a browser, for the checks from step 4 on",
        _has_browser(),
        ("install Chromium, Chrome or Edge (on Debian: sudo apt install chromium)"),
    )
    yield "git is installed, for the branches", shutil.which("git") is not None, "install git"
    yield (
        "no proxy intercepts connections to this machine",
        not _is_proxied(serving.HOST),
        f"set NO_PROXY={serving.HOST},localhost",
    )
    if os.name == "nt":
        yield (
            "the path of this folder is short enough for all packages",
            len(str(venv.VENV)) + LONGEST < LONGEST_OF_WINDOWS or _has_long_paths(),
            "move the workshop to a folder with a shorter path",
        )
    writable, drift = _write(venv.ROOT)
    yield "this folder can be written to", writable, "copy the workshop to another folder"
    yield (
        "the clock of this folder's drive agrees with this machine's",
        drift < 2,
        (
            "this folder is on a network or synced drive, where a change may not be noticed: "
            "copy the workshop to a local one, or set WATCHFILES_FORCE_POLLING=1"
        ),
    )


def _not_as_locked():
    for package, entry in venv.locked("default").items():
        if "sys_platform" in entry.get("markers", ""):
            continue
        try:
            installed = metadata.version(package)
        except metadata.PackageNotFoundError:
            installed = None
        if f"=={installed}" != entry["version"]:
            yield package


def _has_long_paths():
    """Whether this Windows lets programs use longer paths."""
    import winreg

    key = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key) as system:
            return winreg.QueryValueEx(system, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def _is_proxied(host):
    proxies = urllib.request.getproxies()
    # websockets, which the printed commands use, takes any of the others for ws: addresses.
    kinds = {"http", "https", "ws", "socks", "all"}
    return bool(proxies.keys() & kinds) and not urllib.request.proxy_bypass(host)


def _has_browser():
    names = ("chromium-headless-shell", "chromium", "chromium-browser")
    names += ("google-chrome", "chrome", "msedge")
    places = [
        "/Applications/Google Chrome.app",
        "/Applications/Microsoft Edge.app",
        "/Applications/Chromium.app",
        *(
            f"{os.environ.get(base, '')}/{path}"
            for base in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA")
            for path in ("Google/Chrome/Application", "Microsoft/Edge/Application")
            if os.environ.get(base)
        ),
    ]
    return any(map(shutil.which, names)) or any(Path(place).exists() for place in places)


def _write(folder):
    """Whether a file can be written, and how far its time is from this machine's, in seconds."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".doctor-") as file:
            file.write(b"x")
            file.flush()
            return True, abs(os.stat(file.name).st_mtime - time.time())
    except OSError:
        return False, 0.0
