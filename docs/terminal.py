"""A terminal whose commands are captured: what is typed, and what is printed after it.

Ports, times, versions and folders, which differ from run to run, become those of an example.
"""

import contextlib
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from repo import COMMAND, HTTP, free_port

SECONDS = 180
SAME = [  # what differs from run to run, and what stands in the docs in its place
    (r"\x1b(\[\d*[A-Z]|\d)|\r", ""),  # what moves a terminal's cursor
    # Of a fault, with as many digits as there were, so that columns stay columns.
    (r"^(  (?:target +ws|http)://(?:127\.0\.0\.1|evil\.example):)\d{5}", r"\g<1>50000"),
    (r"127\.0\.0\.1:(?!50000|5050)\d{4,5}", "127.0.0.1:5000"),
    (r"process \[\d+\]", "process [1234]"),
    (r"kill \d+", "kill 1234"),
    (r"· port 5000 is taken.*", "✓ port 5000 is free"),
    (r"· Port 5000 ist belegt.*", "✓ Port 5000 ist frei"),
    (r"TCP port \d+", "TCP port 5001"),
    (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "2026-01-05T10-30-00"),
    (r"Python 3\.\d+\.\d+\S*", "Python 3.13.1"),
    (re.escape(sys.executable), "python"),
    (r"\b(py|python) -m workshop\b", "python3 -m workshop"),  # as Windows has it
    (r"\bcurl\.exe\b", "curl"),
    (r"to \S*remote\.git", "to origin"),
    (r"((?:\"log\": \"|log=))[0-9a-f]{8}\b", r"\g<1>c0ffee42"),
    (r"'lab [0-9a-f]{6}'", "'lab c0ffee'"),
    (r"^  … .*\n", ""),  # how far it is, which a terminal shows in one place
    (r" +$", ""),
]
# What a capture keeps, and differs each time: how long something took and, of a fault, all that
# depends on the machine.
VARIES = [
    (r"in \d+\.\d+s( \([\d:]+\))?", "in … s"),  # pytest adds minutes where it takes longer
    (r"^  the (server printed|last line) .*\n?", ""),
    (r"^  (server memory.*?|(a|the) good client.*?|meanwhile|small messages)  .*", r"  \1"),
    (r"^  in bulk .*\n  (.*\n)  .*", r"  in bulk\n  \1"),
    (r"after [\d.]+ m?s(; memory .*)?", "after … s"),
    # Of a lab: when a frame passed, how many requests a storm makes, how many bytes are unsent.
    (r"^ *[\d.]+ s  #", "… s  #"),
    (r'(status="502"\}) \d+', r"\1 …"),
    (r"^(ESTAB +0) +[1-9]\d*", r"\1 …"),
]


def is_same(one, other):
    """Whether two captures differ by no more than what varies."""
    for pattern, replacement in VARIES:
        one, other = (re.sub(pattern, replacement, text, flags=re.M) for text in (one, other))
    return one == other


class Terminal:
    """A learner's terminal in a clone: each command and what it printed is on `screen`."""

    def __init__(self, clone):
        self.environ = {
            **os.environ,
            "WORKSHOP_LANGUAGE": "en",  # whatever the system's is
            **{"COLUMNS": "80", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        }
        self.environ["QUART_CLASS_WORD"] = "tulip"
        self.environ.pop("FORCE_COLOR", None)
        self.environ.pop("QUART_TCP_PORT", None)
        self.clone = self.folder = clone
        self.screen = ""

    def command(self, words):
        """The command that a line of words stands for, with the programs of this environment."""
        if words[:3] == ["python3", "-m", "workshop"]:
            return [sys.executable, "-c", COMMAND, *words[3:]]
        if words[0] in ("pytest", "quart"):
            return [shutil.which(words[0], path=self.environ["PATH"]), *words[1:]]
        return [sys.executable if words[0] == "python" else words[0], *words[1:]]

    def options(self):
        """How a program is started: in the folder that the terminal is in, and unseen."""
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        return {"cwd": self.folder, "env": self.environ, "stdin": subprocess.DEVNULL, **output}

    def show(self, line, printed=""):
        """Put a line that was typed on the screen, and what was printed after it."""
        self.add(f"$ {line}\n{printed}")

    def add(self, text):
        """Put text on the screen, without what differs from run to run."""
        for pattern, replacement in SAME:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        self.screen += f"{text.strip()}\n" if text.strip() else ""

    def run(self, line, shown=None):
        """Run a command to its end."""
        command = self.command(line.split())
        result = subprocess.run(command, timeout=SECONDS, **self.options())
        self.show(shown or line, result.stdout)

    def serve(self, line, until, meanwhile=None):
        """Run a server until it has printed something, do something else, and stop it."""
        port = free_port()
        command = [*self.command(line.split()), "--port", str(port)]
        self.process = process = subprocess.Popen(command, **self.options())
        try:
            printed = ""
            while until not in printed:
                line_printed = process.stdout.readline()
                printed += line_printed
                if not line_printed:
                    raise SystemExit(f"{line} ended without {until!r}:\n{printed}")
            if meanwhile:
                wait_for_port(port)
                self.add(meanwhile(self, port))
            else:
                self.show(line, printed)
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)

    def taken(self):
        """What is on the screen, which is empty afterwards."""
        screen, self.screen = self.screen, ""
        return screen


def wait_for_port(port):
    """Wait until a server listens."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
    raise SystemExit(f"nothing listens on port {port}")


class Talk:
    """A conversation with a WebSocket in a terminal: `shown` is what that shows."""

    def __init__(self, url):
        self.shown = f"$ python -m websockets {url}\n"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "websockets", url.strip('"')],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.shown += self.process.stdout.readline().strip() + "\n"

    def hear(self, sign="< "):
        """Wait for a line that the server sends, or for its goodbye."""
        line = self.process.stdout.readline()
        while sign not in line:
            if not line:
                raise SystemExit(f"the conversation ended without {sign!r}:\n{self.shown}")
            line = self.process.stdout.readline()
        self.shown += line[line.index(sign) :].strip() + "\n"

    def say(self, text, sign="< "):
        """Type a line, and wait for the answer."""
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()
        self.shown += f"> {text}".strip() + "\n"
        self.hear(sign)

    def end(self):
        """Leave; returns what was shown."""
        self.process.stdin.close()
        self.process.wait(SECONDS)
        return self.shown


def ask(port, path, data=None):
    """What curl shows of a request; asked without curl, which not all have."""
    url = f"http://127.0.0.1:{port}{path}"
    try:
        with HTTP.open(urllib.request.Request(url, data), timeout=SECONDS) as response:
            answer = response.read().decode()
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
    words = "" if data is None else f'--data "{data.decode()}" '
    return f"$ curl {words}{url}\n{answer}"


@contextlib.contextmanager
def redis_server(folder):
    """A Redis server on a free port, for the length of a `with`: its process and its address."""
    port = free_port()
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
        cwd=folder,
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield process, f"redis://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(SECONDS)


def wait_until_well(port, is_well=True):
    """Wait until a server of step 8 has found its log, or has lost it."""
    deadline = time.monotonic() + SECONDS
    while ask(port, "/health").endswith("well\n") != is_well:
        if time.monotonic() > deadline:
            raise SystemExit("/health does not change")
        time.sleep(0.05)
