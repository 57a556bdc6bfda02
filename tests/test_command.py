"""The command's words: what it says of bad input, on which exit code, and never a traceback."""

import re
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress

import pytest
from click.testing import CliRunner
from repo import ROOT, Learner, free_port

from workshop.cli import main_group

TAKEN = "Port 5000 is taken"
# Those for learners and instructors; maintainers find the others in CONTRIBUTING.md.
SHOWN = [name for name, command in main_group.commands.items() if not command.hidden]


def run(*arguments):
    """Run the command in the repository: its exit code and its output."""
    return Learner(ROOT)(*arguments)


@pytest.fixture
def project(tmp_path):
    """A function that makes a project of one websocket.py with this code."""

    def make(code):
        (tmp_path / "websocket.py").write_bytes(code.encode() if isinstance(code, str) else code)
        return tmp_path

    return make


@pytest.mark.parametrize("target", ["99", "nowhere/", "0", "-1", ""])
def test_a_target_that_does_not_exist_is_named_with_what_there_is(target):
    code, output = run("run", "--", target)
    assert code == 2
    assert "03_echo" in output or "websocket.py" in output


def test_a_folder_without_websocket_py_is_said_to_be_one(tmp_path):
    code, output = run("run", tmp_path)
    assert code == 2
    assert "no websocket.py" in output


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("app = None\n", "has no app"),
        ("print('hello')\n", "has no app"),
        ("app = 1\nasync def ws(:\n", "websocket.py, line 2: SyntaxError"),
        ("import quart\n\n\nquart.Qart()\n", "websocket.py, line 4: AttributeError"),
        ("def f():\n    1 / 0\n\nf()\n", "websocket.py, line 2: ZeroDivisionError"),
        ("if True:\n  a = 1\n   b = 2\n", "websocket.py, line 3: IndentationError"),
        (b"app = 1\nname = '\xff'\n", "websocket.py, line 2: SyntaxError"),
        ("import flusk\n", "websocket.py, line 1: ModuleNotFoundError"),
        ("raise SystemExit('no')\n", "websocket.py"),
    ],
)
def test_an_error_in_the_learners_code_is_shown_with_its_file_and_line(project, code, told):
    exit_code, output = run("run", project(code), "--port", free_port())
    assert exit_code == 2, output
    assert told in output
    assert "runpy" not in output
    assert "serving.py" not in output


@pytest.mark.parametrize("code", ["x = (", "SETTINGS = 1 / 0"])
def test_an_error_in_a_projects_serve_py_is_shown_with_its_line(project, code):
    folder = project("from quart import Quart\napp = Quart(__name__)\n")
    (folder / "serve.py").write_text(code, encoding="utf-8")
    exit_code, output = run("run", folder, "--port", free_port())
    assert exit_code == 2
    assert "serve.py, line 1" in output


def test_a_taken_port_is_one_sentence_when_it_was_insisted_on():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, output = run("run", "3", "--port", port)
    assert code == 1
    assert f"port {port} is taken" in output


def test_without_a_port_the_next_free_one_is_taken_and_said(workshop):
    with ExitStack() as stack:
        for port in (5000, 5001):  # the second is the TCP source of other tests' apps
            with suppress(OSError):  # another program has it already, which serves as well
                stack.enter_context(socket.create_server(("127.0.0.1", port)))
        process = workshop("run", "3")
        process.wait_for(TAKEN)
        assert ":5000/" not in process.wait_for("is served at")
        process.interrupt()
        assert process.end(2)[0] == 0


def test_it_works_from_another_folder_and_by_a_path(start, tmp_path):
    project = tmp_path / "websocket"
    project.mkdir()
    (project / "websocket.py").write_text("from quart import Quart\napp = Quart(__name__)\n")
    command = [sys.executable, ROOT / "workshop", "run", "websocket", "--port", free_port()]
    process = start(*command, cwd=tmp_path)
    assert "websocket is served" in process.wait_for("is served")


def test_it_works_from_a_step_s_folder():
    command = [sys.executable, "../../workshop", "hint", "3"]  # as the READMEs have it
    result = subprocess.run(command, cwd=ROOT / "steps/03_echo", capture_output=True, timeout=60)
    assert result.returncode == 0


def test_a_project_whose_own_start_fails_is_told_why(project, workshop):
    code = (
        "from quart import Quart\napp = Quart(__name__)\n"
        "@app.before_serving\nasync def no():\n    raise RuntimeError('no database')\n"
    )
    process = workshop("run", project(code), "--port", free_port())
    exit_code, output = process.end()
    assert exit_code == 2
    assert "ERROR:    no database" in output


def test_run_says_which_tcp_port_it_offers(workshop):
    process = workshop("run", "5", "--port", free_port())
    port = int(process.wait_for("TCP port").split("TCP port")[1].split()[0])
    process.wait_for("curl")
    socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_help_names_every_command():
    code, output = run("--help")
    assert code == 0
    assert len(SHOWN) > 10
    for name in SHOWN:
        assert re.search(rf"^  {name} +[A-Z]", output, re.MULTILINE), f"no line says what {name} is"


@pytest.mark.parametrize("name", main_group.commands)
def test_every_command_has_help_of_its_own(name):
    result = CliRunner().invoke(main_group, [name, "--help"], prog_name="workshop")
    assert result.exit_code == 0
    usage, _, rest = result.output.partition("\n\n")
    assert f"workshop {name} " in usage
    words = rest.partition("\n\n")[0].split()
    assert words[0] != "Options:" and len(words) > 4, f"{name} --help does not say what it does"


def test_an_unknown_command_is_one_sentence():
    command = [sys.executable, "-m", "workshop", "rnu"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "Error: No such command 'rnu'." in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("required", ["", "1"])
def test_without_a_browser_its_tests_are_skipped_or_fail_where_all_is_required(required, tmp_path):
    learner = Learner(ROOT, PATH=str(tmp_path), PLAYWRIGHT_BROWSERS_PATH=str(tmp_path))
    learner.environ["WORKSHOP_REQUIRE_ALL"] = required
    tests = "steps/05_broadcast/tests/test_two_tabs.py"
    code, output = learner("test", "-q", tests)
    if "1 passed" in output:
        pytest.skip("this browser is found without PATH, so it cannot be hidden")
    assert (code != 0) == bool(required), output
    assert "install Chromium" in output


@pytest.mark.parametrize("named", [False, True])
def test_a_project_need_not_solve_a_challenge_that_is_not_named(named):
    step = "steps/05_broadcast"
    paths = [step, f"{step}/challenges"] if named else [step]
    options = ["--collect-only", "-q", f"--project={step}"]
    command = [sys.executable, "-m", "pytest", *paths, *options]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "test_broadcast.py" in result.stdout
    assert ("challenges" in result.stdout) == named


def test_the_tests_of_a_step_are_run_as_a_learner_does():
    command = [sys.executable, "-m", "workshop", "test", "-q", "steps/01_structure"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout
    assert re.search(r"\d+ passed", result.stdout)
