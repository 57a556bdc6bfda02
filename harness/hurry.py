"""Told soon: what is slow comes last and begins early, and after a failure waits are shorter.

A conftest.py imports the hooks and the fixture by name.
"""

import asyncio
from contextlib import suppress

import pytest

from harness import patience
from harness.processes import QuartRun

A_TEST_FAILED = pytest.StashKey[bool]()
QUART_RUN = pytest.StashKey[QuartRun]()


def given_project(config):
    """The folder that --project names, seen from here or from the root."""
    if given := config.getoption("project"):
        return (given if given.exists() else config.rootpath / given).resolve()


@pytest.hookimpl(trylast=True)  # when it is known which tests were deselected
def pytest_collection_modifyitems(config, items):
    """Put what is slow last: the `quart` command, then the browser."""
    slow = ["quart_run", "context"]
    items.sort(
        key=lambda item: max(name in item.fixturenames and slow.index(name) + 1 for name in slow)
    )
    project = given_project(config)
    if project and project.is_dir() and any("quart_run" in item.fixturenames for item in items):
        # It takes as long to start as the tests before it take to run, so it starts with them.
        with suppress(AssertionError):  # which the test itself will tell
            config.stash[QUART_RUN] = quart_run_of(config)(project)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    report = yield
    context = item.funcargs.get("context")
    if report.failed and not item.config.stash.get(A_TEST_FAILED, False):
        # Who has an app that does not work wants to hear soon of the rest.
        item.config.stash[A_TEST_FAILED] = True
        patience.DEADLINE /= 2
    if report.failed and context and context.problems:
        report.sections.append(("The browser's console", "\n".join(context.problems)))
    return report


def quart_run_of(config):
    """How `quart run` is run: here or, with --apart, in a box."""
    if config.getoption("apart"):
        from harness import quart_apart

        return quart_apart.QuartRun
    return QuartRun


def pytest_unconfigure(config):
    if QUART_RUN in config.stash:
        config.stash[QUART_RUN].end()


@pytest.fixture
def quart_run(request, project):
    """Run `quart --app websocket run` in the project, and return the page that it serves at /."""
    runs = []

    async def run():
        run = request.config.stash.get(QUART_RUN, None)
        runs.append(run or quart_run_of(request.config)(project))
        return await asyncio.to_thread(runs[-1].page)

    yield run
    for one in runs:
        one.end()
