"""A pytest plugin that tries many projects with the tests of an exercise, in one process.

`--tries FILE` names a file of JSON: for each project its folder, the names of the tests to try it
with, and which of them may be in a browser or with Redis. Each test has the project's place in that
list in its name, after a #.
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
    folder, _, _ = request.config.tries[request.param]
    request.config.option.project = Path(folder)


def pytest_generate_tests(metafunc):
    tries, name = metafunc.config.tries, metafunc.function.__name__
    chosen = [number for number, (_, names, _) in enumerate(tries) if name in names]
    metafunc.parametrize("one_of_many", chosen, ids=lambda number: f"#{number}", indirect=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
    """Leave out what nothing is tried with, and begin with all the tests of the first project."""

    def number(item):
        return item.callspec.params["one_of_many"]

    def is_wanted(item):
        if not isinstance(number(item), int):
            return False  # no project is tried with it
        is_slow = any(map(item.get_closest_marker, ("browser", "redis")))
        return not is_slow or item.originalname in config.tries[number(item)][2]

    items[:] = sorted(filter(is_wanted, items), key=number)


def number_and_words(words):
    """Which project a check was about, and its words without that."""
    number = int(NUMBER.search(words)[1])
    return number, NUMBER.sub("", words).replace(" ()", "")
