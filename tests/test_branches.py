"""The branches are made from the steps, the same everywhere, and touch nothing else."""

import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile

import pytest
from repo import copy_repository, run_command, run_pytest

from workshop.branches import PIPENV
from workshop.locking import plain_pip
from workshop.steps import all_exercises

EXERCISES = all_exercises()
# Of the repository, what branches are made from, and what makes them.
PARTS = ["README.md", "workshop", "steps", "harness", "Pipfile", "Pipfile.lock", "pyproject.toml"]
PARTS += [".gitignore"]
AROUND = {"README.md", "conftest.py", "Pipfile", "Pipfile.lock", "pyproject.toml", ".gitignore"}
AROUND |= {"requirements.txt"}
PLAIN = {"01_structure", "03_binary"}  # a start with gaps, and a challenge
PIPENVS = ["pipenv", "the oldest pipenv"]  # that of this environment, and the README's version
# In an exercise nothing will come, and one test that fails is enough.
OPTIONS = {"exercise": ("-x", "--deadline=0.3", "--patience=1"), "solution": ()}


def git(folder, *arguments):
    result = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return result.stdout.decode()


@pytest.fixture
def repository(tmp_path):
    """A clone with a commit of its own, by somebody who has set a name only for that."""
    clone = copy_repository(tmp_path / "clone", PARTS)
    git(clone, "init", "-q", "-b", "main")
    git(clone, "add", "-A")
    git(clone, "-c", "user.name=i", "-c", "user.email=i@example.invalid", "commit", "-qm", "all")
    return clone


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A repository with all branches, to be read and cloned from; they are made once."""
    folder = copy_repository(tmp_path_factory.mktemp("made") / "clone", PARTS)
    git(folder, "init", "-q", "-b", "main")
    assert workshop(folder, "branches")[0] == 0
    return folder


@pytest.fixture
def with_branches(made, tmp_path):
    """A repository of one's own with all branches."""
    return shutil.copytree(made, tmp_path / "clone", symlinks=True)


workshop = run_command


def heads(folder):
    return git(folder, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/heads")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root, to chown")
def test_a_clone_that_belongs_to_another_user_is_said_to(repository):
    os.chown(repository, 65534, 65534)
    os.chown(repository / ".git", 65534, 65534)
    code, output = workshop(repository, "branches")
    assert code == 1
    assert "belongs to another user" in output
    assert "git config --global --add safe.directory" in output


def test_the_same_sources_give_the_same_commits_and_nothing_else_is_touched(repository, tmp_path):
    (repository / "README.md").write_text("changed, and not committed\n", encoding="utf-8")
    git(repository, "checkout", "-q", "--detach")
    before = git(repository, "status", "--porcelain"), git(repository, "rev-parse", "HEAD")
    assert workshop(repository, "branches")[0] == 0
    first = heads(repository)
    assert (
        git(repository, "status", "--porcelain"),
        git(repository, "rev-parse", "HEAD"),
    ) == before
    assert "made" not in workshop(repository, "branches")[1]
    assert heads(repository) == first

    another = tmp_path / "another"
    git(tmp_path, "clone", "-q", repository, another)
    workshop(another, "branches")
    assert set(heads(another).splitlines()) >= {
        line for line in first.splitlines() if not line.startswith("main ")
    }
    assert "refs/workshop" not in git(repository, "for-each-ref")


def test_the_branches_are_one_line_of_history_that_reads_as_the_tutorial(made):
    for exercise in EXERCISES:
        task, solution = f"exercise/{exercise.id}", f"solution/{exercise.id}"
        assert git(made, "rev-parse", f"{solution}^") == git(made, "rev-parse", task)
        if exercise.previous:
            parent = f"solution/{exercise.previous.id}"
            assert git(made, "rev-parse", f"{task}^") == git(made, "rev-parse", parent)
        changed = git(made, "diff", "--name-only", task, solution).split()
        assert changed, "the solution changes something"
        assert all(name.startswith("websocket/") for name in changed)
        names = git(made, "ls-tree", "-r", "--name-only", task).split()
        assert not [name for name in names if name.startswith("steps/")]
        assert AROUND <= set(names)


def test_no_exercise_has_its_own_answer_in_its_history(made):
    for exercise in EXERCISES:
        task = f"exercise/{exercise.id}"
        diff = git(made, "diff", task, f"solution/{exercise.id}", "--", "websocket")
        answer = {line for line in diff.splitlines() if line.startswith("+ ") and len(line) > 20}
        log = set(git(made, "log", "-p", task, "--", "websocket").splitlines())
        assert answer - log, f"the history of {task} holds its answer"
    log = git(made, "log", "-p", "exercise/03_echo", "--", "websocket")
    assert "@app.websocket(" not in log
    assert "echo {" not in log


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_a_branch_holds_what_the_exercise_holds(exercise, made, root):
    tests = {
        f"tests/{path.name}": path.read_bytes()
        for folder in reversed(exercise.tests)
        for path in folder.glob("test_*.py")
    }
    around = AROUND - {"conftest.py"}
    tests["conftest.py"] = (root / "steps/conftest.py").read_bytes()
    tests |= {f"harness/{path.name}": path.read_bytes() for path in root.glob("harness/*.py")}
    for kind, project in (("exercise", exercise.start), ("solution", exercise.solution)):
        expected = tests | {f"websocket/{name}": content for name, content in project.items()}
        held = files_of(made, f"{kind}/{exercise.id}")
        assert around <= set(held)
        assert {name: held[name] for name in held if name not in around} == expected


def files_of(repository, branch):
    """The files that a branch holds: path to content."""
    archive = subprocess.run(
        ["git", "archive", branch], cwd=repository, capture_output=True, check=True, timeout=60
    )
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        return {one.name: files.extractfile(one).read() for one in files if one.isfile()}


# The others hold what their exercises hold, whose tests fail at the start and pass at the end.
# Only step 5, with --all; the others, if it is exhaustive.
WHEN = {**dict.fromkeys(PLAIN, ()), "05_broadcast": pytest.mark.thorough}
SOME = [
    pytest.param(exercise, marks=WHEN.get(exercise.id, pytest.mark.exhaustive))
    for exercise in EXERCISES
    if exercise.id in PLAIN or not exercise.is_challenge
]


@pytest.mark.parametrize("exercise", SOME, ids=lambda exercise: exercise.id)
def test_on_a_branch_pytest_fails_for_the_exercise_and_passes_for_the_solution(
    exercise, made, tmp_path
):
    names = [f"tests/{path.name}" for path in exercise.tests[0].glob("test_*.py")]
    # What looks at a page is proved by the tests of the steps; a challenge may have nothing else.
    chosen = names if exercise.is_challenge else [*names, "-m", "not browser"]
    for kind in ("exercise", "solution"):
        folder = tmp_path / kind
        git(tmp_path, "clone", "-q", "-b", f"{kind}/{exercise.id}", made, folder)
        assert (folder / "websocket").is_dir()
        temporary = f"--basetemp={tmp_path / 'temporary'}"  # or it tidies up after other runs
        options = ["-q", "-p", "no:xdist", temporary, *OPTIONS[kind], *chosen]
        code, output = run_pytest(folder, *options)
        if "no browser: " in output and code == 0:
            pytest.skip("no browser: install Chromium, Chrome or Edge")
        assert code == (1 if kind == "exercise" else 0), output


def test_pipenv_finds_the_lock_of_a_branch_up_to_date(made, tmp_path):
    git(tmp_path, "clone", "-q", "-b", "exercise/03_echo", made, tmp_path / "clone")
    result = subprocess.run(
        [sys.executable, "-m", "pipenv", "verify"],
        cwd=tmp_path / "clone",
        env=plain_pip(),
        capture_output=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.thorough
def test_a_branch_with_somebodys_commits_is_left_alone_unless_forced(repository, tmp_path):
    workshop(repository, "branches")
    work = tmp_path / "work"
    git(repository, "worktree", "add", "-q", work, "exercise/03_echo")
    (work / "mine.txt").write_text("mine", encoding="utf-8")
    git(work, "add", "mine.txt")
    git(work, "-c", "user.name=i", "-c", "user.email=i@example.invalid", "commit", "-qm", "mine")
    mine = git(work, "rev-parse", "HEAD")

    code, output = workshop(repository, "branches")
    assert code == 1
    assert "exercise/03_echo is checked out in" in output
    git(repository, "worktree", "remove", work)
    code, output = workshop(repository, "branches")
    assert code == 1
    assert "exercise/03_echo has commits that are not ours" in output
    assert "(with other commits)" in workshop(repository, "branches", "--list")[1]
    assert workshop(repository, "branches", "--delete")[0] == 1
    assert git(repository, "rev-parse", "exercise/03_echo") == mine

    output = workshop(repository, "branches", "--force")[1]
    assert (
        f"exercise/03_echo moved; to have its commits back: git branch NAME {mine[:12]}" in output
    )
    assert workshop(repository, "branches", "--delete")[0] == 0
    assert heads(repository).split()[::2] == ["main"]


@pytest.mark.thorough
def test_release_pushes_one_solution_or_all_exercises_and_never_another(repository, tmp_path):
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", remote)
    code, output = workshop(repository, "release", "3", "--to", str(remote))
    assert code == 1
    assert "there is no branch solution/03_echo yet" in output
    workshop(repository, "branches")
    assert workshop(repository, "release", "--exercises", "--to", str(remote))[0] == 0
    assert "solution/" not in heads(remote)
    assert len(heads(remote).splitlines()) == len(EXERCISES)
    assert "03_echo pushed to" in workshop(repository, "release", "3", "--to", str(remote))[1]
    assert "was up to date" in workshop(repository, "release", "3", "--to", str(remote))[1]
    assert [name for name in heads(remote).split() if "solution" in name] == ["solution/03_echo"]

    (repository / "steps/03_echo/websocket.py~").write_text("an editor left this", encoding="utf-8")
    assert "moved" not in workshop(repository, "branches")[1]
    with (repository / "steps/03_echo/websocket.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    code, output = workshop(repository, "release", "3", "--to", str(remote))
    assert code == 1
    assert "is not what the steps make now" in output


@pytest.mark.thorough
def test_a_correction_is_a_commit_on_top_of_what_was_released(repository, tmp_path):
    remote, learners = tmp_path / "remote.git", tmp_path / "learners"
    git(tmp_path, "init", "-q", "--bare", remote)
    workshop(repository, "branches")
    output = workshop(repository, "release", "2", "--exercise", "--to", str(remote))[1]
    assert "git symbolic-ref HEAD refs/heads/exercise/02_install" in output
    git(remote, "symbolic-ref", "HEAD", "refs/heads/exercise/02_install")
    git(tmp_path, "clone", "-q", remote, learners)
    before = heads(repository)
    assert "exercise/02_install unchanged" in workshop(repository, "branches")[1]
    assert heads(repository) == before, "a release alone moves nothing"

    task = repository / "steps/02_install/exercise.toml"
    text = task.read_text(encoding="utf-8").replace('title = "', 'title = "Corrected: ')
    task.write_text(text, encoding="utf-8")
    output = workshop(repository, "branches")[1]
    assert "exercise/02_install corrected" in output
    assert "solution/02_install moved" in output, "nobody has it yet"
    assert "exercise/01_structure unchanged" in output
    again = heads(repository)
    assert "corrected" not in workshop(repository, "branches")[1]
    assert heads(repository) == again
    output = workshop(repository, "release", "2", "--exercise", "--to", str(remote))[1]
    assert "02_install pushed to" in output
    assert "symbolic-ref" not in output
    git(learners, "pull", "-q", "--ff-only")
    assert "Corrected" in (learners / "README.md").read_text(encoding="utf-8")

    # Somebody else with the same sources makes the same commits, once they have fetched.
    another = tmp_path / "another"
    git(tmp_path, "clone", "-q", repository, another)
    git(another, "remote", "add", "class", remote)
    git(another, "fetch", "-q", "class")
    for name in heads(repository).split()[::2]:
        if name != "main":
            git(another, "update-ref", "-d", f"refs/remotes/origin/{name}")
    (another / "steps/02_install/exercise.toml").write_text(text, encoding="utf-8")
    workshop(another, "branches")
    line = next(line for line in heads(repository).splitlines() if "exercise/02_install" in line)
    assert line in heads(another).splitlines()


def test_a_learner_can_compare_and_continue_as_the_readme_says(made, tmp_path):
    learner = tmp_path / "learner"
    git(tmp_path, "clone", "-q", "-b", "exercise/03_echo", made, learner)
    readme = (learner / "README.md").read_text(encoding="utf-8")
    mine = learner / "websocket/websocket.py"
    mine.write_text("# mine\n", encoding="utf-8")
    for line in re.findall(r"^git .+$", readme, re.MULTILINE):
        words = shlex.split(line.replace("NEXT", "04_javascript"))[1:]
        who = ["-c", "user.name=i", "-c", "user.email=i@example.invalid"]
        printed = git(learner, *who, *words)
        if words[0] == "diff":
            assert "-# mine" in printed
            assert "+@app.websocket" in printed
    assert mine.read_text(encoding="utf-8") == "# mine\n"
    assert "JavaScript" in (learner / "README.md").read_text(encoding="utf-8")


@pytest.mark.exhaustive
@pytest.mark.network
@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["pip", *PIPENVS])
def test_the_readme_of_a_branch_sets_up_what_its_tests_need(way, made, tmp_path):
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "-b", "solution/03_echo", made, folder)
    inside = "Scripts/python" if os.name == "nt" else "bin/python"
    python, old = folder / ".venv" / inside, tmp_path / "old" / inside
    settings = {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_IGNORE_VIRTUALENVS": "1"}
    ours = ("PIPENV_", "VIRTUAL_ENV", "PYTEST_", "WORKSHOP_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    steps = {
        "pip": [
            [sys.executable, "-m", "venv", ".venv"],
            [python, "-m", "pip", "install", "-r", "requirements.txt"],
        ],
        "pipenv": [[sys.executable, "-m", "pipenv", "sync", "--dev"]],
        "the oldest pipenv": [
            [sys.executable, "-m", "venv", tmp_path / "old"],
            [old, "-m", "pip", "install", "-q", f"pipenv=={PIPENV}"],
            [old, "-m", "pipenv", "sync", "--dev"],
        ],
    }
    test = [python, "-m", "pytest", "-q", "-m", "not browser", "-p", "no:cacheprovider"]
    for command in [*steps[way], test]:
        result = subprocess.run(
            command,
            cwd=folder,
            env={**environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=240,
        )
        no_network = "No matching distribution" in result.stdout or "onnection" in result.stdout
        if result.returncode and no_network and os.environ.get("WORKSHOP_REQUIRE_ALL") != "1":
            pytest.skip("no network: connect to one that has a package index")
        assert result.returncode == 0, result.stdout
    assert " passed" in result.stdout


def test_a_remote_that_refuses_gives_gits_own_reason(made, tmp_path):
    code, output = workshop(made, "release", "3", "--to", str(tmp_path / "nowhere"))
    assert code == 1
    assert "nowhere" in output
    assert len(output.splitlines()) == 1


def test_the_reason_of_a_hook_is_given(with_branches, tmp_path):
    remote = tmp_path / "remote.git"
    git(tmp_path, "init", "-q", "--bare", remote)
    hook = remote / "hooks/pre-receive"
    hook.write_text(
        "#!/bin/sh\necho the class is over >&2\nexit 1\n", encoding="utf-8", newline="\n"
    )
    hook.chmod(0o755)
    code, output = workshop(with_branches, "release", "3", "--to", str(remote))
    assert code == 1
    assert "the class is over" in output
    assert len(output.splitlines()) == 1


def test_git_does_not_put_a_branch_in_the_place_of_a_learners_folder(repository):
    workshop(repository, "branches")
    mine = repository / "websocket/websocket.py"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    command = ["git", "checkout", "-q", "exercise/03_echo"]
    result = subprocess.run(command, cwd=repository, capture_output=True, timeout=60)
    assert result.returncode != 0
    assert mine.read_text(encoding="utf-8") == "mine"


def test_a_branch_that_is_in_the_way_is_named(repository):
    git(repository, "branch", "exercise")
    code, output = workshop(repository, "branches")
    assert code == 1
    assert "rename that one" in output


def test_outside_a_git_repository_it_is_one_sentence(clone):
    code, output = workshop(clone, "branches")
    assert code == 1
    assert "not a git repository" in output or "inside another git repository" in output
