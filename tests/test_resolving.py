"""The newest and the lowest versions without the lock: what is asked for, and what is told."""

import json
import sys
import tomllib

import pytest
from click.testing import CliRunner
from packaging.specifiers import SpecifierSet
from repo import ROOT

from workshop import installing, locking, resolving, venv
from workshop.commands import maintenance
from workshop.environment import base_python
from workshop.installing import EnvironmentFailed

PIPFILE = """
[packages]
quart = ">=0.20.0"
uvicorn = "~=0.54.0"
[dev-packages]
redis = {version = ">=7.0,<9", markers = "sys_platform != 'win32'"}
[maintenance]
ruff = "*"
"""
OFFLINE = """\
ERROR: Could not find a version that satisfies the requirement h11 (from versions: none)
ERROR: No matching distribution found for h11
"""
CONFLICT = """
The conflict is caused by:
    The user requested quart==0.20.0
    flask 4.0 depends on werkzeug>=9

ERROR: ResolutionImpossible: for help visit a page
"""
NO_SUCH = """\
ERROR: Could not find a version that satisfies the requirement quart==0.20.9 (from versions: 1.0)
ERROR: No matching distribution found for quart==0.20.9
"""
RESOLVED = resolving._resolved  # before a fixture replaces it
HERE = {"markers": "python_version >= '3.11'"}
ELSEWHERE = {"version": "==1.0", "markers": "sys_platform == 'amiga'"}
BEFORE = {
    "_meta": 1,
    "default": {"quart": {"version": "==1.0"}, "no-longer-needed": {"version": "==1.0"}},
    "develop": {"click": {"version": "==1.0", **HERE}, "elsewhere": ELSEWHERE},
    "maintenance": {"quart": {"version": "==1.0"}},
}
FAILING = ["steps/03_echo/tests/test_echo.py::test_a", "tests/test_docs.py::test_b[c]"]


def locked():
    return {name: entry for group in venv.SETS for name, entry in venv.locked(group).items()}


def test_every_package_has_a_lower_bound_and_the_lock_is_within_the_bounds():
    pipfile = (ROOT / "Pipfile").read_text(encoding="utf-8")
    tables = tomllib.loads(pipfile)
    lowest = resolving.wanted("lowest", pipfile, "maintenance")  # fails where there is no bound
    assert len(lowest) == sum(len(tables[name]) for name in resolving.HEADINGS.values())
    for heading in resolving.HEADINGS.values():
        for name, entry in tables[heading].items():
            bounds = entry if isinstance(entry, str) else entry["version"]
            assert SpecifierSet(bounds).contains(locked()[name]["version"][2:]), name


def test_of_each_set_the_bounds_or_the_lowest_versions_are_asked_for():
    assert resolving.wanted("newest", PIPFILE, "maintenance") == [
        "quart>=0.20.0",
        "uvicorn~=0.54.0",
        "redis>=7.0,<9 ; sys_platform != 'win32'",
        "ruff",
    ]
    assert resolving.wanted("lowest", PIPFILE, "develop") == [
        "quart==0.20.0",
        "uvicorn==0.54.0",
        "redis==7.0 ; sys_platform != 'win32'",
    ]
    with pytest.raises(resolving.CannotResolve, match="a lower bound for ruff"):
        resolving.wanted("lowest", PIPFILE, "maintenance")


@pytest.fixture
def lock(monkeypatch, tmp_path):
    """Run `lock` in this process, with a stand-in for what installs and tests: code and output."""
    chosen = {name: dict(entry) for name, entry in locked().items() if name in ("quart", "click")}
    chosen["quart"]["version"] = "==99.0"
    chosen["novel"] = {"version": "==1.2", "hashes": []}
    told = {"exit code": 0, "failing": [], "packages": chosen, "place": tmp_path / "places"}
    told["place"].mkdir()

    def copy(folder):
        folder.mkdir()
        (folder / "Pipfile.lock").write_text(json.dumps(BEFORE), encoding="utf-8")

    def run_tests(command, folder):
        told["command"] = command
        told["lock"] = json.loads((folder / "Pipfile.lock").read_text(encoding="utf-8"))
        cache = folder / ".pytest_cache/v/cache"
        cache.mkdir(parents=True)
        if told["failing"]:
            noted = json.dumps(dict.fromkeys(told["failing"], True))
            (cache / "lastfailed").write_text(noted, encoding="utf-8")
        return told["exit code"]

    monkeypatch.chdir(ROOT)  # and back, after what the command does
    monkeypatch.setattr(resolving, "_copy_workshop", copy)
    monkeypatch.setattr(resolving, "_resolved", lambda *rest: told["packages"])
    monkeypatch.setattr(resolving, "_run_to_the_end", run_tests)
    monkeypatch.setattr(resolving.tempfile, "tempdir", str(told["place"]))

    def run(*arguments):
        result = CliRunner().invoke(maintenance.lock, [str(word) for word in arguments])
        assert not result.exception or isinstance(result.exception, SystemExit), result.exc_info
        assert list(told["place"].iterdir()) == [], "something is left behind"
        return result.exit_code, result.output

    run.told = told
    return run


def test_the_versions_that_differ_are_listed_and_the_copys_lock_has_them(lock):
    code, output = lock("--newest", "--check")
    assert code == 0
    before = locked()["quart"]["version"][2:]
    version = sys.version.split()[0]
    assert f"The newest versions for Python {version}: 2 differ" in output
    assert f"  quart {before} → 99.0\n" in output
    assert "  novel not locked → 1.2\n" in output
    assert "click" not in output
    assert output.endswith(f"With the newest versions on Python {version}, all tests pass.\n")
    quart, click, novel = (lock.told["packages"][name] for name in ("quart", "click", "novel"))
    assert lock.told["lock"] == {
        "_meta": 1,
        "default": {"quart": quart, "novel": novel},
        "develop": {"click": click | HERE, "elsewhere": ELSEWHERE},
        "maintenance": {"quart": quart},
    }


@pytest.mark.parametrize(
    ("given", "tested"),
    [
        ([], ["steps"]),
        (["-k", "echo"], ["steps", "-k", "echo"]),
        (["steps/03_echo"], ["steps/03_echo"]),
        (["--suite"], []),
        (["--suite", "--all"], ["--all"]),
    ],
)
def test_the_steps_are_tested_or_what_is_named_or_everything(lock, given, tested):
    assert lock("--lowest", "--check", *given)[0] == 0
    python, workshop, *words = lock.told["command"]
    assert python == base_python()
    assert workshop.endswith("workshop")
    assert words == ["test", *tested, "--ignore=tests/test_lock.py"]


def test_failing_checks_are_named_in_the_output_and_in_the_report(lock, tmp_path):
    lock.told |= {"exit code": 1, "failing": FAILING}
    code, output = lock("--lowest", "--check", "--report", tmp_path / "report.txt")
    assert code == 1
    lines = output.splitlines()
    assert "2 checks fail:" in lines[-3]
    assert lines[-2:] == [f"  {name}" for name in FAILING]
    assert (tmp_path / "report.txt").read_text(encoding="utf-8") == output
    lock.told |= {"exit code": 4, "failing": []}
    code, output = lock("--lowest", "--check")
    assert (code, "the tests ended with code 4" in output) == (4, True)


def test_without_check_nothing_is_tested(lock):
    assert lock("--newest")[0] == 0
    assert "command" not in lock.told


@pytest.mark.parametrize(
    "words", [["--check"], ["--suite"], ["steps"], ["--newest", "steps"], ["--newest", "--suite"]]
)
def test_what_does_not_go_together_is_a_usage_error(lock, words):
    assert lock(*words)[0] == 2
    assert "command" not in lock.told


def test_what_is_no_python_is_said(lock, tmp_path):
    for python in ("no-such-python", tmp_path, "git"):
        code, output = lock("--newest", "--python", python)
        assert (code, "is not a Python" in output) == (1, True)


@pytest.mark.parametrize(
    ("printed", "says"),
    [
        (OFFLINE, "no package index can be reached"),
        (CONFLICT, "requested quart==0.20.0; flask 4.0 depends on werkzeug>=9"),
        (NO_SUCH, "there is no quart==0.20.9"),
    ],
)
def test_why_no_versions_are_found_is_one_sentence(lock, monkeypatch, tmp_path, printed, says):
    def run(python, module, *rest, **options):
        if module == "pip":
            raise EnvironmentFailed(installing.cause(printed), printed)

    monkeypatch.setattr(installing, "run", run)
    monkeypatch.setattr(installing, "pip_environ", dict)
    monkeypatch.setattr(resolving, "_resolved", RESOLVED)
    report = tmp_path / "report.txt"
    code, output = lock("--newest", "--check", "--report", report)
    assert code == 1
    assert output.splitlines()[-1].startswith("Error: ")
    assert says in output.splitlines()[-1]
    assert says in report.read_text(encoding="utf-8")


def test_the_lock_is_made_on_the_oldest_python_only(monkeypatch):
    monkeypatch.setattr(maintenance.environment, "ensure", lambda *sets: None)
    monkeypatch.setattr(locking, "PYTHONS", ("3.10", "3.11"))
    result = CliRunner().invoke(maintenance.lock, [])
    assert result.exit_code == 1
    assert "must suit Python 3.10, and .venv has 3." in result.output


@pytest.mark.thorough
def test_ctrl_c_stops_it_and_leaves_nothing_behind(workshop, tmp_path):
    started = workshop("lock", "--newest", env={"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)})
    started.wait_for("Making an environment")
    started.interrupt()
    code, output = started.end()
    assert code == 130
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.exhaustive
@pytest.mark.network
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["newest", "lowest"])
def test_a_step_passes_with_the_versions_that_pip_finds(workshop, tmp_path, kind):
    environ = {"TMPDIR": str(tmp_path), "TEMP": str(tmp_path)}
    code, output = workshop("lock", f"--{kind}", "--check", "steps/03_echo", env=environ).end(500)
    assert code == 0, output
    assert "all tests pass" in output
    assert list(tmp_path.glob("workshop-*")) == []  # beside pytest's own
