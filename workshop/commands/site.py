"""What one types to read: docs, notebooks."""

import sys
from pathlib import Path

import click

from workshop import environment, language, site
from workshop.commands import port_option


@click.command()
@click.option(
    "--build",
    "folder",
    type=click.Path(path_type=Path),
    help="Write the site into FOLDER, and don't serve it.",
)
@click.option("--english", is_flag=True, help="With --build: leave out the translations.")
@port_option
def docs(folder, english, port):
    """Serve the docs site, and rebuild it at every save, until Ctrl-C.

    With --build, only write the site into FOLDER, where it needs no server, with its translations.
    Warnings are errors then: if there are any, FOLDER stays as it was.
    """
    if folder:
        folder = folder.absolute()
        try:
            site.require_place(folder)
        except site.NoPlace as problem:
            raise click.UsageError(str(problem)) from None
    environment.ensure("maintenance")
    if folder:
        sys.exit(_build(folder, english))
    sys.exit(site.serve(port))


def _build(folder, is_english):
    """Build the site into a folder, or only its English pages; returns an exit code."""
    try:
        return site.build(folder, [language.ENGLISH] if is_english else None)
    except site.NoPlace as problem:
        raise click.ClickException(str(problem)) from None


@click.command()
@port_option
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def notebooks(port, no_browser):
    """Open the notebooks in JupyterLab, until Ctrl-C."""
    environment.ensure("maintenance")
    site.open_notebooks(port, not no_browser)
