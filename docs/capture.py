"""Capture what the commands of the docs print, by running each as a learner would.

Usage: python docs/capture.py

Writes docs/captured/NAME.txt. Ports, times, versions and folders, which differ from run to run, are
replaced by those of an example; a test captures everything again and compares.
"""

import contextlib
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
    # Of a fault, with as many digits as there were, so that columns stay columns.
    (r"^(  (?:target +ws|http)://(?:127\.0\.0\.1|evil\.example):)\d{5}", r"\g<1>50000"),
    (r"127\.0\.0\.1:(?!50000|5050)\d{4,5}", "127.0.0.1:5000"),
    (r"process \[\d+\]", "process [1234]"),
    (r"✗ port 5000 is taken.*", "✓ port 5000 is free"),
    (r"TCP port \d+", "TCP port 5001"),
    (r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d", "2026-01-05T10-30-00"),
    (r"Python 3\.\d+\.\d+\S*", "Python 3.13.1"),
    (re.escape(sys.executable), "python"),
    (r"to \S*remote\.git", "to origin"),
    (r"((?:\"log\": \"|log=))[0-9a-f]{8}\b", r"\g<1>c0ffee42"),
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
]


FAULTS = {"foreign": "", "huge": "", "flood": " --seconds 0.1 --megabytes 20"}


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
            **{"COLUMNS": "80", "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"},
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH": str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"],
        }
        self.environ.pop("FORCE_COLOR", None)
        self.environ.pop("QUART_TCP_PORT", None)
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
        self.add(f"$ {line}\n{printed}")

    def add(self, text):
        """Put text on the screen, without what differs from run to run."""
        for pattern, replacement in SAME:
            text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
        self.screen += f"{text.strip()}\n" if text.strip() else ""

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
                self.add(meanwhile(port))
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


def talk(port):
    """What a terminal shows of a conversation with the echo route."""
    conversation = Talk(f"ws://127.0.0.1:{port}/ws")
    for text in ("bob", "alice"):
        conversation.say(text)
    return conversation.end()


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


def resume(port, other_port=None):
    """What a terminal shows of a client that leaves, and comes back, here or to another server."""
    alice = Talk(f"ws://127.0.0.1:{port}/api/v3/ws")
    alice.hear()
    alice.say("hello")
    shown = alice.end()
    log = re.search(r'"log": "(\w+)"', shown)[1]
    other_port = other_port or port
    for text in (b"tea?", b"yes, please"):
        shown += ask(other_port, "/api/v2/messages", text)
    alice = Talk(f'"ws://127.0.0.1:{other_port}/api/v3/ws?log={log}&last=1"')
    alice.hear()
    alice.hear()
    return (shown + alice.end()).replace(f":{port}/", ":5000/").replace(f":{other_port}/", ":5050/")


def new_log(port):
    """What a terminal shows of a client that comes back after the server has started again."""
    ask(port, "/api/v2/messages", b"good morning")
    alice = Talk(f'"ws://127.0.0.1:{port}/api/v3/ws?log=5e1f0a9c&last=7"')
    alice.hear()
    alice.hear()
    return alice.end().replace("5e1f0a9c&", "another&")


def goodbye(port):
    """What a terminal shows of a client that is closed."""
    alice = Talk(f"ws://127.0.0.1:{port}/api/v3/ws")
    alice.hear()
    alice.say("", sign="Connection closed")
    return alice.end()


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


def scaled_out(terminal):
    """Step 8: two servers with one Redis are a room, and say when it is gone."""
    shown = {}
    with redis_server(terminal.folder) as (redis, terminal.environ["REDIS_URL"]):

        def with_both(port):
            def with_one(other_port):
                wait_until_well(port)
                wait_until_well(other_port)
                shown["room"] = resume(port, other_port)
                shown["health"] = ask(port, "/health")
                redis.terminate()
                wait_until_well(port, is_well=False)
                shown["health"] += ask(port, "/health")
                shown["health"] += ask(port, "/api/v2/messages", b"hello")
                return ""

            terminal.serve("python serve.py --workers 1", "running on", with_one)
            return ""

        terminal.serve("python serve.py --workers 1", "running on", with_both)
    del terminal.environ["REDIS_URL"]
    for name, text in shown.items():
        terminal.add(text)
        yield name, terminal.taken()


def wait_until_well(port, is_well=True):
    """Wait until a server of step 8 has found its log, or has lost it."""
    deadline = time.monotonic() + SECONDS
    while ask(port, "/health").endswith("well\n") != is_well:
        if time.monotonic() > deadline:
            raise SystemExit("/health does not change")
        time.sleep(0.05)


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
    terminal.environ["QUART_TCP_PORT"] = str(free_port())
    terminal.serve("quart --app websocket run", "Running on", terminal.say_by_tcp)
    yield captured("tcp")
    terminal.folder = clone / "steps/06_resume"
    for function in (resume, new_log):
        terminal.serve("quart --app websocket run", "Running on", function)
        yield captured(function.__name__)
    del terminal.environ["QUART_TCP_PORT"]
    terminal.folder = clone / "steps/07_harden"
    terminal.serve("python serve.py", "running on")
    yield captured("serve")
    terminal.serve("python serve.py", "running on", goodbye)
    yield captured("goodbye")
    terminal.folder = clone
    for fault, options in FAULTS.items():
        for step in "57":
            terminal.run(f"python3 -m workshop fault {fault} {step}{options}")
            yield captured(f"fault_{fault}_{step}")
    terminal.folder = clone / "steps/08_scale_out"
    yield from scaled_out(terminal)
    for step, test in (
        ("01_structure", "structure"),
        ("02_install", "install"),
        ("03_echo", "echo"),
        ("04_javascript", "browser"),
        ("05_broadcast", "broadcast"),
        ("06_resume", "resume"),
        ("07_harden", "doors"),
        ("08_scale_out", "scale_out"),
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
    find_exercise("3").write_to(clone / "websocket")
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
