"""What a maintainer types: test, carry, lock."""

import subprocess

import click

from workshop import carrying, environment, machine, testing, venv
from workshop.language import _


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


@click.command(hidden=True)
def lock():
    """Lock the newest versions of the packages in Pipfile (for maintainers)."""
    from workshop import locking

    environment.ensure("maintenance")
    try:
        locking.lock()
    except subprocess.CalledProcessError as failure:
        command = machine.as_typed(*failure.cmd)
        raise click.ClickException(f"this failed: {command}") from None
