"""Nothing of a learner's is lost, whatever is typed, and whenever a command is killed."""

import json
import os
import subprocess
import sys

import pytest
from repo import STEPS, Learner, needs_links, new_learner

from workshop.steps import find_exercise

# Runs a function of workshop.learner again and again, in processes that are killed before their
# first, second … operation on files; each time, it prints what is there then.
KILLED = """
import json, os, sys
from pathlib import Path
name, argument = sys.argv[1:]
sys.path.insert(0, ".")
from workshop import learner, steps

def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith("progress.")
    }

def in_another_process(function):
    pid = os.fork()
    if not pid:
        function()
        sys.stdout.flush()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def act():
    seen = 0
    def operation(event, arguments):
        nonlocal seen
        mode = str(arguments[1]) if event == "open" else ""
        writes = set(mode) & set("wxa+")
        if writes or event in ("os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            seen += 1
            if seen == number:
                os._exit(9)
    sys.addaudithook(operation)
    getattr(learner, name)(steps.find_exercise(argument) if name == "start" else argument)

def look():
    progress = learner.Progress()
    kept = [files(path) for path in Path("attempts").glob("[!.]*")]
    state = {"started": progress.started, "noticed": progress.noticed}
    print(json.dumps({**state, "now": files(Path("websocket")), "kept": kept}))

for number in range(1, 1000):
    code = in_another_process(act)
    print(code)
    sys.stdout.flush()
    in_another_process(look)
    if Path("websocket/websocket.py").read_text() != "new = True\\n":
        break
"""


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


def contents(folder):
    """The files below a folder that a learner wrote: path to content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("progress.")
    }


def test_only_an_attempt_that_is_listed_can_be_brought_back(clone):
    learner = Learner(clone)
    (clone / ".git").mkdir()
    learner("start", "3")
    learner("start", "4")
    (learner.clone / "attempts/a.txt").write_text("a file", encoding="utf-8")
    (learner.clone / "attempts/.new").mkdir()
    before = contents(learner.clone)
    up = ["..", ".", "../..", "../websocket", "../.git", "/"]
    for name in [*up, "*", "no\nsuch", "a.txt", ".new"]:
        code, output = learner("start", "--back", name)
        assert code == 1, name
        assert "lists those there are" in output, name
    assert contents(learner.clone) == before


@needs_links
@pytest.mark.parametrize("how", [["start", "--back"], ["start", "4"]])
def test_a_link_in_place_of_attempts_is_not_followed(learner, tmp_path, how):
    learner("start", "3")
    (tmp_path / "elsewhere/mine").mkdir(parents=True)
    (learner.clone / "attempts").symlink_to(tmp_path / "elsewhere")
    code, output = learner(*how)
    assert code == 1
    assert "attempts is a link" in output
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mine"]


@needs_links
def test_a_link_in_place_of_an_attempt_is_no_attempt(learner, tmp_path):
    learner("start", "3")
    (tmp_path / "elsewhere").mkdir()
    (learner.clone / "attempts").mkdir()
    (learner.clone / "attempts/mine").symlink_to(tmp_path / "elsewhere")
    assert learner("start", "--back", "mine")[0] == 1
    assert (tmp_path / "elsewhere").is_dir()


@needs_links
def test_a_link_in_place_of_the_folder_is_checked_and_never_replaced(learner, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    learner.folder.symlink_to(mine)
    (mine / "websocket.py").write_bytes(b"print('mine')\n")
    assert "has no app" in learner("check", "3")[1]
    code, output = learner("start", "3")
    assert code == 1
    assert "is a link to another folder" in output
    assert (mine / "websocket.py").read_bytes() == b"print('mine')\n"
    learner.folder.unlink()
    learner.folder.symlink_to(tmp_path / "nowhere")
    for command in ("start", "check", "hint"):
        code, output = learner(command, "3")
        assert code == (0 if command == "hint" else 1), output


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("command", ["start", "bring_back"])
def test_killed_at_any_moment_a_command_has_done_all_or_nothing(learner, command):
    learner("start", "3")
    learner.write("websocket.py", "old = True\n")
    learner("start", "4")
    learner.write("websocket.py", "new = True\n")
    (attempt,) = (learner.clone / "attempts").iterdir()
    argument = attempt.name if command == "bring_back" else "5"
    result = subprocess.run(
        [sys.executable, "-c", KILLED, command, argument],
        cwd=learner.clone,
        capture_output=True,
        text=True,
        timeout=60,
    )
    lines = result.stdout.splitlines()
    assert len(lines) > 6, result.stderr
    for code, state in zip(lines[::2], map(json.loads, lines[1::2]), strict=True):
        texts = [one.get("websocket.py") for one in (state["now"], *state["kept"])]
        assert texts.count("old = True\n") == texts.count("new = True\n") == 1, "something is lost"
        assert not state["noticed"], "the progress is lost"
        is_old = state["now"]["websocket.py"] == "new = True\n"
        assert (state["started"] == "04_javascript") == is_old, "half of it was done"
        assert code == "9" or not is_old
    assert not is_old, "it was never done"


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
    code, output = learner.start(
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


def test_an_attempt_that_was_renamed_comes_back_with_all_that_was_done(learner):
    learner("start", "3")
    progress = {"started": "03_echo", "done": ["01_structure", "no_more"], "hints": {}}
    learner.write("progress.json", json.dumps(progress))
    learner("start", "4")
    (attempt,) = (learner.clone / "attempts").iterdir()
    attempt.rename(attempt.with_name("my_best"))
    code, output = learner("start", "--back", "my_best")
    assert code == 0, output
    assert "could not be read" not in learner()[1]
    assert learner.progress()["done"] == ["01_structure"]


def test_of_two_that_start_at_once_none_leaves_a_folder_that_is_not_whole(learner):
    script = "import sys; sys.path.insert(0, '.'); from workshop import learner, steps; "
    script += "chosen = steps.find_exercise(sys.argv[1]); sys.stdin.readline(); "
    script += "learner.start(chosen)"
    for _ in range(5):
        both = [
            subprocess.Popen(
                [sys.executable, "-c", script, name],
                cwd=learner.clone,
                stdin=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # one may lose, and say so
            )
            for name in ("4", "5")
        ]
        for one in both:
            one.stdin.write(b"go\n")
            one.stdin.flush()
        for one in both:
            one.communicate(timeout=60)
        started = find_exercise(learner.progress()["started"])
        assert contents(learner.folder) == started.start
