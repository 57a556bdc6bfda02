"""The lesson's own words: `pipenv install --dev` in a folder of one's own, then its tests."""

import os
import shutil
import subprocess
import sys

import pytest
from repo import STEPS


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.thorough
@pytest.mark.network
def test_pipenv_installs_step_2_elsewhere_and_its_tests_pass(tmp_path, root):
    project = shutil.copytree(STEPS[1], tmp_path / "websocket")
    shutil.copy(root / "steps/conftest.py", project)
    shutil.copytree(root / "harness", project / "harness")
    ours = ("PIPENV_", "VIRTUAL_ENV", "PYTEST_", "WORKSHOP_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environ |= {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_IGNORE_VIRTUALENVS": "1"}

    def pipenv(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "pipenv", *arguments],
            cwd=project,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )

    installed = pipenv("install", "--dev")
    no_network = "ConnectionError" in installed.stdout or "resolution" in installed.stdout
    if installed.returncode and no_network and os.environ.get("WORKSHOP_REQUIRE_ALL") != "1":
        pytest.skip("no network: connect to one that has a package index")
    assert installed.returncode == 0, installed.stdout
    tested = pipenv("run", "pytest", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert " passed" in tested.stdout
