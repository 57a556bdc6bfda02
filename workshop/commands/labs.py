"""What one types to find faults: lab."""

import difflib
import shutil
import sys
import textwrap

import click

from workshop import labs, serving
from workshop.commands import COMMAND, port_option
from workshop.language import _

WIDTH = 100  # of a text, unless the terminal is narrower


@click.command(short_help="Find the fault in a broken app, from outside.")
@click.argument("number", default="")
@click.option("--solve", is_flag=True, help="Show the cause, and what each tool shows of it.")
@click.option("--fixed", is_flag=True, help="Serve the app without the fault, for comparison.")
@click.option("--wire", is_flag=True, help="Print each frame that passes through the proxy.")
@port_option
def lab(number, solve, fixed, wire, port):
    """Serve a broken app, until Ctrl-C: find the fault without reading the app.

    Without a NUMBER, this lists the labs. With one, it prints a user's complaint, where the app is
    served, what to try, and then the server's log.
    """
    if not number:
        if solve or fixed or wire or port:
            raise click.UsageError("these options need the number of a lab")
        for each in labs.all_labs():
            click.echo(f"{each.number}  {_(each.title)}")
        return click.echo("\n" + _("To start one: {command}").format(command=f"{COMMAND} lab 1"))
    chosen = labs.find_lab(number)
    if solve:
        return tell_solution(chosen)
    listener = serving.listen(serving.chosen_port(port, serving.FIRST_PORT))
    here = f"{serving.HOST}:{listener.getsockname()[1]}"
    from workshop.labs import stage

    def ready(ports):
        without = " " + _("(without the fault)") if fixed else ""
        click.secho(chosen.heading + without, bold=True)
        tell_text(_(chosen.complaint), "  > ")
        words = _("Users connect to {address} (Ctrl-C stops it).")
        click.echo("\n" + words.format(address=f"http://{here}/"))
        where = ", ".join(f"http://{serving.HOST}:{each}/" for each in ports)
        words = _("The app itself is behind a proxy, at {addresses}")
        click.echo("  " + words.format(addresses=where))
        words = _("The proxy's metrics: {address}")
        click.echo("  " + words.format(address=f"http://{here}/metrics"))
        if chosen.note:
            tell_text(_(chosen.note), "  ")
        click.echo("\n" + _("To try:"))
        for each in chosen.tries:
            tell_text(f"{_(labs.TOOLS[each['tool']])}: {_(each['do'])}", "  - ", "    ")
        command = f"{COMMAND} lab {chosen.number} --solve"
        click.echo("\n" + _("Found it? {command}").format(command=command))
        words = _("The server's log, and what passes through the proxy:")
        click.echo("\n" + (words if wire else _("The server's log:")))
        sys.stdout.flush()

    def log(line):
        click.echo(line)
        sys.stdout.flush()

    try:
        stage.play(chosen, fixed, listener, ready, log, log if wire else None)
    except serving.NotServed as problem:
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        pass
    click.echo("\n" + _("Stopped."))


def tell_solution(lab):
    """Print the solution of a lab."""
    solution = lab.solution
    click.secho(_("{lab}: the solution").format(lab=lab.heading), bold=True)
    tell_text(_(solution["cause"]))
    broken, right = lab.files(), lab.files(fixed=True)
    for name in broken:
        if broken[name] != right.get(name):
            old, new = (files[name].decode().splitlines() for files in (right, broken))
            click.echo()
            here = _("{name}, as it is here").format(name=name)
            for line in difflib.unified_diff(old, new, name, here, "", "", 1, ""):
                click.echo(f"  {line}")
    click.echo("\n" + _("What shows it:"))
    for tool, words in solution["shows"].items():
        tell_text(f"{_(labs.TOOLS[tool])}: {_(words)}", "  - ", "    ")
    click.echo()
    tell_text(_("Fix: {words}").format(words=_(solution["repair"])))
    tell_text(_("Next time: {words}").format(words=_(solution["prevent"])))


def tell_text(text, first="", rest=None):
    """Print a paragraph."""
    rest = first if rest is None else rest
    words = " ".join(text.split())
    width = min(WIDTH, shutil.get_terminal_size().columns)
    click.echo(textwrap.fill(words, width, initial_indent=first, subsequent_indent=rest))
