"""Runs tests that look into the app's own process, in a box, and so together with its code.

Usage: the names of the tests, as JSON, and the arguments of pytest. Lines of JSON tell what is
found. The code that is tested could write them itself: nobody is to rely on them.
"""

import json
import os
import sys


class Chosen:
    """A pytest plugin that runs some tests, of those that are collected."""

    def __init__(self, names):
        self.names = set(names)

    def pytest_collection_modifyitems(self, items):
        """Leave out the others."""
        items[:] = [item for item in items if item.nodeid in self.names]


def main():
    """Run pytest, and tell each outcome on standard output."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest
    import pytest_asyncio.plugin

    from workshop.outcomes import Teller

    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    chosen = Chosen(json.loads(sys.argv[1]))
    pytest.main(sys.argv[2:], plugins=[chosen, Teller(output), pytest_asyncio.plugin])


if __name__ == "__main__":
    main()
