"""Parts of a step, earlier checks in one line, one's own work kept, and what is told at the end."""

import functools
import http.server
import io
import re
import shutil
import socket
import sys
import threading

import click
import pytest
from click.testing import CliRunner

from workshop import cli, learner, machine, site, steps
from workshop.checking import Checker
from workshop.commands import learner as commands
from workshop.commands.telling import tell, tell_page
from workshop.outcomes import Check, meanwhile_last

ECHO, BROADCAST = steps.find_exercise("3"), steps.find_exercise("5")
WITH_PARTS = [exercise for exercise in steps.all_exercises() if exercise.parts]
PARTS = [[Check(name[5:].replace("_", " "), "passed") for name in p.tests] for p in BROADCAST.parts]
EARLIER = [
    Check("every message comes back in order", "passed"),
    Check("html shows as text", "passed"),
]
TCP_LINES = re.compile(r".*tcp.*\n", re.IGNORECASE)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A learner's own folder, attempts/ and the docs, for the code in this process."""
    mine, attempts = tmp_path / "websocket", tmp_path / "attempts"
    paths = {"FOLDER": mine, "PROGRESS": mine / "progress.json"}
    for name, path in {**paths, "ATTEMPTS": attempts, "MOVING": attempts / ".moving"}.items():
        monkeypatch.setattr(learner, name, path)
    monkeypatch.setattr(commands, "FOLDER", mine)
    for name, path in {"ROOT": ".", "MADE": "_build", "SERVED": "_build/served"}.items():
        monkeypatch.setattr(site, name, tmp_path / path)
    return mine


@pytest.fixture
def on_terminal(monkeypatch):
    monkeypatch.setattr(commands, "can_ask", lambda: True)


def run(*arguments, input=None):
    """Run the command in this process; its exit code and its output."""
    result = CliRunner().invoke(cli.main_group, arguments, input=input)
    return result.exit_code, result.output


def told(exercise, *checks):
    """What is told of checks, and whether all pass."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
        passes = tell(exercise, checks)
        sys.stdout.flush()
        return sys.stdout.buffer.getvalue().decode(), passes


def become(checks, outcome, **details):
    return [Check(one.words, outcome, **details) for one in checks]


def done():
    return learner.Progress().done


def own_work(name, is_done=True):
    """Begin an exercise, write into websocket.py and, it may be, be done with it."""
    learner.start(steps.find_exercise(name))
    (learner.FOLDER / "websocket.py").write_text("mine = True\n", encoding="utf-8")
    if is_done:
        learner.Progress().note_done(steps.find_exercise(name))


def is_own():
    text = (learner.FOLDER / "websocket.py").read_text(encoding="utf-8")
    return text == "mine = True\n"


@pytest.mark.parametrize("exercise", WITH_PARTS, ids=lambda exercise: exercise.id)
def test_each_test_of_an_exercise_with_parts_belongs_to_exactly_one(exercise):
    named = [name for part in exercise.parts for name in part.tests]
    assert sorted(named) == sorted(exercise.own_tests)
    assert "test_every_message_comes_back_in_order" not in named


@pytest.mark.parametrize("exercise", WITH_PARTS, ids=lambda exercise: exercise.id)
def test_parts_have_the_titles_and_minutes_that_the_task_has(exercise):
    heading = re.compile(r"\*\*Part (\d)(?:, if you like)?: (.+) \((\d+) minutes\)\*\*")
    wanted = [(str(i), p.title, str(p.minutes)) for i, p in enumerate(exercise.parts, 1)]
    assert heading.findall(exercise.task) == wanted
    assert sum(part.minutes for part in exercise.parts) == exercise.minutes
    assert all(part.sign for part in exercise.parts if part.optional)


def checked(project, names):
    tests = [BROADCAST.tests[0] / "test_broadcast.py", "-k", names]
    checker = Checker(project, tests, exercise=BROADCAST)
    return [(one.words, one.outcome) for one in checker.check()]


def test_after_a_part_that_fails_the_next_ones_are_not_run(folder):
    BROADCAST.write_to(folder)
    path = folder / "websocket.py"
    path.write_text(path.read_text(encoding="utf-8").replace("/api/v2/messages", "/messages"))
    assert checked(folder, "handshake or post_reaches or lines_are_not or tcp_line_reaches") == [
        ("the handshake completes before the first message", "passed"),
        ("a post reaches everyone", "failed"),
        ("a tcp line reaches everyone", "later"),
    ]


def test_an_optional_part_that_is_not_begun_is_not_run(folder):
    BROADCAST.previous.write_to(folder)
    assert checked(folder, "post_reaches or tcp") == [("a post reaches everyone", "failed")]


def test_an_optional_part_is_begun_once_a_file_of_the_project_names_it(folder):
    tcp = BROADCAST.parts[2]
    BROADCAST.previous.write_to(folder)
    assert not tcp.is_begun(folder)
    assert BROADCAST.parts[1].is_begun(folder)
    (folder / "sources").mkdir()
    (folder / "sources/lines.py").write_text("# listens on TCP_PORT\n", encoding="utf-8")
    assert tcp.is_begun(folder)


def test_a_part_at_a_time_is_told(folder):
    failing = [*become(PARTS[1][:1], "failed", reason="why"), *PARTS[1][1:2]]
    later = [*become(PARTS[1][2:], "later"), *become(PARTS[2], "later")]
    text, passes = told(BROADCAST, *PARTS[0], *failing, *later, *EARLIER)
    assert not passes
    assert text.splitlines()[:5] == [
        "✓ Part 1 of 3, every message reaches everyone: done",
        "✗ a post reaches everyone",
        "✗ Part 2 of 3, a POST: 1 of 3 checks pass, 1 hasn't run yet",
        "· Part 3 of 3, TCP (optional): not run yet",
        "✓ 2 checks of earlier steps pass",
    ]
    assert "Fix this first: a post reaches everyone\n  why\n" in text


def test_without_its_optional_part_a_step_is_done_and_says_so(folder):
    learner.start(BROADCAST)
    text, passes = told(BROADCAST, *PARTS[0], *PARTS[1], *EARLIER)
    assert passes
    assert "· Part 3 of 3, TCP (optional): not begun\n" in text
    assert "All 15 checks pass, without part 3: 05_broadcast is done." in text
    assert "start 6" in text
    assert done() == ["05_broadcast"]


def test_with_all_parts_a_step_is_done_without_reserve(folder):
    learner.start(BROADCAST)
    text, passes = told(BROADCAST, *PARTS[0], *PARTS[1], *PARTS[2], *EARLIER)
    assert passes
    assert "All 23 checks pass: 05_broadcast is done." in text


def test_an_optional_part_that_fails_is_told_and_the_step_is_done(folder):
    learner.start(BROADCAST)
    broken = become(PARTS[2], "failed", reason="nothing listens")
    text, passes = told(BROADCAST, *PARTS[0], *PARTS[1], *broken, *EARLIER)
    assert not passes
    assert "✓ Part 2 of 3, a POST: done\n" in text
    assert "✗ Part 3 of 3, TCP (optional): 0 of 8 checks pass\n" in text
    assert "05_broadcast is done: only optional checks fail." in text
    assert "Fix this first: a tcp line reaches everyone" in text
    assert done() == ["05_broadcast"]


@pytest.mark.parametrize("outcome", ["failed", "later"])
def test_what_is_asked_for_and_does_not_pass_keeps_a_step_from_being_done(folder, outcome):
    learner.start(BROADCAST)
    broken = become(PARTS[2], "failed")
    told(BROADCAST, *PARTS[0], *PARTS[1], *broken, *become(EARLIER, outcome))
    assert done() == []


def test_checks_of_earlier_steps_are_one_line_and_those_that_fail_are_shown(folder):
    own = Check("a message comes back with echo in front", "passed")
    page = Check("the style sheet is served as css", "passed")
    pipfile = Check("the pipfile names what the app imports", "failed", "no Pipfile")
    quart = Check("the quart command starts the app", "later")
    text, _ = told(ECHO, own, page, page, pipfile, quart)
    assert text.splitlines()[:4] == [
        "✓ a message comes back with echo in front",
        "✗ the pipfile names what the app imports",
        "✓ 2 checks of earlier steps pass",
        "· 1 check of earlier steps hasn't run yet",
    ]
    binary = steps.find_exercise("03_binary")
    assert "✓ 1 check of step 3 passes\n" in told(binary, own, pipfile)[0]


def test_what_the_app_prints_is_told_once_whatever_its_port(folder):
    printed = [f"TCP port {port}\nI am here\n" for port in (31415, 27182)]
    failing = [Check(f"check {i}", "failed", "why", text) for i, text in enumerate(printed)]
    text, _ = told(ECHO, *failing)
    assert text.count("printed: I am here") == text.count("TCP port") == 1
    many = "".join(f"line {number}\n" for number in range(100))
    text, _ = told(ECHO, Check("check", "failed", "why", many))
    assert text.count("printed:") == 20
    assert "and 80 more lines" in text


@pytest.mark.usefixtures("on_terminal")
@pytest.mark.parametrize(
    ("answer", "is_mine"), [("\n", True), ("mine\n", True), ("x\nt\n", False), ("Theirs\n", False)]
)
def test_start_asks_whose_work_to_go_on_with(folder, answer, is_mine):
    own_work("3")
    code, output = run("start", "4", input=answer)
    assert code == 0, output
    assert "your own work on 3 Echo, which has passed its checks" in output
    assert is_own() == is_mine
    assert ("holds your own work. Continue" in output) == is_mine
    assert learner.Progress().started == "04_javascript"
    (attempt,) = learner.attempts()
    assert attempt.name in output
    assert (attempt / "websocket.py").read_text(encoding="utf-8") == "mine = True\n"


def test_without_a_terminal_start_keeps_ones_own_work_and_says_so(folder):
    own_work("3", is_done=False)
    code, output = run("start", "4")
    assert code == 0
    assert "which hasn't passed its checks" in output
    assert "Continuing with it. To take the workshop's solution instead: " in output
    assert "start 04_javascript --theirs" in output
    assert is_own()


@pytest.mark.usefixtures("on_terminal")
def test_mine_and_theirs_answer_the_question(folder):
    own_work("3")
    assert "take the workshop's" not in run("start", "4", "--mine")[1]
    assert is_own()
    assert "take the workshop's" not in run("start", "5", "--theirs")[1]
    assert not is_own()
    assert run("start", "4", "--mine")[0] == 0


@pytest.mark.usefixtures("on_terminal")
def test_start_asks_nothing_if_there_is_no_work_on_the_step_before(folder):
    assert "(mine)" not in run("start", "3")[1]
    assert "(mine)" not in run("start", "4")[1]  # its start is still as it was
    own_work("4")
    assert "(mine)" not in run("start", "4")[1]
    own_work("4")
    assert "(mine)" not in run("start", "3")[1]
    assert not is_own()


@pytest.mark.usefixtures("on_terminal")
def test_ctrl_c_at_the_question_changes_nothing(folder, monkeypatch):
    own_work("3")

    def interrupted(prompt):
        raise KeyboardInterrupt

    monkeypatch.setattr(click.termui, "visible_prompt_func", interrupted)
    code, output = run("start", "4")
    assert (code, is_own()) == (130, True)
    assert "nothing has changed" in output
    assert learner.Progress().started == "03_echo"
    assert learner.attempts() == []


def test_start_says_which_optional_part_ones_own_work_leaves_out(folder):
    own_work("5")
    assert "It leaves out TCP, which later checks need." in run("start", "6")[1]
    own_work("5")
    (folder / "tcp.py").touch()
    assert "leaves out" not in run("start", "6")[1]


def test_the_copy_of_ones_own_work_leaves_out_what_tools_made_and_comes_back(folder):
    own_work("3")
    for name in (".venv", "__pycache__", "static"):
        (folder / name).mkdir(exist_ok=True)
        (folder / name / "some.css").write_text("", encoding="utf-8")
    kept, _ = learner.go_on(steps.find_exercise("4"))
    assert sorted(path.name for path in kept.iterdir()) == [
        *("Pipfile", "static", "templates", "websocket.py")
    ]
    assert (folder / ".venv/some.css").is_file()
    run("start", "--back", kept.name)
    assert is_own()
    assert learner.Progress().started == "03_echo"
    assert done() == ["03_echo"]


def test_ones_own_work_gets_the_files_that_only_the_workshop_has(folder):
    own_work("6")
    (folder / "tcp.py").unlink()
    (folder / "static/css/websocket.css").unlink()
    code, output = run("start", "7", "--mine")
    assert code == 0
    added = "log.py, static/css/websocket.css, tcp.py"
    assert f"Added files that were missing: {added}.\n" in output
    start = steps.find_exercise("7").start
    assert all((folder / name).read_bytes() == start[name] for name in added.split(", "))
    assert is_own()
    (attempt,) = learner.attempts()
    assert not (attempt / "tcp.py").exists()
    assert "Added" not in run("start", "7", "--mine")[1]


def test_a_file_in_the_place_of_a_folder_is_no_reason_to_lose_it(folder):
    own_work("3")
    shutil.rmtree(folder / "static")
    (folder / "static").write_text("mine", encoding="utf-8")
    code, output = run("start", "4", "--mine")
    assert code == 1
    assert "websocket/ cannot be written to" in output
    assert (folder / "static").read_text(encoding="utf-8") == "mine"
    assert learner.Progress().started == "03_echo"


def test_if_no_copy_can_be_made_nothing_has_changed(folder, monkeypatch):
    own_work("3")
    learner.ATTEMPTS.mkdir(exist_ok=True)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(learner.shutil, "copytree", full)
    code, output = run("start", "4", "--mine")
    assert code == 1
    assert "No space left" in output
    assert is_own()
    assert (learner.Progress().started, learner.attempts()) == ("03_echo", [])
    assert list(learner.ATTEMPTS.iterdir()) == []


def test_watching_notices_that_one_goes_on_to_another_exercise(folder):
    own_work("3")
    heard = threading.Event()
    saves = learner.Saves(heard.set)
    learner.go_on(steps.find_exercise("4"))
    assert heard.wait(5)
    assert saves.wait() == ["websocket/"]


def test_a_finished_step_is_congratulated_and_shows_another_way(folder):
    learner.start(ECHO)
    text, _ = told(ECHO, Check("a plain get is refused", "passed"))
    assert "Congratulations, you have finished step 3, Echo!" in text
    assert "diff 03_echo\n" in text
    assert ECHO.other_way.trade_off in text
    assert "diff 03_echo --other\n" in text


@pytest.mark.parametrize("number", "345")
def test_another_way_is_shown_with_its_trade_off_and_its_lines(number):
    exercise = steps.find_exercise(number)
    code, output = run("diff", number, "--other")
    assert code == 0
    assert output.startswith(f"Another way that passes: it {exercise.other_way.name}.\n")
    lines = exercise.other_way.applied_to(exercise.solution)[exercise.other_way.file].decode()
    added = re.findall(r"^\+(?!\+)(.+)", output, re.MULTILINE)
    assert added
    assert set(added) <= set(lines.splitlines())


def test_where_there_is_no_other_way_to_show_it_is_said():
    code, output = run("diff", "2", "--other")
    assert code == 1
    assert "no other way to show for 02_install" in output


def pages(capsys, *names):
    for name in names:
        tell_page(steps.find_exercise(name))
    return capsys.readouterr().out.replace("\\", "/")


def build(*names):
    (site.MADE / "html").mkdir(parents=True)
    for name in names:
        (site.MADE / f"html/{name}.html").touch()


def test_without_a_site_the_command_that_makes_it_is_named(capsys):
    assert pages(capsys, "3") == f"To read the page of this step: {machine.COMMAND} docs\n"


def test_a_site_that_is_built_is_named_by_its_file(capsys):
    build("03_echo", "exercises")
    assert pages(capsys, "3", "03_binary") == (
        "To read the page of this step: _build/html/03_echo.html\n"
        "To read the page of this challenge: _build/html/exercises.html\n"
    )


def test_a_site_that_is_served_is_named_by_its_address(capsys):
    build("03_echo", "exercises")
    handler = functools.partial(Quiet, directory=site.MADE / "html")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        site.SERVED.write_text(str(server.server_port), encoding="utf-8")
        address = f"http://127.0.0.1:{server.server_port}"
        assert pages(capsys, "3", "03_binary") == (
            f"To read the page of this step: {address}/03_echo.html\n"
            f"To read the page of this challenge: {address}/exercises.html#challenge-03-binary\n"
        )
        server.shutdown()


def test_where_an_app_waits_meanwhile_has_its_own_line():
    waits = "this client's handler waits in line 3: `await f(x)` and in line 4: `g()`"
    begins = "alice should receive all that she sends, but only 11 messages arrived (none now"
    expected = f"{begins}): does f() wait?\nMeanwhile {waits}"
    assert meanwhile_last(f"{begins}; meanwhile {waits}): does f() wait?") == expected
    assert meanwhile_last(short := "nothing; meanwhile the app waits") == short
    assert meanwhile_last("nothing arrived") == "nothing arrived"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.mark.parametrize("content", ["", "no port", "70000", "silent"])
def test_a_server_that_has_ended_or_is_another_one_is_not_named(capsys, monkeypatch, content):
    build("03_echo")
    monkeypatch.setattr(site, "ANSWER_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        site.SERVED.write_text(str(port) if content == "silent" else content, encoding="utf-8")
        assert "03_echo.html" in (said := pages(capsys, "3"))
    assert "http" not in said


@pytest.mark.parametrize("command", [["start", "3"], ["hint", "3"]])
def test_start_and_hint_end_with_the_page(folder, command):
    assert run(*command)[1].endswith(f"To read the page of this step: {machine.COMMAND} docs\n")
    assert told(ECHO, Check("there are tests", "failed"))[0].endswith("workshop docs\n")


def test_where_the_output_is_not_utf_8_parts_are_told_in_letters(folder, monkeypatch):
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "ascii", "strict"))
    learner.start(BROADCAST)
    tell(BROADCAST, [*PARTS[0], *PARTS[1], *EARLIER])
    sys.stdout.flush()
    text = sys.stdout.buffer.getvalue().decode()
    assert text.startswith("ok Part 1 of 3, every message reaches everyone: done\n")
    assert "~~ Part 3 of 3" in text
