"""Releases: which one this is, and that progress made with an earlier one is still understood."""

import json
import re

import pytest
from repo import ROOT

from workshop import VERSION, learner

RELEASES = re.findall(
    r"^## (\d+\.\d+\.\d+) \((\d{4}-\d\d-\d\d)\)$",
    (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
    re.MULTILINE,
)
FILES = sorted((ROOT / "tests/releases").glob("*.json"))


def number(version):
    return tuple(map(int, version.split(".")))


def test_the_changelog_has_the_releases_newest_first():
    versions = [number(version) for version, _ in RELEASES]
    dates = [date for _, date in RELEASES]
    assert versions == sorted(set(versions), reverse=True) and dates == sorted(dates, reverse=True)
    assert RELEASES[0][0] == VERSION, "workshop/__init__.py has the version of the newest release"


def test_the_command_names_its_version(workshop):
    code, output = workshop("--version").end()
    assert (code, output.strip()) == (0, f"Quart WebSocket Workshop {VERSION}")


def test_the_site_names_its_version(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    assert f"This is version {VERSION}." in page


def test_each_release_has_a_file_of_progress_made_with_it():
    assert {path.stem for path in FILES} == {version for version, _ in RELEASES}, (
        "copy the progress.json of a folder websocket/ to tests/releases/VERSION.json"
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_progress_made_with_a_release_is_still_understood(path, tmp_path, monkeypatch):
    monkeypatch.setattr(learner, "FOLDER", tmp_path)
    monkeypatch.setattr(learner, "PROGRESS", tmp_path / "progress.json")
    text = path.read_text(encoding="utf-8")
    (tmp_path / "progress.json").write_text(text, encoding="utf-8")
    progress, then = learner.Progress(), json.loads(text)
    assert progress.noticed == "", "nothing is damaged"
    assert progress.started == then["started"]
    assert progress.done == then["done"]
    assert progress.hints == then["hints"]
