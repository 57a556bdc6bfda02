"""What a check tells, line by line: each check that matters now, the rest counted, what to fix.

A line is a pair: the outcome whose sign it has, and its words. The terminal and the page of a step
show the same lines.
"""

import re
from collections import Counter

from workshop import comparing
from workshop.language import _, named, plural, sentence

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
            lines.append((check.outcome, named(check.words)))
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
            words = _("{passed} of {total} checks pass")
            passed = words.format(passed=count["passed"], total=count.total())
            if later := count["later"]:  # so that the number agrees with the lines above
                words = plural(", {later} hasn't run yet", ", {later} haven't run yet", later)
                passed += words.format(later=later)
            if count["failed"]:
                outcome, state = "failed", passed
            elif not count["passed"] and not count["skipped"]:
                is_left_out = part.optional and not count.total()
                outcome, state = "later", _("not begun") if is_left_out else _("not run yet")
            else:
                outcome, state = ("later", passed) if count["later"] else ("passed", _("done"))
            self.told += 1
            title = _(part.title)
            if part.optional:
                title = _("{title} (optional)").format(title=title)
            words = _("Part {number} of {count}, {title}: {state}")
            numbers = {"number": self.told, "count": len(self.parts)}
            lines.append((outcome, words.format(**numbers, title=title, state=state)))
        return lines

    def rest(self):
        """The lines that are left once all is known: parts, and how many of earlier steps pass."""
        lines = self.of_parts(len(self.parts))
        count = self.counts.get("earlier", Counter())
        where = _("earlier steps")
        if self.exercise.is_challenge:
            where = _("step {number}").format(number=self.exercise.number)
        words = {
            "passed": plural(
                "{number} check of {where} passes",
                "{number} checks of {where} pass",
                count["passed"],
            ),
            "skipped": plural(
                "{number} check of {where} was skipped",
                "{number} checks of {where} were skipped",
                count["skipped"],
            ),
            "later": plural(
                "{number} check of {where} hasn't run yet",
                "{number} checks of {where} haven't run yet",
                count["later"],
            ),
        }
        for outcome in filter(count.get, words):
            told = words[outcome].format(number=count[outcome], where=where)
            lines.append((outcome, told))
        return lines

    def of_printed(self):
        """What the app prints, each line once."""
        lines = list(self.printed.values())
        more = len(lines) - MOST_LINES
        return lines[:MOST_LINES] + (
            [_("and {more} more lines").format(more=more)] if more > 0 else []
        )

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
            return _("{exercise} is done: only optional checks fail.").format(
                exercise=self.exercise.id
            )
        if self.failed:
            return ""
        if not self.is_done:
            return _("Nothing was checked.")
        passed = sum(count["passed"] for count in self.counts.values())
        without = [str(i + 1) for i in range(len(self.parts)) if self.is_left_out(i)]
        words = _("All {passed} checks pass: {exercise} is done.")
        if without:
            words = _("All {passed} checks pass, without part {parts}: {exercise} is done.")
        parts = _(" and ").join(without)
        return words.format(passed=passed, exercise=self.exercise.id, parts=parts)

    def to_fix(self):
        """What to fix first: the check that fails, as a heading, and lines with where to look."""
        first = self.first
        if not first:
            return "", []
        # An exception in a script comes first, since it causes the other failures.
        said = dict.fromkeys(first.console.splitlines())
        causes = [line for line in said if not line.startswith(NOT_A_CAUSE)]
        others = [line for line in said if line.startswith(NOT_A_CAUSE)]
        says = _("The browser's console says: {words}")
        reason = QUESTION.sub("", first.reason) if causes else first.reason
        lines = [says.format(words=words) for words in causes]
        lines += map(sentence, reason.splitlines())
        lines += [says.format(words=words) for words in others]
        if self.project:
            lines += map(sentence, comparing.places(self.project, self.exercise))
        return _("Fix this first: {check}").format(check=named(first.words)), lines
