"""What differs on Windows and macOS: emulated here where it can be, and tried on the real ones.

What can't be emulated is skipped here: a workflow runs it there.
"""

import ast
import ctypes
import locale
import os
import runpy
import shutil
import socket
import stat
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest
from repo import COMMAND, ROOT, STEPS, new_learner

from harness import inprocess, loading
from harness.failures import NoApp
from workshop import (
    checking,
    doctor,
    environment,
    installing,
    machine,
    moving,
    serving,
    tied,
    venv,
    watching,
)
from workshop import learner as learners

on_windows = pytest.mark.skipif(os.name != "nt", reason="runs on Windows")
BUSY = PermissionError(13, "Zugriff verweigert")
# Starts a program that runs for a minute in another folder, and says its number.
PARENT = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from workshop.tied import end_with_parent
end_with_parent()
code = "import time; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-S", "-c", code], cwd=sys.argv[2])
print(child.pid, flush=True)
child.wait()
"""
# Starts a program that reads all that it is given, and says what that was.
GIVEN = """
import subprocess, sys
sys.path.insert(0, sys.argv[1])
from workshop.tied import end_with_parent
end_with_parent()
subprocess.run([sys.executable, "-S", "-c", "import sys; print(repr(sys.stdin.read()))"])
"""

# The same in an app, before it is served.
IN_AN_APP = """
import subprocess, sys

from quart import Quart

app = Quart(__name__)


@app.before_serving
async def start_a_program():
    subprocess.run([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"], timeout=10)
"""


def started(script, *arguments):
    command = [sys.executable, "-S", "-c", script, str(ROOT), *map(str, arguments)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, encoding="utf-8", start_new_session=True)


def os_of_windows():
    """The module os as on Windows, by its name; os itself stays, which pytest uses."""
    module = ModuleType("os")
    vars(module).update(vars(os), name="nt")
    return module


@pytest.fixture
def as_on_windows(monkeypatch):
    """Let some modules of the workshop take this for Windows."""
    for module in (doctor, machine, serving, watching):
        monkeypatch.setattr(module, "os", os_of_windows())


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


# ---- Processes that end with the one that started them


@pytest.mark.parametrize("how", ["end", "the parent ends"])
def test_what_was_started_ends_too_and_its_folder_can_be_renamed(tmp_path, how):
    folder = tmp_path / "websocket"
    folder.mkdir()
    with started(PARENT, folder) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        if how == "end":
            tied.end(parent)
        else:
            parent.stdin.close()
            parent.wait(10)
    with suppress(psutil.NoSuchProcess):
        assert child.status() == psutil.STATUS_ZOMBIE or child.wait(10) is None
    moving.rename(folder, tmp_path / "attempt")


def test_no_program_that_is_started_has_the_pipe_that_is_being_read():
    with started(GIVEN) as parent:
        timer = threading.Timer(20, parent.kill)
        timer.start()
        assert parent.stdout.read() == "''\n"
        timer.cancel()


def test_no_program_that_an_app_starts_has_the_pipe_either(tmp_path):
    (tmp_path / "websocket.py").write_text(IN_AN_APP, encoding="utf-8")
    with serving.served(tmp_path) as served:
        assert "is served at" in "".join(served.lines)


def test_on_windows_a_job_ends_what_was_started(monkeypatch):
    kernel = Mock()
    kernel.CreateJobObjectW.return_value = 7
    kernel.GetCurrentProcess.return_value = 8
    monkeypatch.setattr(ctypes, "WinDLL", {"kernel32": kernel}.get, raising=False)
    tied.stay_together()
    (job, kind, limits, size), _ = kernel.SetInformationJobObject.call_args
    # As <winnt.h> has it.
    number, size_t = ctypes.c_uint32, ctypes.c_size_t
    basic = [("time", ctypes.c_int64 * 2), ("LimitFlags", number), ("sets", size_t * 2)]
    basic += [("most", number), ("affinity", size_t), ("classes", number * 2)]
    basic = type("Basic", (ctypes.Structure,), {"_fields_": basic})
    extended = [("basic", basic), ("counters", ctypes.c_uint64 * 6), ("memory", size_t * 4)]
    extended = type("Extended", (ctypes.Structure,), {"_fields_": extended})
    seen = ctypes.cast(limits, ctypes.POINTER(extended)).contents
    assert (job.value, kind, size) == (7, 9, ctypes.sizeof(extended))
    assert seen.basic.LimitFlags == 0x2000 | 0x800
    (job, process), _ = kernel.AssignProcessToJobObject.call_args
    assert (job.value, process.value) == (7, 8)
    # Without this, ctypes would cut a handle to 32 bits.
    assert kernel.CreateJobObjectW.restype is kernel.GetCurrentProcess.restype is ctypes.c_void_p


@on_windows
def test_after_a_check_nothing_keeps_the_folder_from_being_moved(learner):
    learner("start", "4")
    learner.write("websocket.py", "this is no Python\n")
    assert learner("check")[0] == 1
    code, output = learner("start", "5", "--theirs")
    assert code == 0, output


def test_the_first_word_of_a_check_may_come_late_and_no_other_one(monkeypatch):
    monkeypatch.setattr(checking, "SILENCE", 0.3)
    monkeypatch.setattr(checking, "LONG_TURN", 0.05)
    words = ['{"checks": ["one", "two"]}', '{"running": "one"}']
    script = f"import time; time.sleep(1); print('\\n'.join({words!r}), flush=True); input()"
    script = f"import sys; sys.stdin.readline()\n{script}"

    class Late(checking.Checker):
        def _warm_up(self):
            self.command = [sys.executable, "-S", "-c", script]
            return super()._warm_up()

    checks = list(Late(STEPS[2], [STEPS[2] / "tests"]).check())
    assert [(one.words, one.outcome) for one in checks] == [("one", "failed"), ("two", "later")]
    assert "didn't finish" in checks[0].reason


# ---- Files that another program has open


def failing(times, error=BUSY):
    """A stand-in for a method of Path that fails so many times before it does its work."""

    def method(real):
        left = iter([error] * times)

        def instead(*arguments):
            for problem in left:
                raise problem
            return real(*arguments)

        return instead

    return method


@pytest.fixture
def patient(monkeypatch):
    monkeypatch.setattr(moving, "SECONDS", 5)


@pytest.mark.parametrize("name", ["rename", "replace"])
def test_what_a_scanner_has_open_for_a_moment_is_moved_once_it_is_closed(
    monkeypatch, patient, tmp_path, name
):
    (tmp_path / "new").write_text("done", encoding="utf-8")
    monkeypatch.setattr(Path, name, failing(2)(getattr(Path, name)))
    assert getattr(moving, name)(tmp_path / "new", tmp_path / "old") == tmp_path / "old"
    assert (tmp_path / "old").read_text(encoding="utf-8") == "done"


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_what_stays_open_is_not_waited_for_any_longer(monkeypatch, tmp_path, seconds):
    monkeypatch.setattr(moving, "SECONDS", seconds)
    monkeypatch.setattr(Path, "rename", failing(1000)(Path.rename))
    (tmp_path / "mine").mkdir()
    with pytest.raises(PermissionError):
        moving.rename(tmp_path / "mine", tmp_path / "attempt")
    assert (tmp_path / "mine").is_dir()


@pytest.fixture
def folder(monkeypatch, tmp_path):
    """The learner's folder, in this process."""
    folder, attempts = tmp_path / "websocket", tmp_path / "attempts"
    places = {"FOLDER": folder, "PROGRESS": folder / "progress.json", "ATTEMPTS": attempts}
    for name, place in {**places, "MOVING": attempts / ".moving"}.items():
        monkeypatch.setattr(learners, name, place)
    folder.mkdir()
    return folder


def test_nothing_of_a_learners_is_lost_while_a_scanner_looks_at_it(monkeypatch, patient, folder):
    exercise = learners.find_exercise("3")
    learners.start(exercise)
    (folder / "websocket.py").write_text("mine = True\n", encoding="utf-8")
    for name in ("rename", "replace"):
        monkeypatch.setattr(Path, name, failing(2)(getattr(Path, name)))
    progress = learners.Progress()
    progress.note_done(exercise)
    kept = learners.start(learners.find_exercise("4"))
    assert (kept / "websocket.py").read_text(encoding="utf-8") == "mine = True\n"
    assert learners.Progress().done == ["03_echo"]
    assert not (folder.parent / "attempts/.moving").exists()


@pytest.fixture
def as_windows_removes(monkeypatch):
    """As on Windows, nothing that is read-only is removed, nor what is called `in use`."""
    monkeypatch.setattr(moving, "SECONDS", 0)
    real = os.unlink

    def unlink(path, *, dir_fd=None):
        if os.path.basename(path) == "in use":
            raise BUSY
        if not os.stat(path, dir_fd=dir_fd, follow_symlinks=False).st_mode & stat.S_IWUSR:
            raise BUSY
        real(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)


def as_git_writes(folder):
    """A folder with files that are read-only, as git's objects are."""
    for name in ("objects/ab", "objects/cd"):
        path = folder / ".git" / name
        path.mkdir(parents=True)
        (path / "object").write_bytes(b"x")
        (path / "object").chmod(0o444)


def test_what_git_made_read_only_is_removed(as_windows_removes, tmp_path):
    as_git_writes(tmp_path / "old")
    with pytest.raises(PermissionError):
        shutil.rmtree(tmp_path / "old")
    moving.remove(tmp_path / "old")
    assert list(tmp_path.iterdir()) == []
    moving.remove(tmp_path / "old")  # that it isn't there is no problem


def test_the_kits_start_removes_what_an_interrupted_one_has_left(as_windows_removes, tmp_path):
    start = runpy.run_path(str(ROOT / "workshop/kit/start.py"))
    as_git_writes(tmp_path / "workshop.new")
    start["remove"](str(tmp_path / "workshop.new"))
    assert list(tmp_path.iterdir()) == []


# ---- The environment


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Where .venv is made, in this process."""
    place = tmp_path / ".venv"
    for module in (installing, venv):
        monkeypatch.setattr(module, "VENV", place)
        monkeypatch.setattr(module, "SET_ASIDE", tmp_path / ".venv.old")
        monkeypatch.setattr(module, "UNFINISHED", place / "unfinished")
    return place


@pytest.mark.parametrize("is_whole", [True, False])
def test_an_environment_in_use_is_never_left_removed_in_part(
    as_windows_removes, place, tmp_path, is_whole
):
    (place / "lib").mkdir(parents=True)
    for name in ("lib/package.py", "in use", *([] if is_whole else ["unfinished"])):
        (place / name).write_text("old", encoding="utf-8")
    for made in ("new", "newer"):
        with installing._kept_unless_replaced():
            assert not place.exists()
            place.mkdir()
            (place / made).touch()
        assert [path.name for path in place.iterdir()] == [made]
    kept = [path.name for path in tmp_path.glob(".venv.old.gone*/*" if is_whole else "*.gone*/*")]
    assert kept == ["in use"], "what can't be removed yet is in nobody's way"


def test_an_environment_that_cannot_be_moved_stays_as_it_is(monkeypatch, place):
    place.mkdir()
    for name in ("package.py", "unfinished"):
        (place / name).write_text("old", encoding="utf-8")
    monkeypatch.setattr(Path, "rename", failing(1000)(Path.rename))
    with pytest.raises(PermissionError), installing._kept_unless_replaced():
        pytest.fail("it was made anew")
    assert len(list(place.iterdir())) == 2


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "PermissionError: [WinError 32] Kein Zugriff: 'x'",
            "still uses .venv",
        ),
        (
            "ERROR: … OSError: [WinError 5] Zugriff verweigert\nCheck the permissions.",
            "editor",
        ),
        (
            "OSError: [WinError 112] Zu wenig Speicherplatz",
            "disk is full",
        ),
        ("OSError: [WinError 206] Der Dateiname ist zu lang", "shorter"),
        (
            "ERROR: Could not install packages due to an OSError: [Errno 2] No such file: 'x'\n"
            "HINT: This error might have occurred since this system does not have Windows Long "
            "Path support enabled.",
            "shorter",
        ),
        ("PermissionError: [Errno 13] Permission denied: 'x'", "may not be written to"),
    ],
)
def test_what_windows_says_in_any_language_becomes_a_sentence(said, words):
    assert words in installing.cause(said)


def test_an_environment_whose_pyvenv_cfg_python_cannot_read_is_made_again(monkeypatch, place):
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    monkeypatch.setattr(venv, "PYTHON", python)
    monkeypatch.setattr(venv, "PIP", place / "pip")
    base = [sys._base_executable, "-m", "venv", "--without-pip", str(place)]
    subprocess.run(base, check=True, timeout=60)
    assert venv.works()
    config = place / "pyvenv.cfg"
    config.write_bytes(config.read_bytes() + "prompt = Jörg\n".encode("cp1252"))
    assert subprocess.run([python, "-c", ""], capture_output=True, timeout=60).returncode != 0
    assert not venv.works()


def test_how_far_it_is_needs_no_terminal_that_can_erase(monkeypatch, capsys):
    monkeypatch.setattr(machine, "is_terminal", lambda stream: True)
    with installing.Progress("Installing", 12) as progress:
        progress.waiting = "waiting for the package index"
        progress.show("")
        progress.show("Collecting one")
    waiting, first, _ = capsys.readouterr().out.split("\r")[1:]
    assert waiting == "Installing … waiting for the package index"
    assert first == "Installing … 1 of 12".ljust(len(waiting))


def test_an_environment_that_lacks_a_module_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(environment, "enter", lambda: None)
    monkeypatch.setattr(sys, "argv", ["workshop", "run"])
    monkeypatch.setitem(sys.modules, "workshop.cli", None)
    monkeypatch.delattr("workshop.cli", raising=False)
    main = runpy.run_path(str(ROOT / "workshop/__main__.py"))["main"]
    with pytest.raises(SystemExit, match=r"isn't complete any more .* delete it"):
        main()


@pytest.mark.thorough
def test_no_package_has_a_longer_path_than_doctor_takes_for_granted():
    folder = Path(sys.prefix)
    paths = [path.relative_to(folder) for path in folder.glob("[Ll]ib/**/*")]
    below = max(len(str(path).partition("site-packages")[2]) for path in paths)
    assert 50 < len(r"\Lib\site-packages") + below <= doctor.LONGEST


@pytest.mark.parametrize(("length", "is_well"), [(80, True), (110, False)])
def test_on_windows_doctor_tells_whether_packages_fit(monkeypatch, as_on_windows, length, is_well):
    monkeypatch.setattr(doctor, "_has_long_paths", lambda: False)
    monkeypatch.setattr(doctor.venv, "VENV", Path("C" * length))
    monkeypatch.setattr(doctor.environment, "is_ready", lambda *sets: False)
    found = {what: well for what, well, _ in doctor.examine()}
    assert found["the path of this folder is short enough for all packages"] == is_well


# ---- What to type


@pytest.mark.parametrize(("there", "command"), [(True, "py"), (False, "python")])
def test_on_windows_nothing_that_is_to_be_typed_is_called_python3(monkeypatch, there, command):
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "which", lambda name: name if there else None)
        patch.setitem(sys.modules, "os", os_of_windows())
        names = runpy.run_path(str(ROOT / "workshop/machine.py"))
    assert names["COMMAND"] == f"{command} -m workshop"


def test_every_hint_names_the_command_of_this_system():
    # Where COMMAND is made, put in place of another one, or read on other systems.
    others = {"machine.py", "__main__.py", "branches.py", "board/app.py", "kit/offer.py"}
    for path in (ROOT / "workshop").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docs = {ast.get_docstring(node, clean=False) for node in ast.walk(tree) if has_doc(node)}
        texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        name = path.relative_to(ROOT / "workshop").as_posix()
        typed = [text for text in texts - docs if isinstance(text, str) and "python3 -m " in text]
        assert name in others or not typed, f"{name} should use COMMAND: {typed}"


def has_doc(node):
    return isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)


@pytest.mark.parametrize(
    ("words", "typed"),
    [
        ([r".venv\Scripts\python.exe", "-m", "pip"], r".venv\Scripts\python.exe -m pip"),
        ([r"C:\My Code\python.exe", "-m"], r'& "C:\My Code\python.exe" -m'),
        (["git", r"C:\O'Neil\a&b"], r"""git "C:\O'Neil\a&b" """.strip()),
    ],
)
def test_on_windows_what_is_printed_to_be_typed_is_quoted(as_on_windows, words, typed):
    assert machine.as_typed(*words) == typed


@on_windows
def test_powershell_runs_what_is_printed():
    typed = machine.as_typed(sys.executable, "-c", "print('it''s')".replace("''", ""))
    shell = ["powershell", "-NoProfile", "-Command", typed]
    assert subprocess.run(shell, capture_output=True, timeout=60).stdout.strip() == b"its"


# ---- Ports


def test_a_port_can_be_had_again_at_once_also_while_a_client_of_before_is_connected():
    with serving.listen(0) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection((serving.HOST, port), timeout=10)
        accepted = listener.accept()[0]
    with accepted, client, serving.listen(port) as again:
        assert again.getsockname()[1] == port


def test_on_windows_no_port_is_shared(as_on_windows):
    with serving.listen(0) as listener:
        assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_a_port_that_another_program_has_on_all_addresses_is_taken():
    with serving.listen(0, serving.EVERYWHERE) as airplay:
        assert not serving.is_free(airplay.getsockname()[1])


def test_a_port_that_windows_keeps_for_itself_is_left_out(monkeypatch, capsys, as_on_windows):
    real = serving.listen

    def listen(port, *rest):
        if port in (80, 17_000):
            raise PermissionError(13, "WinError 10013")
        return real(port, *rest)

    monkeypatch.setattr(serving, "listen", listen)
    assert serving.chosen_port(None, 17_000) > 17_000
    assert "Port 17000 is taken" in capsys.readouterr().out
    for port in (80, 17_000):
        with pytest.raises(serving.PortTaken, match=f"port {port} is taken: try --port"):
            serving.chosen_port(port, 17_000)


# ---- Disks


@pytest.mark.parametrize("made", [1, 2])
def test_on_a_network_drive_a_folder_is_told_from_another_one_by_when_it_was_made(
    monkeypatch, as_on_windows, made
):
    def path(seconds):
        state = SimpleNamespace(st_dev=0, st_ino=0, st_ctime_ns=seconds)
        return lambda folder: SimpleNamespace(stat=lambda: state)

    identities = []
    for seconds in (1, made):
        monkeypatch.setattr(watching, "Path", path(seconds))
        identities.append(watching._identity("websocket"))
    assert (identities[0] == identities[1]) == (made == 1)


# Renamed in a right project, and what is said of it.
CASES = {
    "templates": ("Templates", "Templates should be called templates"),
    "static": ("Static", "Static should be called static"),
    "Pipfile": ("pipfile", "pipfile should be called Pipfile"),
    "static/js/websocket.js": (
        "static/js/WebSocket.js",
        "static/js/WebSocket.js is js/websocket.js in the code",
    ),
    "templates/index.html": ("templates/Index.html", "templates/Index.html is index.html in"),
}


@pytest.fixture
def ignoring_case(monkeypatch):
    """As on a disk that ignores upper and lower case."""
    monkeypatch.setattr(loading, "ignores_case", lambda project: True)


@pytest.mark.parametrize("name", CASES)
def test_a_name_that_only_differs_in_case_is_told_where_it_makes_no_difference(
    ignoring_case, tmp_path, name
):
    project = shutil.copytree(STEPS[3], tmp_path / "websocket")
    other, says = CASES[name]
    (project / name).rename(project / other)
    app = inprocess.load(project)
    assert isinstance(app, NoApp)
    assert says in app.reason
    assert "Linux" in app.reason


def test_names_that_are_right_are_not_told_wrong_where_case_makes_no_difference(
    ignoring_case, tmp_path
):
    for step in STEPS:
        app = inprocess.load(step)
        assert not isinstance(app, NoApp), app.reason
    project = shutil.copytree(STEPS[3], tmp_path / "websocket")
    (project / "templates").rename(project / "Views")
    code = (project / "websocket.py").read_text(encoding="utf-8")
    code = code.replace("Quart(__name__", "Quart(__name__, template_folder='Views'")
    (project / "websocket.py").write_text(code, encoding="utf-8")
    app = inprocess.load(project)
    assert not isinstance(app, NoApp), app.reason


def test_where_case_makes_no_difference_check_says_so(tmp_path):
    (tmp_path / "name").touch()
    if not (tmp_path / "NAME").exists():
        pytest.skip("runs where names of files ignore case, as on macOS and Windows")
    project = shutil.copytree(STEPS[3], tmp_path / "websocket")
    (project / "templates").rename(project / "for a moment")
    (project / "for a moment").rename(project / "Templates")
    app = inprocess.load(project)
    assert isinstance(app, NoApp)
    assert "Templates should be called templates" in app.reason


# ---- Languages and code pages


def test_git_may_speak_another_language(learner):
    learner.environ |= {"LANGUAGE": "de", "LC_ALL": "C.UTF-8", "LANG": "de_DE.UTF-8"}
    learner.environ["GIT_CEILING_DIRECTORIES"] = str(learner.clone.parent)
    code, output = learner("branches")
    assert code == 1
    assert "this is not a git repository: clone the workshop with git" in output


@on_windows
def test_the_command_prints_in_the_code_page_of_windows(learner):
    environ = {**os.environ, "PYTHONUTF8": "0"}
    environ.pop("PYTHONIOENCODING", None)
    for arguments in (["start", "3"], ["check"], ["hint"], ["diff"], ["doctor"]):
        result = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            cwd=learner.clone,
            env=environ,
            capture_output=True,
            timeout=100,
        )
        text = (result.stdout + result.stderr).decode(locale.getencoding())
        assert "Traceback" not in text, f"{arguments}: {text}"
