"""`{quiz} 03_echo`: the questions about a step, to be answered in the page.

`{quiz} before` and `{quiz} after` are the eight questions before step 1 and after step 5. Without
a script, a page shows each question with its answer folded; `_static/quiz.js` does the rest.
"""

import html
import textwrap
from pathlib import Path

import translated
from docutils import nodes
from markdown_it import MarkdownIt
from sphinx.util.docutils import SphinxDirective

from workshop.language import N_, _
from workshop.questions import CAPTURED, EIGHT, TIMES, eight, find_questions
from workshop.steps import find_exercise

KINDS = {"predict": N_("Predict"), "order": N_("Put in order"), "why": N_("Why")}
markdown = MarkdownIt("commonmark", {"html": False}).renderInline
FILES = ("questions.toml", "proved.json", "exercise.toml")
SCRIPT = Path(__file__).parent / "_static/quiz.js"
LANGUAGES = {".js": "javascript", ".py": "python"}


class Quiz(SphinxDirective):
    """The questions, each a group of form elements."""

    required_arguments = 1

    def run(self):
        """The questions of the page, which is built again when one of their files has changed."""
        name = self.arguments[0]
        files = [EIGHT]
        if name not in TIMES:
            folder = find_exercise(name).folder
            files = [CAPTURED, *(folder / file for file in FILES)]
        for file in files:
            self.env.note_dependency(str(file))
        topics = [topic for topic, *_ in eight()] if name in TIMES else None
        made = [raw(f'<div class="quiz" data-quiz="{name}">')]
        for number, question in enumerate(find_questions(name)):
            made += asked(question, f"{name}-{number}", topics and topics[number])
        return [*made, raw("</div>")]


def raw(text):
    """HTML as it is."""
    return nodes.raw("", text, format="html")


def code_block(text, language):
    """Highlighted code."""
    return nodes.literal_block(text, text, language=language)


def asked(question, anchor, topic=None):
    """A question, and its folded answer."""
    is_order = question.kind == "order"
    # The eight have topics in place of kinds, which tell them apart.
    about = f' data-topic="{html.escape(topic)}"' if topic else ""
    kind = "" if topic else f'<span class="kind">{_(KINDS[question.kind])}</span> '
    yield raw(
        f'<fieldset class="question" data-name="{html.escape(question.name)}" '
        f'data-kind="{question.kind}"{about}><legend>{kind}{markdown(_(question.ask))}</legend>'
    )
    if question.code:
        yield code_block(question.code, question.language)
    yield raw(lines(question) if is_order else options(question, anchor))
    yield raw(f'<details class="answer"><summary>{_("Answer")}</summary>')
    if is_order:
        suffix = question.file[question.file.rfind(".") :] if "." in question.file else ""
        yield code_block(textwrap.dedent("\n".join(question.lines)), LANGUAGES.get(suffix, "toml"))
        yield raw(rules(question))
    else:
        yield raw(reasons(question))
    yield raw("</details></fieldset>")


def options(question, anchor):
    """The options to choose from."""
    parts = []
    for number in question.shown:
        button = f'<input type="radio" name="{anchor}" value="{number}">'
        parts.append(f"<label>{button}{shown(question, question.options[number])}</label>")
    return f'<div class="options">{"".join(parts)}</div>'


def shown(question, option):
    """The text of an option: what is printed, as it is printed, or words."""
    if question.kind == "predict":
        return f'<code class="printed">{html.escape(option.text)}</code>'
    return f"<span>{markdown(_(option.text))}</span>"


def reasons(question):
    """Why each option is right or not, the right one first."""
    parts = []
    for number, option in enumerate(question.options):
        sign = _("Right") if option.is_right else _("Not quite")
        text = f'<div class="of">{shown(question, option)}</div>'
        why = f'<div class="why"><strong>{sign}.</strong> {markdown(option.why)}</div>'
        parts.append(f'<li data-option="{number}">{text}{why}</li>')
    return f'<ul class="reasons">{"".join(parts)}</ul>'


def lines(question):
    """The lines to put in order."""
    parts, dedented = [], textwrap.dedent("\n".join(question.lines)).splitlines()
    for number in question.shown:
        line = dedented[number]
        bare = line.lstrip()
        indent = len(line) - len(bare)
        code = f'<code style="--indent: {indent}">{html.escape(bare)}</code>'
        parts.append(f'<li data-line="{number}" data-indent="{indent}">{code}</li>')
    return f'<ol class="lines">{"".join(parts)}</ol>'


def rules(question):
    """What there is to know about the right order, and why a line comes above another."""
    right = f'<div class="why"><strong>{_("Right")}.</strong> {markdown(question.why)}</div>'
    parts = [f"<li data-right>{right}</li>"]
    for rule in question.rules:
        directly = " data-directly" if rule.directly else ""
        above, below = (question.lines[number].strip() for number in (rule.above, rule.below))
        where = _("directly above") if rule.directly else _("above")
        of = f"<code>{html.escape(above)}</code> {where} <code>{html.escape(below)}</code>"
        why = f'<div class="why"><strong>{_("Not quite")}.</strong> {markdown(rule.why)}</div>'
        parts.append(
            f'<li data-above="{rule.above}" data-below="{rule.below}"{directly}>'
            f'<div class="of">{of}</div>{why}</li>'
        )
    return f'<ul class="reasons">{"".join(parts)}</ul>'


def add_files(app, pagename, templatename, context, doctree):
    """Load the script and the style sheet in pages that have questions, and in no other."""
    if "data-quiz=" in context.get("body", ""):
        app.add_css_file("quiz.css")
        app.add_js_file("quiz.js", loading_method="defer", **translated.words_for([SCRIPT]))


def setup(app):
    """Tell Sphinx of the directive."""
    app.add_directive("quiz", Quiz)
    app.connect("html-page-context", add_files)
    return {"parallel_read_safe": True}
