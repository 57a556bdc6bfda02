"""Pipfile.lock is good for every Python and platform that the workshop supports."""

import json
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from workshop.locking import plain_pip
from workshop.venv import SETS

PLATFORMS = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}


@pytest.fixture
def lock(root):
    return json.loads((root / "Pipfile.lock").read_text(encoding="utf-8"))


def test_the_lock_names_no_source(lock):
    assert lock["_meta"]["sources"] == [], "`python3 -m workshop lock` leaves them out"


def test_every_package_is_locked_with_its_hashes(lock):
    for section in SETS:
        for name, entry in lock[section].items():
            assert re.fullmatch(r"==[\w.]+", entry["version"]), name
            assert entry["hashes"], name
            assert "index" not in entry, name


def test_a_package_has_one_version_in_all_sets(lock):
    for name in {name for section in SETS for name in lock[section]}:
        versions = {lock[section][name]["version"] for section in SETS if name in lock[section]}
        assert len(versions) == 1, (name, versions)


def test_what_checking_needs_is_little_beside_the_rest(lock):
    checking = {**lock["default"], **lock["develop"]}
    for heavy in ("jupyter", "sphinx", "matplotlib", "pipenv"):
        assert heavy in lock["maintenance"]
        assert heavy not in checking


def test_pipenv_finds_the_lock_up_to_date(root):
    command = [sys.executable, "-m", "pipenv", "verify"]
    result = subprocess.run(
        command, cwd=root, env=plain_pip(), capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.thorough
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_holds_what_its_packages_need(lock, root, platform, python):
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "platform_machine": "arm64" if platform == "macos" else "x86_64",
        **PLATFORMS[platform],
    }
    pipfile = tomllib.loads((root / "Pipfile").read_text(encoding="utf-8"))
    needs = {
        "packages": ["default"],
        "dev-packages": ["default", "develop"],
        "maintenance": list(SETS),
    }
    for wanted, sections in needs.items():
        locked = {name: entry for section in sections for name, entry in lock[section].items()}

        def is_locked(name, locked=locked):
            entry = locked.get(name)
            if entry is None or "markers" not in entry:
                return entry is not None
            return Requirement(f"x ; {entry['markers']}").marker.evaluate(environment)

        names = [name for name in map(canonicalize_name, pipfile[wanted]) if is_locked(name)]
        seen, missing = set(), set()
        while names:
            name, _, extra = names.pop().partition("+")
            try:
                requires = metadata.requires(name) or []
            except metadata.PackageNotFoundError:
                continue  # for another platform only, so its own needs cannot be seen here
            for requirement in map(Requirement, requires):
                marker, needed = requirement.marker, canonicalize_name(requirement.name)
                if marker and not marker.evaluate({**environment, "extra": extra}):
                    continue
                if not is_locked(needed):
                    missing.add(f"{needed}, for {name}")
                for one in ["", *requirement.extras]:
                    if (needed, one) not in seen:
                        seen.add((needed, one))
                        names.append(f"{needed}+{one}")
        assert missing == set(), f"lock them in Pipfile with a marker for {platform}"
