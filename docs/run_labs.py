"""What the tools show that find faults: of a lab without its fault, and of each with it.

Of each lab, it is what its best tool shows. Lab 6 is for the browser: see pictures.py.
"""

import contextlib
import re
import subprocess
import sys
import threading
import time

from repo import HTTP, free_port
from terminal import SECONDS, Talk, ask

READY = "The server's log"
HELLO = 45  # bytes of the first frame
LOGS = ("c0ffee42", "5ca1ab1e")  # the names of logs, in the order in which they appear


class Running:
    """A lab that is served: what it printed, and where it is."""

    def __init__(self, terminal, line):
        self.port = free_port()
        command = terminal.command([*line.split(), "--port", str(self.port)])
        self.process = subprocess.Popen(command, **terminal.options())
        self.lines = []
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def wait_for(self, sign, times=1):
        """Wait until it has printed something so often; returns all lines since it was ready."""
        lines = []
        wait_until(lambda: sum(sign in line for line in self.lines) >= times, sign)
        for line in list(self.lines):
            lines = [] if line.startswith(READY) else [*lines, line]
        return lines

    def url(self, port=None):
        """The address of its WebSocket, or of that of the app itself."""
        return f"ws://127.0.0.1:{port or self.port}/api/v3/ws"

    def app_port(self):
        """Where the app itself listens."""
        return int(re.search(r"behind a proxy, at http://\S+?:(\d+)/", "".join(self.lines))[1])

    def metric(self, name):
        """The value of one of its metrics, which is 0 before it has any."""
        with HTTP.open(f"http://127.0.0.1:{self.port}/metrics", timeout=SECONDS) as response:
            found = re.search(rf"^{re.escape(name)} (\d+)$", response.read().decode(), re.M)
        return int(found[1]) if found else 0

    def example(self, text):
        """A text in which what differs from run to run is that of an example."""
        text = re.sub(rf":{self.port}\b", ":5000", text)
        text = re.sub(rf":{self.app_port()}\b", ":20000", text)
        for name, instead in zip(
            dict.fromkeys(re.findall(r'"log": "(\w+)"', text)), LOGS, strict=False
        ):
            text = text.replace(name, instead)
        text = re.sub(r"(P[IO]NG) .*", r"\1 c0 ff ee 42 [binary, 4 bytes]", text)
        return re.sub(r"(INFO: +127\.0\.0\.1):\d+", r"\1:50000", text)


@contextlib.contextmanager
def running(terminal, line):
    """Serve a lab for the length of a `with`."""
    lab = Running(terminal, line)
    try:
        wait_until(lambda: any(line.startswith(READY) for line in lab.lines), READY)
        yield lab
    finally:
        lab.process.terminate()
        lab.process.wait(SECONDS)
        lab.reader.join()


def wait_until(condition, what):
    """Wait until a function returns something true."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what!r} was not seen")
        time.sleep(0.05)


def sockets(lab):
    """What `ss` shows of the connections of a lab's users, the longest queue first."""
    command = ["ss", "-tn", "sport", "=", f":{lab.port}"]
    lines = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    rows = [line.split() for line in lines.splitlines()[1:]]
    rows.sort(key=lambda row: int(row[2]), reverse=True)
    shown = ["$ ss -tn sport = :5000", row_of("State", "Recv-Q", "Send-Q", "Local", "Peer")]
    for number, (state, received, sent, *_) in enumerate(rows):
        here, there = "127.0.0.1:5000", f"127.0.0.1:{50000 + number}"
        shown.append(row_of(state, received, sent, here, there))
    return "\n".join(shown) + "\n"


def row_of(state, received, sent, here, there):
    """A row of what `ss` shows."""
    return f"{state:<6} {received:>6} {sent:>6}  {here:<15} {there}"


def frames(lines):
    """Only the lines of the first connection that passed the proxy."""
    return "".join(line for line in lines if "  #1  " in line)


def scenes(terminal):
    """Yields the name of each capture, and its text."""
    lab = "python3 -m workshop lab"
    terminal.run(lab)
    yield "lab_list", terminal.taken()
    yield from without_fault(terminal, lab)
    yield "lab_1", log_of_lab_1(terminal, lab)
    yield "lab_2", wire_of_lab_2(terminal, lab)
    yield "lab_3", metrics_of_lab_3(terminal, lab)
    yield "lab_4", sockets_of_lab_4(terminal, lab)
    yield "lab_5", clients_of_lab_5(terminal, lab)


def without_fault(terminal, line):
    """What each tool shows where nothing is wrong."""
    with running(terminal, f"{line} 1 --fixed") as lab:
        with HTTP.open(f"http://127.0.0.1:{lab.port}/", timeout=SECONDS) as response:
            response.read()
        lab.wait_for('"GET / HTTP/1.1" 200')
        alice = Talk(lab.url())
        alice.hear()
        alice.say("hello")
        wait_until(lambda: " 0  127" in sockets(lab), "a sent message's receipt")
        yield "lab_sockets", sockets(lab)
        yield "lab_metrics", lab.example(ask(lab.port, "/metrics"))
        yield "lab_client", lab.example(alice.end())
        yield "lab_log", lab.example("".join(lab.wait_for("connection open")))
    with running(terminal, f"{line} 2 --fixed --wire") as lab:
        alice = Talk(lab.url())
        alice.hear()
        alice.say("hello")
        lab.wait_for("PONG")
        alice.end()
        lab.wait_for("CLOSE", 2)
        yield "lab_wire", lab.example(frames(lab.wait_for("the connection is")))


def log_of_lab_1(terminal, line):
    """A handshake that comes through the proxy, and one that doesn't."""
    with running(terminal, f"{line} 1") as lab:
        for port in (lab.port, lab.app_port()):
            command = [sys.executable, "-m", "websockets", lab.url(port)]
            subprocess.run(command, input="", capture_output=True, timeout=SECONDS, text=True)
        return lab.example("".join(lab.wait_for("connection open")))


def wire_of_lab_2(terminal, line):
    """A client that says nothing, until it is closed."""
    with running(terminal, f"{line} 2 --wire") as lab:
        alice = Talk(lab.url())
        lines = lab.wait_for("the connection is")
        alice.end()
        return lab.example(frames(lines))


def metrics_of_lab_3(terminal, line):
    """The metrics before an update, and after it."""
    with running(terminal, f"{line} 3") as lab:
        wait_until(lambda: lab.metric("websockets_open") == 40, "forty users")
        wait_until(lambda: lab.metric("sent_bytes_total") == 40 * HELLO, "forty first frames")
        shown = ask(lab.port, "/metrics")
        wait_until(lambda: lab.metric("sent_bytes_total") == 80 * HELLO, "all back")
        return lab.example(shown + ask(lab.port, "/metrics"))


def sockets_of_lab_4(terminal, line):
    """The sockets in a standstill."""
    with running(terminal, f"{line} 4") as lab:
        sent = -1
        while sent != (sent := lab.metric("sent_bytes_total")):
            time.sleep(1)  # in which users write twenty messages
        return sockets(lab)


def clients_of_lab_5(terminal, line):
    """Three clients, of whom one doesn't get what another sends."""
    with running(terminal, f"{line} 5") as lab:
        alice, bob, carol = [Talk(lab.url()) for _ in range(3)]
        for each in (alice, bob, carol):
            each.hear()
        alice.say("hello from alice")
        carol.hear()
        bob.say("hello from bob")
        return lab.example("\n".join(each.end() for each in (alice, bob, carol)))
