"""What a step is: a numbered folder in steps/ that is a project of its own, and an exercise.

A challenge of a step is an exercise, too: a folder in its `challenges/` that holds its own tests,
and just the files of its solution that differ from the step's.
"""

import contextlib
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workshop.language import _
from workshop.venv import ROOT

STEPS = ROOT / "steps"
DEFAULT = "5"
NOT_OF_THE_PROJECT = {"README.md", "exercise.toml", "tests", "challenges"}
NOT_OF_THE_PROJECT |= {"questions.toml", "proved.json"}
SUFFIXES = {".py", ".html", ".css", ".js", ".svg", ""}
LEFT_BY_TOOLS = ("~", "Pipfile.lock")  # how names end; those with . or __ before are left, too
TEST = re.compile(r"^(?:async )?def (test_\w+)\(", re.MULTILINE)


class UnknownFile(Exception):
    """A step holds a file that could belong to its project or not; the message says what to do."""


class UnknownTarget(Exception):
    """No step and no project is called that; the message says what there is."""


@dataclass(frozen=True)
class Gap:
    """What a learner fills in where there is no step before: one place in one file."""

    file: str
    find: str  # what stands in the file of the solution, exactly once
    replace: str  # a comment that says what to write there

    def applied_to(self, files):
        """The files of a project with this gap; raises ValueError if there is no one place."""
        code = files[self.file].decode()
        if code.count(self.find) != 1:
            raise ValueError(f"{self.file} should have `find` exactly once: {self.find!r}")
        return {**files, self.file: code.replace(self.find, self.replace).encode()}


@dataclass(frozen=True)
class Mistake:
    """What people get wrong in an exercise: one place in one file, and what they are told then."""

    name: str  # "forgets the loop"
    file: str
    find: str  # what stands in the file of the solution, exactly once
    replace: str
    fails: list[str]  # the names of the tests that fail, or ["all"]
    says: str  # a part of what the first failure says

    def applied_to(self, files):
        """The files of a project with this mistake; raises ValueError if there is no one place."""
        return Gap(self.file, self.find, self.replace).applied_to(files)


@dataclass(frozen=True)
class Variant:
    """Another way to write a solution, which is as right: one place in one file, or a whole one."""

    name: str  # "links by relative addresses"
    file: str
    replace: str
    find: str = ""  # what stands in the file of the solution, exactly once; "" for the whole file
    trade_off: str = ""  # what it gains and costs, of the one that is shown to a learner

    def applied_to(self, files):
        """The files of a project written this way; raises ValueError if there is no one place."""
        if not self.find:
            return {**files, self.file: self.replace.encode()}
        return Gap(self.file, self.find, self.replace).applied_to(files)


@dataclass(frozen=True)
class Part:
    """A part of an exercise, which is written and checked before the next one."""

    title: str  # "a POST"
    minutes: int
    tests: list[str]  # the names of the tests that belong to it, and to no other part
    optional: bool = False
    sign: str = ""  # a word that some Python file has once an optional part is begun

    def is_begun(self, project):
        """Whether somebody has begun it in a project; one that is not optional always is."""
        for path in (*project.glob("*.py"), *project.glob("*/*.py")) if self.optional else ():
            with contextlib.suppress(OSError):
                text = path.name + path.read_text(encoding="utf-8", errors="replace")
                if self.sign.lower() in text.lower():
                    return True
        return not self.optional


@dataclass(frozen=True)
class Exercise:
    """A step or a challenge: where one starts, what to do, and what is right."""

    folder: Path
    previous: "Exercise | None"  # whose solution is the start of this one

    @property
    def is_challenge(self):
        """Whether it is a challenge of a step, and not a step."""
        return self.folder.parent.name == "challenges"

    @property
    def number(self):
        """The number of its step."""
        step = self.previous.folder if self.is_challenge else self.folder
        return number_of(step)

    @property
    def id(self):
        """Its name, also of its branches: "03_echo", and "03_binary" for a challenge."""
        return f"{self.number:02}_{self.folder.name}" if self.is_challenge else self.folder.name

    @cached_property
    def _toml(self):
        return tomllib.loads((self.folder / "exercise.toml").read_text(encoding="utf-8"))

    @property
    def title(self) -> str:
        """Its title, such as "Echo"."""
        return self._toml["title"]

    @property
    def heading(self) -> str:
        """Its title with its number, such as "3 Echo" or "3+ Binary messages"."""
        return self._heading(self.title)

    @property
    def shown(self) -> str:
        """Its heading in the language that is used."""
        return self._heading(_(self.title))

    def _heading(self, title):
        return f"{self.number}{'+' if self.is_challenge else ''} {title}"

    @property
    def minutes(self) -> int:
        """How long it takes, about."""
        return self._toml["minutes"]

    @property
    def objectives(self) -> list[str]:
        """What one can do when it is done."""
        return self._toml["objectives"]

    @property
    def task(self) -> str:
        """What to write, never how, in Markdown."""
        return self._toml["task"]

    @property
    def hints(self) -> list[str]:
        """From a nudge to nearly the answer, in Markdown."""
        return self._toml["hints"]

    @cached_property
    def gaps(self) -> list[Gap]:
        """What its start leaves out of its solution; only the first exercise has any."""
        return [Gap(**gap) for gap in self._toml.get("gaps", [])]

    @cached_property
    def mistakes(self) -> list[Mistake]:
        """What people really get wrong; each is proved."""
        return [Mistake(**mistake) for mistake in self._toml["mistakes"]]

    @cached_property
    def variants(self) -> list[Variant]:
        """Other right ways to write its solution; each is proved to pass."""
        return [Variant(**variant) for variant in self._toml.get("variants", [])]

    @property
    def other_way(self) -> Variant | None:
        """The variant that is shown to a learner, with its trade-off, if there is one."""
        return next((variant for variant in self.variants if variant.trade_off), None)

    @cached_property
    def parts(self) -> list[Part]:
        """Its parts in order, if it has any: all its own tests belong to one of them."""
        return [Part(**part) for part in self._toml.get("parts", [])]

    @cached_property
    def own_tests(self):
        """The names of the tests that are its own; the other ones it shares with what is before."""
        before = self.previous.tests if self.previous else []
        files = {file.read_bytes() for folder in before for file in folder.glob("test_*.py")}
        own = {file.read_bytes() for file in self.tests[0].glob("test_*.py")}
        known = {test for content in files - own for test in _tests_in(content)}
        tests = {test for content in own - files for test in _tests_in(content)}
        return {name for name, _ in tests - known}

    @property
    def tests(self):
        """The folders whose tests hold when it is done, its own first."""
        steps = [self.previous.folder] if self.is_challenge else []
        return [folder / "tests" for folder in [self.folder, *steps]]

    @property
    def solution(self):
        """The files of the finished project: relative path with slashes, to content in bytes."""
        below = self.previous.solution if self.is_challenge else {}
        return {**below, **_files(self.folder)}

    @property
    def changes(self):
        """The names of the files that differ between start and solution, or are new."""
        return [name for name in self.solution if self.solution[name] != self.start.get(name)]

    @property
    def start(self):
        """The files that one starts from: the solution of the one before, or its own with gaps."""
        if self.previous:
            return self.previous.solution
        files = self.solution
        for gap in self.gaps:
            files = gap.applied_to(files)
        return files

    def write_to(self, folder):
        """Write the finished project into a folder, which is made if need be; returns it."""
        return write_files(self.solution, folder)


def write_files(files, folder):
    """Write the files of a project, as an Exercise gives them, into a folder; returns it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def _tests_in(content):
    """The name and the code of each test in a file."""
    text = content.decode()
    found = {match[1]: text[match.start() :] for match in TEST.finditer(text)}
    return {(name, rest.partition("\n\n\n")[0].rstrip()) for name, rest in found.items()}


def _files(folder):
    files = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if not path.is_file() or name.parts[0] in NOT_OF_THE_PROJECT or is_left_by_tools(name):
            continue
        if path.suffix not in SUFFIXES:
            raise UnknownFile(
                f"{path.relative_to(STEPS.parent).as_posix()} is of no kind that a project has: "
                f"move it away, or add {path.suffix!r} to SUFFIXES in workshop/steps.py"
            )
        files[name.as_posix()] = path.read_bytes()
    return files


def is_left_by_tools(name):
    """Whether a file, by its path in a project, is none of the project's: tools have made it."""
    return name.name.endswith(LEFT_BY_TOOLS) or any(
        part.startswith((".", "__")) for part in name.parts
    )


def number_of(step):
    """The number of a step by its folder; None for a folder that is no step."""
    number = step.name.partition("_")[0]
    return int(number) if number.isdecimal() else None


def all_steps():
    """The folders of the steps, in order."""
    folders = [folder for folder in STEPS.iterdir() if number_of(folder) is not None]
    return sorted(folders, key=number_of)


def all_exercises():
    """All exercises in order, the challenges of a step after it."""
    exercises, step = [], None
    for folder in all_steps():
        step = Exercise(folder, step)
        challenges = sorted(folder.glob("challenges/*/exercise.toml"))
        exercises += [step, *(Exercise(path.parent, step) for path in challenges)]
    return exercises


def find_exercise(name):
    """An exercise by its step's number, its id, or the name of its folder.

    Raises UnknownTarget if there is none.
    """
    for exercise in all_exercises():
        names = {exercise.id, exercise.folder.name}
        if not exercise.is_challenge:
            names.add(exercise.folder.name.partition("_")[2])
        is_number = name.isdecimal() and int(name) == exercise.number
        if name in names or (is_number and not exercise.is_challenge):
            return exercise
    names = ", ".join(exercise.id for exercise in all_exercises())
    raise UnknownTarget(f"there is no exercise {name!r}; the exercises are {names}")


def find(target):
    """The folder of a project: a step's number, a step's name, or a path to a websocket.py.

    Raises UnknownTarget if there is none.
    """
    for step in all_steps():
        names = (step.name, step.name.partition("_")[2])
        if target in names or (target.isdecimal() and int(target) == number_of(step)):
            return step
    folder = Path(target)
    if (folder / "websocket.py").is_file():
        return folder.resolve()
    if folder.is_dir():
        raise UnknownTarget(f"there is no websocket.py in {target}")
    names = ", ".join(step.name for step in all_steps())
    raise UnknownTarget(f"there is no step and no folder {target!r}; the steps are {names}")
