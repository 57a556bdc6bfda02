"""What a lab is: a step with a fault, and a complaint. To be found without reading the app.

A lab is a folder in labs/ with a lab.toml. Its app is made from the step's files, and so is how it
is served, from labs/deploy.toml. The fault lab is something else: there, the clients are at fault.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from workshop.language import N_, _
from workshop.steps import ROOT, Gap, UnknownTarget, find_exercise, number_of

LABS = ROOT / "labs"
DEPLOY = "deploy.toml"
TOOLS = {  # what a lab.toml calls them, and what people do
    "panel": N_("the network panel"),
    "client": N_("a command-line client"),
    "log": N_("the server's log"),
    "sockets": N_("the sockets"),
    "wire": N_("a capture of the wire"),
    "metrics": N_("the metrics"),
}


@dataclass(frozen=True)
class Lab:
    """A step with a fault, and what there is to know about it: what its lab.toml says."""

    folder: Path
    title: str
    complaint: str  # in the words of a user
    step: str  # that it is made from
    tool: str  # that shows the fault best
    symptom: str  # what users see of such faults, in general
    look: str  # what to look for then, with that tool
    changes: list[dict]  # what is wrong, each as a Gap
    tries: list[dict]  # what to `do` with which `tool`
    solution: dict  # cause, repair, how to prevent it, and what each tool `shows`
    setup: tuple[dict, ...] = ()  # what differs from the step without being wrong, each as a Gap
    users: tuple[dict, ...] = ()  # what its users do, see users.py
    note: str = ""  # what differs from real life

    @property
    def number(self):
        """Its number, from 1 on."""
        return number_of(self.folder)

    @property
    def heading(self):
        """Its title with its number."""
        return _("Lab {number}: {title}").format(number=self.number, title=_(self.title))

    def files(self, fixed=False):
        """The files of its app and how to serve it, with the fault or without.

        Raises ValueError if a change doesn't apply at exactly one place.
        """
        files = {**find_exercise(self.step).solution, DEPLOY: (LABS / DEPLOY).read_bytes()}
        for change in (*self.setup, *(() if fixed else self.changes)):
            files = Gap(**change).applied_to(files)
        return files


def settings(files):
    """How the app of some files is served: a dictionary of what its deploy.toml says."""
    return tomllib.loads(files[DEPLOY].decode())


def all_labs():
    """All labs, in order."""
    paths = sorted(LABS.glob("*/lab.toml"))
    return [Lab(path.parent, **tomllib.loads(path.read_text(encoding="utf-8"))) for path in paths]


def find_lab(name):
    """A lab by its number; raises UnknownTarget if there is none."""
    labs = all_labs()
    for lab in labs:
        if name.isdecimal() and int(name) == lab.number:
            return lab
    raise UnknownTarget(f"there is no lab {name!r}; the labs are 1 to {labs[-1].number}")
