"""What one types to find faults: lab."""

import difflib
import shutil
import sys
import textwrap

import click

from workshop import labs, serving
from workshop.commands import COMMAND, port_option

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
            click.echo(f"{each.number}  {each.title}")
        return click.echo(f"\nTo start one: {COMMAND} lab 1")
    chosen = labs.find_lab(number)
    if solve:
        return tell_solution(chosen)
    listener = serving.listen(serving.chosen_port(port, serving.FIRST_PORT))
    here = f"{serving.HOST}:{listener.getsockname()[1]}"
    from workshop.labs import stage

    def ready(ports):
        click.secho(f"{chosen.heading}{' (without the fault)' if fixed else ''}", bold=True)
        tell_text(chosen.complaint, "  > ")
        click.echo(f"\nUsers connect to http://{here}/ (Ctrl-C stops it).")
        where = ", ".join(f"http://{serving.HOST}:{each}/" for each in ports)
        click.echo(f"  The app itself is behind a proxy, at {where}")
        click.echo(f"  The proxy's metrics: http://{here}/metrics")
        if chosen.note:
            tell_text(chosen.note, "  ")
        click.echo("\nTo try:")
        for each in chosen.tries:
            tell_text(f"{labs.TOOLS[each['tool']]}: {each['do']}", "  - ", "    ")
        click.echo(f"\nFound it? {COMMAND} lab {chosen.number} --solve")
        click.echo(f"\nThe server's log{', and what passes through the proxy' if wire else ''}:")
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
    click.echo("\nStopped.")


def tell_solution(lab):
    """Print the solution of a lab."""
    solution = lab.solution
    click.secho(f"{lab.heading}: the solution", bold=True)
    tell_text(solution["cause"])
    broken, right = lab.files(), lab.files(fixed=True)
    for name in broken:
        if broken[name] != right.get(name):
            old, new = (files[name].decode().splitlines() for files in (right, broken))
            click.echo()
            for line in difflib.unified_diff(
                old, new, name, f"{name}, as it is here", "", "", 1, ""
            ):
                click.echo(f"  {line}")
    click.echo("\nWhat shows it:")
    for tool, words in solution["shows"].items():
        tell_text(f"{labs.TOOLS[tool]}: {words}", "  - ", "    ")
    click.echo()
    tell_text(f"Fix: {solution['repair'].strip()}")
    tell_text(f"Next time: {solution['prevent'].strip()}")


def tell_text(text, first="", rest=None):
    """Print a paragraph."""
    rest = first if rest is None else rest
    words = " ".join(text.split())
    width = min(WIDTH, shutil.get_terminal_size().columns)
    click.echo(textwrap.fill(words, width, initial_indent=first, subsequent_indent=rest))
