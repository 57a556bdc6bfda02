"""The commands, by who uses them: their words and exit codes, and nothing else."""

import click

from workshop.machine import COMMAND as COMMAND

port_option = click.option("--port", type=click.IntRange(1, 65535), help="Insist on this port.")
