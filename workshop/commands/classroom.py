"""What an instructor types: branches, release, answers."""

import sys
from pathlib import Path

import click

from workshop import steps
from workshop.commands import COMMAND
from workshop.language import _, plural, sentence


@click.command()
@click.option("--force", is_flag=True, help="Also move or delete branches with other commits.")
@click.option("--list", "list_them", is_flag=True, help="List the branches that exist.")
@click.option("--delete", is_flag=True, help="Delete the branches.")
def branches(force, list_them, delete):
    """Create the branches exercise/ID and solution/ID in this repository (for instructors).

    The same sources give the same commits on any machine. The work tree, the index and the current
    branch don't change, and a branch with commits of somebody's own is left alone.
    """
    from workshop import branches

    if list_them:
        for branch, is_ours in branches.present():
            click.echo(branch if is_ours else f"{branch} {_('(with other commits)')}")
        if not branches.present():
            words = _("There are no branches yet: {command} branches creates them.")
            click.echo(words.format(command=COMMAND))
    elif delete:
        for branch, what in branches.delete(force):
            click.echo(f"{branch} {what}")
    else:
        for branch, what in branches.make(force):
            click.echo(f"{branch} {what}")


@click.command()
@click.argument("exercise", required=False)
@click.option("--to", "remote", required=True, help="The remote, as in `git push REMOTE`.")
@click.option("--exercise", "is_task", is_flag=True, help="Push its exercise branch instead.")
@click.option("--exercises", is_flag=True, help="Push all exercise branches, but no solutions.")
@click.option("--force", is_flag=True, help="Replace what the remote has.")
def release(exercise, remote, is_task, exercises, force):
    """Push the solution branch of one EXERCISE to a remote (for instructors).

    An exercise starts from the solution of the one before, which is in its history. If learners
    must not look ahead, push the exercise branches one at a time with --exercise.
    """
    from workshop import branches

    if exercises == bool(exercise) or (exercises and is_task):
        raise click.UsageError("name one exercise, or --exercises for all exercise branches")
    names = branches.exercise_branches()
    if not exercises:
        kind = "exercise" if is_task else "solution"
        names = [f"{kind}/{steps.find_exercise(exercise).id}"]
    pushed = branches.push(remote, names, force)
    for name in names:
        words = _("{branch} was up to date at {remote}")
        if name in pushed:
            words = _("{branch} pushed to {remote}")
        click.echo(words.format(branch=name, remote=remote))
    if (exercises or is_task) and not branches.has_default_branch(remote):
        words = _(
            "A plain clone checks out nothing yet: set the default branch in the settings of the "
            "site that\nhosts it, or, for a repository on a disk, there:"
        )
        click.echo(f"\n{words}\n  git symbolic-ref HEAD refs/heads/{names[0]}")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def answers(files):
    """Count the answers that learners have saved, before and after (for instructors).

    FILES are what the button "Save my answers" makes, on the pages before step 1 and after step 5.
    For each question, the table shows how often each option was chosen. A file without answers is
    skipped with a message, and the exit code is then 1; the others still count.
    """
    from workshop import answers

    good, bad = [], []
    for path in files:
        try:
            good.append(answers.read(path))
        except answers.BadAnswers as problem:
            bad.append(problem)
            words = _("Skipped {path}: {problem}.")
            told = words.format(path=printable(path), problem=sentence(str(problem)))
            click.echo(told, err=True)
    words = plural("{number} file counted.", "{number} files counted.", len(good))
    click.echo(words.format(number=len(good)) + "\n")
    click.echo(_("before  after"))
    for topic, options in answers.rows(answers.count(good)):
        click.secho(f"{'':15}{topic[0].upper()}{topic[1:]}", bold=True)
        for option, before, after in options:
            right = f" {_('(right)')}" if option.is_right else ""
            click.echo(f"{before:6}{after:7}  {option.text.replace('`', '')}{right}")
    sys.exit(1 if bad else 0)


def printable(path):
    """The name of a file, without anything that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in str(path))
