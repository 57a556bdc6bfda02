"""The quiz of a step, asked in the terminal."""

import sys

import click

from workshop import machine, steps
from workshop.commands.learner import read_progress, show
from workshop.language import _


@click.command()
@click.argument("step", required=False)
def quiz(step):
    """Answer questions about a step, in the terminal.

    STEP is a step's number or name; by default, the quiz is about the step you started, or step 1.
    Type the number of your answer, or the numbers of the lines in the right order, such as 2 1 3.
    To stop, press Ctrl-C or Ctrl-D. Your answers aren't saved, and the exit code is 0 whether they
    are right or wrong.
    """
    from workshop import questions

    chosen = steps.find_exercise(step or read_progress().started or "1")
    if chosen.is_challenge:
        chosen = chosen.previous
    asked = questions.of_step(chosen)
    words = _("{exercise}: {count} questions")
    click.secho(words.format(exercise=chosen.shown, count=len(asked)), bold=True)
    right = answered = 0
    try:
        for number, question in enumerate(asked, 1):
            click.echo()
            place = _("{number} of {count}").format(number=number, count=len(asked))
            show(f"**{place}.** {_(question.ask)}")
            right += ask_order(question) if question.lines else ask_option(question)
            answered = number
    except (click.Abort, KeyboardInterrupt):
        words = _("Stopped after {number} of {count} questions.")
        click.echo("\n" + words.format(number=answered, count=len(asked)))
    words = _("{number} of {count} right.")
    click.secho("\n" + words.format(number=right, count=answered or len(asked)), bold=True)


def ask_option(question):
    """Ask for one of the options, and say why it is right or not; returns whether it is."""
    if question.code:
        show(f"```{question.language}\n{question.code}\n```")
    for number, option in enumerate(question.shown, 1):
        first, *others = _(question.options[option].text).replace("`", "").splitlines()
        click.echo(f"\n  {number}  {first}")
        for line in others:
            click.echo(f"     {line}")
    count = len(question.shown)
    words = _("Your answer, 1 to {count}").format(count=count)
    number = prompt(f"\n{words}", type=click.IntRange(1, count))
    option = question.options[question.shown[number - 1]]
    if not option.is_right:
        say_verdict(False, option.why)
        words = _("The right answer is {number}.")
        click.echo("\n" + words.format(number=question.shown.index(0) + 1))
        show(question.options[0].why)
    else:
        say_verdict(True, option.why)
    return option.is_right


def ask_order(question):
    """Ask for the order of lines, and say why it is right or not; returns whether it is."""
    click.echo()
    for number, line in enumerate(question.shown, 1):
        click.echo(f"  {number:2}  {question.lines[line]}")
    count = len(question.shown)

    def numbers(text):
        words = text.replace(",", " ").split()
        if sorted(words) != sorted(str(number) for number in range(1, count + 1)):
            told = _("type each of the numbers 1 to {count} once, such as 2 1 3 …")
            raise click.UsageError(told.format(count=count))
        return [question.shown[int(word) - 1] for word in words]

    order = prompt("\n" + _("The numbers of the lines, from top to bottom"), value_proc=numbers)
    rule = question.broken_rule(order)
    say_verdict(rule is None, rule.why if rule else question.why)
    if rule:
        click.echo("\n" + _("In the right order:") + "\n")
        for line in question.lines:
            click.echo(f"      {line}")
        click.echo()
        show(question.why)
    return rule is None


def prompt(text, **options):
    """What somebody types; where that is no terminal, the line ends all the same."""
    typed = click.prompt(text, **options)
    if not machine.is_terminal(sys.stdin):
        click.echo()
    return typed


def say_verdict(is_right, why):
    """Say whether an answer is right, and why or why not."""
    verdict = _("Right") if is_right else _("Not quite")
    click.secho(f"\n{verdict}.", fg="green" if is_right else "red")
    show(why)
