"""The ways to reach a project's app: in this process, on a real server, in another process.

A conftest.py imports the fixtures by name.
"""

import pytest
import pytest_asyncio

from harness.failures import NoApp
from harness.inprocess import load
from harness.live_server import LiveApp, LiveServer
from harness.ports import connect_tcp


def configure_apart(config):
    """Look at the other process where tests would look at this one, if the app is there."""
    if config.getoption("apart"):
        from harness import apart

        apart.configure(config)


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
def app(request, project, tcp_port):
    """The project's app, loaded afresh: in-process, on a real server, or in another process."""
    opened = open_app(request.config, project)
    yield opened
    if isinstance(opened, LiveApp):
        opened.server.stop(wait=False)


@pytest.fixture
def server(request, project, tcp_port):
    """A real server with the project's app: its `.url`, and what can happen to it."""
    opened = open_server(request.config, project)
    opened.start()
    yield opened
    opened.stop(wait=False)


@pytest_asyncio.fixture
async def tcp_connect(app, tcp_port):
    """Connect to the app's TCP server: returns a reader and a writer."""
    writers, tested = [], app.server.app if isinstance(app, LiveApp) else app

    async def connect(port=tcp_port, **options):
        reader, writer = await connect_tcp(port, app=tested, **options)
        writers.append(writer)
        return reader, writer

    yield connect
    for writer in writers:
        writer.close()
