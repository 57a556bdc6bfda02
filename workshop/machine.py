"""What a machine brings along, and what of it counts: variables, a terminal, an encoding.

A verdict must not depend on variables that somebody set for another program, so each child process
gets an environment of the workshop's own making.
"""

import locale
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

# What to type: on Windows, `python3` may be a stub that opens a shop.
COMMAND = "python3 -m workshop"
if os.name == "nt":
    COMMAND = f"{'py' if shutil.which('py') else 'python'} -m workshop"
# What a child may need to work at all, wherever it runs.
WANTED = {
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TZ", "TMPDIR", "TEMP", "TMP"),
    *("TERM", "COLORTERM", "NO_COLOR", "COLUMNS", "LINES", "CI", "BROWSER"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"),
    *("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH"),
    *("SYSTEMROOT", "SYSTEMDRIVE", "WINDIR", "COMSPEC", "PATHEXT", "OS", "USERNAME"),
    *("USERPROFILE", "HOMEDRIVE", "HOMEPATH", "PUBLIC", "ALLUSERSPROFILE", "PSMODULEPATH"),
    *("NUMBER_OF_PROCESSORS", "PROCESSOR_ARCHITECTURE", "PROCESSOR_IDENTIFIER"),
    *("PLAYWRIGHT_BROWSERS_PATH", "WATCHFILES_FORCE_POLLING", "WORKSHOP_REQUIRE_ALL"),
    "WORKSHOP_WITHOUT_LIVE",
}
WANTED_BEGINNINGS = ("XDG_", "APPDATA", "LOCALAPPDATA", "PROGRAM", "COMMONPROGRAM", "OPENBLAS_")
# What only a child that goes out to the network may need.
NETWORK = {
    *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NETRC"),
}
# Settings of Python that change what is printed, and not what a program does.
OF_PRINTING = {
    *("PYTHONUTF8", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONLEGACYWINDOWSSTDIO"),
    *("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX", "PYTHONCOERCECLOCALE"),
}
OF_TOOLS = ("PYTHON", "PYTEST", "PIP_", "PIPENV_", "VIRTUALENV_")


def environ(also=(), **settings):
    """The variables for a child: what it needs to work, those named in `also`, and `settings`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in {*WANTED, *also} or name.upper().startswith(WANTED_BEGINNINGS)
    }
    return {**kept, **_locale(), **settings}


def network_environ(**settings):
    """The variables for a child that may use pip: also those of the network and of pip."""
    of_pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    return {**environ(also=NETWORK), **of_pip, **settings}


def app_environ(**settings):
    """The variables for an app that is served: all but those that change Python or its tools.

    An app takes its own settings from variables, so `run` cannot know which are wanted.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OF_TOOLS)}
    return {**_without_locale(kept), **_locale(), **settings}


def own_environ():
    """The variables of this process without those that change what Python does."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PYTHON") or name in OF_PRINTING
    }


def _without_locale(variables):
    return {name: value for name, value in variables.items() if not _is_of_locale(name)}


def _is_of_locale(name):
    return name.startswith("LC_") or name in ("LANG", "LANGUAGE")


def _locale():
    """The variables of the locale; none where the system does not have it, and tools would fail."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        locale.setlocale(locale.LC_ALL, "")
    except locale.Error:
        return {}
    finally:
        locale.setlocale(locale.LC_ALL, before)
    return {name: value for name, value in os.environ.items() if _is_of_locale(name)}


def has_colours():
    """Whether output may be coloured: not where NO_COLOR is set, or TERM is dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def is_terminal(stream):
    """Whether a line on a stream can be written over: it is a terminal, and not a dumb one."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def can_print(text, stream):
    """Whether a stream's encoding has all the characters of a text."""
    try:
        text.encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def as_typed(*words):
    """A command as one types it, each word quoted where it must be."""
    words = [str(word) for word in words]
    if os.name != "nt":
        return shlex.join(words)
    typed = " ".join(map(_quoted_for_windows, words))
    # PowerShell takes a quoted word for a text, unless & comes before it.
    return f"& {typed}" if typed.startswith('"') else typed


def _quoted_for_windows(word):
    quoted = subprocess.list2cmdline([word])
    # The shells give a meaning to more characters than programs do, such as ' and &.
    return quoted if quoted != word or re.fullmatch(r"[\w@%+=:,./\\-]+", word) else f'"{word}"'


def python_as_typed(folder):
    """This Python as one types it in a folder: relative to that where it is below it."""
    python = sys.executable
    if Path(python).is_relative_to(folder):
        python = os.path.relpath(python, folder)
    return as_typed(python)
