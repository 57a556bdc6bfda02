"""What an instructor types to set up a class without a network: kit."""

import sys
import threading
from pathlib import Path

import click

from workshop import environment, machine
from workshop.commands import port_option
from workshop.language import _

PYTHONS = "3.11,3.12,3.13"
SYSTEMS = "windows,macos,linux"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--python", default=PYTHONS, show_default=True, help="The Pythons, with commas.")
@click.option("--for", "systems", default=SYSTEMS, show_default=True, help="The systems.")
@click.option("--all", "everything", is_flag=True, help="Add what docs and notebooks need.")
@click.option("--solutions", is_flag=True, help="Add the solution branches.")
@click.option("--serve", is_flag=True, help="Offer the kit in FOLDER over HTTP, until Ctrl-C.")
@click.option("--lan", is_flag=True, help="With --serve: to every machine on this network.")
@port_option
def kit(folder, python, systems, everything, solutions, serve, lan, port):
    """Make FOLDER a kit from which learners set up without a network (for instructors).

    It holds the repository with the exercise branches, the site, the packages for running and
    checking, and start.py, which sets up the workshop from them. You need a network to make it.
    Type the same command again to complete a kit. If a package doesn't exist for one of the
    systems, this says so, and the exit code is 1.

    With --serve, an existing kit is offered to the class: pages, repository and packages. Other
    machines can reach it only with --lan, and not on a guest network that keeps its machines apart.
    """
    if (lan or port) and not serve:
        raise click.UsageError("--lan and --port go with --serve")
    if serve:
        return offer(folder.absolute(), port, lan)
    environment.ensure("maintenance")
    from workshop.kit import KitProblem, make, size
    from workshop.kit.targets import SYSTEMS as KNOWN

    pythons = [one.strip() for one in python.split(",")]
    if unknown := [one for one in pythons if one not in PYTHONS.split(",")]:
        raise click.UsageError(f"Python {unknown[0]}: choose from {PYTHONS}")
    names = [one.strip() for one in systems.split(",")]
    if unknown := [one for one in names if one not in KNOWN]:
        raise click.UsageError(f"{unknown[0]} is not a system: choose from {SYSTEMS}")
    targets = [target for name in names for target in KNOWN[name]]
    try:
        lacking = make(folder.absolute(), pythons, targets, everything, solutions, click.echo)
    except (KitProblem, OSError) as problem:
        raise click.ClickException(str(problem)) from None
    for lack in lacking:
        click.echo(_("Not in the kit: {lack}").format(lack=lack), err=True)
    words = _("The kit is in {folder} ({size} MB). Learners type: python3 start.py")
    click.echo("\n" + words.format(folder=folder, size=f"{size(folder):.0f}"))
    sys.exit(1 if lacking else 0)


def offer(folder, port, lan):
    """Offer a kit until Ctrl-C."""
    environment.ensure("maintenance")
    from workshop.kit import KitProblem
    from workshop.kit.offer import offered, qr_code

    try:
        with offered(folder, port, lan) as url:
            click.echo(_("The kit is offered at {url}/ (Ctrl-C stops it).").format(url=url))
            if lan:
                words = _("Every machine on this network can read it, and none can change it.")
                click.echo(f"{words}\n")
                if machine.can_print("█▀▄", sys.stdout):
                    qr_code(url).terminal(compact=True)
            else:
                click.echo(_("Only this machine can reach it; --lan offers it to the class."))
            threading.Event().wait()
    except KitProblem as problem:
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        sys.exit(130)
