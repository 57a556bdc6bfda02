"""What `check` tells: each check that matters now, the rest counted, and what to do next."""

import re
import sys
from collections import Counter

import click

from workshop import machine, site, steps
from workshop.commands import COMMAND
from workshop.learner import Progress

SIGNS = {"passed": "✓ok", "failed": "✗--", "skipped": "–..", "later": "·~~"}
COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "later": None}
MOST_LINES = 20  # of what an app prints
NOT_A_CAUSE = "Failed to load resource"  # as the browser's console says of an address, not a script
PORT = re.compile(r"\b\d{4,5}\b")  # differs from check to check


def sign(outcome):
    """The sign of an outcome, or two letters where the output's encoding has no such sign."""
    signs = "".join(known[0] for known in SIGNS.values())
    return SIGNS[outcome][0] if machine.can_print(signs, sys.stdout) else SIGNS[outcome][1:]


def say(outcome, words):
    """Print a line with the sign and the colour of an outcome."""
    click.secho(f"{sign(outcome)} {words}", fg=COLOURS[outcome])


def tell(exercise, checks):
    """Print checks as they come, then what to fix first; returns whether all pass."""
    telling = Telling(exercise)
    for check in checks:
        telling.hear(check)
    return telling.end()


def tell_page(exercise):
    """Print where the page of an exercise is: one line."""
    what = "challenge" if exercise.is_challenge else "step"
    page = site.page_of(exercise) or f"{COMMAND} docs"
    click.echo(f"To read the page of this {what}: {page}")


class Telling:
    """What is told of one check of an exercise.

    Checks of the exercise's own are shown one by one or, if it has parts, counted for each part;
    those of earlier steps are counted. One that fails is always shown.
    """

    def __init__(self, exercise):
        self.exercise, self.parts = exercise, exercise.parts
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
        """Count a check, and show it if it matters by itself."""
        group = self.group(check)
        self.tell_parts(group if isinstance(group, int) else len(self.parts))
        self.counts.setdefault(group, Counter())[check.outcome] += 1
        if group == "own" or check.outcome == "failed":
            say(check.outcome, check.words)
        for line in check.printed.splitlines():
            self.printed.setdefault(PORT.sub("", line), line)
        if check.outcome == "failed":
            self.failed.append((group, check))
        if check.outcome == "skipped":
            self.skipped.append(check.reason)

    def tell_parts(self, end):
        """Print a line for each part before that index, unless it has been printed."""
        while self.told < end:
            part, count = self.parts[self.told], self.counts.get(self.told, Counter())
            passed = f"{count['passed']} of {count.total()} checks pass"
            if count["failed"]:
                outcome, state = "failed", passed
            elif not count["passed"] and not count["skipped"]:
                is_left_out = part.optional and not count.total()
                outcome, state = "later", "not begun" if is_left_out else "not run yet"
            else:
                outcome, state = ("later", passed) if count["later"] else ("passed", "done")
            self.told += 1
            title = f"{part.title} (optional)" if part.optional else part.title
            say(outcome, f"Part {self.told} of {len(self.parts)}, {title}: {state}")

    def tell_earlier(self):
        """Print how many checks of earlier steps pass, and how many did not run."""
        count = self.counts.get("earlier", Counter())
        where = f"step {self.exercise.number}" if self.exercise.is_challenge else "earlier steps"
        for outcome, verbs in (
            ("passed", ("passes", "pass")),
            ("skipped", ("was skipped", "were skipped")),
            ("later", ("hasn't run yet", "haven't run yet")),
        ):
            if number := count[outcome]:
                noun = "check" if number == 1 else "checks"
                say(outcome, f"{number} {noun} of {where} {verbs[number > 1]}")

    def tell_printed(self):
        """Print what the app prints, each line once."""
        lines = list(self.printed.values())
        if lines:
            click.echo()
        for line in lines[:MOST_LINES]:
            click.echo(f"    printed: {line}")
        if len(lines) > MOST_LINES:
            click.echo(f"    and {len(lines) - MOST_LINES} more lines")

    def is_left_out(self, index):
        """Whether a part is optional, and none of its tests has run."""
        return self.parts[index].optional and index not in self.counts

    def is_done(self):
        """Whether all checks pass that the exercise asks for; optional parts are not asked for."""
        optional = {index for index, part in enumerate(self.parts) if part.optional}
        asked = [count for group, count in self.counts.items() if group not in optional]
        bad = sum(count["failed"] + count["later"] for count in asked)
        return not bad and sum(count["passed"] for count in asked) > 0

    def end(self):
        """Print what follows from it all; returns whether all checks pass."""
        self.tell_parts(len(self.parts))
        self.tell_earlier()
        self.tell_printed()
        if self.failed:
            self.tell_first()
        else:
            for reason in dict.fromkeys(self.skipped):
                click.echo(f"\nNot checked: {reason}")
            if self.is_done():
                self.congratulate()
            else:
                click.echo("Nothing was checked.")
        tell_page(self.exercise)
        return self.is_done() and not self.failed

    def tell_first(self):
        """Print the first check that fails, maybe of an optional part, and where to look."""
        first = self.failed[0][1]
        if self.is_done():
            Progress().note_done(self.exercise)
            words = f"\n{self.exercise.id} is done: only optional checks fail."
            click.secho(words, fg="green", bold=True)
        click.secho(f"\nFix this first: {first.words}", bold=True)
        # An exception in a script comes first, since what fails then follows from it.
        said = dict.fromkeys(first.console.splitlines())
        before = [line for line in said if not line.startswith(NOT_A_CAUSE)]
        after = [line for line in said if line.startswith(NOT_A_CAUSE)]
        for line in before:
            click.echo(f"  The browser's console says: {line}")
        click.echo(f"  {first.reason}".replace("\n", "\n  "))
        for line in after:
            click.echo(f"  The browser's console says: {line}")
        if first.test:
            click.echo(f"  The test: {first.test}")
        if self.counts.get("own", Counter())["later"]:
            click.echo(f"\nChecks marked {sign('later')} haven't run yet.")
        click.echo(f"\nStuck? {COMMAND} hint {self.exercise.id}")

    def congratulate(self):
        """Print that the exercise is done, what else there is to see of it, and what comes next."""
        exercise, progress = self.exercise, Progress()
        progress.note_done(exercise)
        passed = sum(count["passed"] for count in self.counts.values())
        without = [str(i + 1) for i in range(len(self.parts)) if self.is_left_out(i)]
        left_out = f", without part {' and '.join(without)}" if without else ""
        words = f"\nAll {passed} checks pass{left_out}: {exercise.id} is done."
        click.secho(words, fg="green", bold=True)
        what = "the challenge" if exercise.is_challenge else f"step {exercise.number},"
        click.echo(f"Congratulations, you have finished {what} {exercise.title}!")
        click.echo(f"\nTo compare with the solution: {COMMAND} diff {exercise.id}")
        if exercise.other_way:
            click.echo(f"Another way that passes: it {exercise.other_way.name}.")
            click.echo(f"  {exercise.other_way.trade_off}")
            click.echo(f"  To see it: {COMMAND} diff {exercise.id} --other")
        following = progress.next_exercise(after=exercise)
        click.echo(
            f"Next: {COMMAND} start {following.number}" if following else "That was the last step."
        )
        for challenge in steps.all_exercises():
            if challenge.is_challenge and challenge.number == exercise.number:
                if challenge.id not in progress.done:
                    click.echo(f"Or a challenge: {COMMAND} start {challenge.id}")
