"""What one types to see what a step bears, and how far it goes: fault, bench."""

import inspect
import sys
import time
from pathlib import Path

import click

from workshop import environment, machine, serving, steps
from workshop.language import _

BENCHMARKS = ("fanout", "memory", "resume", "transports", "environment", "check", "live")


class Fault(click.Command):
    """A command whose help has a sentence on each fault, and loads them for that only."""

    @property
    def help(self):
        """What the command does, and what each fault is."""
        from workshop.faults import FAULTS

        faults = (f"{name}: {_(it.__doc__)}" for name, it in FAULTS.items())
        return "\n\n".join([_(self.about), *faults])

    @help.setter
    def help(self, about):
        self.about = inspect.cleandoc(about)


@click.command(cls=Fault, short_help="Play a bad client against a step, and see who suffers.")
@click.argument("fault")
@click.argument("target", default=steps.DEFAULT)
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="Of silent and flood: how long.")
@click.option("--megabytes", type=click.IntRange(1, 1024), help="Of slow, flood, huge: how much.")
@click.option("--clients", type=click.IntRange(1, 5000), help="Of storm: how many.")
@click.option("--unchecked", is_flag=True, help="Of foreign: turn off the app's origin check.")
def fault(fault, target, unchecked, **limits):
    """Play a bad client against a running step, and see what it does to the others.

    TARGET is a step's number, its name, or a folder with a websocket.py, which is then served for
    as long as it takes; or http://127.0.0.1:PORT, where one of yours runs already. Without it, step
    5 is served. Each FAULT is bounded in time and size, and Ctrl-C stops it at once.
    """
    from workshop import faults, lab

    if fault not in faults.FAULTS:
        raise click.UsageError(
            f"there is no fault {fault!r}; the faults are {', '.join(faults.FAULTS)}"
        )
    limits = {name: value for name, value in limits.items() if value is not None}
    for name in limits.keys() - faults.limits_of(fault):
        raise click.UsageError(f"{fault} has no --{name}")
    if unchecked and fault != "foreign":
        raise click.UsageError(f"{fault} has no --unchecked")
    environment.ensure("develop")
    click.secho(f"{fault}: {_(faults.FAULTS[fault].__doc__)}", bold=True)
    report = Report()
    try:
        faults.play(fault, target, report.tell, report.progress, unchecked, **limits)
    except (lab.CannotPlay, serving.NotServed) as problem:
        report.clear()
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        click.echo("\n" + _("Stopped."))
        sys.exit(130)


class Report:
    """What a fault tells, line by line, and how far it is, which a terminal shows in one place."""

    def __init__(self):
        self.is_terminal, self.last = machine.is_terminal(sys.stdout), time.monotonic()

    def clear(self):
        """Take away how far it was."""
        if self.is_terminal:
            click.echo("\r\033[K", nl=False)

    def tell(self, label, words):
        """Print what was seen."""
        self.clear()
        click.echo(f"  {click.style(f'{label:<36}', fg='cyan')} {words}")
        sys.stdout.flush()

    def progress(self, words):
        """Say how far it is: at once on a terminal, and else every two seconds."""
        if time.monotonic() - self.last > (0.1 if self.is_terminal else 2):
            self.last = time.monotonic()
            self.clear()
            click.secho(f"  … {words}", dim=True, nl=not self.is_terminal)


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Measure less, in under a minute each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write JSON and SVG into this folder.",
)
def bench(names, quick, out):
    """Measure the steps beside other servers, until it is done or Ctrl-C.

    NAME is fanout (deliveries a second, and how late the last is), memory (what an idle client
    costs, and one that never reads), resume (everyone comes back at once), transports (WebSocket,
    server-sent events and long polling), environment or check (how long a `run` and a `check`
    take), or live (both in a page). Without a NAME it is fanout, memory and resume.

    Only ratios within one run say something: each is printed beside the one that is wanted. The
    exit code is 1 if a server lost, doubled or mixed up a message, or was too slow to be measured.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise click.UsageError(f"{name!r} is none of {', '.join(BENCHMARKS)}")
    environment.ensure("maintenance")
    from bench import running

    try:
        is_good = running.run(names or BENCHMARKS[:3], quick, out)
    except KeyboardInterrupt:
        click.echo("\n" + _("Stopped."), err=True)
        sys.exit(130)
    sys.exit(0 if is_good else 1)
