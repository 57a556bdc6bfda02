"""Where this system can't isolate what was handed in, a container can: by a stand-in, and for real.

The stand-in is a program called docker that notes what it is asked to do. In place of a judge, it
says that all is well.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import handed_in
import pytest
from click.testing import CliRunner
from handed_in import KINDS, RIGHT, zipped
from repo import COMMAND, ROOT

from workshop import kit
from workshop.commands import grade as commands
from workshop.grading import container, running, submissions
from workshop.grading.container import CLASS, ENGINES, SHOWN, WORKSHOP, NoContainer
from workshop.steps import write_files

if sys.platform == "win32":
    pytest.skip("a stand-in for an engine needs Linux or macOS", allow_module_level=True)

WHY = "this system is a stand-in, too"
STAND_IN = r"""
import json, os, pathlib, shutil, sys

here, words = pathlib.Path(__file__).parent, sys.argv[1:]
with open(here / "calls", "a", encoding="utf-8") as file:
    file.write(json.dumps(words) + "\n")
does = json.loads((here / "does.json").read_text(encoding="utf-8"))


def tell(**event):
    print(json.dumps(event), flush=True)


what = words[0]
if what in does.get("fails", {}):
    sys.exit(does["fails"][what])
if what == "info":
    print("x86_64")
elif what == "image":
    sys.exit(0 if does.get("has_image") else 1)
elif what == "build":
    shutil.copytree(words[-1], here / "built")
    print("Step 1/4 : FROM\nStep 2/4 : RUN")
elif what == "run":
    (here / "running").touch()
    print(does.get("says", 2), flush=True)
    sys.stdin.read()
    (here / "running").unlink()
elif what == "exec" and (here / "running").exists():
    tell(checks=["a message comes back"])
    if json.loads(words[-1])["source"]:
        tell(place=".", notes=[], changed="")
        if does.get("hangs"):
            (here / "hangs").touch()
            sys.stdin.read()
        tell(words="a message comes back", outcome="passed", reason="")
        tell(outside="random messages", reason="")
        tell(over=True)
"""


class StandIn:
    """What is called docker while a test runs."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        (folder / "docker").write_text(f"#!{sys.executable}\n{STAND_IN}", encoding="utf-8")
        (folder / "docker").chmod(0o755)
        self.does(has_image=True)

    def does(self, **what):
        """Say what it does from now on."""
        (self.folder / "does.json").write_text(json.dumps(what), encoding="utf-8")

    def calls(self, what):
        """What it was asked to do of a kind: a list of words for each time."""
        if not (self.folder / "calls").exists():
            return []
        lines = (self.folder / "calls").read_text(encoding="utf-8").splitlines()
        return [words for words in map(json.loads, lines) if words[0] == what]


@pytest.fixture
def docker(tmp_path, monkeypatch):
    stand_in = StandIn(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{stand_in.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(container, "ENGINES", {"docker": ENGINES["docker"]})
    monkeypatch.setattr(commands.environment, "ensure", lambda *sets: None)
    monkeypatch.setattr(running, "why_not_isolated", lambda: WHY)
    return stand_in


def grade(tmp_path, *arguments):
    """Run the command in this process: its exit code, its output, and grades.csv."""
    out = tmp_path / "grades"
    words = [str(word) for word in (*arguments, "--out", out)]
    result = CliRunner().invoke(commands.grade, words)
    assert not result.exception or isinstance(result.exception, SystemExit), result.exc_info
    table = out / "grades.csv"
    return result.exit_code, result.output, table.read_text("utf-8") if table.exists() else ""


def after(words, option):
    """What comes after an option, each time."""
    return [words[n + 1] for n, word in enumerate(words[:-1]) if word == option]


# ---- With the stand-in


def test_a_container_sees_the_workshop_and_the_class_and_can_change_neither(docker, tmp_path):
    write_files(RIGHT, tmp_path / "a, b/lee")
    code, output, _ = grade(tmp_path, "3", tmp_path / "a, b")
    assert code == 0, output
    (words,) = docker.calls("run")
    assert "--network=none" in words and "--read-only" in words and "--rm" in words
    mounts = after(words, "--mount")
    sources = [ROOT / name for name in SHOWN]
    assert mounts == [
        *(f"type=bind,source={one},target={WORKSHOP}/{one.name},readonly" for one in sources),
        f'type=bind,"source={tmp_path / "a, b"}",target={CLASS},readonly',
    ]
    assert not {"--volume", "-v", "--privileged"} & set(words)


def test_rows_come_back_isolated_and_the_container_is_ended(docker, tmp_path):
    write_files({"lee.zip": zipped(RIGHT), "kim/websocket.py": b"app = None\n"}, tmp_path / "class")
    code, output, table = grade(tmp_path, "3", tmp_path / "class", "--feedback", tmp_path / "pages")
    assert code == 0, output
    assert f"Isolated in a container, because {WHY}." in output
    assert "not isolated" not in output.lower() + table
    lines = [line.split(",") for line in table.splitlines()[1:]]
    assert [(line[0], line[2], line[-2]) for line in lines] == [
        ("kim", "passed", "yes"),
        ("lee", "passed", "yes"),
    ]
    assert {path.name for path in (tmp_path / "pages").iterdir()} == {"kim.md", "lee.md"}
    orders = [json.loads(words[-1]) for words in docker.calls("exec")]
    assert all(order["isolated"] for order in orders)
    paths = {order["source"]["path"] for order in orders if order["source"]}
    assert paths == {f"{CLASS}/kim", f"{CLASS}/lee.zip"}
    (name,) = after(docker.calls("run")[0], "--name")
    assert docker.calls("rm") == [["rm", "--force", name]]


def test_a_zip_of_a_class_is_shown_itself(docker, tmp_path):
    files = {f"export/lee/{name}": data for name, data in RIGHT.items()}
    (tmp_path / "class.zip").write_bytes(zipped(files))
    code, output, _ = grade(tmp_path, "3", tmp_path / "class.zip")
    assert code == 0, output
    source = json.loads(docker.calls("exec")[-1][-1])["source"]
    assert (source["path"], source["inside"]) == (CLASS, "export/lee/")
    assert f"source={tmp_path / 'class.zip'}," in after(docker.calls("run")[0], "--mount")[-1]


def test_of_a_repository_only_what_git_has_is_shown(docker, tmp_path):
    work = tmp_path / "work"
    write_files(RIGHT, work / "websocket")
    git = ["git", "-c", "user.name=lee", "-c", "user.email=lee@example.com", "-C", work]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "done"], ["branch", "s/lee"]):
        subprocess.run([*git, *command], check=True)
    code, output, _ = grade(tmp_path, "3", work / "websocket", "--branches", "s/*")
    assert code == 0, output
    assert f"source={work / '.git'}," in after(docker.calls("run")[0], "--mount")[-1]
    source = json.loads(docker.calls("exec")[-1][-1])["source"]
    assert (source["path"], source["inside"]) == (CLASS, "refs/heads/s/lee")
    copied = submissions.Source("lee", str(work / ".git"), "refs/heads/s/lee", "branch")
    assert submissions.read(copied).files == RIGHT, "a .git alone is enough"


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ({"fails": {"info": "Cannot connect to it.\n"}}, "docker doesn't answer: Cannot connect"),
        ({"fails": {"build": "E: no network"}}, "docker can't build its image: E: no network"),
        (
            {"has_image": True, "fails": {"run": "error: denied"}},
            "can't isolate them: error: denied",
        ),
        ({"has_image": True, "says": "unshare: no"}, "can't isolate them: unshare: no"),
    ],
)
def test_where_it_fails_one_sentence_says_why_and_rows_are_not_isolated(
    docker, tmp_path, monkeypatch, does, told
):
    given = []

    def grade_one(exercise, name, source, expected, isolated, limit, place):
        given.append((isolated, place))
        return running.Row(name, source.name, "passed", isolated=isolated)

    monkeypatch.setattr(kit, "download", lambda *_: ([], None))
    monkeypatch.setattr(running, "all_checks", lambda *_: [])
    monkeypatch.setattr(running, "grade_one", grade_one)
    docker.does(**does)
    write_files(RIGHT, tmp_path / "class/lee")
    code, output, table = grade(tmp_path, "3", tmp_path / "class")
    assert (code, given) == (0, [(False, None)]), output
    (sentence,) = [line for line in output.splitlines() if line.startswith("Not isolated: ")]
    assert f"{WHY}, and" in sentence and told in sentence
    assert ",not isolated," in table
    assert len(docker.calls("rm")) == len(docker.calls("run"))


def test_without_an_engine_the_sentence_names_those_that_would_do(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoContainer, match=r"^neither docker nor podman is installed$"):
        container.find_engine()


def test_the_image_is_built_once_from_the_packages_of_the_lock(docker, tmp_path, monkeypatch):
    monkeypatch.setattr(kit, "download", lambda *_: ([], None))
    docker.does()
    said = []
    engine = container.find_engine()
    name = container.image(engine, said.append)
    assert docker.calls("build")[0][1:3] == ["--tag", name]
    assert said[-2:] == ["  step 1 of 4", "  step 2 of 4"]
    built = docker.folder / "built"
    requirements = (built / "packages/requirements.txt").read_text(encoding="utf-8")
    assert "quart==" in requirements and "--hash=sha256:" in requirements
    assert "sphinx==" not in requirements and "jupyter" not in requirements
    assert (built / "Dockerfile").read_text(encoding="utf-8").startswith(f"FROM {container.BASE}")
    docker.does(has_image=True)
    assert container.image(engine, said.append) == name
    assert len(docker.calls("build")) == 1
    monkeypatch.setattr(container, "DOCKERFILE", f"{container.DOCKERFILE}# changed\n")
    assert container.image(engine, said.append) != name


def test_on_windows_nothing_runs_outside_of_a_container(docker, tmp_path, monkeypatch):
    docker.does(fails={"info": "Cannot connect to it."})
    windows = SimpleNamespace(platform="win32", exit=sys.exit, stderr=sys.stderr)
    monkeypatch.setattr(commands, "sys", windows)
    write_files(RIGHT, tmp_path / "class/lee")
    code, output, table = grade(tmp_path, "3", tmp_path / "class")
    assert (code, table) == (1, "")
    assert "needs Docker, Podman or WSL: docker doesn't answer: Cannot connect to it\n" in output


@pytest.mark.parametrize("ended", [signal.SIGINT, signal.SIGKILL], ids=["ctrl_c", "killed"])
def test_when_grade_is_ended_so_is_the_container(docker, tmp_path, start, ended):
    docker.does(has_image=True, hangs=True)
    write_files(RIGHT, tmp_path / "class/lee")
    force = f"from workshop.grading import running; running.why_not_isolated = lambda: {WHY!r}\n"
    words = ["grade", "3", tmp_path / "class", "--out", tmp_path / "grades"]
    grading = start(sys.executable, "-c", force + COMMAND, *words, cwd=ROOT)
    deadline = time.monotonic() + 60
    while not (docker.folder / "hangs").exists():
        assert time.monotonic() < deadline, grading.output
        time.sleep(0.05)
    if ended == signal.SIGINT:
        grading.interrupt()
        code, output = grading.end()
        assert code == 130, output
        assert "with --resume, grading continues" in output
        assert docker.calls("rm") == [["rm", "--force", *after(docker.calls("run")[0], "--name")]]
    else:
        grading.process.kill()  # the container notices, by the end of its standard input
    while still := runs(docker):
        assert time.monotonic() < deadline, still
        time.sleep(0.05)


def runs(docker):
    """The processes of the stand-in that are running."""
    told = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return [line for line in told.splitlines() if str(docker.folder / "docker") in line]


def test_what_runs_outside_of_a_container_can_be_imported_on_windows():
    code = (
        "import sys\nfor name in ('fcntl', 'resource', 'pwd'):\n    sys.modules[name] = None\n"
        "from workshop.commands import grade\n"
        "from workshop.grading import container, results, roster, running, submissions\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# ---- For real


def engine_or_why():
    """An engine that answers, and why there is none."""
    try:
        return container.find_engine(), ""
    except NoContainer as problem:
        return None, str(problem)


@pytest.fixture
def real(monkeypatch):
    engine, why = engine_or_why()
    if why:
        pytest.skip(f"needs Docker or Podman: {why}")
    monkeypatch.setattr(commands.environment, "ensure", lambda *sets: None)
    monkeypatch.setattr(running, "why_not_isolated", lambda: WHY)
    # What is handed in reaches for the workshop where the container has it.
    monkeypatch.setattr(handed_in, "ROOT", Path(WORKSHOP))
    return engine


def graded_for_real(engine, tmp_path, names):
    for name in names:
        KINDS[name][1](tmp_path / "class" / name)
    _, output, _ = grade(tmp_path, "3", tmp_path / "class", "--limit", 30)
    known = json.loads((tmp_path / "grades/grades.json").read_text(encoding="utf-8"))["rows"]
    assert {row["id"]: row["result"] for row in known} == {name: KINDS[name][0] for name in names}
    assert all(row["isolated"] for row in known), output
    left = engine.run("ps", "--all", "--quiet", "--filter", f"name={container.NAME}").stdout
    assert not left, "no container is left"
    return {row["id"]: row for row in known}


@pytest.mark.thorough
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_a_real_container_isolates_what_was_handed_in(real, tmp_path):
    (tmp_path / "class").mkdir()
    names = ["right", "one_mistake", "nothing", "reads_the_solution", "fork_bomb"]
    rows = graded_for_real(real, tmp_path, names)
    assert len(rows["right"]["checks"]) == 15
    told = json.dumps(rows["fork_bomb"])
    assert "keeps starting processes" in told, "its processes can be counted"


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.timeout(1200)
def test_each_kind_has_its_row_in_a_real_container(real, tmp_path):
    (tmp_path / "class").mkdir()
    graded_for_real(real, tmp_path, list(KINDS))
