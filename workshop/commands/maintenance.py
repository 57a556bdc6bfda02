"""What a maintainer types: test, carry, lock."""

import os
import subprocess
import sys
from pathlib import Path

import click

from workshop import carrying, environment, machine, testing, venv
from workshop.language import _

FILE = click.Path(dir_okay=False, resolve_path=True, path_type=Path)


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments):
    """Run the tests of everything, or those that ARGUMENTS name.

    ARGUMENTS go to pytest: a folder such as steps/03_echo, -k WORD, -x, --live and the like. --all
    adds the tests that need the network, repeat others or take long. Tests marked as exhaustive run
    only if --all and their file are both named.

    Tests that need a browser which is not there are skipped, and the last lines say what to
    install; with WORKSHOP_REQUIRE_ALL=1 they fail.
    """
    testing.run(arguments)


@click.command(hidden=True)
@click.argument("file")
def carry(file):
    """Copy a changed FILE of a step to the later steps that had the same (for maintainers)."""
    try:
        changed, different = carrying.carry(file)
    except carrying.CannotCarry as problem:
        raise click.ClickException(str(problem)) from None
    for path in changed:
        click.echo(_("changed: {path}").format(path=path.relative_to(venv.ROOT)))
    for path in different:
        words = _("differs, so change it by hand: {path}")
        click.echo(words.format(path=path.relative_to(venv.ROOT)))


@click.command(
    hidden=True,
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]},
)
@click.option("--newest", "kind", flag_value="newest", help="Show the newest versions.")
@click.option("--lowest", "kind", flag_value="lowest", help="Show the lowest versions.")
@click.option("--check", is_flag=True, help="Test the steps with these versions.")
@click.option("--suite", is_flag=True, help="With --check: test everything, as `test` does.")
@click.option("--python", metavar="COMMAND", help="The Python to use these versions with.")
@click.option("--report", type=FILE, help="Write the result to this file.")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def lock(kind, check, suite, python, report, arguments):
    """Lock the newest versions of the packages in Pipfile (for maintainers).

    With --newest or --lowest, nothing is locked. Instead, this shows which versions pip chooses
    without the lock: the newest or the lowest that Pipfile allows. With --check, it installs them
    in a separate environment, and tests the steps with them. ARGUMENTS are passed to pytest, as in
    `test`: to test files or folders instead of the steps, name them relative to the root. The exit
    code is 0 if all tests pass.
    """
    if not kind:
        if check or suite or python or report or arguments:
            raise click.UsageError("these options need --newest or --lowest")
        return lock_anew()
    if not check and (suite or arguments):
        raise click.UsageError("--suite and ARGUMENTS need --check")
    sys.exit(look_ahead(kind, check, suite, python or environment.base_python(), report, arguments))


def lock_anew():
    """Make Pipfile.lock anew."""
    from workshop import locking

    environment.ensure("maintenance")
    try:
        locking.lock()
    except locking.WrongPython as problem:
        raise click.ClickException(str(problem)) from None
    except subprocess.CalledProcessError as failure:
        command = machine.as_typed(*failure.cmd)
        raise click.ClickException(f"this failed: {command}") from None


def look_ahead(kind, check, suite, python, report, arguments):
    """Show the newest or the lowest versions, and test with them; returns an exit code."""
    environment.ensure("develop")
    from workshop import resolving
    from workshop.branches import BranchProblem

    os.chdir(venv.ROOT)  # ARGUMENTS are relative to it
    if check and not suite and not testing.paths_in(arguments):
        arguments = ["steps", *arguments]
    lines = []

    def say(line):
        click.echo(line)
        lines.append(line)

    try:
        return resolving.resolve(kind, python, list(arguments) if check else None, say)
    except (resolving.CannotResolve, environment.EnvironmentFailed, BranchProblem) as problem:
        lines.append(f"The {kind} versions cannot be tested: {problem}.")
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        if report:
            report.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
