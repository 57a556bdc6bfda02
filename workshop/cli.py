"""The words of the command and its exit codes, and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import click

from workshop import environment, serving, steps

COMMAND = "python3 -m workshop"


@click.group(
    name=COMMAND,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`COMMAND --help` tells more about each.",
)
def main_group():
    """Learn WebSockets with Quart by building one small app in numbered steps."""


@main_group.command()
@click.argument("target", default=steps.DEFAULT)
@click.option("--port", type=click.IntRange(1, 65535), help="Insist on this port.")
def run(target, port):
    """Serve a step, or a folder of your own, until Ctrl-C.

    TARGET is a step's number, its name, or any folder with a websocket.py; without it, step 5 is
    served. The server starts again when a file of the project changes. It listens on 127.0.0.1
    only, on port 5000 or, if that is taken, on the next free one.
    """
    try:
        sys.exit(serving.run(steps.find(target), port))
    except steps.UnknownTarget as problem:
        raise click.UsageError(str(problem)) from None
    except serving.PortTaken as problem:
        raise click.ClickException(str(problem)) from None


@main_group.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments):
    """Run the tests of everything, or those that ARGUMENTS name.

    ARGUMENTS go to pytest: a folder such as steps/03_echo, -k WORD, -x, --live and the like.
    Tests that need a browser which is not there are skipped, and the last lines say what to
    install; with WORKSHOP_REQUIRE_ALL=1 they fail.
    """
    need("default", "develop")
    pytest = [sys.executable, "-m", "pytest"]
    if not any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        # No file or folder is named, so it is everything: on all cores, from wherever it is called.
        pytest += ["-n", "auto", "--maxprocesses", "4"]
        os.chdir(environment.ROOT)
    environment.hand_over([*pytest, *arguments])


@main_group.command(hidden=True)
def lock():
    """Lock the newest versions of the packages in Pipfile (for maintainers)."""
    from workshop import locking

    need("default", "develop")
    try:
        locking.lock()
    except subprocess.CalledProcessError as failure:
        raise click.ClickException(f"this failed: {' '.join(map(str, failure.cmd))}") from None


def need(*sets):
    """Have these sets of the lock file installed, or end with what is in the way."""
    try:
        environment.ensure(*sets)
    except environment.EnvironmentFailed as failure:
        raise click.ClickException(f"the packages are not installed: {failure}.") from None


def main():
    """Run the command that the arguments name."""
    os.environ.setdefault("PYTHONUTF8", "1")
    main_group(prog_name=COMMAND)
