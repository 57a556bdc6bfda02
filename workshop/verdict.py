"""What a check tells, line by line: each check that matters now, the rest counted, what to fix.

A line is a pair: the outcome whose sign it has, and its words. The terminal and the page of a step
show the same lines.
"""

import re
from collections import Counter

from workshop import comparing

MOST_LINES = 20  # of what an app prints
# As the browser's console says of an address, and not of a script.
NOT_A_CAUSE = ("Failed to load resource", "WebSocket connection to")
QUESTION = re.compile(r": (?:does|is) [^:]*\?$")  # which a cause that is known answers
PORT = re.compile(r"\b\d{4,5}\b")  # differs from check to check


class Verdict:
    """What is told of one check of an exercise.

    Checks of the exercise's own are shown one by one or, if it has parts, counted for each part;
    those of earlier steps are counted. One that fails is always shown. If a project is given, what
    to fix says where it differs from a solution, too.
    """

    def __init__(self, exercise, project=None):
        self.exercise, self.parts, self.project = exercise, exercise.parts, project
        self.counts = {}  # group to outcomes; a group is the index of a part, "own" or "earlier"
        self.told = 0  # how many parts have had their line
        self.failed, self.skipped, self.printed = [], [], {}

    def group(self, check):
        """The index of a check's part; if it has none, "own" or "earlier"."""
        for index, part in enumerate(self.parts):
            if check.name in part.tests:
                return index
        return "own" if check.name in self.exercise.own_tests else "earlier"

    def hear(self, check):
        """Count a check; returns the lines that it makes known."""
        group = self.group(check)
        lines = self.of_parts(group if isinstance(group, int) else len(self.parts))
        self.counts.setdefault(group, Counter())[check.outcome] += 1
        if group == "own" or check.outcome == "failed":
            lines.append((check.outcome, check.words))
        for line in check.printed.splitlines():
            self.printed.setdefault(PORT.sub("", line), line)
        if check.outcome == "failed":
            self.failed.append((group, check))
        if check.outcome == "skipped":
            self.skipped.append(check.reason)
        return lines

    def of_parts(self, end):
        """A line for each part before that index, unless it has been told."""
        lines = []
        while self.told < end:
            part, count = self.parts[self.told], self.counts.get(self.told, Counter())
            passed = f"{count['passed']} of {count.total()} checks pass"
            if later := count["later"]:  # so that the number agrees with the lines above
                passed += f", {later} {'has' if later == 1 else 'have'}n't run yet"
            if count["failed"]:
                outcome, state = "failed", passed
            elif not count["passed"] and not count["skipped"]:
                is_left_out = part.optional and not count.total()
                outcome, state = "later", "not begun" if is_left_out else "not run yet"
            else:
                outcome, state = ("later", passed) if count["later"] else ("passed", "done")
            self.told += 1
            title = f"{part.title} (optional)" if part.optional else part.title
            lines.append((outcome, f"Part {self.told} of {len(self.parts)}, {title}: {state}"))
        return lines

    def rest(self):
        """The lines that are left once all is known: parts, and how many of earlier steps pass."""
        lines = self.of_parts(len(self.parts))
        count = self.counts.get("earlier", Counter())
        where = f"step {self.exercise.number}" if self.exercise.is_challenge else "earlier steps"
        for outcome, verbs in (
            ("passed", ("passes", "pass")),
            ("skipped", ("was skipped", "were skipped")),
            ("later", ("hasn't run yet", "haven't run yet")),
        ):
            if number := count[outcome]:
                noun = "check" if number == 1 else "checks"
                lines.append((outcome, f"{number} {noun} of {where} {verbs[number > 1]}"))
        return lines

    def of_printed(self):
        """What the app prints, each line once."""
        lines = list(self.printed.values())
        more = len(lines) - MOST_LINES
        return lines[:MOST_LINES] + ([f"and {more} more lines"] if more > 0 else [])

    def is_left_out(self, index):
        """Whether a part is optional, and none of its tests has run."""
        return self.parts[index].optional and index not in self.counts

    @property
    def is_done(self):
        """Whether all checks pass that the exercise asks for; optional parts are not asked for."""
        optional = {index for index, part in enumerate(self.parts) if part.optional}
        asked = [count for group, count in self.counts.items() if group not in optional]
        bad = sum(count["failed"] + count["later"] for count in asked)
        return not bad and sum(count["passed"] for count in asked) > 0

    @property
    def first(self):
        """The first check that fails, the one to fix first; it may be of an optional part."""
        return self.failed[0][1] if self.failed else None

    def headline(self):
        """The result, in a sentence."""
        if self.is_done and self.failed:
            return f"{self.exercise.id} is done: only optional checks fail."
        if self.failed:
            return ""
        if not self.is_done:
            return "Nothing was checked."
        passed = sum(count["passed"] for count in self.counts.values())
        without = [str(i + 1) for i in range(len(self.parts)) if self.is_left_out(i)]
        left_out = f", without part {' and '.join(without)}" if without else ""
        return f"All {passed} checks pass{left_out}: {self.exercise.id} is done."

    def to_fix(self):
        """What to fix first: the check that fails, as a heading, and lines with where to look."""
        first = self.first
        if not first:
            return "", []
        # An exception in a script comes first, since it causes the other failures.
        said = dict.fromkeys(first.console.splitlines())
        causes = [line for line in said if not line.startswith(NOT_A_CAUSE)]
        others = [line for line in said if line.startswith(NOT_A_CAUSE)]
        says = "The browser's console says: {}".format
        reason = QUESTION.sub("", first.reason) if causes else first.reason
        lines = [*map(says, causes), *reason.splitlines(), *map(says, others)]
        if self.project:
            lines += comparing.places(self.project, self.exercise)
        return f"Fix this first: {first.words}", lines
