"""Runs a judge for each submission, some at a time, and makes a row of what each tells."""

import json
import re
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field

from workshop import machine
from workshop.tied import end
from workshop.venv import ROOT

LONGEST = 1500  # characters of a sentence
COLLECT_SECONDS = 120
# Numbers that differ from run to run, while what they say is the same.
LARGE = re.compile(r"\b\d{1,3}(?:,\d{3}){2,}\b")
# What a client cannot see: whether a handler has ended, the process of the app alone can tell.
TOLD_FROM_INSIDE = {"test_the_handler_ends_when_its_client_disconnects"}
LATE = "not run: the {} s were up (--limit allows more)"


class CannotGrade(Exception):
    """Nothing can be graded here: the message says why, in a sentence."""


@dataclass
class Result:
    """One check of one submission."""

    words: str  # "every message comes back in order"
    outcome: str  # "passed", "failed", "skipped"
    reason: str = ""
    inside: bool = False  # whether the project's own process has a say in it


@dataclass
class Row:
    """What was found of one submission."""

    id: str
    source: str  # its name as it was handed in
    result: str = "failed"  # or "passed", "look at it", "not graded", "missing"
    checks: list = field(default_factory=list)
    outside: list = field(default_factory=list)  # messages with random content
    notes: list = field(default_factory=list)
    isolated: bool = True
    changed: str = ""

    def count(self, outcome):
        """How many checks have an outcome."""
        return sum(check.outcome == outcome for check in self.checks)

    @property
    def first(self):
        """The check to fix first, if there is one."""
        return next((check for check in self.checks if check.outcome == "failed"), None)

    def as_dict(self):
        """All of it, for JSON."""
        return asdict(self)


def row_from(known):
    """The row that `as_dict` was made of."""
    checks, outside = ([Result(**one) for one in known[name]] for name in ("checks", "outside"))
    return Row(**{**known, "checks": checks, "outside": outside})


def why_not_isolated():
    """Why this system itself can't isolate submissions; "" if it can."""
    if not sys.platform.startswith("linux"):
        return "this system has no namespaces"
    command = [sys.executable, "-m", "harness.namespaces"]
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    return (result.stdout.strip() or "unknown reason") if result.returncode else ""


def seconds_for(exercise):
    """How long a submission may take: from step 7 on, over a hundred checks look at servers."""
    return 60 if exercise.number < 7 else 180


RUNNING = set()  # all judges, for the case that everything ends
LOCK = threading.Lock()


class Judge:
    """A judge's process, and the lines that it tells."""

    def __init__(self, exercise, source, isolated, limit, container=None):
        command = [sys.executable, "-m"]
        if container:
            command = container.command(limit)
            source = source and container.inside(source)
        self.folder = tempfile.TemporaryDirectory() if not isolated else None
        order = {
            "exercise": exercise.id,
            "source": source and asdict(source),
            "isolated": isolated,
            "folder": self.folder and self.folder.name,
        }
        self.errors = tempfile.TemporaryFile()
        self.is_late = threading.Event()
        self.child = subprocess.Popen(
            [*command, "workshop.grading.judge", json.dumps(order)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            encoding="utf-8",
            env=None if container else machine.environ(PYTHONUTF8="1"),
            start_new_session=True,  # so that it is ended with all that it started
        )
        with LOCK:
            RUNNING.add(self)
        self.timer = threading.Timer(limit, self._give_up)
        self.timer.daemon = True
        self.timer.start()

    def _give_up(self):
        self.is_late.set()
        end(self.child)

    def events(self):
        """What it tells, until it has ended; then nothing is left of it."""
        try:
            for line in self.child.stdout:
                with suppress(ValueError):  # it was ended while it wrote
                    yield json.loads(line)
        finally:
            self.close()

    def close(self):
        """End it, and all that it started."""
        self.timer.cancel()
        end(self.child)
        self.child.stdout.read()  # until the last of its processes has ended
        for pipe in (self.child.stdin, self.child.stdout):
            with suppress(OSError):
                pipe.close()
        with LOCK:
            RUNNING.discard(self)
        if self.folder:
            with suppress(OSError):
                self.folder.cleanup()

    def said(self):
        """What it said of its own failure: the last line."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no reason is known"


def all_checks(exercise, container=None):
    """The checks of an exercise in words, from the workshop's own files; raises CannotGrade."""
    judge = Judge(exercise, None, bool(container), COLLECT_SECONDS, container)
    for event in judge.events():
        if event.get("checks"):
            return event["checks"]
    raise CannotGrade(f"the tests of {exercise.id} can't be collected: {judge.said()}")


def grade_one(exercise, name, source, expected, isolated, limit, container=None):
    """Grade one submission: its row."""
    row = Row(name, source.name, isolated=isolated)
    judge = Judge(exercise, source, isolated, limit, container)
    asked, found, inside, current, stuck, is_over = None, {}, set(), "", "", False
    for event in judge.events():
        if "none" in event:
            row.result, row.notes = "not graded", [clean(event["none"])]
            return row
        elif "place" in event:
            row.notes, row.changed = [clean(note) for note in event["notes"]], event["changed"]
        elif "checks" in event and asked is None:
            asked = event["checks"]
        elif "running" in event:
            current = event["running"]
        elif "stuck" in event:
            stuck = event["stuck"]
        elif "words" in event and event["words"] in expected:
            current = ""
            found.setdefault(event["words"], (event["outcome"], clean(event.get("reason", ""))))
            if event.get("inside"):
                inside.add(event["words"])
        elif "outside" in event:
            outcome = "failed" if event["reason"] else "passed"
            row.outside.append(Result(event["outside"], outcome, clean(event["reason"])))
        elif "over" in event:
            is_over = True
    if not is_over:
        late = LATE.format(f"{limit:g}")
        rest = stuck or (late if judge.is_late.is_set() else f"not run: {clean(judge.said())}")
        if current and judge.is_late.is_set():
            found[current] = ("failed", f"it didn't finish within {limit:g} s")
        elif current:
            found[current] = ("failed", rest)
    else:
        rest = "it was not run"
    for words in asked if asked is not None else expected:
        outcome, reason = found.get(words, ("failed", rest))
        is_inside = words in inside or name_of(words) in TOLD_FROM_INSIDE
        row.checks.append(Result(words, outcome, reason, is_inside))
    row.result = verdict(exercise, row, is_over)
    return row


def verdict(exercise, row, is_over):
    """What follows from the checks: all that are asked for pass, also from outside, or not."""
    step = exercise.previous if exercise.is_challenge else exercise
    optional = {name for part in step.parts if part.optional for name in part.tests}
    asked = [check.outcome for check in row.checks if name_of(check.words) not in optional]
    if not is_over or "failed" in asked or "passed" not in asked:
        return "failed"
    has_part = not row.count("failed")  # or an optional part is begun, and not done
    if not has_part:
        row.notes.append("only checks of an optional part fail")
    bad = [one.words for one in row.outside if one.outcome == "failed"]
    return "look at it" if [words for words in bad if has_part or "TCP" not in words] else "passed"


def name_of(words):
    """The name of a test, from its words."""
    return "test_" + words.partition(" (")[0].replace(" ", "_")


def clean(sentence):
    """A sentence without what differs from run to run, or what a terminal would obey."""
    sentence = LARGE.sub(lambda n: f"{int(n[0].replace(',', '')) / 1e6:.0f} million", sentence)
    kept = "".join(c if c.isprintable() or c == "\n" else "?" for c in sentence)
    return kept if len(kept) <= LONGEST else f"{kept[:LONGEST]}…"


def grade_all(exercise, sources, expected, isolated, jobs, limit, container=None):
    """Grade submissions, some at a time: pairs of a source's name and its row, as they come.

    `sources` is a dict of identifiers to sources. When this is left early, nothing keeps running.
    """
    stopped = threading.Event()

    def one(name, source):
        if stopped.is_set():
            return None
        return grade_one(exercise, name, source, expected, isolated, limit, container)

    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(one, name, source) for name, source in sources.items()]
        try:
            for done in as_completed(waiting):
                yield done.result()
        finally:
            stopped.set()
            for future in waiting:
                future.cancel()
            with LOCK:
                running = list(RUNNING)
            for judge in running:
                end(judge.child)
