"""Capture what the commands of the docs print, by running each as a learner would.

Usage: python docs/capture.py [ACT]…

Writes docs/captured/NAME.txt for each scene of these acts, or of all; a test plays them again and
compares. An act has a clone of its own. Its scenes are independent of each other, or come from a
function, where one follows from another. The act `snippets` writes what docs/snippets/ print, and
`mistakes` what `check` says of each mistake, to docs/captured/mistakes.json.
"""

import contextlib
import json
import operator
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CAPTURED = ROOT / "docs/captured"
sys.path[:0] = [str(ROOT), str(ROOT / "docs"), str(ROOT / "tests")]

import run_labs  # noqa: E402
import run_mistakes  # noqa: E402
import run_snippets  # noqa: E402
from repo import copy_repository, free_port  # noqa: E402
from terminal import SECONDS, Talk, Terminal, ask, is_same, redis_server, wait_until_well  # noqa: E402


@dataclass(frozen=True)
class Scene:
    """A command that is run to its end or, with `until`, until it has printed that.

    With `meanwhile`, a function of the terminal and the port, what that returns is captured.
    """

    line: str
    folder: str = "."
    until: str = ""
    meanwhile: object = None

    def play(self, terminal):
        """What the terminal shows of it."""
        terminal.folder = terminal.clone / self.folder
        terminal.environ.pop("QUART_TCP_PORT", None)
        if self.meanwhile is tcp:
            terminal.environ["QUART_TCP_PORT"] = str(free_port())
        if self.until:
            terminal.serve(self.line, self.until, self.meanwhile)
        else:
            terminal.run(self.line)
        return terminal.taken()


def talk(terminal, port):
    """What a terminal shows of a conversation with the echo route."""
    conversation = Talk(f"ws://127.0.0.1:{port}/ws")
    for text in ("bob", "alice"):
        conversation.say(text)
    return conversation.end()


def tcp(terminal, port):
    """What a terminal shows of a line that is sent over TCP, once it has been broadcast."""
    from websockets.sync.client import connect

    command = "import socket; socket.create_connection(('127.0.0.1', {})).sendall(b'tea?\\n')"
    with connect(f"ws://127.0.0.1:{port}/api/v2/ws", proxy=None) as alice:
        tcp_port = terminal.environ["QUART_TCP_PORT"]
        subprocess.run([sys.executable, "-c", command.format(tcp_port)], check=True)
        assert alice.recv(timeout=SECONDS) == "tea?"
    return f'$ python -c "{command.format(5001)}"\n'


def resume(terminal, port, other_port=None):
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


def new_log(terminal, port):
    """What a terminal shows of a client that comes back after the server has started again."""
    ask(port, "/api/v2/messages", b"good morning")
    alice = Talk(f'"ws://127.0.0.1:{port}/api/v3/ws?log=5e1f0a9c&last=7"')
    alice.hear()
    alice.hear()
    return alice.end().replace("5e1f0a9c&", "another&")


def goodbye(terminal, port):
    """What a terminal shows of a client that is closed."""
    alice = Talk(f"ws://127.0.0.1:{port}/api/v3/ws")
    alice.hear()
    alice.say("", sign="Connection closed")
    return alice.end()


def program(terminal, port):
    """What a terminal shows of a program that takes part, and of what stays in the server's log."""
    command = [sys.executable, "client.py", "Alice", "tulip", str(port)]
    options = {"cwd": terminal.folder, "env": terminal.environ, "stdout": subprocess.PIPE}
    child = subprocess.Popen(command, **options, encoding="utf-8")
    try:
        return f"$ python client.py Alice tulip\n{child.stdout.readline()}"
    finally:
        child.terminate()
        child.wait()


def scaled_out(terminal):
    """Step 8: two servers with one Redis are a room, and say when it is gone."""
    shown = {}
    terminal.folder = terminal.clone / "steps/08_scale_out"
    with redis_server(terminal.folder) as (redis, terminal.environ["REDIS_URL"]):

        def with_both(_, port):
            def with_one(_, other_port):
                wait_until_well(port)
                wait_until_well(other_port)
                shown["room"] = resume(terminal, port, other_port)
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


def deploying(terminal):
    """Step 9 with the files of deploy/: what it tells about itself, and how it drains."""
    terminal.folder = terminal.clone / "websocket"
    shutil.copytree(terminal.clone / "steps/09_sign_in", terminal.folder)
    shutil.copytree(terminal.clone / "deploy", terminal.folder, dirs_exist_ok=True)

    def metrics(_, port):
        from websockets.exceptions import InvalidStatus
        from websockets.sync.client import connect

        with contextlib.suppress(InvalidStatus):  # nobody has signed in
            connect(f"ws://127.0.0.1:{port}/api/v3/ws", proxy=None)
        program(terminal, port)
        while "websocket_closes_total{" not in (shown := ask(port, "/metrics")):
            time.sleep(0.05)
        return shown

    def drain(_, port):
        shown = ask(port, "/ready")
        terminal.process.terminate()
        while "draining" not in (answer := ask(port, "/ready")):
            time.sleep(0.05)
        return f"{shown}$ kill {terminal.process.pid}\n{answer}{ask(port, '/health')}"

    for name, meanwhile in {"metrics": metrics, "drain": drain}.items():
        yield name, Scene("python deployed.py", "websocket", "running on", meanwhile).play(terminal)


def learning(terminal):
    """A learner does step 3: the scenes follow from each other."""
    from workshop.steps import find_exercise

    clone, workshop = terminal.clone, "python3 -m workshop"
    yield "start", Scene(f"{workshop} start 3").play(terminal)
    yield "check_failed", Scene(f"{workshop} check").play(terminal)
    yield "hint", Scene(f"{workshop} hint").play(terminal)
    find_exercise("3").write_to(clone / "websocket")
    path = clone / "websocket/websocket.py"
    code = path.read_text(encoding="utf-8")
    path.write_text(code.replace("await websocket.send", "websocket.send"), encoding="utf-8")
    yield "diff", Scene(f"{workshop} diff").play(terminal)
    path.write_text(code, encoding="utf-8")
    yield "check_passed", Scene(f"{workshop} check").play(terminal)
    Scene(f"{workshop} start 4 --theirs").play(terminal)
    yield "back", Scene(f"{workshop} start --back").play(terminal)
    progress = clone / "websocket/progress.json"
    noted = json.loads(progress.read_text(encoding="utf-8"))
    noted["done"] = ["01_structure", "02_install", *noted["done"]]  # as if they had been done
    progress.write_text(json.dumps(noted), encoding="utf-8")
    yield "where_am_i", Scene(workshop).play(terminal)


def german(terminal):
    """The command's output on translated pages, in German."""
    terminal.environ["WORKSHOP_LANGUAGE"] = "de"
    for name in ("doctor", "run"):
        yield f"de/{name}", ACTS["command"][name].play(terminal)
    for name, text in learning(terminal):
        if name.startswith("check"):
            yield f"de/{name}", text


def teaching(terminal):
    """An instructor makes the branches and pushes some."""
    clone, git = terminal.clone, ["git", "-c", "init.defaultBranch=main"]
    subprocess.run([*git, "init", "-q"], cwd=clone, check=True)
    subprocess.run([*git, "init", "-q", "--bare", clone / "remote.git"], check=True)
    yield "branches", Scene("python3 -m workshop branches").play(terminal)
    for what in ("--exercises", "3"):
        release = f"python3 -m workshop release {what} --to"
        terminal.run(f"{release} {clone / 'remote.git'}", f"{release} origin")
    yield "release", terminal.taken()


def in_class(terminal):
    """An instructor starts a board; alice joins it, checks, raises her hand, and leaves."""
    workshop, save = "python3 -m workshop", terminal.clone / "class.board"
    shown = {}

    def take(name):
        text = terminal.taken().replace(" --no-browser", "").replace(str(save), save.name)
        text = re.sub(r"(?<=/#)\w{6}\b", "K7M2QX", text)  # the code of an example
        text = re.sub(r"(?<= join )\S+ \w{6}\b", "192.168.1.20:5050 K7M2QX", text)
        text = re.sub(r"(?<=board at )[\d.]+:\d+", "192.168.1.20:5050", text)
        text = re.sub(r"(?<=127\.0\.0\.1:)\d+", "5050", text)
        text = re.sub(r'(?<="id": ")\w+', "5f0c1e9a7b3d2846", text)
        shown[name] = re.sub(r'(?<="time": )\d+', "1767609000", text)

    def learner(_, port):
        _, code = json.loads(save.read_text(encoding="utf-8").partition("\n")[0]).values()
        Scene(f"{workshop} join 127.0.0.1:{port} {code} --as alice --yes").play(terminal)
        terminal.run(f"{workshop} start 3")
        terminal.run(f"{workshop} check")
        terminal.taken()
        terminal.run(f"{workshop} join --show")
        take("report")
        terminal.run(f"{workshop} hand up")
        terminal.run(f"{workshop} leave")
        take("hand")
        terminal.run(f"{workshop} join 127.0.0.1:{port} {code} --as alice --yes")
        take("join")
        return ""

    terminal.folder = terminal.clone
    terminal.serve(f"{workshop} board --lan --no-browser", "in memory only")
    take("board")
    terminal.serve(f"{workshop} board --save {save} --no-browser", "can.", learner)
    yield from shown.items()


def grading(terminal):
    """An instructor grades what a class has handed in: right, with a mistake, nothing."""
    from workshop.steps import find_exercise, write_files

    handed_in, echo = terminal.clone / "class", find_exercise("3")
    write_files(echo.solution, handed_in / "ada/websocket")
    write_files(echo.mistakes[0].applied_to(echo.solution), handed_in / "ben")
    write_files({"notes.txt": b"I will be late.\n"}, handed_in / "cem")
    roster = "name,id\nAda,ada\nBen,ben\nCem,cem\nDana,dana\n"
    (terminal.clone / "roster.csv").write_text(roster, encoding="utf-8", newline="\n")
    line = "python3 -m workshop grade 3 class --roster roster.csv --id id"
    yield "grade", Scene(line).play(terminal)


QUART, SERVE = "quart --app websocket run", "python serve.py"
FAULTS = {"foreign": "", "huge": "", "flood": " --seconds 0.1 --megabytes 20"}
FILES = {
    **{"01_structure": "structure", "02_install": "install", "03_echo": "echo"},
    **{"04_javascript": "browser", "05_broadcast": "broadcast", "06_resume": "resume"},
    **{"07_harden": "doors", "08_scale_out": "scale_out", "09_sign_in": "sign_in"},
}
ACTS = {
    "command": {
        "doctor": Scene("python3 -m workshop doctor"),
        "run": Scene("python3 -m workshop run", until="/api/v2/messages"),
        "run_5": Scene("python3 -m workshop run 5", until="A POST is"),
    },
    "servers": {
        "quart_run": Scene(QUART, "steps/01_structure", "Running on"),
        "talk": Scene(QUART, "steps/03_echo", "Running on", talk),
        "tcp": Scene(QUART, "steps/05_broadcast", "Running on", tcp),
        "resume": Scene(QUART, "steps/06_resume", "Running on", resume),
        "new_log": Scene(QUART, "steps/06_resume", "Running on", new_log),
        "serve": Scene(SERVE, "steps/07_harden", "running on"),
        "goodbye": Scene(SERVE, "steps/07_harden", "running on", goodbye),
        "sign_in": Scene(SERVE, "steps/09_sign_in", "running on", program),
    },
    "faults": {
        f"fault_{fault}_{step}": Scene(f"python3 -m workshop fault {fault} {step}{options}")
        for fault, options in FAULTS.items()
        for step in "57"
    }
    | {
        "fault_foreign_9": Scene("python3 -m workshop fault foreign 9"),
        "fault_foreign_9_unchecked": Scene("python3 -m workshop fault foreign 9 --unchecked"),
    },
    "tests": {
        f"pytest_{step[:2]}": Scene(f"pytest -q tests/test_{file}.py", f"steps/{step}")
        for step, file in FILES.items()
    },
    "scaled_out": scaled_out,
    "deploying": deploying,
    "learning": learning,
    "german": german,
    "teaching": teaching,
    "in_class": in_class,
    "grading": grading,
    "labs": run_labs.scenes,
    "snippets": run_snippets.scenes,
    "mistakes": run_mistakes.scenes,
}


def perform(act, clone):
    """Play an act in a clone; yields the name of each scene, and its text."""
    terminal, scenes = Terminal(clone), ACTS[act]
    if callable(scenes):
        yield from scenes(terminal)
    else:
        for name, scene in scenes.items():
            yield name, scene.play(terminal)


def kept(name):
    """The file that holds a capture."""
    path = CAPTURED / name
    return path if path.suffix == ".json" else path.with_suffix(".txt")


def main():
    """Write the captures of some acts or of all; then, those that no scene makes are deleted."""
    acts = sys.argv[1:] or list(ACTS)
    if unknown := set(acts) - ACTS.keys():
        sys.exit(f"there is no act {', '.join(unknown)}; the acts are {', '.join(ACTS)}")
    CAPTURED.mkdir(exist_ok=True)
    made = set()
    for act in acts:
        with tempfile.TemporaryDirectory() as parent:
            for name, text in perform(act, copy_repository(Path(parent) / "clone")):
                path = kept(name)
                path.parent.mkdir(exist_ok=True)
                made.add(path)
                same = operator.eq if path.suffix == ".json" else is_same
                if not path.is_file() or not same(path.read_text(encoding="utf-8"), text):
                    path.write_text(text, encoding="utf-8", newline="\n")
                print(path.relative_to(ROOT), flush=True)
    for path in set(CAPTURED.rglob("*.txt")) - made if len(acts) == len(ACTS) else ():
        path.unlink()


if __name__ == "__main__":
    main()
