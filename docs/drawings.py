"""`{sequence}`: what travels between whom, and when, as a drawing with the colors of the page."""

import html
import re

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective


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
        drawing = draw(self.arguments[0], who, events, f"sequence-{number}")
        figure = nodes.figure(classes=["sequence"])
        figure += nodes.raw("", drawing, format="html")
        figure += nodes.caption("", self.arguments[0])
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
            shapes.append(text(what, min(max(at[one], 110), WIDTH - 110), y - 4, "happens"))
            continue
        words.append(f"{one} to {other}: {what}")
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


def text(words, x, y, kind):
    """A line of text in a drawing, centred."""
    return f'<text class="{kind}" x="{x:g}" y="{y}">{html.escape(words)}</text>'


def setup(app):
    """Tell Sphinx of the directive."""
    app.add_directive("sequence", Sequence)
    return {"parallel_read_safe": True}
