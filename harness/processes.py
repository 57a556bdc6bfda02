"""Other processes that tests start: `quart run`, and a Redis server."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from harness import patience
from harness.patience import PatienceWithAnother
from harness.ports import free_port

START_DEADLINE = 20  # seconds, for a server to start
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1


class QuartRun:
    """`quart --app websocket run` in a project's folder, on a free port."""

    def __init__(self, project):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}/"
        self.start(project, ["--app", "websocket", "run", "--port", str(port)])

    def start(self, project, arguments):
        """Start the command."""
        self.file = tempfile.TemporaryFile()
        quart = shutil.which("quart", path=Path(sys.executable).parent) or "quart"
        try:
            self.process = subprocess.Popen(
                [quart, *arguments],
                cwd=project,
                env={**os.environ, "PYTHONUNBUFFERED": "1", "QUART_TCP_PORT": ""},
                stdin=subprocess.DEVNULL,
                stdout=self.file,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            raise AssertionError(
                f"the `quart` command cannot be run ({error.strerror}): if you use the workshop's "
                "environment, delete .venv, and the next command makes it again"
            ) from None

    def output(self):
        """What it has printed, and whether it has ended."""
        has_ended = self.process.poll() is not None
        self.file.seek(0)
        return self.file.read().decode(errors="replace").strip(), has_ended

    def page(self):
        """The page at /, as soon as it is served."""
        waiting = PatienceWithAnother(8 + 2 * patience.DEADLINE)
        while not waiting.is_over():
            output, has_ended = self.output()
            if "Running on" in output and self.url.rstrip("/") not in output:
                raise AssertionError(
                    f"`quart run` serves nothing at {self.url}: does websocket.py itself call "
                    "app.run()?"
                )
            if has_ended:
                last_line = output.rpartition("\n")[2]
                raise AssertionError(f"`quart run` ends at once, with: {last_line}")
            try:
                return HTTP.open(self.url, timeout=patience.DEADLINE).read().decode()
            except urllib.error.HTTPError as error:
                raise AssertionError(f"the app answers GET / with {error.code}") from None
            except OSError:
                time.sleep(0.01)  # `quart run` says so before it listens, so ask again
        raise AssertionError(f"`quart run` serves nothing at {self.url}, and does not say why")

    def end(self):
        self.process.kill()  # it may have a server of its own that waits for its clients
        self.process.wait(START_DEADLINE)
        self.file.close()


class RedisServer:
    """A Redis server on a free port, whose data outlive it: `.client` commands it."""

    def __init__(self, command, folder):
        from redis import Redis

        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.client = Redis(port=self.port, socket_timeout=START_DEADLINE)
        self.command = [command, "--port", str(self.port), "--bind", "127.0.0.1"]
        # Everything is written before it is answered: "everysec" is late where the disk is busy.
        self.command += ["--dir", str(folder), "--save", ""]
        self.command += ["--appendonly", "yes", "--appendfsync", "no"]
        self.start()

    def start(self):
        from redis.exceptions import RedisError

        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL)
        waiting = PatienceWithAnother(START_DEADLINE)
        while True:
            try:
                return self.client.ping()
            except RedisError:  # not there yet, or still loading
                assert not waiting.is_over(), "the Redis server does not start"
                time.sleep(0.01)

    def stop(self):
        self.process.kill()
        self.process.wait(START_DEADLINE)
