"""A pytest plugin that tries many projects with the tests of an exercise, in one process.

`--tries FILE` names a file of JSON: for each project its folder and the names of the tests to try
it with; without names, it is tried with all tests but those in a browser or with Redis. Each test
has the project's place in that list in its name, after a #.
"""

import json
import re
from pathlib import Path

import pytest

NUMBER = re.compile(r"-?#(\d+)-?")


def pytest_addoption(parser):
    parser.addoption("--tries", type=Path)


def pytest_configure(config):
    config.tries = json.loads(config.getoption("tries").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def one_of_many(request):
    """Put a project in the place of the one that --project names."""
    folder, _ = request.config.tries[request.param]
    request.config.option.project = Path(folder)


def pytest_generate_tests(metafunc):
    tries = metafunc.config.tries
    name = metafunc.function.__name__
    chosen = [number for number, (_, names) in enumerate(tries) if not names or name in names]
    metafunc.parametrize("one_of_many", chosen, ids=lambda number: f"#{number}", indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out what nothing is tried with, and begin with all the tests of the first project."""

    def is_wanted(item):
        number = item.callspec.params.get("one_of_many")
        if not isinstance(number, int):
            return False  # no project is tried with it
        is_slow = any(map(item.get_closest_marker, ("browser", "redis")))
        return bool(config.tries[number][1]) or not is_slow

    wanted = [item for item in items if is_wanted(item)]
    items[:] = sorted(wanted, key=lambda item: item.callspec.params["one_of_many"])


def number_and_words(words):
    """Which project a check was about, and its words without that."""
    number = int(NUMBER.search(words)[1])
    return number, NUMBER.sub("", words).replace(" ()", "")
