"""`start --from FILE.zip` takes what the page of a step saved, and nothing that would do harm."""

import io
import zipfile

import pytest
from click.testing import CliRunner

from workshop import cli, learner
from workshop.steps import find_exercise

MINE = {"websocket.py": "# mine\n", "templates/index.html": "<h1>mine</h1>\n"}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A learner's own folder, in place of the workshop's."""
    folder = tmp_path / "websocket"
    for name, path in (
        ("FOLDER", folder),
        ("ATTEMPTS", tmp_path / "attempts"),
        ("PROGRESS", folder / "progress.json"),
        ("MOVING", tmp_path / "attempts/.moving"),
    ):
        monkeypatch.setattr(learner, name, path)
    monkeypatch.setattr("workshop.commands.learner.FOLDER", folder)
    return folder


def start(path, *arguments):
    result = CliRunner().invoke(cli.main_group, ["start", *arguments, "--from", str(path)])
    return result.exit_code, result.output


def zipped(path, files, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.mark.parametrize("inside", ["", "websocket/"])
@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_the_files_of_a_zip_become_ones_own(folder, tmp_path, inside, method):
    learner.start(find_exercise("2"))
    files = {inside + name: text for name, text in MINE.items()}
    extra = {f"{inside}__pycache__/x.pyc": "", f"{inside}progress.json": "{}", "other.txt": ""}
    path = zipped(tmp_path / "mine.zip", files | (extra if inside else {}), method)
    code, output = start(path, "3")
    assert code == 0, output
    assert "holds your own work" in output and "is now in attempts/" in output
    written = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    assert set(written) == {*MINE, "progress.json"}
    assert all(written[name].read_text(encoding="utf-8") == text for name, text in MINE.items())
    assert learner.Progress().started == "03_echo"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"a.txt": ""}, "has no websocket.py in it"),
        ({"websocket.py": "", "../evil.py": ""}, "would be written elsewhere"),
        ({"websocket.py": "", "a/../../evil.py": ""}, "would be written elsewhere"),
        ({"websocket.py": "", "C:evil.py": ""}, "would be written elsewhere"),
        ({"websocket.py": "x" * 6_000_000}, "is too large"),
        ({"websocket.py": "", **{f"{n}.txt": "" for n in range(200)}}, "is too large"),
    ],
)
def test_a_zip_that_is_no_project_changes_nothing(folder, tmp_path, files, told):
    learner.start(find_exercise("3"))
    before = (folder / "websocket.py").read_bytes()
    code, output = start(zipped(tmp_path / "bad.zip", files), "3")
    assert code == 2 and told in output, output
    assert (folder / "websocket.py").read_bytes() == before
    assert not (tmp_path / "evil.py").exists() and learner.attempts() == []


def test_a_file_that_is_no_zip_is_told(folder, tmp_path):
    (tmp_path / "no.zip").write_bytes(b"no zip")
    whole = io.BytesIO()
    zipped(whole, MINE)
    (tmp_path / "half.zip").write_bytes(whole.getvalue()[:40])
    for name in ("no.zip", "half.zip"):
        code, output = start(tmp_path / name, "3")
        assert code == 2 and "it is not a valid zip" in output
    assert start(tmp_path / "none.zip", "3")[0] == 2
    assert start(tmp_path / "no.zip", "3", "--mine")[0] == 2
