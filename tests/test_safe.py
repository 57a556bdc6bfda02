"""Nothing of a learner's is lost, whatever is typed, and whenever a command is killed."""

import json
import os
import subprocess
import sys

import pytest
from repo import STEPS

# Runs a function of workshop.learner, and is killed before the operation on files of this number.
KILLED = """
import os, sys
number, name, *arguments = sys.argv[1:]
sys.path.insert(0, ".")
from workshop import learner, steps
seen = 0
def operation(event, arguments):
    global seen
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wxa+")
    if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir"):
        seen += 1
        if seen == int(number):
            os._exit(9)
sys.addaudithook(operation)
if name == "start":
    arguments = [steps.find_exercise(arguments[0])]
getattr(learner, name)(*arguments)
"""


def contents(folder):
    """The files below a folder that a learner wrote: path to content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("progress.")
    }


@pytest.mark.parametrize(
    "name", ["..", ".", "../..", "../websocket", "/", "*", "../.git", "no\nsuch", "a.txt", ".new"]
)
def test_only_an_attempt_that_is_listed_can_be_brought_back(learner, name):
    (learner.clone / ".git").mkdir()
    learner("start", "3")
    learner("start", "4")
    (learner.clone / "attempts/a.txt").write_text("a file", encoding="utf-8")
    (learner.clone / "attempts/.new").mkdir()
    before = contents(learner.clone)
    code, output = learner("start", "--back", name)
    assert code == 1
    assert "lists those there are" in output
    assert contents(learner.clone) == before


@pytest.mark.parametrize("how", [["start", "--back"], ["start", "4"]])
def test_a_link_in_place_of_attempts_is_not_followed(learner, tmp_path, how):
    learner("start", "3")
    (tmp_path / "elsewhere/mine").mkdir(parents=True)
    (learner.clone / "attempts").symlink_to(tmp_path / "elsewhere")
    code, output = learner(*how)
    assert code == 1
    assert "attempts is a link" in output
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine"]


def test_a_link_in_place_of_an_attempt_is_no_attempt(learner, tmp_path):
    learner("start", "3")
    (tmp_path / "elsewhere").mkdir()
    (learner.clone / "attempts").mkdir()
    (learner.clone / "attempts/mine").symlink_to(tmp_path / "elsewhere")
    assert learner("start", "--back", "mine")[0] == 1
    assert (tmp_path / "elsewhere").is_dir()


def test_a_link_in_place_of_the_folder_is_checked_and_never_replaced(learner, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    learner.folder.symlink_to(mine)
    (mine / "websocket.py").write_bytes(b"print('mine')\n")
    assert "makes no `app`" in learner("check", "3")[1]
    code, output = learner("start", "3")
    assert code == 1
    assert "is a link to another folder" in output
    assert (mine / "websocket.py").read_bytes() == b"print('mine')\n"
    learner.folder.unlink()
    learner.folder.symlink_to(tmp_path / "nowhere")
    for command in ("start", "check", "hint"):
        code, output = learner(command, "3")
        assert code == (0 if command == "hint" else 1), output


@pytest.mark.skipif(os.name == "nt", reason="os._exit is not what ends a command there")
@pytest.mark.parametrize("command", ["start", "bring_back"])
def test_killed_at_any_moment_a_command_has_done_all_or_nothing(learner, tmp_path, command):
    learner("start", "3")
    learner.write("websocket.py", "old = True\n")
    learner("start", "4")
    learner.write("websocket.py", "new = True\n")
    (attempt,) = (learner.clone / "attempts").iterdir()
    old, new = contents(attempt), contents(learner.folder)
    argument = attempt.name if command == "bring_back" else "5"
    wanted = old if command == "bring_back" else None
    number, ends = 0, set()
    while True:
        number += 1
        killed = subprocess.run(
            [sys.executable, "-c", KILLED, str(number), command, argument],
            cwd=learner.clone,
            capture_output=True,
            timeout=60,
        )
        assert killed.returncode in (0, 9), killed.stderr
        code, output = learner()
        assert (code, "could not be read" in output) == (0, False), output
        now = contents(learner.folder)
        kept = [contents(path) for path in (learner.clone / "attempts").glob("[!.]*")]
        assert [now, *kept].count(new) == 1, f"lost after {number} operations"
        assert [now, *kept].count(old) == 1, f"lost after {number} operations"
        if killed.returncode == 0:
            break
        if now == new:
            assert learner.progress()["started"] == "04_javascript"
            ends.add("nothing")
        else:  # as if it had not been killed
            assert learner.progress()["started"] != "04_javascript"
            assert now == wanted or "echo" in now["websocket.py"].decode()
            ends.add("all")
            break
    assert "nothing" in ends
    assert number > 3, "it was never killed in the middle"


@pytest.mark.skipif(os.name == "nt", reason="no limit of memory can be set there")
@pytest.mark.parametrize("content", ["deep", "huge", "folder"])
def test_progress_that_nobody_wrote_is_set_aside_and_costs_no_memory(learner, content):
    import resource

    learner("start", "3")
    path = learner.folder / "progress.json"
    if content == "deep":
        path.write_text("[" * 200_000, encoding="utf-8")
    elif content == "huge":
        os.truncate(path, 2**30)
    else:
        path.unlink()
        path.mkdir()
    limit = 3 * 2**29  # bytes, which is less than reading it takes
    code, output = learner(
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    )
    assert code == 0, output
    assert "could not be read" in output
    assert (learner.folder / "progress.damaged.json").exists()
    assert (learner.folder / "websocket.py").read_bytes() == (
        STEPS[1] / "websocket.py"
    ).read_bytes()


def test_what_was_done_is_still_known_after_a_start_and_after_going_back(learner):
    learner("start", "3")
    learner("hint")
    learner.write(
        "progress.json",
        json.dumps({"started": "03_echo", "done": ["01_structure"], "hints": {"03_echo": 2}}),
    )
    learner("start", "4")
    assert learner.progress()["done"] == ["01_structure"]
    (attempt,) = (learner.clone / "attempts").iterdir()
    learner("start", "--back", attempt.name)
    assert learner.progress() == {
        "started": "03_echo",
        "done": ["01_structure"],
        "hints": {"03_echo": 2},
    }
