"""What `check` tells: each check that matters now, the rest counted, and what to do next."""

import sys
from collections import Counter

import click

from workshop import machine, site, steps
from workshop.commands import COMMAND
from workshop.language import _, sentence
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
    words = _("To read the page of this step: {page}")
    if exercise.is_challenge:
        words = _("To read the page of this challenge: {page}")
    click.echo(words.format(page=site.page_of(exercise) or f"{COMMAND} docs"))


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
                click.echo("\n" + _("Not checked: {reason}").format(reason=sentence(reason)))
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
            is_printed = index < MOST_LINES
            click.echo("    " + (_("printed: {line}").format(line=line) if is_printed else line))

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
            click.echo("  " + _("The test: {place}").format(place=sentence(verdict.first.test)))
        if verdict.counts.get("own", Counter())["later"]:
            words = _("Checks marked {sign} haven't run yet.")
            click.echo("\n" + words.format(sign=sign("later")))
        words = _("Stuck? {command} hint {exercise}")
        click.echo("\n" + words.format(command=COMMAND, exercise=self.exercise.id))

    def congratulate(self):
        """Print that the exercise is done, what else there is to see of it, and what comes next."""
        exercise, progress = self.exercise, Progress()
        progress.note_done(exercise)
        click.secho(f"\n{self.verdict.headline()}", fg="green", bold=True)
        words = _("Congratulations, you have finished step {number}, {title}!")
        if exercise.is_challenge:
            words = _("Congratulations, you have finished the challenge {title}!")
        click.echo(words.format(number=exercise.number, title=_(exercise.title)))
        words = _("To compare with the solution: {command} diff {exercise}")
        click.echo("\n" + words.format(command=COMMAND, exercise=exercise.id))
        if exercise.other_way:
            words = _("Another way that passes: it {way}.")
            click.echo(words.format(way=_(exercise.other_way.name)))
            click.echo(f"  {_(exercise.other_way.trade_off)}")
            words = _("To see it: {command} diff {exercise} --other")
            click.echo("  " + words.format(command=COMMAND, exercise=exercise.id))
        following = progress.next_exercise(after=exercise)
        words = _("Next: {command} start {number}") if following else _("That was the last step.")
        click.echo(words.format(command=COMMAND, number=following and following.number))
        for challenge in steps.all_exercises():
            if challenge.is_challenge and challenge.number == exercise.number:
                if challenge.id not in progress.done:
                    words = _("Or a challenge: {command} start {exercise}")
                    click.echo(words.format(command=COMMAND, exercise=challenge.id))
