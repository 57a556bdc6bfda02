"""The command `python3 -m workshop`: its commands in order, and what becomes of their problems."""

import sys

import click

from workshop import VERSION, environment, language, machine, serving, steps
from workshop.commands import (
    COMMAND,
    board,
    classroom,
    grade,
    helping,
    kit,
    lab,
    labs,
    learner,
    maintenance,
    quiz,
    site,
)
from workshop.learner import LearnerProblem

PROBLEMS = (serving.PortTaken, LearnerProblem, environment.EnvironmentFailed, steps.UnknownFile)


class Commands(click.Group):
    """Commands in the order in which they are written, whose problems are one sentence each."""

    def list_commands(self, context):
        """The names of the commands in the order in which a learner meets them."""
        return list(self.commands)

    def invoke(self, context):
        """Run a command; what is in its way becomes one sentence and an exit code."""
        from workshop.board.saving import BoardProblem
        from workshop.branches import BranchProblem
        from workshop.reporting import ReportProblem

        try:
            return super().invoke(context)
        except steps.UnknownTarget as problem:
            raise click.UsageError(language.sentence(str(problem))) from None
        except (*PROBLEMS, BoardProblem, BranchProblem, ReportProblem) as problem:
            raise click.ClickException(language.sentence(str(problem))) from None
        except click.ClickException as problem:
            problem.message = language.sentence(problem.message)
            raise


def check_language(context, param, option):
    """Refuse a language that is unknown; of what is known, `language.begin` has made its choice."""
    try:
        language.chosen(option)
    except ValueError as problem:
        raise click.UsageError(f"{language.VARIABLE}: {problem}") from None


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`COMMAND --help` tells more about each.",
)
@click.version_option(VERSION, message="Quart WebSocket Workshop %(version)s")
@click.option(
    "--language",
    type=click.Choice(language.known()),
    is_eager=True,
    expose_value=False,
    callback=check_language,
    help="The language of the command.  [WORKSHOP_LANGUAGE, or the system's]",
)
@click.pass_context
def main_group(context):
    """Learn WebSockets with Quart by building one small app in numbered steps.

    Without a command: where you are, and what to type next.
    """
    if not machine.has_colours():
        context.color = False
    if context.invoked_subcommand is None:
        learner.where_am_i()


for command in (
    *(learner.run, learner.start, learner.check, learner.hint, learner.diff),
    *(quiz.quiz, learner.doctor),
    *(board.join, board.leave, board.hand, board.board),
    *(maintenance.test, classroom.branches, classroom.release, classroom.answers),
    kit.kit,
    grade.grade,
    *(labs.lab, lab.fault, site.docs, site.notebooks, lab.bench, maintenance.carry),
    maintenance.lock,
):
    main_group.add_command(command)


def main():
    """Run the command that the arguments name, and end with its exit code."""
    language.begin(sys.argv[1:])
    if language.code != language.ENGLISH:
        helping.translate(main_group)
    main_group(prog_name=COMMAND)
