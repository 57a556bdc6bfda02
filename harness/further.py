"""The fixtures of the tests from step 6 on: clients of the log, a Redis, many servers.

A conftest.py imports them by name.
"""

import shutil
from functools import partial

import pytest

from harness import log_client as log
from harness.failures import NoApp
from harness.inprocess import load
from harness.live_server import LiveApp, LiveServer
from harness.missing import missing
from harness.processes import RedisServer


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


def live_or_apart(config, project):
    """The project's app on a real server: in this process or, with --apart, in another one."""
    if config.getoption("apart"):
        from harness import apart

        return apart.App(project)
    app = load(project)
    return app if isinstance(app, NoApp) else LiveApp(app)


def open_app(config, project):
    """The project's app: in this process, with --live on a real server, or with --apart."""
    if config.getoption("live") or config.getoption("apart"):
        return live_or_apart(config, project)
    return load(project)


def open_server(config, project):
    """A real server with the project's app."""
    if config.getoption("apart"):
        return live_or_apart(config, project).server
    return LiveServer(load(project), lambda: load(project))


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
