"""`{live} 03_echo`: an exercise to be edited, run and checked in its page.

In the page stands only a place for it, and the hints. `_static/live.js` puts a button there, and
loads the rest when it is pressed: `live/` and what live_runtime makes, which are in the site only.
"""

import os
import shutil
import sys
from pathlib import Path

import live_runtime
import translated
from docutils import nodes
from docutils.parsers.rst import directives
from live_runtime import DOCS, LIVE
from markdown_it import MarkdownIt
from sphinx.util.docutils import SphinxDirective

from workshop.language import N_, _
from workshop.steps import find_exercise

BUTTON = N_("Write, run and check it here")
DEMO = N_("Run the finished app here")
markdown = MarkdownIt("commonmark", {"html": False}).render
WITHOUT = "WORKSHOP_WITHOUT_LIVE"  # a variable: the site is built without Python for its pages
FILES = ("*.js", "editor/*.js", "editor/*.css", "editor/LICENCE.txt")


class Live(SphinxDirective):
    """The place for an exercise; with `:demo:`, its solution runs, and nothing is edited."""

    required_arguments = 1
    option_spec = {"demo": directives.flag}  # noqa: RUF012

    def run(self):
        """The place, and the hints."""
        exercise = find_exercise(self.arguments[0])
        self.env.note_dependency(str(exercise.folder / "exercise.toml"))
        return [nodes.raw("", place_for(exercise, "demo" in self.options), format="html")]


def place_for(exercise, is_demo=False):
    """The HTML of a place: an empty element with what the script must know, and the hints."""
    command = f"python3 -m workshop {'run' if is_demo else 'start'} {exercise.number}"
    place = (
        f'<div class="live" data-live="{exercise.id}" data-command="{command}" '
        f'data-button="{_(DEMO if is_demo else BUTTON)}"{" data-demo" if is_demo else ""}></div>'
    )
    hints = [] if is_demo else exercise.hints
    words = _("Hint {number} of {count}")
    titles = [words.format(number=number + 1, count=len(hints)) for number in range(len(hints))]
    templates = [
        f'<template data-hint-of="{exercise.id}"><strong>{title}</strong>'
        f"{markdown(_(hint))}</template>"
        for title, hint in zip(titles, hints, strict=True)
    ]
    return "".join([place, *templates])


def add_files(app, pagename, templatename, context, doctree):
    """Load the script and the style sheet in pages that have an exercise, and in no other."""
    if "data-live=" in context.get("body", ""):
        app.add_css_file("live.css")
        is_below = app.builder.name == translated.BUILDER  # what is loaded is only above
        base = {"data-base": "../../_static/live/"} if is_below else {}
        words = translated.words_for(scripts(), live_runtime.sent())
        app.add_js_file("live.js", loading_method="defer", **base, **words)


def scripts():
    """The script of the button, and those that it loads."""
    return [DOCS / "_static/live.js", *sorted(LIVE.glob("*.js"))]


def write_files(app, exception):
    """Write what pages load, once they are written."""
    if not exception and app.builder.name == "html":
        write(Path(app.outdir) / "_static/live")


def write(folder):
    """Write what a page loads once its button is pressed into a folder."""
    for pattern in FILES:
        for path in LIVE.glob(pattern):
            target = folder / path.relative_to(LIVE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    live_runtime.write_exercises(folder / "exercises")
    if not os.environ.get(WITHOUT):
        live_runtime.make(folder / "runtime", say)


def say(text):
    """Say what is missing: it is no warning, which would be an error, and -q must not hide it."""
    print(text, file=sys.stderr)


def setup(app):
    """Tell Sphinx of the directive."""
    app.add_directive("live", Live)
    app.connect("html-page-context", add_files)
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True}
