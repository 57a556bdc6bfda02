"""A change of one step goes into the later ones that have the same file, and into no other."""

import subprocess

import pytest

FILE = "steps/01_structure/static/css/websocket.css"


@pytest.fixture
def committed(learner):
    git = ["git", "-c", "user.name=i", "-c", "user.email=i@example.invalid"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run([*git, *arguments], cwd=learner.clone, check=True)
    return learner


def test_a_change_is_carried_where_the_file_was_the_same(committed):
    first = committed.clone / FILE.replace("01_structure", "02_install")
    second = committed.clone / FILE.replace("01_structure", "03_echo")
    old = (committed.clone / FILE).read_text(encoding="utf-8")
    assert first.read_text(encoding="utf-8") == second.read_text(encoding="utf-8") == old
    second.write_text(old + "/* another */\n", encoding="utf-8")
    (committed.clone / FILE).write_text(old + "/* new */\n", encoding="utf-8")
    code, output = committed("carry", FILE)
    assert code == 0, output
    assert first.read_text(encoding="utf-8") == old + "/* new */\n"
    assert second.read_text(encoding="utf-8") == old + "/* another */\n"
    assert "changed: steps/02_install" in output
    assert "by hand: steps/03_echo" in output


@pytest.mark.parametrize("file", ["README.md", "steps/01_structure/nothing.py", "../..", FILE])
def test_what_cannot_be_carried_is_said(committed, file):
    code, output = committed("carry", file)
    assert code == 1
    assert "not a file of a step" in output or "no change to carry" in output
