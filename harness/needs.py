"""What a test needs beside the project: told by its fixtures, and by its markers to choose by.

A conftest.py imports the hooks by name.
"""

from collections import Counter

import pytest

MARKERS = {
    "browser": "looks at a page in a real browser",
    "redis": "needs a Redis server",
    "network": "needs the network, such as a package index",
}
TOLD = pytest.StashKey[bool]()
FIXTURES = {"browser": {"browser", "in_browser"}, "redis": {"redis_server"}}


def register_markers(config):
    """Let pytest know the markers."""
    for name, meaning in MARKERS.items():
        config.addinivalue_line("markers", f"{name}: {meaning}")


def pytest_itemcollected(item):
    """Mark a test by what its fixtures need: `-m "not browser"` leaves out the slow ones."""
    for name, fixtures in FIXTURES.items():
        if fixtures & set(getattr(item, "fixturenames", ())):
            # With the test's name, so that a single one can be chosen: -m "browser(test='…')".
            item.add_marker(getattr(pytest.mark, name)(test=item.originalname))


def pytest_terminal_summary(terminalreporter):
    """Say what was skipped by kind: a line for each reason, with how many and what to install."""
    if terminalreporter.config.stash.get(TOLD, False):  # by another conftest.py that imports it
        return
    terminalreporter.config.stash[TOLD] = True
    reports = terminalreporter.stats.get("skipped", [])
    reasons = Counter(report.longrepr[2].removeprefix("Skipped: ") for report in reports)
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"SKIPPED {count} for this reason: {reason}")
