"""What the workshop takes for a step, whatever its number, and for a file of its project."""

import shutil
import subprocess

import pytest
from repo import Learner, copy_repository

from workshop import steps

PARTS = ["README.md", "workshop", "steps", "harness", "Pipfile", "Pipfile.lock", "pyproject.toml"]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A function that makes steps of these names; later ones build on earlier ones."""
    monkeypatch.setattr(steps, "STEPS", tmp_path / "steps")

    def make(*names):
        for name in names:
            folder = tmp_path / "steps" / name
            (folder / "static").mkdir(parents=True)
            (folder / "websocket.py").write_text(f"name = {name!r}\n", encoding="utf-8")
        return tmp_path / "steps"

    return make


@pytest.mark.parametrize("name", ["notes.txt", "static/picture.png", "websocket.py.orig"])
def test_a_file_of_an_unknown_kind_is_an_error_that_names_it(tree, name):
    folder = tree("01_structure") / "01_structure"
    (folder / name).write_text("what is this?", encoding="utf-8")
    with pytest.raises(steps.UnknownFile, match=f"^steps/01_structure/{name} is of no kind .*move"):
        _ = steps.find_exercise("1").solution


def test_the_command_says_so_in_one_sentence(tmp_path):
    clone = copy_repository(tmp_path / "clone", PARTS)
    (clone / "steps/02_install/notes.txt").write_text("mine", encoding="utf-8")
    code, output = Learner(clone)("start", "3")
    assert code == 1
    assert output.startswith("Error: steps/02_install/notes.txt is of no kind")
    assert len(output.splitlines()) == 1


def test_what_tools_leave_in_a_step_is_left_out(tree):
    folder = tree("01_structure") / "01_structure"
    (folder / "__pycache__").mkdir()
    for name in ("websocket.py~", ".websocket.py.swp", "Pipfile.lock", "__pycache__/x.pyc"):
        (folder / name).write_text("left", encoding="utf-8")
    assert list(steps.find_exercise("1").solution) == ["websocket.py"]


def test_steps_are_in_the_order_of_their_numbers(tree):
    folder = tree("10_ten", "9_nine", "02_two", "1_one", "100_hundred", "11_eleven")
    (folder / "__pycache__").mkdir()
    (folder / "conftest.py").touch()
    ids = [exercise.id for exercise in steps.all_exercises()]
    assert ids == ["1_one", "02_two", "9_nine", "10_ten", "11_eleven", "100_hundred"]
    assert [exercise.number for exercise in steps.all_exercises()] == [1, 2, 9, 10, 11, 100]
    for number, name in ((1, "1_one"), (2, "02_two"), (10, "10_ten"), (100, "100_hundred")):
        assert steps.find_exercise(str(number)).id == name
        assert steps.find_exercise(f"{number:03}").id == name
        assert steps.find(str(number)).name == name
    assert steps.find_exercise("10").previous.id == "9_nine"
    assert steps.find_exercise("eleven").start == steps.find_exercise("10").solution


def test_a_step_10_can_be_started_and_has_its_branches(tmp_path):
    clone = copy_repository(tmp_path / "clone", PARTS)
    before = steps.all_steps()[-1]
    shutil.copytree(clone / "steps" / before.name, clone / "steps/10_more")
    with (clone / "steps/10_more/websocket.py").open("a", encoding="utf-8") as file:
        file.write("# more\n")
    learner = Learner(clone)
    code, output = learner("start", "10")
    assert code == 0, output
    assert "10 " in output
    code = (learner.folder / "websocket.py").read_text(encoding="utf-8")
    assert code == (before / "websocket.py").read_text(encoding="utf-8")
    listed = [line for line in learner()[1].splitlines() if "_" in line.partition(":")[0]]
    assert listed[-1].startswith("10_more: ")
    assert "started" in listed[-1]
    assert "# more" in learner("diff")[1]

    subprocess.run(["git", "init", "-q", clone], check=True)
    code, output = learner("branches")
    assert code == 0, output
    refs = ["git", "rev-parse", "exercise/10_more^", f"solution/{before.name}"]
    parent, solution = subprocess.check_output(refs, cwd=clone, text=True).split()
    assert parent == solution, "the exercise of step 10 starts where the step before ends"
