"""Runs tests that look into the app's own process, in a box, and so together with its code.

Usage: the arguments of pytest. Lines of JSON tell what is found. The code that is tested could
write them itself: nobody is to rely on them.
"""

import os
import sys


def main():
    """Run pytest, and tell each outcome on standard output."""
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    import pytest
    import pytest_asyncio.plugin

    from workshop.checking import Teller

    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    pytest.main(sys.argv[1:], plugins=[Teller(output), pytest_asyncio.plugin])


if __name__ == "__main__":
    main()
