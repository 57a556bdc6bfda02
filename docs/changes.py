"""`{change}` and `{mistakes}`: code in which lines are marked, which is copied without the marks.

The lines are highlighted as any code is. Marks are classes, and their signs and colors are in
_static/site.css: added lines are `ins`, and removed ones, which are not copied, are `del`.
"""

import difflib
import functools
import html
import json
import re

from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from workshop_docs import DOCS, FromFiles, fenced, in_order, language

from workshop import language as language_used
from workshop.language import _

TOLD = DOCS / "captured/mistakes.json"
ADDED, REMOVED = "added", "removed"
SHORT = 30  # lines of a file that is shown whole
TAGS = {ADDED: "ins", REMOVED: "del"}
FORMATTER = HtmlFormatter(nowrap=True)
TEXT = re.compile("<[^>]*>")  # what is no text in a line of HTML
INDENTED = re.compile(r"(?P<indent>(?:<span class=\"w\">)?\s*(?:</span>)?)(?P<code>.*)")


@functools.cache  # most of the files differ in one place from another that is shown
def colored(code, name):
    """The lines of a file, in the HTML that highlights them."""
    lexer = get_lexer_by_name(language(name), stripnl=False)
    return highlight(code, lexer, FORMATTER).splitlines() if code else []


def compared(old, new, name, context=3):
    """Lines of HTML, each with a mark: "", ADDED, REMOVED, or "skip" where some are left out."""
    before, after = old.splitlines(), new.splitlines()
    old_lines, new_lines = colored(old, name), colored(new, name)
    groups = difflib.SequenceMatcher(None, before, after, autojunk=False)
    marked, end = [], 0
    for group in groups.get_grouped_opcodes(context):
        if group[0][3] > end:
            marked.append(("skip", ""))
        for operation, i, j, k, m in group:
            if operation == "equal":
                marked += [("", line) for line in new_lines[k:m]]
            else:
                marked += [(REMOVED, line) for line in old_lines[i:j]]
                marked += [(ADDED, line) for line in new_lines[k:m]]
        end = group[-1][4]
    return [*marked, ("skip", "")] if end < len(after) else marked


def one_side(marked, side):
    """Only one file's lines of two; if none of them differs, a "gap" stands where the others do."""
    if any(mark == side and TEXT.sub("", line).strip() for mark, line in marked):
        return [(mark, line) for mark, line in marked if mark in ("", "skip", side)]
    kept = []
    for mark, line in marked:
        if mark not in TAGS:
            kept.append((mark, line))
        elif not kept or kept[-1][0] != "gap":
            kept.append(("gap", ""))
    return kept


def trimmed(marked):
    """Without the empty lines at the ends, and beside the lines that are left out."""
    for _turn in range(2):  # each time from the end, and turned round
        kept = []
        for mark, line in reversed(marked):
            is_at_end = not kept or kept[-1][0] == "skip"
            if not (is_at_end and mark == "" and not TEXT.sub("", line).strip()):
                kept.append((mark, line))
        marked = kept
    return marked


def block(marked, name, caption, kind):
    """A code block with a caption, whose lines are marked."""
    lines = "".join(line_of(mark, line) for mark, line in trimmed(marked))
    wrapper = nodes.container(literal_block=True, classes=["literal-block-wrapper", "marked", kind])
    wrapper += nodes.caption("", caption)
    code = f'<pre><span class="lines">{lines}</span></pre>'
    code = f'<div class="highlight-{language(name)} notranslate"><div class="highlight">{code}'
    wrapper += nodes.raw("", f"{code}</div></div>", format="html")
    return wrapper


def line_of(mark, line):
    """A line with its mark; what is removed is struck out, but not its indentation."""
    if mark in ("skip", "gap"):
        return f'<span class="line {mark}"></span>'
    tag = TAGS.get(mark, "span")
    if mark == REMOVED:
        line = INDENTED.sub(r"\g<indent><s>\g<code></s>", line, count=1)
    return f'<{tag} class="line {mark}">{line}\n</{tag}>'


class Change(FromFiles):
    """`{change} 03_echo`: what changes in each file that differs from where one starts."""

    def run(self):
        """A block for each file; a new file is shown whole."""
        exercise, shown = self.exercise(), []
        for name in in_order(exercise.changes):
            new = exercise.solution[name].decode()
            if name in exercise.start:
                is_short = new.count("\n") <= SHORT
                marked = compared(
                    exercise.start[name].decode(), new, name, SHORT if is_short else 3
                )
                shown.append(block(marked, name, name, "change"))
            else:
                shown += self.parsed(
                    fenced(new, language(name), caption=_("{name} (new)").format(name=name))
                )
        return shown


class Mistakes(FromFiles):
    """`{mistakes} 03_echo`: what people write, what `check` says then, and what to write."""

    def run(self):
        """A folded block for each mistake."""
        exercise = self.exercise()
        self.env.note_dependency(str(TOLD))
        told = json.loads(TOLD.read_text(encoding="utf-8")).get(exercise.id, {})
        shown = []
        for mistake in exercise.mistakes:
            title = sentence(_(mistake.name))
            (dropdown,) = self.parsed(f":::{{dropdown}} {title}\n&nbsp;\n:::")
            heading = dropdown.children[0]
            right = exercise.solution
            wrong = mistake.applied_to(right)[mistake.file].decode()
            name = mistake.file
            marked = compared(wrong, right[name].decode(), name, context=2)
            said = translated(told.get(mistake.name, mistake.says))
            says = fenced(said, "text", **{"class": "says"})
            check_says = _("`check` says:")
            dropdown.children = []
            dropdown += [
                heading,
                block(
                    one_side(marked, REMOVED),
                    name,
                    _("You wrote, in {name}").format(name=name),
                    "wrong",
                ),
                *self.parsed(f"{check_says}\n\n{says}"),
                block(
                    one_side(marked, ADDED), name, _("Write, in {name}").format(name=name), "right"
                ),
            ]
            shown.append(dropdown)
        return shown


def translated(said):
    """What `check` says, line by line, in the language of the page."""
    return "\n".join(map(language_used.sentence, said.split("\n")))


def sentence(words):
    """Words with a capital letter at the start."""
    return words[0].upper() + words[1:]


class WhatGoesWrong(FromFiles):
    """`{what-goes-wrong} 03_echo`: each mistake with what a learner is told, as a table."""

    def markdown(self):
        rows = ["| code that … | what `check` says |", "|---|---|"]
        for mistake in self.exercise().mistakes:
            # A name or a sentence may hold HTML, which is to be read here.
            cells = (html.escape(text) for text in (mistake.name, mistake.says))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)


def setup(app):
    """Tell Sphinx of the directives."""
    app.add_directive("change", Change)
    app.add_directive("mistakes", Mistakes)
    app.add_directive("what-goes-wrong", WhatGoesWrong)
    return {"parallel_read_safe": True}
