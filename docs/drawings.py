"""Drawings with the colours of the page.

`{sequence}` shows what travels between whom, and when; `{deliveries}` how fast each server is.
"""

import html
import json
import re
from pathlib import Path
from statistics import median

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

from workshop.language import _


class Sequence(SphinxDirective):
    """What travels between whom, and when, as a drawing.

    Each line of the content is `one -> other: what`, or `one: what happens there`. The drawing is
    an SVG with the colours of the page; its text alternative is made from the same lines.
    """

    required_arguments = 1  # the title
    final_argument_whitespace = True
    has_content = True
    option_spec = {"who": directives.unchanged_required}  # noqa: RUF012 (docutils reads it)

    def run(self):
        """The drawing, as it is put into the page."""
        who = [name.strip() for name in self.options["who"].split(",")]
        events = []
        for line in self.content:
            if line.strip():
                found = re.fullmatch(r"([^:>-]+?)(?: -> ([^:]+?))?: (.+)", line.strip())
                if not found or not {found[1], found[2] or found[1]} <= {*who, "all"}:
                    raise self.error(f"not a line of a sequence: {line!r}")
                events.append(found.groups())
        number = self.env.new_serialno("sequence")
        title = _(self.arguments[0])
        who = [_(name) for name in who]
        events = [tuple(words and _(words) for words in event) for event in events]
        drawing = draw(title, who, events, f"sequence-{number}")
        figure = nodes.figure(classes=["sequence"])
        figure += nodes.raw("", drawing, format="html")
        figure += nodes.caption("", title)
        return [figure]


WIDTH, HEAD, ROW, MARGIN = 440, 44, 40, 12


def draw(title, who, events, anchor):
    """An SVG of who sends what to whom; times run downwards."""
    lane = (WIDTH - 2 * MARGIN) / len(who)
    at = {name: MARGIN + lane * (number + 0.5) for number, name in enumerate(who)}
    height = HEAD + ROW * len(events) + MARGIN
    words, shapes = [], []
    for name, x in at.items():
        shapes.append(f'<line class="life" x1="{x:g}" y1="32" x2="{x:g}" y2="{height - 4}"/>')
        shapes.append(
            f'<rect class="who" x="{x - lane / 2 + 4:g}" y="4" rx="6" '
            f'width="{lane - 8:g}" height="28"/>'
        )
        shapes.append(text(name, x, 23, "name"))
    for number, (one, other, what) in enumerate(events):
        y = HEAD + ROW * number + 26
        if other is None:
            words.append(f"{one}: {what}")
            shapes.append(text(what, beside(at[one], list(at.values()), what), y - 4, "happens"))
            continue
        words.append(_("{one} to {other}: {what}").format(one=one, other=other, what=what))
        targets = [name for name in who if name != one] if other == "all" else [other]
        for target in targets:
            start, end = at[one], at[target]
            head = end - 7 if end > start else end + 7
            shapes.append(f'<line class="arrow" x1="{start:g}" y1="{y}" x2="{head:g}" y2="{y}"/>')
            points = f"{end:g},{y} {head:g},{y - 4} {head:g},{y + 4}"
            shapes.append(f'<polygon class="tip" points="{points}"/>')
        middle = (at[one] + at[targets[0]]) / 2 if len(targets) == 1 else WIDTH / 2
        half = 3.6 * len(what)
        middle = min(max(middle, half + 4), WIDTH - half - 4)
        shapes.append(text(what, middle, y - 7, "what"))
    return (
        f'<svg class="drawing" role="img" viewBox="0 0 {WIDTH} {height}" '
        f'aria-labelledby="{anchor}-title {anchor}-text">'
        f'<title id="{anchor}-title">{html.escape(title)}</title>'
        f'<desc id="{anchor}-text">{html.escape(". ".join(words))}.</desc>{"".join(shapes)}</svg>'
    )


LETTER = 6  # about the width of one


def beside(x, lifelines, what):
    """Where to centre what happens at a lifeline: beside it, on the side with more room."""
    lines = sorted([0, WIDTH, *lifelines])
    place = lines.index(x)
    left, right = x - lines[place - 1], lines[place + 1] - x
    half = LETTER * len(what) / 2
    if max(left, right) < 2 * half + 12:  # there is no room, so it stands on the lifeline
        return min(max(x, half), WIDTH - half)
    return x + (half + 8) * (1 if right >= left else -1)


FANOUT = Path(__file__).parent / "measured/fanout.json"
CLIENTS = 500
BURSTS = {1: "one at a time", 10: "in bursts of 10"}
# They are variants of others, and are compared further down the page.
LEFT_OUT = ("limit", "step 6, bypass", "step 8, Redis")
NAMES, BAR, SERVER = 152, 13, 38  # the names' width, a bar's height, a server's


class Deliveries(SphinxDirective):
    """How many messages a second each server delivers to 500 clients, as bars."""

    def run(self):
        """The drawing, as it is put into the page."""
        self.env.note_dependency(str(FANOUT))
        results = json.loads(FANOUT.read_text(encoding="utf-8"))["results"]
        figure = nodes.figure(classes=["sequence"])
        figure += nodes.raw("", draw_bars(deliveries(results)), format="html")
        title = f"Thousands of messages that each server delivers to {CLIENTS} clients per second."
        figure += nodes.caption("", title)
        return [figure]


def deliveries(results):
    """Each server's deliveries a second, one at a time and in bursts, in thousands."""
    rates = {}
    for one in results:
        is_wanted = one["clients"] == CLIENTS and one["burst"] in BURSTS and one["rate"]
        if is_wanted and not one["compressed"] and not one["name"].startswith(LEFT_OUT):
            rates.setdefault(one["name"], {})[one["burst"]] = round(median(one["rate"]) / 1000)
    return {name: rate for name, rate in rates.items() if len(rate) == len(BURSTS)}


def draw_bars(servers):
    """An SVG with a bar for each server and each way to send."""
    longest = max(rate for rates in servers.values() for rate in rates.values())
    words, shapes = [], []
    for number, (burst, how) in enumerate(BURSTS.items()):
        x = NAMES + 120 * number
        shapes.append(f'<rect class="bar-{burst}" x="{x}" y="6" width="{BAR}" height="{BAR}"/>')
        shapes.append(text(how, x + 20, 17, "key"))
    for number, (name, rates) in enumerate(servers.items()):
        y = 34 + SERVER * number
        shapes.append(text(name, NAMES - 10, y + BAR + 5, "server"))
        for row, (burst, rate) in enumerate(rates.items()):
            width, top = (WIDTH - NAMES - 40) * rate / longest, y + (BAR + 1) * row
            shapes.append(
                f'<rect class="bar-{burst}" x="{NAMES}" y="{top}" width="{width:.1f}" '
                f'height="{BAR}"/>'
            )
            shapes.append(text(str(rate), NAMES + round(width) + 6, top + 11, "key"))
            words.append(f"{name}, {BURSTS[burst]}: {rate}")
    title = f"Thousands of deliveries a second to {CLIENTS} clients"
    return (
        f'<svg class="drawing" role="img" viewBox="0 0 {WIDTH} {34 + SERVER * len(servers)}" '
        'aria-labelledby="deliveries-title deliveries-text">'
        f'<title id="deliveries-title">{title}</title><desc id="deliveries-text">'
        f"{html.escape('. '.join(words))}.</desc>{''.join(shapes)}</svg>"
    )


def text(words, x, y, kind):
    """A line of text in a drawing; the style sheet says on which side of `x` it stands."""
    return f'<text class="{kind}" x="{x:g}" y="{y}">{html.escape(words)}</text>'


def setup(app):
    """Tell Sphinx of the directives."""
    app.add_directive("sequence", Sequence)
    app.add_directive("deliveries", Deliveries)
    return {"parallel_read_safe": True}
