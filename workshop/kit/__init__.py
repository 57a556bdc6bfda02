"""A folder from which a class sets up without a network: repository, site, packages, start.py.

SHA256SUMS is written last and removed first, so that a folder that was interrupted is never taken
for a whole one.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workshop import branches, language, moving, site
from workshop.installing import requirement
from workshop.language import _
from workshop.venv import ROOT, locked, up_to

HERE = Path(__file__).resolve().parent
ABOUT, SUMS = "kit.json", "SHA256SUMS"
CLONABLE = "workshop.git"  # made when a kit is offered, and no part of it
AT_ONCE = 3  # downloads


class KitProblem(Exception):
    """The kit cannot be made; the message says why and what to do."""


def make(folder, pythons, targets, everything=False, solutions=False, say=print):
    """Make a kit for these Pythons and targets, or complete one; returns what cannot be had.

    That is a sentence for each package that has no wheel for a target. Raises KitProblem,
    branches.BranchProblem or OSError.
    """
    _require_place(folder)
    (folder / SUMS).unlink(missing_ok=True)
    moving.remove(folder / CLONABLE)
    about = {"pythons": pythons, "targets": [target.name for target in targets]}
    about |= {"everything": everything, "solutions": solutions, "wheels": _wheels_before(folder)}
    _write_about(folder, about)
    say(_("The repository and its branches …"))
    _add_repository(folder, solutions)
    say(_("The site …"))
    code = site.build(folder / "site")
    if code:
        raise KitProblem("the site could not be built: see above")
    wheels, lacking = _add_packages(folder / "packages", pythons, targets, everything, say)
    stale = set(about["wheels"]) - set(wheels)
    if lacking:  # what could not be found now may still be there from an earlier run
        wheels, stale = sorted({*wheels, *stale}), set()
    for name in stale:
        (folder / "packages" / name).unlink(missing_ok=True)
    _write_about(folder, {**about, "wheels": wheels})
    for name in ("start.py", "index.html"):
        shutil.copyfile(HERE / name, folder / name)
    add_language(folder)
    _add_sums(folder)
    return lacking


def add_language(folder):
    """Add what start.py needs to speak other languages, before anything is installed."""
    shutil.copyfile(language.__file__, folder / "language.py")
    shutil.copytree(language.LOCALE, folder / language.LOCALE.name, dirs_exist_ok=True)


def _require_place(folder):
    if folder.exists() and not folder.is_dir():
        raise KitProblem(f"{folder} is a file: name a folder")
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / ABOUT).is_file():
        raise KitProblem(f"{folder} contains something else: choose a new folder for the kit")


def _wheels_before(folder):
    """The names of the wheels that an earlier run put there: only those may be removed."""
    try:
        names = json.loads((folder / ABOUT).read_text(encoding="utf-8"))["wheels"]
        return [name for name in names if name.endswith(".whl") and Path(name).name == name]
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return []


def _write_about(folder, about):
    _write(folder / ABOUT, json.dumps(about, indent=2) + "\n")


def _add_repository(folder, solutions):
    """The repository as a git bundle, and without its history as a zip for those without git."""
    branches.make()
    kinds = ["exercise", "solution"] if solutions else ["exercise"]
    current = branches.git("rev-parse", "--symbolic-full-name", "HEAD").strip()
    refs = ["HEAD", *([current] if current != "HEAD" else [])]
    refs += [f"--glob=refs/heads/{kind}/*" for kind in kinds]
    branches.git("bundle", "create", "--quiet", str(folder / "workshop.bundle"), *refs)
    archive = ["archive", "--format=zip", "--prefix=quart-websocket-workshop/"]
    branches.git(*archive, f"--output={folder / 'workshop.zip'}", "HEAD")


def _add_packages(folder, pythons, targets, everything, say):
    """Add the wheels for all Pythons and targets; returns their names, and what cannot be had.

    That is a sentence for each package that has no wheel for a target.
    """
    folder.mkdir(exist_ok=True)
    for left in folder.glob(".new-*"):  # by a run that was interrupted
        moving.remove(left)
    sets = up_to("maintenance" if everything else "develop")
    packages = {name: entry for group in sets for name, entry in locked(group).items()}
    pairs = [(python, target) for target in targets for python in pythons]
    wheels = set()

    def add(lines, python, target):
        names, why = download(lines, folder, python, target)
        wheels.update(names)
        return why

    def fetch(pair):
        python, target = pair
        lines = {
            name: requirement(name, {"version": entry["version"], "hashes": entry["hashes"]})
            for name, entry in packages.items()
            if target.needs(entry.get("markers"), python)
        }
        words = _("{count} packages for Python {python} on {system} …")
        say(words.format(count=len(lines), python=python, system=target.name))
        if add(list(lines.values()), python, target) is None:
            return []
        # One at a time, to say which of them cannot be had.
        whys = {name: add([line], python, target) for name, line in lines.items()}
        return [
            f"{name} {packages[name]['version'][2:]} for Python {python} on {target.name}: {why}"
            for name, why in whys.items()
            if why
        ]

    with ThreadPoolExecutor(AT_ONCE) as pool:
        lacking = [sentence for sentences in pool.map(fetch, pairs) for sentence in sentences]
    return sorted(wheels), lacking


def download(lines, folder, python, target):
    """Download wheels into a folder; returns their names, and None or why it cannot be done."""
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder) as place:
        requirements = Path(place, "requirements.txt")
        _write(requirements, "".join(lines))
        platforms = [f"--platform={name}" for name in target.platforms]
        options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--quiet", *platforms]
        options += [f"--python-version={python}", "--implementation=cp", f"--dest={place}/wheels"]
        options += [f"--find-links={folder}", "--disable-pip-version-check", "--no-input"]
        command = [sys.executable, "-m", "pip", "download", *options, "-r", str(requirements)]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8")
        wheels = list(Path(place).glob("wheels/*.whl"))  # those that were there already, too
        for wheel in wheels:
            moving.replace(wheel, folder / wheel.name)
    names = [wheel.name for wheel in wheels]
    if result.returncode == 0:
        return names, None
    reasons = [line for line in result.stderr.splitlines() if line.startswith("ERROR: ")]
    return names, reasons[-1].removeprefix("ERROR: ") if reasons else "pip gives no reason"


def _add_sums(folder):
    lines = []
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            lines.append(f"{digest}  {path.relative_to(folder).as_posix()}\n")
    _write(folder / f"{SUMS}.new", "".join(lines))
    moving.replace(folder / f"{SUMS}.new", folder / SUMS)


def size(folder):
    """How large a kit is, in megabytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def _write(path, text):
    path.write_text(text, encoding="utf-8", newline="\n")
