"""A change of a step's file, carried into the later steps that have the same file."""

from pathlib import Path

from workshop import branches
from workshop.steps import all_exercises
from workshop.venv import ROOT


class CannotCarry(Exception):
    """A file can't be carried into other steps; the message says why."""


def carry(file):
    """Copy a changed file of a step to where its committed version stands in later steps.

    Returns the paths it was copied to, and those of later steps that differ and were left alone.
    Raises CannotCarry.
    """
    path = Path(file).resolve()
    folders = [exercise.folder for exercise in all_exercises()]
    folder = next((folder for folder in reversed(folders) if path.is_relative_to(folder)), None)
    if folder is None or not path.is_file():
        raise CannotCarry(f"{file} is not a file of a step")
    name, new = path.relative_to(folder), path.read_bytes()
    old = _committed(path)
    if old == new:
        raise CannotCarry(f"{file} is as it was committed: there is no change to carry")
    there = [later / name for later in folders[folders.index(folder) + 1 :]]
    there = [later for later in there if later.is_file() and later.read_bytes() != new]
    same = [later for later in there if later.read_bytes() == old]
    for later in same:
        later.write_bytes(new)
    return same, [later for later in there if later not in same]


def _committed(path):
    name = path.relative_to(ROOT).as_posix()
    try:
        branches.require_repository()
        return branches.git("show", f"HEAD:{name}", text=False)
    except branches.BranchProblem as problem:
        raise CannotCarry(f"what {name} was before is not known: {problem}") from None
