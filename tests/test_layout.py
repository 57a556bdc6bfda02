"""The steps have the layout of the workshop, and differ in what they say they do."""

import difflib
import itertools
import re
import shutil

import pytest
from repo import STEPS, run_command, run_pytest

from workshop.steps import all_exercises

SECTIONS = ["You will", "Run it", "Check it", "Changes", "Break it"]
# These differ by nature, so Changes leaves them out.
OF_EACH_STEP = {"README.md", "exercise.toml", "questions.toml", "proved.json"}
LEAST_KEPT = 0.75  # of the lines of a step's file that a challenge changes
LAYOUT = re.compile(
    r"README\.md|(exercise|questions)\.toml|proved\.json|(websocket|tcp|log|doors|protocol|redis_log|serve)\.py|Pipfile"
    r"|(client|people|signing|store|redis_store)\.py|templates/(index|sign_in)\.html"
    r"|static/css/websocket\.css|static/js/websocket\.js|tests/test_\w+\.py"
)


def project_files(folder, files, root):
    prefix = folder.relative_to(root)
    inside = [name.relative_to(prefix) for name in files if name.is_relative_to(prefix)]
    return {
        name.as_posix(): (folder / name).read_bytes()
        for name in inside
        if name.parts[0] != "challenges"
    }


def section(step, title):
    readme = (step / "README.md").read_text(encoding="utf-8")
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)[1]


def test_a_step_holds_the_files_of_the_layout_and_no_other(step, files, root):
    names = set(project_files(step, files, root))
    assert {name for name in names if not LAYOUT.fullmatch(name)} == set()
    needed = {"README.md", "websocket.py", "templates/index.html", "static/js/websocket.js"}
    needed |= {"static/css/websocket.css"} | ({"Pipfile"} if step is not STEPS[0] else set())
    assert needed - names == set()


CHALLENGES = [exercise for exercise in all_exercises() if exercise.is_challenge]


@pytest.mark.parametrize("challenge", CHALLENGES, ids=lambda challenge: challenge.id)
def test_a_challenge_holds_just_what_differs_from_its_step(challenge, files, root):
    step = challenge.previous.folder
    project = project_files(step, files, root)
    for inside, content in project_files(challenge.folder, files, root).items():
        name = (challenge.folder / inside).relative_to(root).as_posix()
        assert LAYOUT.fullmatch(inside), f"{name} is not of the layout"
        if inside not in project or inside in OF_EACH_STEP:
            continue
        assert content != project[inside], (
            f"{name} is the same as {step.name}/{inside}, which is used without it: delete it"
        )
        if not inside.startswith("tests/"):
            share = share_of_lines_kept(project[inside], content)
            assert share >= LEAST_KEPT, (
                f"{name} keeps {share:.0%} of the lines of {step.name}/{inside}, and should keep "
                f"{LEAST_KEPT:.0%}: a challenge adds to its step, so begin with the step's file"
            )


def share_of_lines_kept(before, after):
    """Which share of the lines of a file are in another one, too, in the same order."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return sum(block.size for block in blocks) / len(old)


def test_a_readme_names_the_command_as_it_works_in_its_folder(step):
    readme = (step / "README.md").read_text(encoding="utf-8")
    assert "python3 ../../workshop" in readme
    assert (step / "../../workshop/__main__.py").is_file()
    commands = re.findall(r"^\S+ -m workshop|`python3 -m workshop [^`]", readme, re.MULTILINE)
    assert commands == [], "only the workshop's own folder has a module of that name"


def test_a_readme_fits_a_screen_and_has_its_sections(step):
    readme = (step / "README.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", readme, re.MULTILINE) == SECTIONS
    assert len(readme.splitlines()) <= 55


@pytest.mark.parametrize(
    ("before", "step"), list(itertools.pairwise(STEPS)), ids=lambda step: step.name
)
def test_changes_names_exactly_what_differs_from_the_step_before(before, step, files, root):
    old, new = project_files(before, files, root), project_files(step, files, root)
    differ = {name for name in {*old, *new} if new.get(name) != old.get(name)} - OF_EACH_STEP
    assert set(re.findall(r"`([^`]+)`", section(step, "Changes"))) == differ


def test_changes_of_the_first_step_names_the_files_with_gaps():
    first = all_exercises()[0]
    named = re.findall(r"`([^`]+)`", section(first.folder, "Changes"))
    assert sorted(named) == sorted(first.changes)


def test_the_broken_line_fails_the_test_that_the_readme_names(step, tmp_path, root):
    text = section(step, "Break it")
    name, test = re.search(r"line of `(.+?)`.*Then `(\w+)` fails", text, re.DOTALL).groups()
    line = re.search(r"^```\n(.+?)\n```$", text, re.MULTILINE | re.DOTALL)[1] + "\n"
    project = tmp_path / "websocket"
    shutil.copytree(step, project)
    code = (project / name).read_text(encoding="utf-8")
    assert code.count(line) == 1, f"{name} should have the line to delete exactly once"
    (project / name).write_text(code.replace(line, ""), encoding="utf-8", newline="\n")
    options = ["-q", "--project", project, "-k", test, "--deadline=0.5", "--patience=1"]
    options.append(f"--basetemp={tmp_path / 'temporary'}")  # or it tidies up after other runs
    _, output = run_pytest(root, *options, step)
    if " skipped" in output and " failed" not in output:
        pytest.skip("no browser: see the tests of the step")
    assert f"FAILED steps/{step.name}/tests/" in output, output
    assert "AssertionError" in output, output


# The step whose own tests pass live each time; the others do with --all. Those of step 3 do with
# `check --live`, which other tests run.
LIVE = [
    pytest.param(step, marks=() if step == STEPS[0] else pytest.mark.thorough)
    for step in STEPS
    if step != STEPS[7]  # all of whose tests step 9 has, too
]


@pytest.mark.parametrize("step", LIVE, ids=lambda step: step.name)
def test_the_steps_own_tests_pass_live(step, root):
    # Those in a browser are live already, and run with the rest of the suite.
    code, output = run_command(root, "test", "-q", "-m", "not browser", "--live", step)
    assert code == 0, output
    assert re.search(r"\d+ passed", output)
