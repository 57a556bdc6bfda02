"""The same results on anybody's machine, whatever its folders are called and its variables say."""

import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
from repo import (
    COMMAND,
    COMMAND_THAT_FORKS,
    ROOT,
    STEPS,
    Learner,
    copy_repository,
    free_port,
    needs_links,
    new_learner,
)

from harness import processes
from workshop import machine, serving, watching

ODD = "class [2026] ünï 'x'"
# What other programs' settings may do: strip asserts, change pytest, hide modules, set the app up.
HOSTILE = {
    **{"PYTHONOPTIMIZE": "1", "PYTHONWARNINGS": "error", "PYTHONSAFEPATH": "1"},
    **{"PYTEST_ADDOPTS": "-x --no-such-option", "PYTEST_PLUGINS": "nothing"},
    **{"PIP_TARGET": "/nowhere", "LC_ALL": "C", "LANGUAGE": "de"},
    **{"QUART_TCP_PORT": "1", "QUART_APP": "nothing:app", "QUART_TESTING": "false"},
    **{"REDIS_URL": "redis://127.0.0.1:9", "GIT_DIR": "/nowhere"},
    **{"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
}
SECONDS = re.compile(r"\d+\.\d+ s|\d+\.\d+s| in \d+(\.\d+)? s|-n \d+|pytest-\d+")


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


@pytest.fixture
def breaker(clone):
    """A learner whose clone is their own, for the test to break."""
    return Learner(clone)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return Learner(repository(tmp_path_factory.mktemp("plain") / "clone"))


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Somebody whose clone has an odd name, and whose variables are those of other programs."""
    return Learner(repository(tmp_path_factory.mktemp("odd") / ODD), PYTHONUTF8="", **HOSTILE)


def repository(folder):
    copy_repository(folder)
    subprocess.run(["git", "init", "-q", "-b", "main", folder], check=True)
    return folder


def run_forking(learner):
    return [*COMMAND_THAT_FORKS, learner.clone, "run", "--port", free_port()]


def write_step_3(learner, code):
    learner.write("websocket.py", code)
    learner.write("templates/index.html", (STEPS[2] / "templates/index.html").read_bytes())


def same(plain, odd, *arguments):
    """Run a command for both, and return what both say."""
    (code, output), (odd_code, odd_output) = plain(*arguments), odd.start(*arguments)
    odd_output = odd_output.replace(str(odd.clone), str(plain.clone))
    assert (odd_code, SECONDS.sub("", odd_output)) == (code, SECONDS.sub("", output))
    return code, output


@pytest.mark.thorough
def test_the_commands_of_a_learner_say_the_same_anywhere(plain, odd):
    assert same(plain, odd, "start", "3")[0] == 0
    right = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
    wrong = right.replace("    while True:\n", "    if True:\n")
    assert wrong != right
    for code, expected, *options in ((wrong, 1), (right, 0, "--live")):
        for learner in (plain, odd):
            write_step_3(learner, code)
        told, output = same(plain, odd, "check", *options)
        assert told == expected, output
    assert "hints are left" in same(plain, odd, "hint")[1]
    assert same(plain, odd, "diff")[0] == 0
    assert same(plain, odd)[0] == 0


def test_the_branches_are_the_same_anywhere(plain, odd):
    code, output = same(plain, odd, "branches")
    assert code == 0, output
    heads = [
        subprocess.run(
            ["git", "for-each-ref", "refs/heads"], cwd=one.clone, capture_output=True, check=True
        ).stdout
        for one in (plain, odd)
    ]
    assert heads[0] == heads[1] != b""


@pytest.mark.thorough
def test_the_tests_of_a_step_pass_anywhere(odd):
    for test, path in ((odd.start, "steps/03_echo"), (odd, odd.clone / "steps/03_echo")):
        code, output = test("test", path, "-q", "-k", "not quart_command")
        assert code == 0, output
        assert re.search(r"\d+ passed", output)


@pytest.mark.exhaustive
@pytest.mark.timeout(200)
def test_the_site_can_be_built_anywhere(odd, tmp_path):
    odd.environ["LC_ALL"] = "xx_XX.UTF-8"  # a locale that is not installed
    odd.environ["WORKSHOP_WITHOUT_LIVE"] = "1"  # or it takes twice as long
    code, output = odd.start("docs", "--build", tmp_path / ODD, timeout=190)
    assert code == 0, output
    assert (tmp_path / ODD / "index.html").is_file()


def test_where_asserts_are_left_out_the_tests_refuse_to_run():
    result = subprocess.run(
        [sys.executable, "-O", "-m", "pytest", "-q", "steps/01_structure"],
        cwd=ROOT,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},  # it refuses before it needs any
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode != 0
    assert "PYTHONOPTIMIZE" in result.stdout + result.stderr


@needs_links
def test_run_prints_a_command_that_can_be_copied(start, tmp_path):
    clone = copy_repository(tmp_path / ODD, ["workshop", "harness", "steps"])
    python = clone / "my python"
    python.symlink_to(sys.executable)
    assert machine.as_typed(python) != str(python)
    process = start(sys.executable, "-c", COMMAND, "run", "3", "--port", free_port(), cwd=clone)
    process.wait_for("is served at")
    command = process.wait_for("websockets ws://").partition("page: ")[2]
    result = subprocess.run(
        command.replace("-m websockets", "-m websockets --version #"),
        shell=True,
        cwd=clone,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "websockets" in result.stdout, result.stderr


# ---- What is printed where


@pytest.mark.parametrize(("encoding", "signs"), [("utf-8", "✓✗"), ("cp1252", "")])
def test_passed_and_failed_can_be_told_apart_in_any_encoding(learner, encoding, signs):
    learner.environ |= {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    learner("start", "3")
    output = learner("check")[1]
    passes, fails = signs or ("ok", "--")
    assert f"{passes} a plain get is refused" in output
    assert f"{fails} a message comes back with echo in front" in output
    assert "? a message" not in output


@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {}])
def test_colours_are_left_out_where_they_are_not_wanted(learner, variables):
    import pty

    learner("start", "3")
    mine, theirs = pty.openpty()
    environ = {**os.environ, "TERM": "xterm", **variables}
    environ.pop("NO_COLOR", None) if not variables else None
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "diff"],
        cwd=learner.clone,
        env=environ,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    while True:
        try:
            data = os.read(mine, 65536)
        except OSError:  # which is how the end is told
            break
        output += data
        if not data:
            break
    os.close(mine)
    assert process.wait(60) == 0
    assert (b"\x1b[" in output) == (not variables)


# ---- What a check says of its own failure


def test_what_a_check_says_of_its_own_failure_is_shown(breaker):
    breaker("start", "3")
    conftest = breaker.clone / "steps/conftest.py"
    conftest.write_text("raise RuntimeError('this clone is broken')\n", encoding="utf-8")
    code, output = breaker("check")
    assert code == 1
    assert "this clone is broken" in output
    assert "shows more" in output


def test_a_process_that_dies_says_why(breaker):
    breaker("start", "3")
    text = (breaker.clone / "workshop/checking.py").read_text(encoding="utf-8")
    text = text.replace("    import pytest\n", "    sys.exit('out of paper')\n", 1)
    (breaker.clone / "workshop/checking.py").write_text(text, encoding="utf-8")
    code, output = breaker("check")
    assert code == 1
    assert "out of paper" in output


def test_a_hook_that_fails_is_said_to(breaker):
    breaker("start", "3")
    with (breaker.clone / "steps/conftest.py").open("a", encoding="utf-8") as file:
        file.write(
            "\n\ndef pytest_collection_finish(session):\n    raise OSError('a hook fails')\n"
        )
    code, output = breaker("check")
    assert code == 1
    assert "a hook fails" in output


def test_a_quart_command_that_is_not_there_fails_its_own_check_with_a_sentence(monkeypatch):
    def refuse(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    with monkeypatch.context() as patch:
        patch.setattr(processes.subprocess, "Popen", refuse)
        with pytest.raises(AssertionError, match="the `quart` command cannot be run"):
            processes.QuartRun(STEPS[2])


def test_no_tests_are_a_failure_with_a_reason(breaker):
    breaker("start", "3")
    for path in (breaker.clone / "steps/03_echo/tests").glob("*.py"):
        path.unlink()
    code, output = breaker("check")
    assert code == 1
    assert "there are none in steps/03_echo/tests" in output


# ---- Which saves count


@pytest.fixture
def saves(tmp_path):
    """A function that makes a folder watched, by its name, and returns what it yields."""
    folder = tmp_path / "websocket"
    folder.mkdir()
    (folder / "websocket.py").write_text("a = 1\n", encoding="utf-8")

    def next_names(events):
        for _ in range(100):
            if names := next(events):
                return names
        return []

    events = watching.saves(folder)
    next(events)
    yield folder, lambda: next_names(events)
    events.close()


def test_only_sources_that_are_another_count_as_saved(saves):
    folder, next_names = saves
    for name in ("progress.json", "messages.log", "app.db", "data.json", ".env", "page.html~"):
        (folder / name).write_text("written by an app", encoding="utf-8")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__/websocket.py").write_text("a = 2\n", encoding="utf-8")
    (folder / "websocket.py").write_text("a = 1\n", encoding="utf-8")  # the same as before
    (folder / "Pipfile").write_text("[packages]\n", encoding="utf-8")
    assert next_names() == ["Pipfile"]
    (folder / "websocket.py").write_text("a = 2\n", encoding="utf-8")
    assert next_names() == ["websocket.py"]


def test_another_folder_of_the_same_name_is_watched_from_then_on(saves):
    folder, next_names = saves
    folder.rename(folder.with_name("attempt"))
    folder.mkdir()
    (folder / "websocket.py").write_text("a = 1\n", encoding="utf-8")
    assert next_names() == ["websocket/"]
    (folder / "websocket.py").write_text("a = 3\n", encoding="utf-8")
    assert next_names() == ["websocket.py"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere, names of files are text")
def test_a_folder_whose_name_is_no_text_is_served_and_watched(start, tmp_path):
    project = tmp_path / os.fsdecode(b"caf\xe9")
    shutil.copytree(STEPS[2], project)
    process = start(sys.executable, ROOT / "workshop", "run", project, "--port", free_port())
    process.wait_for("is served at")
    with (project / "websocket.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    process.wait_for("websocket.py changed")
    process.wait_for("served again")


def test_what_git_ignores_is_not_a_save(saves):
    folder, next_names = saves
    subprocess.run(["git", "init", "-q", folder.parent], check=True)
    (folder / ".gitignore").write_text("made.js\n", encoding="utf-8")
    (folder / "made.js").write_text("1", encoding="utf-8")
    (folder / "mine.js").write_text("1", encoding="utf-8")
    assert next_names() == ["mine.js"]


def test_where_the_system_cannot_watch_it_is_polled_and_said(tmp_path, monkeypatch):
    import watchfiles.main

    real = watchfiles.main.RustNotify

    def refuse(paths, debug, polls, *rest):
        if not polls:
            raise OSError(28, "inotify watch limit reached")
        return real(paths, debug, polls, *rest)

    monkeypatch.setattr(watchfiles.main, "RustNotify", refuse)
    (tmp_path / "websocket.py").write_text("a = 1\n", encoding="utf-8")
    said = []
    events = watching.saves(tmp_path, said.append)
    next(events)
    (tmp_path / "websocket.py").write_text("a = 22\n", encoding="utf-8")
    assert any(next(events) == ["websocket.py"] for _ in range(100))
    assert "inotify watch limit reached" in said[0]


@pytest.mark.thorough
def test_run_starts_again_for_a_save_and_for_nothing_else(learner, start):
    learner("start", "3")
    learner.write("websocket.py", (STEPS[2] / "websocket.py").read_bytes())
    process = start(*run_forking(learner), cwd=learner.clone)
    process.wait_for("is served at")
    learner("hint")
    learner("check")
    learner.write("notes.txt", "written by the app itself")
    code = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
    learner.write("websocket.py", code.replace("echo {", "shout {"))
    process.wait_for("websocket.py changed")
    process.wait_for("served again")
    learner("start", "4", "--theirs")
    process.wait_for("index.html")
    process.wait_for("served again")
    learner.write("websocket.py", code.replace("echo {", "whisper {"))
    process.wait_for("websocket.py changed")
    process.wait_for("served again")
    shutil.rmtree(learner.folder)
    process.wait_for("is gone")
    learner("start", "3")
    process.wait_for("served again")
    assert "Traceback" not in process.output
    assert "progress.json" not in process.output
    assert "notes.txt" not in process.output


def test_an_app_that_writes_its_own_sources_does_not_restart_for_ever(learner, start):
    learner("start", "3")
    code = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
    code += "\nimport time\nopen('static/js/made.js', 'w').write(f'// {time.time()}')\n"
    process = start(*run_forking(learner), cwd=learner.clone)
    process.wait_for("is served at")
    learner.write("websocket.py", code)
    process.wait_for("static/js/made.js changes whenever the app starts, so it is ignored")


# ---- Ports


def test_a_port_for_administrators_is_said_to_be_one(monkeypatch):
    def refuse(port):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(serving, "listen", refuse)
        patch.setattr(serving, "free_page_port", lambda first: first)
        with pytest.raises(serving.PortTaken, match="only for administrators: try --port 5000"):
            serving.chosen_port(80, 5000)


def test_a_page_is_never_given_the_port_of_the_tcp_source(monkeypatch):
    taken = free_port()
    monkeypatch.setattr(serving, "TCP_PORT", taken + 1)
    with socket.create_server(("127.0.0.1", taken)):
        assert serving.chosen_port(None, taken) > taken + 1
