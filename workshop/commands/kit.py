"""What an instructor types to set up a class without a network: kit."""

import sys
from pathlib import Path

import click

from workshop import environment

PYTHONS = "3.11,3.12,3.13"
SYSTEMS = "windows,macos,linux"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--python", default=PYTHONS, show_default=True, help="The Pythons, with commas.")
@click.option("--for", "systems", default=SYSTEMS, show_default=True, help="The systems.")
@click.option("--all", "everything", is_flag=True, help="Add what docs and notebooks need.")
@click.option("--solutions", is_flag=True, help="Add the solution branches.")
def kit(folder, python, systems, everything, solutions):
    """Make FOLDER a kit from which learners set up without a network (for instructors).

    It holds the repository with the exercise branches, the site, the packages for running and
    checking, and start.py, which sets up the workshop from them. You need a network to make it.
    Type the same command again to complete a kit. If a package doesn't exist for one of the
    systems, it is named, and the exit code is 1.
    """
    environment.ensure("maintenance")
    from workshop.kit import KitProblem, make, size
    from workshop.kit.targets import SYSTEMS as KNOWN

    pythons = [one.strip() for one in python.split(",")]
    if unknown := [one for one in pythons if one not in PYTHONS.split(",")]:
        raise click.UsageError(f"Python {unknown[0]}: choose from {PYTHONS}")
    names = [one.strip() for one in systems.split(",")]
    if unknown := [one for one in names if one not in KNOWN]:
        raise click.UsageError(f"{unknown[0]} is no system: choose from {SYSTEMS}")
    targets = [target for name in names for target in KNOWN[name]]
    try:
        lacking = make(folder.absolute(), pythons, targets, everything, solutions, click.echo)
    except (KitProblem, OSError) as problem:
        raise click.ClickException(str(problem)) from None
    for sentence in lacking:
        click.echo(f"Not in the kit: {sentence}", err=True)
    click.echo(f"\nThe kit is in {folder} ({size(folder):.0f} MB). Learners type: python3 start.py")
    sys.exit(1 if lacking else 0)
