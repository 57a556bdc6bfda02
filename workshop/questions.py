"""The questions about a step, and whether an answer is right.

They are in a step's questions.toml. Beside it, proved.json is made by docs/prove.py: what the code
of a *predict* question prints. What `check` says about each mistake is captured for the docs.
"""

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from hashlib import sha256

from workshop import language
from workshop.language import _
from workshop.steps import ROOT, find_exercise

EIGHT = ROOT / "docs/eight.toml"
CAPTURED = ROOT / "docs/captured/mistakes.json"
TIMES = ("before", "after")
RIGHT = "the solution"  # the key of what it prints; the others are the names of mistakes


@dataclass(frozen=True)
class Option:
    """One of the answers to choose from."""

    text: str  # Markdown, or what is printed
    is_right: bool
    why: str  # why it is right, or why not, in Markdown
    mistake: str = ""  # the name of the mistake with which code prints this


@dataclass(frozen=True)
class Rule:
    """Which of two lines comes first; `directly`: with no other line between them."""

    above: int  # the number of the line in the right order, from 0
    below: int
    directly: bool
    why: str


@dataclass(frozen=True)
class Question:
    """Something to predict, to put in order, or to give a reason for."""

    name: str
    kind: str  # "predict", "order" or "why"
    ask: str  # Markdown, in English, as are the options: the order they are shown in hangs on it
    code: str = ""  # what is run, of a question to predict
    language: str = "python"
    options: tuple[Option, ...] = ()  # the right one first
    file: str = ""  # whose lines are put in order
    lines: tuple[str, ...] = ()  # in the order of the solution
    rules: tuple[Rule, ...] = ()
    why: str = ""  # what there is to know about the right order

    @property
    def shown(self):
        """The numbers of the options or lines, mixed the same way each time, and never right."""
        texts = [option.text for option in self.options] or list(self.lines)
        numbers = range(len(texts))
        mixed = sorted(numbers, key=lambda number: sha256(f"{self.ask}{number}".encode()).digest())
        return mixed[::-1] if self.lines and self.broken_rule(mixed) is None else mixed

    def broken_rule(self, order):
        """The first rule that an order of all lines breaks, or None if it is right."""
        for rule in self.rules:
            above, below = order.index(rule.above), order.index(rule.below)
            if below < above or (rule.directly and below != above + 1):
                return rule
        return None


def of_step(exercise):
    """The questions about a step."""
    text = (exercise.folder / "questions.toml").read_text(encoding="utf-8")
    path = exercise.folder / "proved.json"
    proved = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return [_question(exercise, proved, table) for table in tomllib.loads(text)["questions"]]


def _question(exercise, proved, table):
    kind, name, ask = table["kind"], table["name"], table["ask"].strip()
    if kind == "order":
        lines = block(exercise, table)
        rules = tuple(_rule(exercise, lines, rule) for rule in table["rules"])
        return Question(
            *(name, kind, ask),
            **{
                "file": table["file"],
                "lines": tuple(lines),
                "rules": rules,
                "why": _(table["why"]),
            },
        )
    prints = proved.get("prints", {}).get(name, {})
    right = prints.get(RIGHT, "") if kind == "predict" else table["right"]
    options = [Option(right, True, _(table["why"].strip()))]
    for wrong in table["wrong"]:
        mistake = "" if "text" in wrong else wrong["mistake"]
        text = prints.get(mistake, "") if mistake else wrong["text"].strip("\n")
        options.append(Option(text, False, _why(exercise, wrong), mistake))
    code, written_in = table.get("code", "").strip("\n"), table.get("language", "python")
    return Question(name, kind, ask, code, written_in, tuple(options))


def _why(exercise, table):
    """Why something is wrong: what `check` says of the mistake, and whatever else is said."""
    said = [_(table["why"])] if "why" in table else []
    if "mistake" in table:
        mistake = find_mistake(exercise, table["mistake"])
        sentence = escaped(language.sentence(what_check_says(exercise, mistake)))
        words = _("About code that {mistake}, `check` says: *{sentence}*")
        said.append(words.format(mistake=_(mistake.name), sentence=sentence))
    return " ".join(said)


@cache
def _captured():
    return json.loads(CAPTURED.read_text(encoding="utf-8")) if CAPTURED.is_file() else {}


def what_check_says(exercise, mistake):
    """The whole sentence that `check` says about a mistake, as it was captured for the docs."""
    text = _captured().get(exercise.id, {}).get(mistake.name, "")
    lines = (line.strip() for line in text.splitlines())
    return next((line for line in lines if mistake.says in line), mistake.says)


def escaped(text):
    """A text that Markdown shows as it is; what is in backticks stays code."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([\\*_\[\]<>&])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def find_mistake(exercise, name):
    """A mistake of an exercise by its name; raises LookupError."""
    for mistake in exercise.mistakes:
        if mistake.name == name:
            return mistake
    raise LookupError(f"{exercise.id} has no mistake named {name!r}")


def block(exercise, table):
    """The lines to put in order: the shortest run from `first` to `last`, without comments."""
    lines = exercise.solution[table["file"]].decode().splitlines()
    begin, end = _place(lines, table["first"], table["last"])
    comment = "//" if table["file"].endswith(".js") else "#"
    return [line for line in lines[begin:end] if line and not line.strip().startswith(comment)]


def _place(lines, first, last):
    """Where a block begins and ends in a file, by its first and last line without blanks.

    Raises ValueError if there is no such block.
    """
    bare = [line.strip() for line in lines]
    begins = [at for at, line in enumerate(bare) if line == first and last in bare[at:]]
    if not begins:
        raise ValueError(f"there are no lines from {first!r} to {last!r}")
    places = [(begin, bare.index(last, begin) + 1) for begin in begins]
    return min(places, key=lambda place: place[1] - place[0])


def reassembled(exercise, question, order):
    """The text of the question's file with the block's lines in another order."""
    lines = exercise.solution[question.file].decode().splitlines()
    begin, end = _place(lines, question.lines[0].strip(), question.lines[-1].strip())
    moved = [question.lines[number] for number in order]
    return "\n".join([*lines[:begin], *moved, *lines[end:], ""])


def _rule(exercise, lines, table):
    bare = [line.strip() for line in lines]
    for line in (table["above"], table["below"]):
        if bare.count(line) != 1:
            raise ValueError(f"a question of {exercise.id} should have the line {line!r} once")
    above, below = bare.index(table["above"]), bare.index(table["below"])
    return Rule(above, below, table.get("directly", False), _why(exercise, table))


def right_orders(question, before=()):
    """All orders of the lines that break no rule, each line placed after what it needs."""
    if len(before) == len(question.lines):
        yield list(before)
        return
    direct = {rule.below for rule in question.rules if rule.directly and rule.above in before[-1:]}
    for number in range(len(question.lines)):
        needs = {rule.above for rule in question.rules if rule.below == number}
        if number not in before and needs <= set(before) and direct <= {number}:
            yield from right_orders(question, (*before, number))


@cache
def eight():
    """The eight questions as they are asked before step 1 and after step 5, with their topics.

    Returns tuples of a topic, the question before, and the question after. The options of both
    say the same things in other words, in the same order.
    """
    tables = tomllib.loads(EIGHT.read_text(encoding="utf-8"))["questions"]
    return [(table["topic"], *(_of_eight(table, time) for time in TIMES)) for table in tables]


def _of_eight(table, time):
    asked = table[time]
    options = [Option(asked["right"], True, _(table["why"]))]
    for text, why in zip(asked["wrong"], table["why_not"], strict=True):
        options.append(Option(text, False, _(why)))
    return Question(table["name"], "why", asked["ask"], options=tuple(options))


def find_questions(name):
    """The questions that a page asks for: those of a step, or "before" or "after" the eight."""
    if name in TIMES:
        return [row[1 + TIMES.index(name)] for row in eight()]
    return of_step(find_exercise(name))
