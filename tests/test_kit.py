"""A kit sets up a machine without a network, says what it lacks, and can be offered to a class."""

import ast
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from repo import ROOT, STEPS, free_port

from workshop import kit as making
from workshop.kit import ABOUT, SUMS
from workshop.kit.targets import SYSTEMS
from workshop.venv import locked

START = ROOT / "workshop/kit/start.py"
WHEEL = "packages/h11-0.16.0-py3-none-any.whl"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"
SYSTEM = {"win32": "windows", "darwin": "macos"}.get(sys.platform, "linux")


@pytest.fixture
def kit(tmp_path):
    """What looks like a kit for this machine, with one package that nobody could install."""
    folder = tmp_path / "kit"
    (folder / "packages").mkdir(parents=True)
    shutil.copy(START, folder / "start.py")
    (folder / WHEEL).write_bytes(b"a wheel")
    targets = [target.name for target in SYSTEMS[SYSTEM]]
    about = {"pythons": [HERE], "targets": targets, "everything": False}
    (folder / ABOUT).write_text(json.dumps(about), encoding="utf-8")
    names = ["start.py", ABOUT, WHEEL]
    digests = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names]
    lines = [f"{digest}  {name}\n" for digest, name in zip(digests, names, strict=True)]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")
    return folder


def start(folder, place, python=sys.executable, code="en"):
    """What start.py says on its standard error, and its exit code."""
    environ = dict(os.environ, WORKSHOP_LANGUAGE=code, PYTHONUTF8="1")
    options = {"cwd": place, "env": environ, "capture_output": True, "encoding": "utf-8"}
    result = subprocess.run([python, folder / "start.py"], **options, timeout=60)
    assert "Traceback" not in result.stderr
    return result.returncode, result.stderr


def test_a_package_that_is_missing_or_altered_is_named(kit, tmp_path):
    (kit / WHEEL).write_bytes(b"another")
    named = "The package h11 0.16.0 (for any Python, any system)"
    changed = f"{named} has changed since the kit was made: copy the kit again.\n"
    assert start(kit, tmp_path) == (1, changed)
    (kit / WHEEL).unlink()
    assert start(kit, tmp_path) == (1, f"{named} is missing: copy the kit again.\n")


def test_start_speaks_the_language_that_is_asked_for_if_the_kit_has_it(kit, tmp_path):
    (kit / WHEEL).unlink()
    making.add_language(kit)
    before = sorted(kit.rglob("*"))
    german = "Das Paket h11 0.16.0 (für jedes Python, jedes System) fehlt: Kopiere das Kit"
    assert start(kit, tmp_path, code="de") == (1, f"{german} noch einmal.\n")
    assert start(kit, tmp_path, code="tlh")[1].startswith("The package h11")
    assert sorted(kit.rglob("*")) == before


def test_a_kit_that_was_interrupted_is_not_taken_for_whole(kit, tmp_path, learner):
    (kit / SUMS).unlink()
    assert "isn't complete" in start(kit, tmp_path)[1]
    code, output = learner("kit", str(kit), "--serve")
    assert (code, "isn't complete" in output) == (1, True)


def test_a_kit_for_other_pythons_or_systems_says_so(kit, tmp_path):
    about = json.loads((kit / ABOUT).read_text(encoding="utf-8"))
    (kit / ABOUT).write_text(json.dumps({**about, "pythons": ["3.99"]}), encoding="utf-8")
    assert f"for Python 3.99, and this is Python {HERE}" in start(kit, tmp_path)[1]
    (kit / ABOUT).write_text(json.dumps({**about, "targets": ["Plan 9"]}), encoding="utf-8")
    assert "packages for Plan 9, and this is" in start(kit, tmp_path)[1]


def test_a_folder_that_holds_something_else_is_left_alone(kit, tmp_path, learner):
    mine = tmp_path / "quart-websocket-workshop/mine.txt"
    mine.parent.mkdir()
    mine.write_text("mine", encoding="utf-8")
    assert "contains something else" in start(kit, tmp_path)[1]
    code, output = learner("kit", str(mine.parent))
    assert (code, "contains something else" in output) == (1, True)
    assert mine.read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--python", "3.9"], "choose from 3.11,3.12,3.13"),
        (["--for", "beos"], "beos is not a system"),
        (["--lan"], "go with --serve"),
        (["--serve"], "is not a kit"),
    ],
)
def test_what_a_kit_cannot_be_is_one_sentence(options, told, tmp_path, learner):
    code, output = learner("kit", str(tmp_path / "new"), *options)
    assert code in (1, 2)
    assert told in output


def test_each_machine_needs_what_its_own_markers_say():
    entries = {**locked("default"), **locked("develop"), **locked("maintenance")}
    targets = [target for system in SYSTEMS.values() for target in system]

    def who_needs(name, python):
        marker = entries[name]["markers"]
        return {target.name for target in targets if target.needs(marker, python)}

    assert who_needs("pywin32", "3.12") == {"Windows (x86-64)", "Windows (arm64)"}
    assert who_needs("appnope", "3.12") == {"macOS (Apple silicon)", "macOS (Intel)"}
    assert len(who_needs("async-timeout", "3.11")) == len(targets), "Debian 12 has Python 3.11.2"
    assert who_needs("async-timeout", "3.12") == set()
    assert len(who_needs("quart", "3.13")) == len(targets)


@pytest.mark.parametrize(
    ("lacking", "left"),
    [([], ["mine.whl", "new.whl"]), (["old is not found"], ["mine.whl", "new.whl", "old.whl"])],
)
def test_wheels_of_an_earlier_lock_are_removed_and_nothing_else(
    tmp_path, monkeypatch, lacking, left
):
    packages = tmp_path / "kit/packages"
    runs = iter([(["old.whl"], []), (["new.whl"], lacking)])

    def add_packages(folder, *_):
        folder.mkdir(exist_ok=True)
        names, told = next(runs)
        (folder / names[0]).write_bytes(b"")
        return names, told

    monkeypatch.setattr(making, "_add_repository", lambda *_: None)
    monkeypatch.setattr(making, "_add_packages", add_packages)
    monkeypatch.setattr(making.site, "build", lambda _: 0)
    for _ in range(2):
        making.make(tmp_path / "kit", ["3.11"], [], say=lambda _: None)
        (packages / "mine.whl").write_bytes(b"")
    assert sorted(path.name for path in packages.iterdir()) == left
    told = (tmp_path / "kit" / SUMS).read_text(encoding="utf-8")
    assert ("packages/old.whl" in told) == ("old.whl" in left)


def test_start_can_be_read_by_an_old_python():
    ast.parse(START.read_text(encoding="utf-8"), feature_version=(3, 8))


def test_what_is_offered_is_a_page_and_an_index_of_packages(kit, tmp_path, workshop):
    bundle = ["git", "bundle", "create", "-q", str(kit / "workshop.bundle"), "HEAD"]
    subprocess.run(bundle, cwd=ROOT, check=True, timeout=60)
    port = free_port()
    process = workshop("kit", kit, "--serve", "--port", port)
    process.wait_for("is offered at")
    url = f"http://127.0.0.1:{port}"

    def get(path):
        with urllib.request.urlopen(url + path, timeout=10) as answer:
            return answer.read().decode()

    assert f"git clone {url}/workshop.git" in get("/")
    assert Path(WHEEL).name in get("/simple/H11/")
    assert get(f"/{WHEEL}") == "a wheel"
    with pytest.raises(urllib.error.HTTPError):
        get("/simple/nothing/")
    clone = ["git", "clone", "-q", f"{url}/workshop.git", str(tmp_path / "clone")]
    subprocess.run(clone, check=True, timeout=60)
    assert (tmp_path / "clone/README.md").is_file()
    process.interrupt()
    assert process.end()[0] == 130


def offline(command, place, home):
    """Run a command where there is no network and no setting of anybody's."""
    path = os.environ["PATH"] if os.name == "nt" else "/usr/local/bin:/usr/bin:/bin"
    return subprocess.run(
        ["unshare", "-rn", "sh", "-c", 'ip link set lo up; exec "$@"', "sh", *map(str, command)],
        cwd=place,
        env={"HOME": str(home), "PATH": path, "PYTHONUTF8": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=180,
    )


@pytest.fixture(scope="session")
def whole_kit(tmp_path_factory):
    """A real kit for this kind of machine."""
    folder = tmp_path_factory.mktemp("kit") / "kit"
    command = [sys.executable, "-m", "workshop", "kit", folder, "--for", SYSTEM]
    result = subprocess.run(
        [*command, "--python", "3.11,3.13"], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    if "not satisfy" in result.stderr and os.environ.get("WORKSHOP_REQUIRE_ALL") != "1":
        pytest.skip("no network: connect to one that has a package index")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.mark.exhaustive
@pytest.mark.network
@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", ["3.11", "3.13"])
def test_without_a_network_start_is_all_that_a_learner_types(version, whole_kit, tmp_path):
    python = find_python(version)
    if not python or not shutil.which("unshare"):
        pytest.skip(f"no Python {version} or no unshare: install both")
    (tmp_path / "home").mkdir()
    result = offline([python, whole_kit / "start.py"], tmp_path, tmp_path / "home")
    assert result.returncode == 0, result.stdout
    clone = tmp_path / "quart-websocket-workshop"
    shutil.copytree(STEPS[2], clone / "websocket")
    check = [python, "-m", "workshop", "check", "3"]
    result = offline(check, clone, tmp_path / "home")
    assert result.returncode == 0, result.stdout


def find_python(version):
    """A Python of this version: the system's, one on the PATH, or one that pyenv has; or None."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    names = [f"/usr/bin/python{version}", f"python{version}", sys.executable]
    names += sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    return next(
        filter(lambda name: name and is_version(name, version), map(shutil.which, names)), None
    )


def is_version(python, version):
    """Whether a Python is there and has this version."""
    command = [python, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=20)
    return result.stdout.strip() == version
