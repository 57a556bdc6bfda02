"""Grading a class: each kind of submission has its row, and none changes anything but that."""

import csv
import gc
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

import pytest
from handed_in import KINDS, RIGHT, START, zipped
from repo import ROOT, STEPS, run_command

from harness import apart
from workshop.commands import grade as commands
from workshop.grading import judge, results, roster, running, submissions
from workshop.grading.running import CannotGrade, Result, Row, clean, row_from, why_not_isolated
from workshop.steps import all_exercises, find_exercise, write_files

if sys.platform == "win32":
    pytest.skip("grade needs Linux or macOS", allow_module_level=True)

ECHO = find_exercise("3")
WHY_NOT = why_not_isolated()
isolated = pytest.mark.skipif(bool(WHY_NOT), reason=f"nothing can be isolated here: {WHY_NOT}")
LIMIT = 30  # seconds for a hostile submission, on a busy machine


def grade(folder, *arguments, **options):
    """Run the command in a folder: its exit code, its output, and the lines of grades.csv."""
    out = folder / "grades"
    arguments = [*arguments, "--out", out]
    code, output = run_command(ROOT, "grade", *arguments, **options)
    lines = {}
    if (out / "grades.csv").is_file():
        with (out / "grades.csv").open(encoding="utf-8", newline="") as file:
            lines = {line["id"]: line for line in csv.DictReader(file)}
    return code, output, lines


def hand_in(folder, *names):
    """A class of these kinds of submissions."""
    folder.mkdir()
    for name in names:
        KINDS[name][1](folder / name)
    return folder


def judges(folder):
    """The processes that judge what was handed in there; all that they started ends with them."""
    told = subprocess.run(["ps", "-ww", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return [line for line in told.splitlines() if "grading.judge" in line and str(folder) in line]


def files_of(folder, names="*"):
    """All files below a folder that are called so, with what is in them."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob(names)
        if path.is_file()
    }


# ---- Kinds of submissions


@pytest.mark.thorough
@isolated
def test_a_right_one_passes_and_a_forged_one_does_not(tmp_path):
    names = ("right", "writes_to_every_descriptor")
    handed_in = hand_in(tmp_path / "class", *names)
    code, output, rows = grade(tmp_path, "3", handed_in, "--feedback", tmp_path / "pages")
    assert code == 0, output
    assert [rows[name]["result"] for name in names] == ["passed", "failed"]
    right = rows["right"]
    assert (right["passed"], right["outside"], right["isolated"]) == ("15", "1 of 1", "yes")
    assert "is there an @app.websocket for it?" in rows[names[1]]["fix first"]
    assert "hint 03_echo" in (tmp_path / f"pages/{names[1]}.md").read_text(encoding="utf-8")
    known = json.loads((tmp_path / "grades/grades.json").read_text(encoding="utf-8"))
    assert len(known["rows"][0]["checks"]) == 15
    assert set(os.listdir(tmp_path / "grades")) == {"grades.csv", "grades.json", "junit"}


@isolated
@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.timeout(600)
def test_each_kind_has_its_row_and_leaves_nothing(tmp_path):
    handed_in = hand_in(tmp_path / "class", *KINDS)
    before = subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True).stdout
    tests = files_of(ROOT / "steps/03_echo/tests", "*.py")
    began = time.monotonic()
    code, output, rows = grade(tmp_path, "3", handed_in, "--limit", LIMIT, timeout=550)
    seconds = time.monotonic() - began
    assert {name: row["result"] for name, row in rows.items()} == {
        name: result for name, (result, _) in KINDS.items()
    }, output
    assert code == 1, "some could not be graded"
    assert seconds < len(KINDS) * (LIMIT + 5)
    assert judges(handed_in) == []
    assert files_of(ROOT / "steps/03_echo/tests", "*.py") == tests
    after = subprocess.run(["git", "status", "--short"], cwd=ROOT, capture_output=True).stdout
    assert after == before
    for left in ("workshop-full", "climbed.py"):
        assert not Path(tempfile.gettempdir(), left).exists() and not list(tmp_path.rglob(left))


@isolated
@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["endless_loop", "blocks", "fork_bomb", "detached_children"])
def test_a_submission_takes_no_longer_than_the_limit_and_five_seconds(name, tmp_path):
    handed_in, limit = hand_in(tmp_path / "class", name), 4
    (source,) = submissions.find(handed_in)
    expected = running.all_checks(ECHO)
    began = time.monotonic()
    running.grade_one(ECHO, name, source, expected, True, limit)
    assert time.monotonic() - began < limit + 5
    assert judges(handed_in) == []


@isolated
@pytest.mark.exhaustive
def test_a_list_and_a_condition_instead_of_queues_is_as_right(tmp_path):
    exercise = find_exercise("5")
    files = exercise.variants[1].applied_to(exercise.solution)
    assert b"Condition" in files["websocket.py"]
    write_files(files, tmp_path / "class/lee")
    environ = {"PATH": "/usr/bin:/bin", "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path)}
    _, output, rows = grade(tmp_path, "5", tmp_path / "class", environ=environ)
    assert rows["lee"]["result"] == "passed", output
    assert rows["lee"]["outside"] == "5 of 5"


@isolated
@pytest.mark.exhaustive
def test_what_knows_the_tests_is_to_be_looked_at(tmp_path):
    code = RIGHT["websocket.py"].replace(b'f"echo {data}"', b'f"echo {data[:20]}"')
    write_files({**RIGHT, "websocket.py": code}, tmp_path / "class/lee")
    _, output, rows = grade(tmp_path, "3", tmp_path / "class", "--format", "gradescope")
    assert rows["lee"]["result"] == "look at it", output
    told = json.loads((tmp_path / "grades/gradescope/lee/results.json").read_text("utf-8"))
    assert told["score"] == 0


@isolated
@pytest.mark.thorough
def test_a_grader_that_is_killed_leaves_its_rows_and_goes_on(tmp_path, start):
    handed_in = hand_in(tmp_path / "class", "right", "with_crlf")
    KINDS["endless_loop"][1](handed_in / "slow")
    out = tmp_path / "grades"
    command = [sys.executable, "-m", "workshop", "grade", "3", handed_in, "--out", out]
    grading = start(*command, "--jobs", "1", cwd=ROOT)
    deadline = time.monotonic() + 90
    while not list(out.glob(".unfinished.jsonl")) or len(judges(handed_in)) < 2:
        assert time.monotonic() < deadline, "there should be a row by now"
        time.sleep(0.05)
    grading.process.kill()
    while judges(handed_in):
        assert time.monotonic() < deadline, "its judges should have ended with it"
        time.sleep(0.05)
    unfinished = out / ".unfinished.jsonl"
    kept = unfinished.read_text(encoding="utf-8")
    assert '"right"' in (out / "grades.json").read_text(encoding="utf-8")
    unfinished.write_text(kept.replace('"notes": []', '"notes": ["kept"]'), encoding="utf-8")
    _, output, rows = grade(tmp_path, "3", handed_in, "--resume", "--limit", 20)
    found = {name: (row["result"], row["notes"]) for name, row in rows.items()}
    assert found == {
        "right": ("passed", "kept"),
        "slow": ("failed", ""),
        "with_crlf": ("passed", ""),
    }, output
    assert not unfinished.exists()


@isolated
@pytest.mark.exhaustive
def test_the_same_submissions_give_the_same_files(tmp_path):
    made = []
    for number, jobs in enumerate((1, 3)):
        place = tmp_path / str(number)
        place.mkdir()
        names = ["one_mistake", "nothing", "own_tests"]
        hand_in(place / "class", *(names if number else reversed(names)))
        pages = place / "grades/pages"
        grade(place, "3", place / "class", "--jobs", jobs, "--feedback", pages)
        made.append(files_of(place / "grades"))
    assert len(made[0]) == 2 + 3 + 3
    assert made[0] == made[1]


@pytest.mark.thorough
def test_where_nothing_can_be_isolated_each_row_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    write_files(RIGHT, tmp_path / "class/lee")
    sources = roster.by_own_names(submissions.find(tmp_path / "class"))
    expected = running.all_checks(ECHO)
    (row,) = running.grade_all(ECHO, sources, expected, False, 1, 60)
    assert (row.result, row.isolated) == ("passed", False)
    assert "not isolated" in results.as_csv([row])


def test_the_end_of_the_box_before_is_not_taken_for_that_of_the_new_one(monkeypatch, tmp_path):
    peers = []

    class Starter:
        def start(self, *_, **__):
            for old in peers:  # only now its end is noticed
                old.close()
                ended.wait(0.2)
            control, peer = socket.socketpair()
            peers.append(peer)
            peer.sendall(b'{"started": 0}\n')
            return os.getpid(), control, nothing

        def ask(self, **_):
            pass

    ended, nothing = threading.Event(), mock.Mock()
    monkeypatch.setattr(apart, "starter", lambda _: Starter())
    monkeypatch.setattr(apart, "FAILED", {})
    monkeypatch.setattr(apart.outside, "worked", lambda _: 0)  # this process has done more
    server = apart.Server(tmp_path)
    server.start()
    server.process = None  # `_end` would close this end, too
    server.start()
    assert not server.is_over
    peers[-1].close()


def all_objects():
    return [gc.get_objects() for _ in range(1)]


def counts_objects():
    return len(all_objects())


def test_a_test_that_looks_into_the_app_runs_inside():
    assert judge.why_inside("test_x", counts_objects, ["app"])
    assert judge.why_inside("test_x", hand_in, ["app", "redis_server"])
    assert not judge.why_inside("test_x", hand_in, ["app"])
    tests = "".join(path.read_text("utf-8") for path in (ROOT / "steps").rglob("tests/test_*.py"))
    for name in [*judge.WITHIN_BY_NAME, *running.TOLD_FROM_INSIDE]:
        assert f"def {name}(" in tests, f"{name} has another name now"


# ---- Finding submissions


def test_a_project_is_found_wherever_a_platform_puts_it(tmp_path):
    top = tmp_path / "class"
    write_files(RIGHT, top / "at top")
    write_files(RIGHT, top / "clone/websocket")
    write_files(RIGHT, top / "clone/steps/03_echo")
    write_files({"Lee/Task 3/files/index/websocket.py": b"app = None\n"}, top / "nested")
    write_files({"late.zip": zipped({"a/b/websocket.py": b"app = 1\n"})}, top)
    write_files({"__MACOSX/websocket/websocket.py": b"", "notes.txt": b""}, top / "none")
    (top / "essay.pdf").write_bytes(b"%PDF")
    found = {}
    for source in submissions.find(top):
        try:
            found[source.name] = submissions.read(source).place
        except submissions.NoSubmission as problem:
            found[source.name] = f"! {problem}"
    assert found == {
        "at top": ".",
        "clone": "websocket",
        "nested": "Lee/Task 3/files/index",
        "late.zip": "a/b",
        "none": "! there is no websocket.py in it",
        "essay.pdf": "! it is neither a folder nor a zip",
    }


def test_a_zip_of_a_whole_class_is_as_good_as_a_folder(tmp_path):
    files = {f"export/lee/websocket/{name}": data for name, data in RIGHT.items()}
    files["export/kim.zip"] = zipped(RIGHT)
    (tmp_path / "class.zip").write_bytes(zipped(files))
    sources = submissions.find(tmp_path / "class.zip")
    assert [source.name for source in sources] == ["kim.zip", "lee"]
    assert {submissions.read(source).place for source in sources} == {".", "websocket"}


def test_branches_and_bare_repositories_are_read_without_a_checkout(tmp_path, monkeypatch):
    work = tmp_path / "work"
    write_files(RIGHT, work / "websocket")
    git = ["git", "-c", "user.name=lee", "-c", "user.email=lee@example.com", "-C", work]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "done"]):
        subprocess.run([*git, *command], check=True)
    subprocess.run([*git, "branch", "students/lee"], check=True)
    (source,) = submissions.branches(work, "students/*")
    project = submissions.read(source)
    assert (source.name, project.place, project.files) == ("lee", "websocket", RIGHT)
    subprocess.run(["git", "clone", "-q", "--bare", work, tmp_path / "class/lee.git"], check=True)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # as it is in a container
    (source,) = submissions.find(tmp_path / "class")
    assert submissions.read(source).files == RIGHT
    with pytest.raises(submissions.NoSubmission, match="no branch matches"):
        submissions.branches(work, "origin/*")


def test_a_zip_that_grows_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(submissions, "MOST_BYTES", 1 << 20)
    with zipfile.ZipFile(tmp_path / "lee.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("websocket.py", bytes(10 << 20))
    (source,) = submissions.find(tmp_path)
    with pytest.raises(submissions.NoSubmission, match="more than 1 MB"):
        submissions.read(source)


def test_more_than_one_project_is_not_guessed_at(tmp_path):
    for name in ("old", "new"):
        write_files(START, tmp_path / f"class/lee/{name}")
    (source,) = submissions.find(tmp_path / "class")
    with pytest.raises(submissions.NoSubmission, match="more than one project: new, old"):
        submissions.read(source)


# ---- The roster


def sources_called(*names):
    return [submissions.Source(name, name) for name in names]


def test_the_roster_says_whose_each_one_is_and_who_is_missing(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("\ufeffName;Number\nLee;a12\nKim;a1\nAda;b7\n", encoding="utf-8")
    known = roster.read(path, "Number")
    found, missing = roster.match(sources_called("a1", "Lee_a12_file.zip", "guest"), known)
    assert {name: source.name for name, source in found.items()} == {
        "a1": "a1",
        "a12": "Lee_a12_file.zip",
        "guest": "guest",
    }
    assert missing == ["b7"]


def test_two_submissions_of_one_learner_keep_their_names():
    found, missing = roster.match(sources_called("lee-1", "lee-2"), ["lee"])
    assert (set(found), missing) == ({"lee-1", "lee-2"}, ["lee"])
    assert set(roster.by_own_names(sources_called("lee", "lee.zip"))) == {"lee", "lee.zip"}


def test_a_roster_without_the_column_is_one_sentence(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text("name,email\nLee,lee@example.com\n", encoding="utf-8")
    with pytest.raises(CannotGrade, match="its columns are name, email"):
        roster.read(path, "id")


# ---- Results


@pytest.fixture
def rows():
    checks = [
        Result("every message comes back in order", "passed"),
        Result("an empty message comes back", "failed", "expected\n<'echo '>\x1b, but & came"),
        Result("nothing goes on", "skipped", "not graded: it looks inside"),
        Result("a client that leaves ends its handler", "passed", "", True),
    ]
    row = Row("=lee", "-lee.zip", "failed", checks, [Result("random", "passed")])
    right = Row("kim", "kim", "passed", checks[:1], [], changed="2026-06-01T14:32:01Z")
    return [row, right, Row("ada", "", "missing", notes=["+nothing"])]


def test_no_cell_is_a_formula(rows):
    lines = list(csv.reader(results.as_csv(rows).splitlines()))
    assert lines[1][:2] == ["'=lee", "'-lee.zip"]
    assert lines[3][-1] == "'+nothing"
    assert not [cell for line in lines for cell in line if cell.startswith(("=", "+", "-", "@"))]


def test_rows_come_back_from_json_as_they_were(rows):
    assert [row_from(json.loads(json.dumps(row.as_dict()))) for row in rows] == rows


def test_junit_xml_has_a_case_for_each_check(rows):
    suite = ElementTree.fromstring(results.as_junit(ECHO, rows[0])).find("testsuite")
    assert dict(suite.attrib) == {
        **{"name": "03_echo", "tests": "4"},
        **{"failures": "1", "errors": "0", "skipped": "1"},
    }
    cases = suite.findall("testcase")
    assert all(set(case.attrib) == {"classname", "name", "time"} for case in cases)
    assert "expected" in cases[1].find("failure").get("message")
    assert cases[2].find("skipped") is not None


def test_gradescope_gets_what_its_specification_asks_for(rows):
    told = json.loads(results.as_gradescope(ECHO, rows[0]))
    assert set(told) == {"score", "output", "tests"}
    assert told["score"] == sum(test["score"] for test in told["tests"]) == 2
    for test in told["tests"]:
        assert isinstance(test["score"], int) and isinstance(test["max_score"], int)
        assert test["status"] in ("passed", "failed")
        assert test["visibility"] in ("hidden", "after_due_date", "after_published", "visible")
        assert test["output_format"] in ("text", "html", "simple_format", "md", "ansi")
        assert {type(test["name"]), type(test["output"])} == {str}


@pytest.mark.parametrize("tag", ["", "submit/2026-06-01T14-32-05Z-a1b2c3d"])
def test_classroom_50_gets_what_its_contract_asks_for(rows, monkeypatch, tag):
    monkeypatch.setenv("SUBMISSION_TAG", tag)
    told = json.loads(results.as_classroom50(ECHO, rows[1]))
    assert told["schema"] == "classroom50/result/v1"
    words = ("classroom", "assignment", "owner", "submission", "commit", "release", "review")
    assert all(isinstance(told[name], str) and told[name] for name in words)
    assert told["submission"] == (tag or "kim")
    assert told["datetime"] == "2026-06-01T14:32:01Z"
    assert (told["score"], told["max-score"]) == (1, 1)
    assert told["tests"] == [
        {
            "test-name": "every message comes back in order",
            **{"passed": True, "score": 1, "max-score": 1},
        }
    ]


def test_feedback_says_what_passes_what_to_fix_first_and_where_the_hint_is():
    mistake = ECHO.mistakes[0]
    failed = Result("every message comes back in order", "failed", f"Oh: {mistake.says}\n# no")
    page = results.as_feedback(ECHO, Row("lee", "lee", "failed", [failed]))
    assert f"*{mistake.name}*" in page
    assert "hint 03_echo" in page
    assert "\n# no" not in page, "what a submission says is no Markdown"


def test_learners_with_like_names_have_files_of_their_own():
    names = results.file_names([Row(name, "") for name in ("a/b", "a b", "A_B", "../x", "…")])
    assert len({name.casefold() for name in names.values()}) == 5
    assert not any("/" in name or name.startswith(".") for name in names.values())


def test_a_sentence_says_nothing_that_differs_and_nothing_that_a_terminal_obeys():
    assert clean("3,012,345 bytes \x1b[2J") == "3 million bytes ?[2J"


# ---- The command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["3"], "name the folder or zip"),
        (["3", "nowhere"], "neither a folder nor a zip"),
        (["99", "steps"], "there is no exercise"),
        (["3", "steps/03_echo"], "is one project"),
        (["3", "steps", "--roster", "README.md"], "belong together"),
        (["3", "steps", "--roster", "README.md", "--id", "x"], "no column 'x'"),
        (["3", "--branches", "nobody/*"], "no branch matches"),
    ],
)
def test_bad_input_is_one_sentence(tmp_path, arguments, told):
    code, output, _ = grade(tmp_path, *arguments)
    assert code != 0
    assert told in output.strip().splitlines()[-1]


def test_what_is_needed_is_installed_before_it_is_imported(monkeypatch):
    class Reached(Exception):
        pass

    def ensure(group):
        assert group == "develop"
        raise Reached

    for name in [name for name in sys.modules if name.startswith(("workshop.grading", "harness"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pytest", None)
    monkeypatch.setattr(commands.environment, "ensure", ensure)
    with pytest.raises(Reached):
        commands.grade.callback(*["3", "class", *[None] * 9])


def test_exercises_that_pass_messages_are_confirmed_from_outside():
    from workshop.grading.confirming import OF_EXERCISE

    without = [one.id for one in all_exercises() if one.id not in OF_EXERCISE]
    assert without == [step.name for step in STEPS[:2]]


def test_check_as_json_says_what_check_does(monkeypatch, capsys):
    from workshop.commands import as_json
    from workshop.outcomes import Check

    noted = []
    monkeypatch.setattr(
        as_json.Progress, "note_done", lambda self, exercise: noted.append(exercise)
    )
    right, wrong = Check("it echoes", "passed"), Check("it ends", "failed", "it does not: ½")
    assert not as_json.tell_json(ECHO, [right, wrong])
    told = json.loads(capsys.readouterr().out)
    assert (told["exercise"], told["done"]) == ("03_echo", False)
    assert told["checks"][1]["name"] == "test_it_ends"
    assert told["checks"][1]["reason"] == "it does not: ½"
    assert as_json.tell_json(ECHO, [right])
    assert json.loads(capsys.readouterr().out)["done"]
    assert noted == [ECHO]
