"""Pipfile.lock, made anew so that it is good for every platform and names no package index."""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from workshop.venv import LOCK, ROOT, SETS

PYTHONS = ("3.11", "3.12", "3.13")
# What a marker has in it, and the platforms whose wheels are then locked.
PLATFORMS = {
    "win32": ("win_amd64", "win_arm64"),
    "darwin": ("macosx_11_0_arm64",),
    "python_full_version": ("any",),
}


HASH = "from pipenv.project import Project; print(Project().pipfile.calculate_hash())"


class WrongPython(Exception):
    """The lock would not suit every Python; the message says which one to use."""


def plain_pip():
    """The variables of this process without any settings for pip, as a dictionary.

    pipenv puts the indexes that pip's settings name into the hash of Pipfile; the one that is
    committed is that of somebody who has set nothing.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**environ, "PIP_CONFIG_FILE": os.devnull}


def hash_of_pipfile():
    """The hash of Pipfile by which pipenv knows whether the lock belongs to it.

    Raises subprocess.CalledProcessError where pipenv fails.
    """
    return subprocess.run(
        [sys.executable, "-c", HASH],
        cwd=ROOT,
        env=plain_pip(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout.strip()


def lock():
    """Lock the newest versions of what Pipfile names; pipenv prints how it goes.

    Raises WrongPython, or subprocess.CalledProcessError where pipenv or pip fails.
    """
    ours = ".".join(map(str, sys.version_info[:2]))
    if ours != PYTHONS[0]:
        # A package has one version in the lock, and newer ones often need a newer Python.
        raise WrongPython(
            f"Pipfile.lock must suit Python {PYTHONS[0]}, and .venv has {ours}: "
            f"make .venv with Python {PYTHONS[0]}, then lock"
        )
    environ = {**os.environ, "PIPENV_IGNORE_VIRTUALENVS": "1", "PIPENV_VENV_IN_PROJECT": "1"}
    subprocess.run([sys.executable, "-m", "pipenv", "lock"], cwd=ROOT, env=environ, check=True)
    content = json.loads(LOCK.read_text(encoding="utf-8"))
    content["_meta"]["hash"]["sha256"] = hash_of_pipfile()
    # pipenv writes the address of a package index here; where packages come from is pip's matter.
    content["_meta"]["sources"] = []
    for packages in (content[name] for name in SETS):
        for name, entry in packages.items():
            entry.pop("index", None)
            if not re.fullmatch(r"==[\w.]+", entry.get("version", "")):
                # pipenv cannot lock what is for other platforms or Pythons only: it leaves the
                # version out, or puts the bounds from Pipfile there.
                entry.update(_version_and_hashes(name, entry["markers"]))
    text = json.dumps(content, indent=4, sort_keys=True)
    LOCK.write_text(text + "\n", encoding="utf-8", newline="\n")


def _version_and_hashes(name, marker):
    platforms = next(PLATFORMS[key] for key in PLATFORMS if key in marker)
    version, hashes = "", set()
    for platform in platforms:
        for python in PYTHONS:
            with tempfile.TemporaryDirectory() as folder:
                target = ["--platform", platform, "--python-version", python, "--dest", folder]
                options = ["--quiet", "--no-deps", "--only-binary=:all:", *target]
                subprocess.run(
                    [sys.executable, "-m", "pip", "download", *options, name + version], check=True
                )
                (wheel,) = Path(folder).iterdir()
                version = "==" + wheel.name.split("-")[1]
                hashes.add("sha256:" + hashlib.sha256(wheel.read_bytes()).hexdigest())
    return {"version": version, "hashes": sorted(hashes)}
