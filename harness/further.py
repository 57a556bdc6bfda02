"""The fixtures of the tests from step 6 on: clients of the log, a Redis, many servers.

A conftest.py imports them by name.
"""

import shutil
from functools import partial

import pytest

from harness import log_client as log
from harness.live_server import LiveApp
from harness.missing import missing
from harness.processes import RedisServer
from harness.ways import live_or_apart


@pytest.fixture
def connect_to():
    """Connect a LogClient to an app: `async with connect_to(app) as alice`."""
    return log.LogClient


@pytest.fixture
def log_client(app):
    """Connect a LogClient: `async with log_client() as alice`, or with `log` and `last`."""
    return partial(log.LogClient, app)


@pytest.fixture
def eventually():
    """Connect a client as soon as the server lets it in: `async with eventually(connect)`."""
    return log.eventually


@pytest.fixture
def redis_server(tmp_path):
    """A Redis server on a free port: `.url`, `.client`, `.stop()` and `.start()`."""
    command = shutil.which("redis-server") or missing(
        "no Redis server: install it (on Debian: sudo apt install redis-server)"
    )
    server = RedisServer(command, tmp_path)
    yield server
    server.client.close()
    server.stop()


@pytest.fixture
def serve(request, project):
    """Start a server with the project's app; each call starts another, as other machines do."""
    apps = []

    def serve():
        apps.append(live_or_apart(request.config, project))
        return apps[-1]

    yield serve
    for app in apps:
        if isinstance(app, LiveApp):
            app.server.stop(wait=False)
