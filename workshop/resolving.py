"""The newest or the lowest versions that Pipfile allows, and whether the tests pass with them.

It all happens in a copy of the workshop, whose Pipfile.lock is replaced by what pip chose. So each
command there uses these versions, as it uses the locked ones here.
"""

import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from packaging.markers import Marker

from workshop import branches, installing, machine, testing, venv
from workshop.installing import EnvironmentFailed

NEWEST, LOWEST = "newest", "lowest"
# The headings in Pipfile of what the sets of the lock file are for.
HEADINGS = {"default": "packages", "develop": "dev-packages", "maintenance": "maintenance"}
LOWER_BOUND = re.compile(r"(?:>=|~=|==)\s*([\w.]+)")
# Why pip finds no versions that go together, as it prints it.
CONFLICT = re.compile(
    r"^ +(.+ depends on .+|The user requested .+)$"
    r"|satisfies the requirement (\S+) \(from versions: (?!none)",
    re.MULTILINE,
)
STOPPING_SECONDS = 60  # for the tests to end after Ctrl-C
ABOUT_PYTHON = "import platform, sys; print(platform.python_version(), sys.version_info >= (3, 11))"


class CannotResolve(Exception):
    """No such versions can be found; the message says why."""


def wanted(kind, pipfile, last):
    """Lines for pip: the packages in the text of a Pipfile that its sets up to `last` name.

    With LOWEST, each in the lowest version that the Pipfile allows.
    """
    tables = tomllib.loads(pipfile)
    lines = []
    for group in venv.up_to(last):
        for name, entry in tables[HEADINGS[group]].items():
            entry = {"version": entry} if isinstance(entry, str) else entry
            version = "" if entry["version"] == "*" else entry["version"]
            if kind == LOWEST:
                bound = LOWER_BOUND.search(version)
                if not bound:
                    raise CannotResolve(f"Pipfile needs a lower bound for {name}, such as >=1.0")
                version = f"=={bound[1]}"
            marker = f" ; {entry['markers']}" if "markers" in entry else ""
            lines.append(f"{name}{version}{marker}")
    return lines


def resolve(kind, python, arguments=None, say=print):
    """Find the versions, say which differ from the lock, and test with them; returns an exit code.

    `python` is the command of the Python that is to use them. `arguments` are those of `test`; with
    None nothing is tested. Raises CannotResolve, EnvironmentFailed, BranchProblem or OSError.
    Nothing is left behind.
    """
    version = _version_of(python)
    last = "maintenance" if arguments is None else testing.last_set(arguments)
    lines = wanted(kind, (venv.ROOT / "Pipfile").read_text(encoding="utf-8"), last)
    with tempfile.TemporaryDirectory(prefix="workshop-", ignore_cleanup_errors=True) as place:
        copy = Path(place).resolve() / "copy"
        _copy_workshop(copy)
        packages = _resolved(lines, python, copy, f"Finding the {kind} versions")
        differing = list(_differing(packages))
        say(f"The {kind} versions for Python {version}: {len(differing)} differ from Pipfile.lock.")
        for line in differing:
            say(f"  {line}")
        if arguments is None:
            return 0
        _replace_versions(copy / "Pipfile.lock", packages, version)
        # What tests the lock file itself would only find that this one is another.
        command = [python, str(copy / "workshop"), "test", *arguments]
        code = _run_to_the_end([*command, "--ignore=tests/test_lock.py"], copy)
        names = _failed(copy)
        what = f"With the {kind} versions on Python {version},"
        if names:
            say(f"{what} {len(names)} {'check fails' if len(names) == 1 else 'checks fail'}:")
            for name in names:
                say(f"  {name}")
        else:
            say(f"{what} {f'the tests ended with code {code}' if code else 'all tests pass'}.")
        return code


def _version_of(python):
    """The version of a Python that can make the environment, such as 3.13.0."""
    try:
        result = subprocess.run(
            [python, "-c", ABOUT_PYTHON], capture_output=True, check=True, encoding="utf-8"
        )
        version, is_new_enough = result.stdout.split()
    except (OSError, ValueError, subprocess.CalledProcessError):
        raise CannotResolve(f"{python} is not a Python: name one, such as python3.13") from None
    if is_new_enough != "True":
        raise CannotResolve(f"{python} is Python {version}: the workshop needs 3.11 or newer")
    return version


def _copy_workshop(copy):
    """Clone the workshop, with the files as they are here now, committed or not."""
    branches.git("clone", "--quiet", "--no-checkout", str(venv.ROOT), str(copy))
    branches.git("-C", str(copy), "reset", "--quiet")
    names = branches.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in map(Path, filter(None, names.split("\0"))):
        if name.parts[0] != "websocket" and (venv.ROOT / name).is_file():  # not a learner's own
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(venv.ROOT / name, copy / name)


def _resolved(lines, python, copy, title):
    """The packages that pip would install in an environment of this Python, as the lock has them.

    The environment stays, with pip only, as the copy's .venv.
    """
    place = copy / venv.VENV.name
    their_python = place / venv.PYTHON.relative_to(venv.VENV)
    requirements, report = copy.parent / "requirements.txt", copy.parent / "report.json"
    requirements.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
    options = ["--dry-run", "--ignore-installed", "--no-input", "--progress-bar=off"]
    pip = ["install", *options, "--report", str(report), "-r", str(requirements)]
    with installing.Progress("Making an environment"):
        installing.run(python, "venv", [str(place)], machine.environ())
    with installing.Progress(title) as progress:
        progress.wait_for("the package index")
        try:
            installing.run(their_python, "pip", pip, installing.pip_environ(), show=progress.show)
        except EnvironmentFailed as failure:
            if conflicts := list(CONFLICT.finditer(failure.output)):
                why = "; ".join(found[1] or f"there is no {found[2]}" for found in conflicts)
                raise CannotResolve(f"no such versions are compatible: {why}") from None
            raise
    found = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {
        installing.plain(item["metadata"]["name"]): {
            "version": f"=={item['metadata']['version']}",
            "hashes": [f"sha256:{item['download_info']['archive_info']['hashes']['sha256']}"],
        }
        for item in found
    }


def _replace_versions(path, packages, version):
    """Give a lock file these packages, in their sets, and for this Python no others."""
    content = json.loads(path.read_text(encoding="utf-8"))
    python = {"python_full_version": version, "python_version": version.rpartition(".")[0]}
    locked = {}
    for name in venv.SETS:
        entries, content[name] = content[name], {}
        for package, entry in entries.items():
            is_wanted = Marker(entry.get("markers", "os_name != ''")).evaluate(python)
            if package in packages:
                kept = {"markers": entry["markers"]} if is_wanted and "markers" in entry else {}
                content[name][package] = packages[package] | kept
            elif not is_wanted:  # it is for another platform, or an older Python
                content[name][package] = entry
        locked |= content[name]
    content["default"] |= {name: packages[name] for name in packages.keys() - locked.keys()}
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8", newline="\n")


def _differing(packages):
    """A line for each package that the lock has in another version, or not at all."""
    locked = {name: entry for group in venv.SETS for name, entry in venv.locked(group).items()}
    for name, entry in sorted(packages.items()):
        version = entry["version"].removeprefix("==")
        before = locked.get(name, {"version": "not locked"})["version"].removeprefix("==")
        if version != before:
            yield f"{name} {before} → {version}"


def _run_to_the_end(command, folder):
    """Run a command in a folder, which Ctrl-C stops, too; its exit code."""
    with subprocess.Popen(command, cwd=folder) as child:
        try:
            return child.wait()
        except BaseException:
            # The terminal has sent Ctrl-C to it as well: let it clean up.
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOPPING_SECONDS)
            child.kill()
            raise


def _failed(copy):
    """The names of the tests that failed, as pytest has noted them."""
    try:
        noted = (copy / ".pytest_cache/v/cache/lastfailed").read_text(encoding="utf-8")
    except OSError:
        return []
    return sorted(json.loads(noted))
