"""What is wrong with the files of a project is told in one sentence, by `check` and by `run`."""

import shutil
import subprocess
import sys

import pytest
from repo import STEPS, free_port

from harness import loading
from harness.sources import problem_of_source
from workshop import serving
from workshop.checking import Checker

ECHO = STEPS[2]
WRONG_FILES = {
    "websocket.py": "websocket.py is saved as UTF-16: save it as UTF-8",
    "templates/index.html": "templates/index.html is saved as UTF-16: save it as UTF-8",
    "Pipfile": "Pipfile is saved as UTF-16: save it as UTF-8",
    "json.py": "json.py beside your app hides Python's own module json: rename it",
    "quart.py": "quart.py beside your app hides the package quart: rename it",
    "click/__init__.py": "click beside your app hides the package click: rename it",
}


# Unusual, and right: nothing that is meant as it stands may be told wrong.
UNUSUAL = {
    "an app made anew, used only in a function": "def log():\n    app.logger.info(1)\n"
    "\n\napp = Quart(__name__, static_url_path='/static')\n",
    "a comparison that assigns nothing": "len(app.config) == 0\n'TESTING' in app.config\n",
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_code_that_is_right_is_not_told_wrong(name, tmp_path):
    path = tmp_path / "websocket.py"
    begin = "from quart import Quart\n\napp = Quart(__name__)\n\n\n"
    path.write_text(begin + UNUSUAL[name], encoding="utf-8")
    assert problem_of_source(path) == ""


@pytest.fixture(params=WRONG_FILES)
def wrong(request, tmp_path):
    """A right project but for one file, which is saved as UTF-16 or has a name that is taken."""
    project = shutil.copytree(ECHO, tmp_path / "websocket")
    path = project / request.param
    if path.exists():
        path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    else:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return project, WRONG_FILES[request.param]


def test_check_says_what_is_wrong_with_a_file(wrong):
    project, sentence = wrong
    checks = list(Checker(project, [ECHO / "tests/test_install.py"]).check())
    assert {one.reason for one in checks if one.outcome != "later"} == {sentence}


def test_run_says_what_is_wrong_with_a_file(wrong):
    project, sentence = wrong
    result = subprocess.run(
        [sys.executable, serving.__file__, project, str(free_port()), sys.executable],
        capture_output=True,
        encoding="utf-8",
        timeout=30,
    )
    assert (result.returncode, result.stderr.strip()) == (serving.BAD_PROJECT, sentence)


def test_the_packages_that_nothing_may_hide_are_those_that_an_app_and_its_server_load():
    code = "import quart, uvicorn, websockets, sys; print(*{name.partition('.')[0] for name in "
    code += "sys.modules}, sep='\\n')"
    loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    # What a system adds to each of its Pythons is not the app's.
    names = {name for name in loaded if not name.startswith("_")} - {"sitecustomize"}
    installed = names - sys.stdlib_module_names
    assert installed <= loading.PACKAGES


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_the_modules_of_a_step_hide_nothing(step):
    assert loading.problem_of_files(step) == ""
