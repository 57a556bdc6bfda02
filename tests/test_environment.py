"""The environment is made from the lock file, or the reason why not is one sentence."""

import ast
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pip
import psutil
import pytest
from repo import copy_repository, needs_links

from workshop import installing
from workshop.cli import main_group

BASE = Path(getattr(sys, "_base_executable", sys.executable))  # not the one in .venv
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
PATH = "sys.path.insert(0, '.')\nimport workshop"
PIP_INFO = map(str, Path(pip.__file__).parents[1].glob("pip-*.dist-info"))
# In place of `python -m venv`, which takes seconds: pip is copied from where the tests run.
QUICK_VENV = f"""
import shutil, subprocess, sys, sysconfig
from pathlib import Path
folder = sys.argv[1]
subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
packages = sysconfig.get_path("purelib", "venv", {{"base": folder, "platbase": folder}})
for path in {[str(Path(pip.__file__).parent), *PIP_INFO]!r}:
    shutil.copytree(path, Path(packages, Path(path).name))
"""
QUICKLY = f"""
import subprocess
real, quick_venv = subprocess.Popen, ["-c", {QUICK_VENV!r}]
def popen(command, **options):
    is_venv = command[1].endswith("tied.py") and command[2] == "venv"
    return real([command[0], *quick_venv, command[3]] if is_venv else command, **options)
subprocess.Popen = popen
"""


@pytest.fixture
def clone(tmp_path):
    """Of a clone without .venv, what is looked at before there is one."""
    return copy_repository(tmp_path / "clone", ["workshop", "Pipfile", "Pipfile.lock"])


@pytest.fixture
def small(clone):
    """A clone whose lock file holds one small package, so that its .venv is made fast."""
    lock = json.loads((clone / "Pipfile.lock").read_text(encoding="utf-8"))
    lock["default"] = {"h11": lock["default"]["h11"]}
    (clone / "Pipfile.lock").write_text(json.dumps(lock), encoding="utf-8", newline="\n")
    # The command itself is not wanted here, only that it is reached.
    (clone / "workshop/cli.py").write_text("def main(): print('inside')\n", encoding="utf-8")
    return clone


def command(*arguments, before="pass"):
    """What runs the command in a clone, after some code."""
    script = f"import runpy, sys\n{before}\nsys.argv[1:] = {arguments!r}; "
    script += "sys.argv[0] = 'workshop'; runpy.run_path('workshop', run_name='__main__')"
    return [BASE, "-c", script]


def workshop(clone, *arguments, before="pass", **environ):
    """Run the command in a clone: its exit code and its output, which never is a traceback."""
    result = subprocess.run(
        command(*arguments, before=before),
        cwd=clone,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    assert "Traceback" not in result.stdout, result.stdout
    return result.returncode, result.stdout


def needs_network(code, output):
    if (
        "no package index can be reached" in output
        and os.environ.get("WORKSHOP_REQUIRE_ALL") != "1"
    ):
        pytest.skip("no network: connect to one that has a package index")
    assert code == 0, output


@pytest.mark.thorough
@pytest.mark.network
@pytest.mark.long
def test_it_is_made_once_then_used_and_made_again_when_half_made_or_of_another_python(small):
    needs_network(*workshop(small, "run"))
    assert "Making" not in workshop(small, "run")[1]

    # Killed in the middle of a package, when its files were not all there.
    (installer,) = (small / ".venv").rglob("h11-*.dist-info/INSTALLER")
    installer.unlink()
    (small / ".venv/workshop.json").unlink()
    code, output = workshop(small, "run", before=QUICKLY)
    assert (code, "it isn't complete" in output) == (0, True), output
    assert list((small / ".venv").rglob("h11-*.dist-info/INSTALLER"))

    config = small / ".venv/pyvenv.cfg"
    text = config.read_text(encoding="utf-8")
    ours = f"version = 3.{sys.version_info[1]}"
    config.write_text(text.replace(ours, "version = 3.99"), encoding="utf-8")
    code, output = workshop(small, "run", before=QUICKLY)
    assert (code, "Making" in output) == (0, False), output
    assert "Using .venv, which has Python 3.99" in output
    config.write_text(text.replace(ours, "version = 3.10"), encoding="utf-8")
    code, output = workshop(small, "run", before=QUICKLY)
    assert (code, "its Python is gone or too old" in output) == (0, True), output
    assert not (small / ".venv.old").exists()


@pytest.fixture(params=["refuses", "is silent"])
def port(request):
    """A port on which nobody listens, or nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if request.param == "refuses":
            server.close()
            yield 9
        else:
            yield server.getsockname()[1]


def test_without_a_network_the_reason_is_one_sentence_and_what_was_there_stays(small, port):
    (small / ".venv").mkdir()
    (small / ".venv/mine.txt").write_text("kept", encoding="utf-8")
    settings = {
        "PIP_INDEX_URL": f"http://127.0.0.1:{port}/simple",
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "4",
        "PIP_DEFAULT_TIMEOUT": "4",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
    }
    code, output = workshop(small, "run", before=QUICKLY, **settings)
    assert code == 1
    assert "no package index can be reached" in output.splitlines()[-1]
    assert port == 9 or "waiting for the package index" in output
    assert [path.name for path in (small / ".venv").iterdir()] == ["mine.txt"]
    assert not (small / ".venv.old").exists()


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_in_the_place_of_venv_is_replaced_or_stays(fails, monkeypatch, tmp_path):
    place, aside = tmp_path / ".venv", tmp_path / ".venv.old"
    monkeypatch.setattr(installing, "VENV", place)
    monkeypatch.setattr(installing, "SET_ASIDE", aside)
    monkeypatch.setattr(installing, "UNFINISHED", place / "unfinished")
    place.write_text("a file", encoding="utf-8")
    with suppress(OSError), installing._kept_unless_replaced():
        place.mkdir()
        if fails:
            raise OSError
    assert (place.is_file(), aside.exists()) == (fails, False)


@pytest.mark.thorough
@pytest.mark.network
def test_a_package_that_is_not_the_locked_one_is_refused(small):
    lock = json.loads((small / "Pipfile.lock").read_text(encoding="utf-8"))
    lock["default"]["h11"]["hashes"] = ["sha256:" + "0" * 64]
    (small / "Pipfile.lock").write_text(json.dumps(lock), encoding="utf-8")
    code, output = workshop(small, "run", before=QUICKLY)
    if "no package index" in output:
        needs_network(code, output)
    assert code == 1
    assert "not the one that Pipfile.lock names" in output.splitlines()[-1]
    assert not (small / ".venv").exists()


@pytest.mark.thorough
@pytest.mark.network
def test_killed_while_venv_is_at_work_it_is_made_again(small, start):
    process = start(BASE, small / "workshop", "run")
    process.wait_for("Making .venv")
    while not (small / ".venv/workshop.unfinished").exists():
        assert process.process.poll() is None
    process.process.kill()
    process.process.wait()
    code, output = workshop(small, "run", before=QUICKLY)
    needs_network(code, output)
    assert "it wasn't finished" in output


@pytest.mark.thorough
@pytest.mark.network
@pytest.mark.skipif(os.name == "nt", reason="there, a lock is not inherited by what pip starts")
@pytest.mark.parametrize(
    "stage", [pytest.param("Making .venv", marks=pytest.mark.exhaustive), "Installing"]
)
def test_killed_in_the_middle_it_leaves_nothing_running_and_the_next_one_waits(small, start, stage):
    is_venv = stage == "Making .venv"  # which is to be venv itself, and not what makes it quickly
    first = start(*command("run", before="pass" if is_venv else QUICKLY), cwd=small)
    first.wait_for(stage)
    second = start(*command("run", before=QUICKLY), cwd=small)
    second.wait_for("Another command is making .venv")
    first.process.kill()
    first.process.wait()
    code, output = second.end(100)
    needs_network(code, output)
    assert "inside" in output
    assert "Traceback" not in output
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            assert str(small) not in " ".join(process.cmdline()), "something still runs"


@pytest.mark.thorough
@pytest.mark.network
def test_of_two_at_once_one_makes_it_and_the_other_waits(small, start):
    both = [start(*command("run", before=QUICKLY), cwd=small) for _ in range(2)]
    results = [one.end(100) for one in both]
    for code, output in results:
        needs_network(code, output)
        assert "inside" in output
        assert "Traceback" not in output
    assert sum("done in" in output for _, output in results) == 1


@pytest.mark.thorough
@pytest.mark.network
def test_in_a_folder_that_was_moved_it_is_made_again(small):
    needs_network(*workshop(small, "run"))
    moved = small.rename(small.with_name("class [2026] ünï 'x'"))
    code, output = workshop(moved, "run")
    assert (code, "this folder was moved" in output) == (0, True), output
    scripts = moved / ".venv" / SCRIPTS
    assert os.fsencode(moved) in next(scripts.glob("pip*")).read_bytes()
    assert "Making" not in workshop(moved, "run")[1]


@pytest.mark.thorough
@pytest.mark.network
def test_settings_of_pip_move_no_package_and_those_of_python_change_nothing(small, tmp_path):
    config = tmp_path / "pip.conf"
    config.write_text(f"[install]\ntarget = {tmp_path / 'target'}\n", encoding="utf-8")
    hides = tmp_path / "hides"
    hides.mkdir()
    for name in ("ast", "json", "click"):
        (hides / f"{name}.py").write_text("raise SystemExit('hidden')\n", encoding="utf-8")
    environ = {
        **{"PIP_TARGET": str(tmp_path / "target"), "PIP_DRY_RUN": "1", "PIP_USER": "1"},
        **{"PIP_CONFIG_FILE": str(config), "PIP_ROOT": str(tmp_path / "root")},
        **{"PYTHONPATH": str(hides), "PYTHONOPTIMIZE": "2", "PYTHONWARNINGS": "error"},
        **{"PYTHONIOENCODING": "ascii", "LC_ALL": "xx_XX.UTF-8"},
    }
    result = subprocess.run(
        [BASE, small / "workshop", "run"],
        cwd=tmp_path,
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=100,
    )
    needs_network(result.returncode, result.stdout)
    assert result.stdout.splitlines()[-1] == "inside"
    assert not (tmp_path / "target").exists()
    assert list((small / ".venv").rglob("h11-*.dist-info/INSTALLER"))


def test_what_pip_says_is_looked_at_before_it_is_believed(small):
    before = f"{QUICKLY}\nimport workshop.installing as e\nrun = e.run\n"
    before += "e.run = lambda p, module, *a: run(p, module, *a) if module == 'venv' else ''"
    code, output = workshop(small, "run", before=before.replace("import workshop", PATH))
    assert code == 1
    assert "lacks h11" in output
    assert not (small / ".venv").exists()


@needs_links
def test_a_link_to_another_environment_is_left_alone(small, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/file").write_text("mine", encoding="utf-8")
    (small / ".venv").symlink_to(tmp_path / "mine")
    code, output = workshop(small, "run")
    assert code == 1
    assert ".venv is a link" in output
    assert (tmp_path / "mine/file").read_text(encoding="utf-8") == "mine"


def test_ctrl_c_while_it_is_made_keeps_nothing_half_made(small, start):
    process = start(BASE, small / "workshop", "run")
    process.wait_for("Making .venv")
    process.interrupt()
    code, output = process.end(5)
    assert code != 0
    assert "Traceback" not in output
    assert not (small / ".venv").exists()


def test_a_python_without_ensurepip_is_told_what_to_install(small):
    code, output = workshop(small, "run", before="sys.modules['ensurepip'] = None")
    assert code == 1
    assert "sudo apt install python3-venv" in output.splitlines()[-1]


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("OSError(28, 'No space left on device')", "disk is full"),
        ("OSError(30, 'Read-only file system')", "cannot be written to"),
        ("PermissionError(13, 'Permission denied')", "may not be written to"),
    ],
)
def test_a_disk_that_cannot_be_written_to_gives_one_sentence(small, error, word):
    fail = f"(_ for _ in ()).throw({error})"
    before = f"import subprocess; subprocess.Popen = lambda *_, **__: {fail}"
    code, output = workshop(small, "run", before=before)
    assert code == 1
    assert word in output.splitlines()[-1]
    assert not (small / ".venv").exists()


@pytest.mark.skipif(os.name == "nt" or shutil.which("unshare") is None, reason="needs unshare")
def test_a_folder_that_is_read_only_gives_one_sentence(small):
    mount = (
        f"mount --bind '{small}' '{small}' && mount -o remount,ro,bind '{small}' && cd '{small}'"
    )
    script = f"{mount} && '{BASE}' -m workshop run"
    command = ["unshare", "--mount", "--map-root-user", "sh", "-c", script]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if "unshare" in result.stderr or "mount:" in result.stderr:
        pytest.skip("needs the right to mount in a namespace of its own")
    assert result.returncode == 1
    assert "cannot be written to" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_old_python_is_told_which_one_it_takes(clone):
    source = (clone / "workshop/__main__.py").read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 8))
    ast.parse((clone / "workshop/__init__.py").read_text(encoding="utf-8"), feature_version=(3, 8))
    code, output = workshop(clone, "run", before="sys.version_info = (3, 9, 2)")
    assert code == 1
    assert "3.11 or newer" in output
    assert "3.9" in output


def test_help_needs_no_environment(clone):
    code, output = workshop(clone, "--help")
    assert code == 0
    assert "run [TARGET]" in output
    shown = set(re.findall(r"^  (\w+) .*   ", output, re.MULTILINE))
    assert len(shown) > 4
    assert shown - set(main_group.commands) == set(), "there is no such command"
    assert not (clone / ".venv").exists()
