"""What `check` tells: each check that matters now, the rest counted, and what to do next."""

import sys
from collections import Counter

import click

from workshop import machine, site, steps
from workshop.commands import COMMAND
from workshop.learner import Progress
from workshop.verdict import MOST_LINES, Verdict

SIGNS = {"passed": "✓ok", "failed": "✗--", "skipped": "–..", "later": "·~~"}
COLOURS = {"passed": "green", "failed": "red", "skipped": "yellow", "later": None}


def sign(outcome):
    """The sign of an outcome, or two letters where the output's encoding has no such sign."""
    signs = "".join(known[0] for known in SIGNS.values())
    return SIGNS[outcome][0] if machine.can_print(signs, sys.stdout) else SIGNS[outcome][1:]


def say(outcome, words):
    """Print a line with the sign and the colour of an outcome."""
    click.secho(f"{sign(outcome)} {words}", fg=COLOURS[outcome])


def tell(exercise, checks, project=None):
    """Print checks of a project as they come, then what to fix first; returns whether all pass."""
    telling = Telling(exercise, project)
    for check in checks:
        telling.hear(check)
    return telling.end()


def tell_page(exercise):
    """Print where the page of an exercise is: one line."""
    what = "challenge" if exercise.is_challenge else "step"
    page = site.page_of(exercise) or f"{COMMAND} docs"
    click.echo(f"To read the page of this {what}: {page}")


class Telling:
    """A verdict, as it is printed."""

    def __init__(self, exercise, project):
        self.exercise, self.verdict = exercise, Verdict(exercise, project)

    def hear(self, check):
        """Count a check, and show it if it matters by itself."""
        for line in self.verdict.hear(check):
            say(*line)

    def end(self):
        """Print what follows from it all; returns whether all checks pass."""
        verdict = self.verdict
        for line in verdict.rest():
            say(*line)
        self.tell_printed()
        if verdict.failed:
            self.tell_first()
        else:
            for reason in dict.fromkeys(verdict.skipped):
                click.echo(f"\nNot checked: {reason}")
            if verdict.is_done:
                self.congratulate()
            else:
                click.echo(verdict.headline())
        tell_page(self.exercise)
        return verdict.is_done and not verdict.failed

    def tell_printed(self):
        """Print what the app prints, each line once."""
        lines = self.verdict.of_printed()
        if lines:
            click.echo()
        for index, line in enumerate(lines):
            click.echo(f"    {'printed: ' if index < MOST_LINES else ''}{line}")

    def tell_first(self):
        """Print the first check that fails, and where to look."""
        verdict = self.verdict
        if verdict.is_done:
            Progress().note_done(self.exercise)
            click.secho(f"\n{verdict.headline()}", fg="green", bold=True)
        heading, lines = verdict.to_fix()
        click.secho(f"\n{heading}", bold=True)
        for line in lines:
            click.echo(f"  {line}")
        if verdict.first.test:
            click.echo(f"  The test: {verdict.first.test}")
        if verdict.counts.get("own", Counter())["later"]:
            click.echo(f"\nChecks marked {sign('later')} haven't run yet.")
        click.echo(f"\nStuck? {COMMAND} hint {self.exercise.id}")

    def congratulate(self):
        """Print that the exercise is done, what else there is to see of it, and what comes next."""
        exercise, progress = self.exercise, Progress()
        progress.note_done(exercise)
        click.secho(f"\n{self.verdict.headline()}", fg="green", bold=True)
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
