"""What the tests of every step use: the project's app, in-process or on a real server.

`--project DIR` tests the websocket.py in DIR in place of the step's own. `--live` puts it on a
real server, and the same tests talk to it over real sockets; `--apart`, in another process.
"""

import shutil
from pathlib import Path

import pytest

from harness import patience, sign_in
from harness.further import connect_to, eventually, log_client, redis_server, serve
from harness.hurry import (
    given_project,
    pytest_collection_modifyitems,
    pytest_runtest_makereport,
    pytest_unconfigure,
    quart_run,
)
from harness.loading import problem_of_files
from harness.needs import pytest_itemcollected, pytest_terminal_summary, register_markers
from harness.page import browser, console_errors, context, expect, page, page_at
from harness.ports import free_port
from harness.ways import app, configure_apart, server, tcp_connect


def pytest_addoption(parser):
    group = parser.getgroup("workshop")
    group.addoption("--project", type=Path, help="test the websocket.py in this folder")
    group.addoption("--live", action="store_true", help="test on a real server, over real sockets")
    group.addoption("--apart", action="store_true", help="the same, in a process of its own")
    group.addoption("--deadline", type=float, default=3, help="seconds, for each wait")
    group.addoption("--patience", type=float, default=9, help="the same, for a browser")


def pytest_configure(config):
    if not __debug__:
        raise pytest.UsageError("asserts are left out: unset PYTHONOPTIMIZE, and leave out -O")
    patience.DEADLINE = config.getoption("deadline")
    register_markers(config)
    configure_apart(config)


def pytest_ignore_collect(collection_path, config):
    """Leave out a challenge, which --project need not solve, unless it is named."""
    if collection_path.name == "challenges" and config.getoption("project"):
        return not any("challenges" in argument for argument in config.args) or None


@pytest.fixture
def project(folder, monkeypatch):
    """The folder that is tested, which is the current one, as when `quart run` is typed there."""
    for name, value in sign_in.SETTINGS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def folder(request, tmp_path_factory):
    """The folder that is tested: --project, or else the one that the test belongs to."""
    folder = request.path.parents[1]
    if given := given_project(request.config):
        problem = problem_of_files(given)
        assert not problem, problem
        return given
    if folder.parent.name != "challenges":
        return folder
    # A challenge holds only the files that differ from those of its step.
    whole = tmp_path_factory.mktemp(folder.name) / "websocket"
    shutil.copytree(folder.parents[1], whole, ignore=shutil.ignore_patterns("tests", "challenges"))
    return shutil.copytree(folder, whole, dirs_exist_ok=True)


@pytest.fixture
def tcp_port(request, monkeypatch):
    """A free port, in QUART_TCP_PORT before the app is loaded."""
    port = request.param if hasattr(request, "param") else free_port()
    if port is None:
        monkeypatch.delenv("QUART_TCP_PORT", raising=False)
    else:
        monkeypatch.setenv("QUART_TCP_PORT", str(port))
    return port
