"""A project on a real server: Uvicorn on 127.0.0.1, started again when a file changes.

The server runs in a process of its own, which is this file run as a script: it sees the project's
folder first on its path, as `quart run` does, and nothing else of the workshop.
"""

import contextlib
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    # What the workshop needs of its own is imported before anything of the project can be.
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a folder's name may be no text

from harness import loading
from harness.mended import log_no_disconnects, with_both_keys
from workshop import language
from workshop.language import _, sentence

HOST = "127.0.0.1"
EVERYWHERE = "0.0.0.0"  # for a class, and only where that is asked for
FIRST_PORT = 5000
TCP_PORT = 5001  # where the docs have an app listen for lines over TCP
START_SECONDS = 30
AT_START = 3  # seconds after a start in which a change may be the app's own doing
OFTEN = 4  # times in a row, after which it must be
STOP_SECONDS = 3  # how long a server may take to say goodbye to its clients
PORT_TAKEN, BAD_PROJECT = 1, 2  # exit codes
VERBOSE = "verbose"  # a word for the server: let it print a line for each connection
FAILED_TO_START = 3  # Uvicorn's exit code when the app's own start fails


class PortTaken(Exception):
    """Another program listens on the port."""


def run(project, port=None):
    """Serve a project until Ctrl-C, and again after each change; returns an exit code.

    Without a port, it is 5000 or the next free one; raises PortTaken if the given one is not free.
    """
    from workshop import machine, watching

    port = chosen_port(port, FIRST_PORT)
    environ = {"QUART_TCP_PORT": str(any_free_port()), **machine.app_environ()}
    environ[language.VARIABLE] = language.code
    command, options = _how_to_serve(project, port, environ)
    child = subprocess.Popen(command, **options)
    was_restarted, started = False, time.monotonic()
    at_start = Counter()  # how often in a row a file changed just after the app had started
    try:
        for names in watching.saves(project):
            is_there = project.is_dir()
            is_soon = is_there and time.monotonic() - started < AT_START
            for name in names:
                at_start[name] = at_start[name] + 1 if is_soon else 0
                if at_start[name] == OFTEN:
                    words = _("{name} changes whenever the app starts, so it is ignored.")
                    print(words.format(name=name), flush=True)
            names = [name for name in names if at_start[name] < OFTEN]
            if names and not is_there:
                words = _("{folder} is gone: waiting for it to come back.")
                print(words.format(folder=project.name), flush=True)
                _stop(child)
                was_restarted = True
            elif names:
                words = _("{names} changed: starting again")
                print(words.format(names=", ".join(names)), flush=True)
                _stop(child)
                child = subprocess.Popen([*command, "again"], **options)
                was_restarted, started = True, time.monotonic()
            elif child.poll() is not None and not was_restarted:
                return BAD_PROJECT if child.returncode == FAILED_TO_START else child.returncode
    except KeyboardInterrupt:
        pass
    finally:
        _stop(child)
    return 0


def _how_to_serve(project, port, environ):
    """The command that serves a project, and Popen's options; SIGTERM now stops as Ctrl-C does."""
    from workshop import machine

    environ = {**environ, "PYTHONUNBUFFERED": "1"}  # what the app prints is wanted at once
    options = {"env": environ, "cwd": project, "stdin": subprocess.PIPE}
    if os.name == "nt":
        options["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
    for name in ("SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.default_int_handler)
    python = machine.python_as_typed(os.getcwd())
    return [sys.executable, __file__, str(project), str(port), python], options


class NotServed(Exception):
    """A project could not be started; the message says why."""


@dataclass
class Served:
    """A project that is served: on which port, by which process, what that printed so far."""

    port: int
    child: subprocess.Popen
    lines: list


@contextlib.contextmanager
def served(project, log=None):
    """Serve a project as `run` does, but on a free port, once, and for the length of a `with`.

    What it prints is kept. With `log`, it prints a line for each connection, too, and `log` gets
    each line once it is served. Raises NotServed if it is not served within 30 s.
    """
    from workshop import machine

    port = any_free_port()
    tcp_port = free_port(port + 1)
    environ = machine.app_environ(QUART_TCP_PORT=str(tcp_port), PYTHONUTF8="1")
    command, options = _how_to_serve(project, port, environ)
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "encoding": "utf-8"}
    command += [VERBOSE] if log else []
    child = subprocess.Popen(command, **options, **output, errors="replace")
    lines, is_served = [], False

    def read():
        for line in child.stdout:
            lines.append(line)
            if log and is_served:
                log(line)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        deadline = time.monotonic() + START_SECONDS
        # The address is the same in every language.
        while not any(f"http://{HOST}:{port}/" in line for line in lines):
            if child.poll() is not None or time.monotonic() > deadline:
                reader.join(1)
                raise NotServed(f"{project.name} cannot be served: {''.join(lines).strip()}")
            time.sleep(0.02)
        is_served = True
        yield Served(port, child, lines)
    finally:
        _stop(child)


def _stop(child):
    if child.poll() is None:
        # On Windows, terminate() would cut the clients off.
        child.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGTERM)
    try:
        child.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def address_in_the_room():
    """The address at which other machines of the network reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))  # nothing is sent
            return probe.getsockname()[0]
        except OSError:
            return HOST


def chosen_port(port, first):
    """The port if it is free or, without one, the first free one from `first` on.

    Says so if that is not `first`. Raises PortTaken if the given one can't be had.
    """
    if port is None:
        port = free_page_port(first)
        if port != first:
            words = _("Port {first} is taken, so this is port {port}.")
            print(words.format(first=first, port=port), flush=True)
    elif needs_rights(port):
        raise PortTaken(
            f"port {port} is only for administrators: try --port {free_page_port(FIRST_PORT)}, "
            "or leave it out"
        )
    elif not is_free(port):
        raise PortTaken(f"port {port} is taken: try --port {free_page_port(port)}, or leave it out")
    return port


def needs_rights(port):
    """Whether only an administrator may listen on a port, as is often so below 1024."""
    try:
        listen(port).close()
    except OSError as error:
        # On Windows, that says that the system keeps the port for itself.
        return isinstance(error, PermissionError) and port < 1024 and os.name != "nt"
    return False


def is_free(port):
    """Whether nobody listens on a port of 127.0.0.1, nor on that port of all addresses."""
    # Who listens accepts at once; where nobody does, Windows asks again and again, for 2 s.
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=0.2):
        return False
    with contextlib.suppress(OSError), listen(port):
        return True
    return False


def free_port(first):
    """The first port from `first` on that is free."""
    return next(port for port in (*range(first, 65536), *range(1024, first)) if is_free(port))


def free_page_port(first):
    """The first free port from `first` on for a page: never the one of the app's TCP source."""
    port = free_port(first)
    return free_port(TCP_PORT + 1) if port == TCP_PORT else port


def any_free_port():
    """A free port that is not one of those which the system gives to whoever asks for any."""
    return free_port(random.randrange(20_000, 32_000))


def listen(port, host=HOST):
    """A socket that listens on a port of 127.0.0.1, or of another address.

    Raises OSError if another program does.
    """
    # asyncio sets TCP_NODELAY, and so sends at once, only if the socket says that it is TCP.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    try:
        # On Windows, it would share a port that another program listens on. Nor is it needed there
        # to have a port again at once; SO_EXCLUSIVEADDRUSE would even prevent that.
        if os.name != "nt":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def load(project):
    """Run a project's websocket.py and return its app; ends the process with what is wrong."""
    try:
        return loading.load(project)
    except loading.NotLoaded as problem:
        told = sentence(str(problem))
        print(told, *filter(None, [problem.code]), sep="\n    ", file=sys.stderr)
        sys.exit(BAD_PROJECT)


def serve(project, port, python, again=False, log_level="warning"):
    """Serve a project on a port, in this process, until a signal says stop."""
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets=None):
            await super().startup(sockets)
            announce(app, project, f"{HOST}:{port}", python, again)

        async def shutdown(self, sockets=None):
            # What is cut off half-way now is no news.
            logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
            await super().shutdown(sockets)

    deadline = time.monotonic() + STOP_SECONDS
    while True:
        try:
            listener = listen(port)
            break
        except OSError:
            # Windows takes a moment to give back the port of a server that had to be killed.
            if again and time.monotonic() < deadline:
                time.sleep(0.05)
                continue
        words = _("Port {port} was free a moment ago, and is taken now: try again.")
        print(words.format(port=port), file=sys.stderr)
        sys.exit(PORT_TAKEN)
    app = load(project)
    log_no_disconnects(app)
    try:
        own_settings = loading.settings(project)  # how to serve it for real, from step 7 on
    except loading.NotLoaded as problem:
        print(sentence(str(problem)), file=sys.stderr)
        sys.exit(BAD_PROJECT)

    async def asgi(scope, receive, send):
        if scope["type"] == "websocket":
            receive = with_both_keys(receive)
        await app(scope, receive, send)

    settings = {
        "ws": "websockets-sansio",
        "timeout_graceful_shutdown": 0.3,
        **own_settings,
    }
    config = uvicorn.Config(asgi, interface="asgi3", lifespan="on", log_level=log_level, **settings)
    server = Server(config)

    parent, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)  # no program that the app starts may have that pipe: see tied.py
    os.close(nothing)

    def stop_without_parent():
        os.read(parent, 1)  # which ends when the process that started this one has
        server.should_exit = True

    threading.Thread(target=stop_without_parent, daemon=True).start()
    server.run(sockets=[listener])


def announce(app, project, host, python, again=False):
    """Say where a project is served, and what to try with it."""
    if again:
        words = _("{folder} is served again at {address}")
        print(words.format(folder=project.name, address=f"http://{host}/"), flush=True)
        return
    curl = "curl.exe" if os.name == "nt" else "curl"
    paths = {rule.rule for rule in app.url_map.iter_rules()}
    words = _("{folder} is served at {address} (Ctrl-C stops it).")
    print(words.format(folder=project.name, address=f"http://{host}/"))
    if "/api/v2/messages" in paths:
        print("  " + _("Open it in two tabs: what you send in one shows in both."))
        command = f"{curl} --data hello http://{host}/api/v2/messages"
        print("  " + _("A POST is a message, too: {command}").format(command=command))
    elif "/ws" in paths:
        command = f"{python} -m websockets ws://{host}/ws"
        print("  " + _("Talk to it without a page: {command}").format(command=command))
    sys.stdout.flush()


if __name__ == "__main__":
    language.begin([])
    folder = Path(sys.argv[1])
    if problem := loading.problem_of_files(folder):
        print(sentence(problem), file=sys.stderr)
        sys.exit(BAD_PROJECT)
    sys.path[0] = str(folder)
    try:
        python = sys.argv[3] if len(sys.argv) > 3 else sys.executable
        level = "info" if VERBOSE in sys.argv[4:] else "warning"
        serve(folder, int(sys.argv[2]), python, "again" in sys.argv[4:], level)
    except KeyboardInterrupt:
        pass
