"""A lab as it runs: the processes of its app, the proxy before them, and the users."""

import asyncio
import signal
import tempfile
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from workshop import labs, serving, steps
from workshop.labs import users
from workshop.labs.proxy import Proxy


class Stage:
    """What the users of a lab can reach: its proxy, and the script of its page."""

    def __init__(self, files, ports, tell=None):
        served = labs.settings(files)
        self.proxy = Proxy(ports, served["upgrade"], served["idle_seconds"], tell)
        self.script = files["static/js/websocket.js"].decode()
        self.asleep = []  # the ports of the users who don't read


@asynccontextmanager
async def played(stage, doings, listener=None):
    """Let the users of a lab do what they do, for the length of an `async with`."""
    async with stage.proxy.listening(listener):
        tasks = []
        for doing in doings:
            options = {name: value for name, value in doing.items() if name != "does"}
            tasks.append(asyncio.create_task(users.DO[doing["does"]](stage, **options)))
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@contextmanager
def served(files, log):
    """Serve an app with as many processes as its deploy.toml says; gives their ports.

    `log` gets each line that they print, after the number of the process if there are several.
    Raises serving.NotServed.
    """
    number = labs.settings(files)["workers"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as parent, ExitStack() as stack:
        folder = steps.write_files(files, Path(parent) / "websocket")
        ports = []
        for worker in range(1, number + 1):
            prefix = f"worker {worker}: " if number > 1 else ""

            def printed(line, prefix=prefix):
                log(prefix + line.rstrip())

            server = stack.enter_context(serving.served(folder, printed))
            ports.append(server.port)
        yield ports


def play(lab, fixed, listener, ready, log, wire=None):
    """Play a lab until Ctrl-C; `ready` is called with the ports of the app's processes."""
    files = lab.files(fixed)

    async def until_stopped(ports):
        stage, stopped = Stage(files, ports, wire), stop_signal()
        async with played(stage, lab.users, listener):
            ready(ports)
            await stopped.wait()

    with served(files, log) as ports:
        asyncio.run(until_stopped(ports))


def stop_signal():
    """An event that is set by Ctrl-C, so that a second one comes between nothing either."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(*_):
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(stopped.set)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), stop)
    return stopped
