"""Capture what the commands of the docs print, by running each as a learner would.

Usage: python docs/capture.py

Writes docs/captured/NAME.txt. Ports, times, versions and folders, which differ from run to run, are
replaced by those of an example; a test captures everything again and compares.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAPTURED = ROOT / "docs/captured"
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from repo import COMMAND, HTTP, copy_repository, free_port  # noqa: E402

SECONDS = 60
SAME = [  # what differs from run to run, and what stands in the docs in its place
    (r"\x1b(\[\d*[A-Z]|\d)|\r", ""),  # what moves a terminal's cursor
    (r"127\.0\.0\.1:\d+", "127.0.0.1:5000"),
    (r"✗ port 5000 is taken.*", "✓ port 5000 is free"),
    (r"TCP port \d+", "TCP port 5001"),
    (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "2026-01-05T10-30-00"),
    (r"Python 3\.\d+\.\d+\S*", "Python 3.13.1"),
    (re.escape(sys.executable), "python"),
    (r"to \S*remote\.git", "to origin"),
    (r" +$", ""),
]
TIMES = re.compile(r"in \d+\.\d+s")  # what a capture keeps, and differs each time


def is_same(one, other):
    """Whether two captures differ by no more than the time that something took."""
    return TIMES.sub("in … s", one) == TIMES.sub("in … s", other)


class Terminal:
    """A learner's terminal in a clone: each command and what it printed is on `screen`."""

    def __init__(self, clone):
        self.environ = {
            **os.environ,
            **{"COLUMNS": "80", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            **{"QUART_TCP_PORT": "0", "GIT_CONFIG_GLOBAL": os.devnull},
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        }
        self.environ.pop("FORCE_COLOR", None)
        self.folder = clone
        self.screen = ""

    def _command(self, words):
        if words[:3] == ["python3", "-m", "workshop"]:
            return [sys.executable, "-c", COMMAND, *words[3:]]
        if words[0] in ("pytest", "quart"):
            return [shutil.which(words[0], path=self.environ["PATH"]), *words[1:]]
        return [sys.executable if words[0] == "python" else words[0], *words[1:]]

    def _options(self):
        output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
        return {"cwd": self.folder, "env": self.environ, "stdin": subprocess.DEVNULL, **output}

    def show(self, line, printed=""):
        """Put a line that was typed on the screen, and what was printed after it."""
        for pattern, replacement in SAME:
            printed = re.sub(pattern, replacement, printed, flags=re.MULTILINE)
        self.screen += f"$ {line}\n{printed.rstrip()}".strip() + "\n"

    def run(self, line, shown=None):
        """Run a command to its end."""
        command = self._command(line.split())
        result = subprocess.run(command, timeout=SECONDS, **self._options())
        self.show(shown or line, result.stdout)

    def serve(self, line, until, meanwhile=None):
        """Run a server until it has printed something, do something else, and stop it."""
        port = free_port()
        command = [*self._command(line.split()), "--port", str(port)]
        process = subprocess.Popen(command, **self._options())
        try:
            printed = ""
            while until not in printed:
                line_printed = process.stdout.readline()
                printed += line_printed
                if not line_printed:
                    raise SystemExit(f"{line} ended without {until!r}:\n{printed}")
            if meanwhile:
                wait_for_port(port)
                self.screen += meanwhile(port)
            else:
                self.show(line, printed)
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)

    def say_by_tcp(self, port):
        """What a terminal shows of a line that is sent by TCP, once it has been broadcast."""
        from websockets.sync.client import connect

        command = "import socket; socket.create_connection(('127.0.0.1', {})).sendall(b'tea?\\n')"
        url = f"ws://127.0.0.1:{port}/api/v2/ws"
        with connect(url, proxy=None) as alice:
            tcp_port = self.environ["QUART_TCP_PORT"]
            subprocess.run([sys.executable, "-c", command.format(tcp_port)], check=True)
            assert alice.recv(timeout=SECONDS) == "tea?"
        return f'$ python -c "{command.format(5001)}"\n'

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


def talk(port):
    """What a terminal shows of a conversation with the echo route."""
    url = f"ws://127.0.0.1:{port}/ws"
    process = subprocess.Popen(
        [sys.executable, "-m", "websockets", url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    lines = [process.stdout.readline().strip()]
    for text in ("bob", "alice"):
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        while "< " not in answer:
            answer = process.stdout.readline()
        lines += [f"> {text}", answer[answer.index("< ") :].strip()]
    process.stdin.close()
    process.wait(SECONDS)
    lines[0] = lines[0].replace(str(port), "5000")
    return "$ python -m websockets ws://127.0.0.1:5000/ws\n" + "\n".join(lines) + "\n"


def post(port):
    """What curl shows of a POST that is no message; asked without curl, which not all have."""
    url = f"http://127.0.0.1:{port}/api/v2/messages"
    try:
        HTTP.open(urllib.request.Request(url, data=b""), timeout=SECONDS)
    except urllib.error.HTTPError as error:
        answer = error.read().decode()
    return f'$ curl --data "" http://127.0.0.1:5000/api/v2/messages\n{answer}'


def put(clone, solution):
    """Write files into the learner's folder."""
    for name, content in solution.items():
        path = clone / "websocket" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def capture_all(clone):
    """Run everything in a clone; yields the name of each capture, and its text."""
    from workshop.steps import find_exercise

    terminal = Terminal(clone)

    def captured(name):
        return name, terminal.taken()

    terminal.run("python3 -m workshop doctor")
    yield captured("doctor")
    terminal.serve("python3 -m workshop run", "A POST is")
    yield captured("run")
    terminal.serve("python3 -m workshop run 5", "A POST is")
    yield captured("run_5")

    terminal.folder = clone / "steps/01_structure"
    terminal.serve("quart --app websocket run", "Running on")
    yield captured("quart_run")
    terminal.folder = clone / "steps/03_echo"
    terminal.serve("quart --app websocket run", "Running on", talk)
    yield captured("talk")
    terminal.folder = clone / "steps/05_broadcast"
    terminal.serve("quart --app websocket run", "Running on", post)
    yield captured("post")
    terminal.environ["QUART_TCP_PORT"] = str(free_port())
    terminal.serve("quart --app websocket run", "Running on", terminal.say_by_tcp)
    yield captured("tcp")
    for step, test in (
        ("01_structure", "structure"),
        ("02_install", "install"),
        ("03_echo", "echo"),
        ("04_javascript", "browser"),
        ("05_broadcast", "broadcast"),
    ):
        terminal.folder = clone / "steps" / step
        terminal.run(f"pytest -q tests/test_{test}.py")
        yield captured(f"pytest_{step[:2]}")

    terminal.folder = clone
    terminal.run("python3 -m workshop start 3")
    yield captured("start")
    terminal.run("python3 -m workshop check")
    yield captured("check_broken")
    terminal.run("python3 -m workshop hint")
    yield captured("hint")
    put(clone, find_exercise("3").solution)
    path = clone / "websocket/websocket.py"
    code = path.read_text(encoding="utf-8")
    path.write_text(code.replace("await websocket.send", "websocket.send"), encoding="utf-8")
    terminal.run("python3 -m workshop diff")
    yield captured("diff")
    path.write_text(code, encoding="utf-8")
    terminal.run("python3 -m workshop check")
    yield captured("check_kept")
    terminal.run("python3 -m workshop")
    yield captured("where_am_i")
    terminal.run("python3 -m workshop start 4")
    terminal.taken()
    terminal.run("python3 -m workshop start --back")
    yield captured("back")

    git = ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], cwd=clone, check=True)
    subprocess.run([*git, "init", "-q", "--bare", clone / "remote.git"], check=True)
    terminal.run("python3 -m workshop branches")
    yield captured("branches")
    remote = clone / "remote.git"
    for what in ("--exercises", "3"):
        shown = f"python3 -m workshop release {what} --to origin"
        terminal.run(f"python3 -m workshop release {what} --to {remote}", shown)
    yield captured("release")


def main():
    """Write all captures; those that are no longer made are deleted."""
    with tempfile.TemporaryDirectory() as parent:
        CAPTURED.mkdir(exist_ok=True)
        made = set()
        for name, text in capture_all(copy_repository(Path(parent) / "clone")):
            path = CAPTURED / f"{name}.txt"
            made.add(path)
            if not path.is_file() or not is_same(path.read_text(encoding="utf-8"), text):
                path.write_text(text, encoding="utf-8", newline="\n")
            print(path.relative_to(ROOT))
        for path in set(CAPTURED.glob("*.txt")) - made:
            path.unlink()


if __name__ == "__main__":
    main()
