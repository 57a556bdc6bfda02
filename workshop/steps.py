"""What a step is: a numbered folder in steps/ that is a project of its own."""

from pathlib import Path

from workshop.environment import ROOT

STEPS = ROOT / "steps"
DEFAULT = "5"


class UnknownTarget(Exception):
    """No step and no project is called that; the message says what there is."""


def all_steps():
    """The folders of the steps, in order."""
    return sorted(folder for folder in STEPS.iterdir() if folder.name[:2].isdecimal())


def find(target):
    """The folder of a project: a step's number, a step's name, or a path to a websocket.py.

    Raises UnknownTarget if there is none.
    """
    for step in all_steps():
        number, _, name = step.name.partition("_")
        if target in (step.name, name) or (target.isdecimal() and int(target) == int(number)):
            return step
    folder = Path(target)
    if (folder / "websocket.py").is_file():
        return folder.resolve()
    if folder.is_dir():
        raise UnknownTarget(f"there is no websocket.py in {target}")
    names = ", ".join(step.name for step in all_steps())
    raise UnknownTarget(f"there is no step and no folder {target!r}; the steps are {names}")
