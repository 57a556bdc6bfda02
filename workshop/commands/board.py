"""What a class types for its board: join, leave, hand, and board."""

import json
import sys
from pathlib import Path

import click

from workshop import steps
from workshop.commands import COMMAND, port_option
from workshop.commands.learner import can_ask
from workshop.language import N_, _, sentence

ASKS_FOR = N_("join takes the ADDRESS and the CODE that the board shows, or --show")

AND_NOTHING_ELSE = N_("""A report holds nothing else. The id is random: a report that arrives twice
counts once. The time is in seconds since 1970. Each report is sent with the key that the
board gave you, so that nobody else can write to your row.""")

ON_THE_NETWORK = (
    N_("Everyone on this network can reach it. Joining and viewing need the code."),
    N_("It uses plain HTTP, so others on this network could read what is sent."),
    N_("If this machine's firewall asks, allow it: only here, not for learners."),
    N_("A guest network may keep machines apart: use a phone's hotspot then."),
)


@click.command()
@click.argument("address", required=False)
@click.argument("code", required=False)
@click.option("--as", "name", help="The name that the board shows; without it, a number.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option("--show", is_flag=True, help="Print exactly what a report holds, and send nothing.")
def join(address, code, name, yes, show):
    """Let each check report to the board of your class, until you type `leave`.

    ADDRESS and CODE are what the board shows. Before anything is sent, this says what will be sent
    and what will not, and asks.
    """
    from workshop import reporting

    if show:
        return show_report()
    if not address or not code:
        raise click.UsageError(_(ASKS_FOR))
    address = reporting.address_of(address)
    if joined := reporting.read_joined():
        raise reporting.ReportProblem(
            f"you have joined the board at {joined['address']}: type `{COMMAND} leave` first"
        )
    words = _("From now on, each check will send to the board at {address}:")
    click.echo(words.format(address=address))
    who = _("a number in place of a name")
    if name is not None:
        who = _("the name {name}").format(name=printable(name))
    for line in reporting.what_is_sent(who):
        click.echo(f"  {sentence(line)}" if line.startswith("-") else sentence(line))
    if not yes:
        if not can_ask():
            raise click.ClickException("this needs a terminal to ask: add --yes if you agree")
        if not click.confirm(_("Join?")):
            click.echo(_("Nothing was sent."))
            sys.exit(1)
    shown = reporting.join(address, code, name)
    words = _("You have joined as {name}. To see what a report holds: {command} join --show")
    click.echo("\n" + words.format(name=shown, command=COMMAND))
    words = _("To ask for help: {command} hand up. To stop: {command} leave")
    click.echo(words.format(command=COMMAND))


def show_report():
    """Print the last report or, if there is none, one as it would be."""
    from workshop import reporting
    from workshop.checking import Check
    from workshop.learner import Progress

    if text := reporting.last_report():
        click.echo(_("Your last report:"))
        click.echo(text.strip())
        return click.echo(_(AND_NOTHING_ELSE))
    exercise = steps.find_exercise(Progress().started or "3")
    words = [name.removeprefix("test_").replace("_", " ") for name in exercise.own_tests]
    checks = [Check(each, "passed") for each in sorted(words)]
    checks[0].outcome = "failed"
    words = _("A report of {exercise}, if the first check failed:")
    click.echo(words.format(exercise=exercise.id))
    click.echo(json.dumps(reporting.made_of(exercise.id, checks), indent=2))
    click.echo(_(AND_NOTHING_ELSE))


def printable(name):
    """A name without anything that a terminal would obey."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


@click.command()
def leave():
    """Stop reporting to the board of your class, and remove your row from it."""
    from workshop import reporting

    joined = reporting.read_joined()
    if joined is None:
        click.echo(_("You haven't joined a board, so nothing is sent."))
        return
    try:
        reporting.tell("leave", {})
        click.echo(_("You have left: your row is removed, and nothing is sent any more."))
    except reporting.ReportProblem as problem:
        words = _("You have left, and nothing is sent any more. But {problem}.")
        click.echo(words.format(problem=sentence(str(problem))))
        click.echo(_("If the board is still there, it shows your row."))
    finally:
        reporting.forget()


@click.command()
@click.argument("direction", type=click.Choice(["up", "down"]))
def hand(direction):
    """Put your hand up on the board of your class, or down again."""
    from workshop import reporting

    reporting.tell("hand", {"up": direction == "up"})
    click.echo(_("Your hand is up.") if direction == "up" else _("Your hand is down."))


@click.command()
@click.option("--lan", is_flag=True, help="Let others on this network reach the board.")
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the class in FILE, so that the board can be restarted.",
    metavar="FILE",
)
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
@port_option
def board(lan, save, no_browser, port):
    """Show each learner's exercise and failing checks, live, until Ctrl-C (for instructors).

    The board prints an address and a class code for `join`, and opens a page for the projector. It
    listens on port 5050 of 127.0.0.1 or, if that is taken, on the next free port. With --lan, it
    listens on all addresses of this machine: everyone on the network can connect, but needs the
    code to join or to view the board. The class is kept in memory only, unless --save is given.
    """
    import webbrowser

    from workshop.board.serving import Session

    session = Session(port, lan, save)

    def announce():
        words = _("The board is served at {page} (Ctrl-C stops it).")
        if session.is_continued:
            words = _("The board is served again at {page} (Ctrl-C stops it).")
        click.echo(words.format(page=session.page))
        words = _("Learners type:  {command}")
        click.echo(words.format(command=f"{COMMAND} join {session.host} {session.code}"))
        if lan and session.host.startswith("127."):
            click.echo(_("This machine has no network now, so nobody else can reach the board."))
        elif lan:
            for words in ON_THE_NETWORK:
                click.echo(_(words))
        else:
            click.echo(_("Only this machine can reach it; with --lan, others on this network can."))
        if not save:
            click.echo(_("The class is kept in memory only; --save FILE keeps it for a restart."))
        sys.stdout.flush()
        if not no_browser:
            webbrowser.open(session.page)

    session.serve(announce)
