"""A learner's way: start, check, hint, diff, and nothing lost whatever is in the way."""

import os
import re
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from repo import COMMAND, COMMAND_THAT_FORKS, STEPS, Learner, new_learner

from workshop import machine
from workshop.steps import find_exercise


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


def test_without_a_command_it_says_where_one_is_and_what_comes_next(learner):
    code, output = learner()
    assert code == 0
    assert "03_echo: Echo" in output
    assert f"Next: {machine.COMMAND} start 1" in output


def test_start_shows_the_task_and_puts_the_start_into_the_folder(learner):
    code, output = learner("start", "3")
    assert code == 0
    assert "Write a WebSocket route at /ws" in output
    assert f"{machine.COMMAND} check" in output
    assert not (learner.folder / "tests").exists()
    for number in (3, 5, 6, 7, 8):
        code, output = learner("start", number)
        assert code == 0
        assert find_exercise(str(number)).heading in output
        before = STEPS[number - 2] / "websocket.py"
        assert (learner.folder / "websocket.py").read_bytes() == before.read_bytes()


@pytest.mark.parametrize("number", "678")
def test_the_steps_that_go_further_can_be_started(learner, number):
    code, output = learner("start", number)
    assert code == 0, output
    before = STEPS[int(number) - 2] / "websocket.py"
    assert (learner.folder / "websocket.py").read_bytes() == before.read_bytes()


def test_start_1_starts_from_a_skeleton_with_three_gaps(learner):
    learner.write("websocket.py", "mine = True\n")
    code, output = learner("start", "1")
    assert code == 0, output
    assert "websocket/ holds this step's files, with 3 gaps to fill." in output
    texts = [path.read_text("utf-8") for path in learner.folder.rglob("*") if path.is_file()]
    assert sum(text.count("Gap: ") for text in texts) == 3
    (attempt,) = (learner.clone / "attempts").iterdir()
    assert (attempt / "websocket.py").read_text(encoding="utf-8") == "mine = True\n"
    code, output = learner("check")
    assert code == 1
    assert "Fix this first" in output and "is there an @app.get for it?" in output


def test_an_earlier_attempt_is_kept_and_can_be_brought_back(learner):
    learner("start", "3")
    learner.write("websocket.py", "mine = True\n")
    _, output = learner("start", "4")
    (attempt,) = (learner.clone / "attempts").iterdir()
    assert attempt.name in output
    assert attempt.name.endswith("_03_echo")
    assert attempt.name in learner("start", "--back")[1]
    code, _ = learner("start", "--back", attempt.name)
    assert code == 0
    assert (learner.folder / "websocket.py").read_text() == "mine = True\n"
    assert learner.progress()["started"] == "03_echo"
    assert not attempt.exists()
    assert [path.name[-13:] for path in (learner.clone / "attempts").iterdir()] == ["04_javascript"]


def test_check_tells_every_check_and_what_to_look_at_first(learner):
    learner("start", "3")
    code, output = learner("check")
    assert code == 1
    assert "✗ a message comes back with echo in front" in output
    assert "✓ 8 checks of earlier steps pass" in output
    assert "Fix this first: a message comes back with echo in front" in output
    assert "is there an @app.websocket for it?" in output
    for jargon in ("pytest", "conftest", "assert ", "fixture", "site-packages"):
        assert jargon not in output


def test_check_says_where_the_code_differs_from_the_solution(learner):
    learner("start", "3")
    text = find_exercise("3").solution["websocket.py"].decode()
    code = text.replace("await websocket.send", "websocket.send")
    (learner.folder / "websocket.py").write_text(code)
    line = code[: code.index("websocket.send(")].count("\n") + 1
    output = learner("check")[1]
    assert (
        f'  The solution differs at websocket.py, line {line}, `websocket.send(f"echo {{data}}")`: '
        "it has `await` there.\n"
    ) in output


def test_a_finished_exercise_is_noted_and_the_next_one_offered(learner):
    learner("start", "2")
    for name, path in (("Pipfile", "Pipfile"), ("templates/index.html", "templates/index.html")):
        learner.write(name, (STEPS[1] / path).read_bytes())
    code, output = learner("check")
    assert code == 0, output
    assert "02_install is done" in output
    assert learner.progress()["done"] == ["02_install"]
    assert "start 3" in output
    assert "start 1" in learner()[1]  # the first that is not done


def test_check_on_a_real_server_says_the_same(learner):
    learner("start", "3")
    learner.write("websocket.py", (STEPS[2] / "websocket.py").read_bytes())
    learner.write("templates/index.html", (STEPS[2] / "templates/index.html").read_bytes())
    code, output = learner("check", "--live")
    assert code == 0, output
    assert "checks pass: 03_echo is done" in output


def test_hints_come_one_by_one_and_say_how_many_are_left(learner):
    learner("start", "3")
    seen = [learner("hint")[1] for _ in range(4)]
    assert "2 hints are left" in seen[0]
    assert "1 hint is left" in seen[1]
    assert "That was the last hint" in seen[2]
    assert len(set(seen)) == 3  # the last one stays


def test_diff_shows_only_the_files_that_differ_from_the_solution(learner):
    learner("start", "3")
    code, output = learner("diff")
    assert code == 0
    assert '+@app.websocket("/ws")' in output
    assert "-      <h1>Step 2: Installation</h1>" in output
    assert "websocket.css" not in output
    assert "progress.json" not in output


def test_doctor_has_a_line_for_each_thing_and_an_exit_code(learner):
    code, output = learner("doctor")
    assert code == int("✗" in output)
    for word in ("Python 3", ".venv", "Pipfile.lock", "port 5000", "browser", "git", "clock"):
        assert word in output
    learner.environ |= {"http_proxy": "http://proxy.invalid:3128", "no_proxy": ""}
    code, output = learner("doctor")
    assert (code, "✗ no proxy" in output) == (1, True)


def test_doctor_installs_nothing(clone):
    command, environ = (
        [sys.executable, "-m", "workshop", "doctor"],
        {**os.environ, "PYTHONUTF8": "1"},
    )
    result = subprocess.run(
        command, cwd=clone, capture_output=True, encoding="utf-8", timeout=60, env=environ
    )
    assert result.returncode == 1, result.stderr
    assert f"✗ .venv has what running a step needs: {machine.COMMAND} run installs it" in (
        result.stdout
    )
    assert not (clone / ".venv").exists()


@pytest.mark.parametrize("kind", ["http_proxy", "https_proxy"])
@pytest.mark.parametrize("excepted", ["", "127.0.0.1"])
def test_doctor_names_a_proxy_that_would_come_between(learner, kind, excepted):
    learner.environ |= {kind: "http://proxy.invalid:3128", "no_proxy": excepted}
    output = learner("doctor")[1]
    assert ("set NO_PROXY=127.0.0.1,localhost" in output) == (not excepted)


@pytest.mark.parametrize("command", ["check", "diff", "hint"])
def test_without_a_folder_it_says_what_makes_one(learner, command):
    code, output = learner(command)
    assert code == 1
    assert "start" in output


@pytest.mark.parametrize("command", [["start", "3"], ["check", "3"], ["run"], []])
def test_a_file_called_websocket_is_left_alone(learner, command):
    (learner.clone / "websocket").write_text("a file", encoding="utf-8")
    code, output = learner(*command)
    assert code == (1 if command else 0)
    assert "rename the file" in output
    assert (learner.clone / "websocket").read_text(encoding="utf-8") == "a file"


def test_an_unknown_exercise_is_named_with_those_there_are(learner):
    code, output = learner("start", "99")
    assert code == 2
    assert "05_whos_online" in output


@pytest.mark.parametrize(
    "content",
    [
        *[b"", b"{", b"[]", b'{"started": 9}', b"\xff"],
        b'{"started": null, "done": [], "hints": {"03_echo": 1e999}}',
    ],
)
def test_damaged_progress_is_noticed_and_nothing_else_breaks(learner, content):
    learner("start", "3")
    learner.write("progress.json", content)
    code, output = learner()
    assert code == 0
    assert "could not be read" in output
    assert (learner.folder / "websocket.py").is_file()
    assert learner("hint", "3")[0] == 0


def test_check_goes_on_without_progress_that_can_be_read(learner):
    learner("start", "3")
    learner.write("progress.json", "{")
    assert "Fix this first" in learner("check", "3")[1]


def test_deleted_progress_is_noticed_and_check_takes_the_number(learner):
    learner("start", "3")
    (learner.folder / "progress.json").unlink()
    assert "is not there" in learner()[1]
    assert "name its number" in learner("check")[1]
    assert "Fix this first" in learner("check", "3")[1]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param(
            b"name = '\xff'\n",
            "websocket.py, line 1: SyntaxError",
            id="not UTF-8",
            marks=pytest.mark.thorough,  # `run` tells these in the same words: test_command.py
        ),
        pytest.param(
            b"import quart\n\nquart.Qart()\n",
            "websocket.py, line 3: AttributeError",
            id="exception",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            b"import quart\napp = quart.Quart(__name__)\nasync def ws(:\n",
            "websocket.py, line 3",
            id="syntax error",
        ),
        pytest.param(b"raise SystemExit(1)\n", "websocket.py, line 1: SystemExit", id="exits"),
        pytest.param(b"import os\nos._exit(3)\n", "the code ended Python itself", id="ends Python"),
        pytest.param(b"name = input()\n", "a server has nobody who types", id="asks"),
    ],
)
def test_code_that_cannot_be_loaded_is_told_with_its_line(learner, code, told):
    learner("start", "3")
    learner.write("websocket.py", code)
    exit_code, output = learner("check")
    assert exit_code == 1
    assert told in output


def test_a_module_beside_the_app_can_be_imported(learner):
    learner("start", "2")
    learner.write("helper.py", "page = 'index.html'\n")
    code = (learner.folder / "websocket.py").read_text(encoding="utf-8")
    code = code.replace('"index.html"', "helper.page").replace(
        "from quart", "import helper\nfrom quart"
    )
    learner.write("websocket.py", code)
    assert "✓ 5 checks of earlier steps pass" in learner("check")[1]


def test_what_the_code_prints_is_shown(learner):
    learner("start", "2")
    code = (learner.folder / "websocket.py").read_text(encoding="utf-8")
    learner.write("websocket.py", code.replace("    return", "    print('I am here')\n    return"))
    assert "printed: I am here" in learner("check")[1]


def test_an_app_that_runs_itself_at_the_bottom_can_be_checked(learner):
    learner("start", "2")
    with (learner.folder / "websocket.py").open("a", encoding="utf-8") as file:
        file.write("\napp.run()\n")
    code, output = learner("check")
    assert code == 1
    assert "✓ 5 checks of earlier steps pass" in output


def test_what_needs_a_browser_is_looked_at_when_all_else_passes(learner):
    learner("start", "4")
    _, output = learner("check")
    assert "✗ the page names the step" in output
    assert "· html shows as text" in output
    assert "haven't run yet" in output


def test_a_loop_without_an_end_is_told_with_its_line_and_nothing_is_left_out(clone):
    learner = Learner(clone)
    checking = clone / "workshop/outcomes.py"
    text, places = re.subn(r"^BUSY = .*", "BUSY = 0.5", checking.read_text("utf-8"), flags=re.M)
    assert places == 1, "how long code may be busy stands in one place"
    checking.write_text(text, encoding="utf-8")
    learner("start", "3")
    code = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
    assert "        data = await websocket.receive()" in code
    code = code.replace("        data =", "        continue\n        data =")
    learner.write("websocket.py", code)
    exit_code, output = learner("check")
    assert exit_code == 1
    line = code.splitlines().index("        continue")
    assert re.search(rf"websocket.py, line {line}|websocket.py, line {line + 1}", output), output
    assert "a loop without an end" in output
    assert re.search(r"· \d+ checks of earlier steps haven.t run yet", output), output


def test_what_is_never_awaited_is_told_with_its_line(learner):
    learner("start", "3")
    code = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
    learner.write("websocket.py", code.replace("await websocket.send", "websocket.send"))
    line = code.partition(".send(")[0].count("\n") + 1
    _, output = learner("check")
    assert f"websocket.py, line {line}: coroutine 'Websocket.send' was never awaited" in output


@pytest.fixture
def watching(learner, start):
    """`check --watch` of step 2 on what `code` is."""

    def watch(code=None):
        learner("start", "2")
        if code:
            learner.write("websocket.py", code)
        command = [*COMMAND_THAT_FORKS, learner.clone, "check", "--watch"]
        return start(*command, cwd=learner.clone)

    return watch


def test_check_watch_checks_again_at_a_save_and_follows_to_the_exercise_started_next(
    learner, watching
):
    process = watching()
    process.wait_for("there is no Pipfile yet")
    process.wait_for("Watching")
    learner.write("Pipfile", (STEPS[1] / "Pipfile").read_bytes())
    process.wait_for("✓ the pipfile names what the app imports")
    process.wait_for("Watching")
    learner("start", "3")
    process.wait_for("✗ a message comes back with echo in front")
    process.wait_for("Watching")
    learner.write("websocket.py", (STEPS[2] / "websocket.py").read_bytes())
    process.wait_for("✓ a message comes back with echo in front")
    process.interrupt()
    assert process.end(5)[0] == 130


@pytest.mark.thorough
def test_when_a_check_is_killed_nothing_of_it_goes_on(learner, start, tmp_path):
    learner("start", "3")
    pids = tmp_path / "pids"
    code = f"import os\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\nwhile True: pass\n"
    learner.write("websocket.py", code)
    process = start(sys.executable, "-c", COMMAND, "check", cwd=learner.clone)
    deadline = time.monotonic() + 30
    while not pids.exists() or not pids.read_text().strip():
        assert time.monotonic() < deadline, process.output
    process.process.kill()
    for pid in map(int, pids.read_text().split()):
        while is_running(pid):
            assert time.monotonic() < deadline, f"process {pid} still runs"


def is_running(pid):
    with suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
        return text.rpartition(")")[2].split()[0] != "Z"
    return False


@pytest.mark.thorough
def test_a_save_during_a_check_ends_it_and_starts_anew(learner, watching, tmp_path):
    begun = tmp_path / "begun"
    process = watching(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(60)\n")
    deadline = time.monotonic() + 30
    while not begun.exists():
        assert time.monotonic() < deadline, process.output
    learner.write("websocket.py", (STEPS[1] / "websocket.py").read_bytes())
    process.wait_for("websocket.py changed")
    process.wait_for("✓ 5 checks of earlier steps pass")
    assert "busy" not in process.output
    process.interrupt()
    assert process.end(5)[0] == 130
