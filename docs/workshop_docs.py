"""Directives that show what stands in steps/, so that no page repeats it.

Each one writes Markdown from the files and lets MyST parse it; Sphinx is told of every file, and
builds a page again when one of them has changed.
"""

import difflib
import html
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective, SphinxRole

from workshop.steps import DEFAULT, ROOT, all_exercises, find_exercise

DOCS = ROOT / "docs"
LANGUAGES = {".py": "python", ".js": "javascript", ".html": "html+jinja", ".css": "css", "": "toml"}
ORDER = ["websocket.py", "templates/index.html", "static/js/websocket.js"]


class FromFiles(SphinxDirective):
    """A directive whose content is Markdown that `markdown()` makes from files."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Parse what `markdown()` returns, in the place of the directive."""
        container = nodes.container()
        lines = self.markdown().splitlines()
        source, _ = self.get_source_info()
        self.state.nested_parse(StringList(lines, source), self.content_offset, container)
        return container.children

    def exercise(self):
        """The exercise that the argument names; the page depends on all of its files."""
        exercise = find_exercise(self.arguments[0])
        for one in filter(None, (exercise, exercise.previous)):
            for path in one.folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    self.env.note_dependency(str(path))
        return exercise


def fenced(text, language, **options):
    """A code block of MyST."""
    lines = [f":{name}: {value}" for name, value in options.items()]
    return "\n".join(
        [f"`````{{code-block}} {language}", *lines, "", text.rstrip("\n"), "`````", ""]
    )


def in_order(names):
    """Names of files in the order in which they are read."""
    return sorted(names, key=lambda name: (name not in ORDER, name in ORDER and ORDER.index(name)))


def language(name):
    """What highlights a file."""
    return LANGUAGES[Path(name).suffix]


def unified(old, new, context=3):
    """A diff without its header, or nothing if there is no difference."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=context, lineterm="")
    return "\n".join(list(lines)[2:])


class About(FromFiles):
    """`{about} 03_echo`: how long it takes, and what one can do afterwards."""

    def markdown(self):
        exercise = self.exercise()
        objectives = "\n".join(f"- {objective}" for objective in exercise.objectives)
        return f"**About {exercise.minutes} minutes.** After this step you can:\n\n{objectives}\n"


class Task(FromFiles):
    """`{task} 03_echo`: what to write."""

    def markdown(self):
        return self.exercise().task


class Hints(FromFiles):
    """`{hints} 03_echo`: the hints, folded one by one."""

    def markdown(self):
        hints = self.exercise().hints
        return "\n".join(
            f":::{{dropdown}} Hint {number} of {len(hints)}\n{hint}\n:::\n"
            for number, hint in enumerate(hints, 1)
        )


class Mistakes(FromFiles):
    """`{mistakes} 03_echo`: what people get wrong, as a diff, and what they are told then."""

    def markdown(self):
        exercise = self.exercise()
        return "\n".join(self.one(exercise, mistake) for mistake in exercise.mistakes)

    def one(self, exercise, mistake):
        """A mistake, folded."""
        name, right = mistake.file, exercise.solution
        wrong = mistake.applied_to(right)
        diff = unified(right[name].decode(), wrong[name].decode(), context=1)
        return (
            f":::{{dropdown}} {sentence(mistake.name)}\n"
            f"In `{name}`, lines with `-` are right and those with `+` are not:\n\n"
            f"{fenced(diff, 'diff')}\n"
            f"Then `check` says, among other things:\n\n{fenced(mistake.says, 'text')}\n:::\n"
        )


def sentence(words):
    """Words with a capital letter at the start."""
    return words[0].upper() + words[1:]


class Change(FromFiles):
    """`{change} 03_echo`: the diff of each file that differs from where one starts."""

    def markdown(self):
        exercise = self.exercise()
        parts = []
        for name in in_order(exercise.changes):
            new = exercise.solution[name].decode()
            old = exercise.start.get(name, b"").decode()
            if name in exercise.start:
                diff = unified(old, new)
                parts.append(fenced(diff, "diff", caption=name))
            else:
                parts.append(fenced(new, language(name), caption=f"{name} (new)"))
        return "\n".join(parts)


class Files(FromFiles):
    """`{files} 03_echo`: all files of the project as it is then, folded, each in a tab."""

    def markdown(self):
        solution = self.exercise().solution
        tabs = [
            f"``````{{tab-item}} {name}\n{fenced(solution[name].decode(), language(name))}\n``````"
            for name in in_order(solution)
        ]
        folded = ["````````{dropdown} All files, whole", "```````{tab-set}"]
        return "\n".join([*folded, *tabs, "```````", "````````"])


class Folders(FromFiles):
    """`{folders} 03_echo`: the project's folders and files, as a tree."""

    def markdown(self):
        lines, seen = ["websocket/"], set()
        for name in sorted(self.exercise().solution):
            parts = name.split("/")
            for depth, part in enumerate(parts[:-1], 1):
                if parts[:depth] not in [list(one) for one in seen]:
                    seen.add(tuple(parts[:depth]))
                    lines.append(f"{'  ' * depth}{part}/")
            lines.append(f"{'  ' * len(parts)}{parts[-1]}")
        return fenced("\n".join(lines), "text")


class Timetable(FromFiles):
    """`{timetable}`: the workshop's steps with their minutes; `all`: their challenges, too.

    `{timetable} further`: the steps that come after the workshop.
    """

    required_arguments = 0
    optional_arguments = 1

    def markdown(self):
        rows, total = ["| exercise | minutes | so far |", "|---|--:|--:|"], 0
        what = self.arguments[0] if self.arguments else ""
        for exercise in all_exercises():
            self.env.note_dependency(str(exercise.folder / "exercise.toml"))
            minutes = exercise.minutes
            if is_further(exercise) != (what == "further"):
                continue
            if not exercise.is_challenge:
                total += minutes
                link = f"[{exercise.heading}](/{exercise.id}.md)"
                rows.append(f"| {link} | {minutes} | {total} |")
            elif what == "all":
                link = f"[{exercise.heading}](#challenge-{slug(exercise)})"
                rows.append(f"| *challenge:* {link} | {minutes} | |")
        return "\n".join(rows)


def is_further(exercise):
    """Whether it comes after the workshop, which ends with the step that `run` serves."""
    return exercise.number > int(DEFAULT)


def slug(exercise):
    """What an exercise is called in an address."""
    return exercise.id.replace("_", "-")


class Challenges(FromFiles):
    """`{challenges}`: all challenges, each with its task, hints, mistakes and a solution."""

    required_arguments = 0

    def run(self):
        """A section for each, which the table of contents then shows."""
        return [self.section(each) for each in all_exercises() if each.is_challenge]

    def section(self, exercise):
        """The section of a challenge."""
        anchor = f"challenge-{slug(exercise)}"
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title("", f"{exercise.heading} ({exercise.minutes} minutes)")
        self.state.document.note_explicit_target(section)
        lines = [
            f"`python3 -m workshop start {exercise.id}` starts from the end of step "
            f"{exercise.number}.",
            "",
            *(f"```{{{what}}} {exercise.id}\n```\n" for what in ("task", "hints")),
            "Common mistakes:\n",
            f"```{{mistakes}} {exercise.id}\n```\n",
            f":::{{dropdown}} A solution\n```{{change}} {exercise.id}\n```\n:::",
        ]
        block = StringList("\n".join(lines).splitlines(), self.get_source_info()[0])
        self.state.nested_parse(block, self.content_offset, section)
        return section


class WhatGoesWrong(FromFiles):
    """`{what-goes-wrong} 03_echo`: each mistake with what a learner is told, as a table."""

    def markdown(self):
        rows = ["| somebody | and is told |", "|---|---|"]
        for mistake in self.exercise().mistakes:
            # A name or a sentence may hold HTML, which is to be read here.
            cells = (html.escape(text) for text in (mistake.name, mistake.says))
            rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        return "\n".join(rows)


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


class Proof(SphinxRole):
    """{proof}`tests/test_x.py::test_name`: which test proves what a sentence says."""

    def run(self):
        """The name of the test, small; a test that is not there is an error."""
        file, _, name = self.text.partition("::")
        path = ROOT / file
        self.env.note_dependency(str(path))
        if not path.is_file() or f"def {name}(" not in path.read_text(encoding="utf-8"):
            message = self.inliner.reporter.error(f"there is no test {self.text}", line=self.lineno)
            return [nodes.problematic("", self.text)], [message]
        return [nodes.literal("", name, classes=["proof"])], []


def minutes_of_steps(further=False):
    """How long the workshop takes, or the steps that come after it, in words."""
    steps = [each for each in all_exercises() if not each.is_challenge]
    minutes = sum(each.minutes for each in steps if is_further(each) == further)
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


def for_everyone(app, pagename, templatename, context, doctree):
    """Mend what a screen reader or a keyboard would stumble over in the theme's HTML."""
    if "furo_navigation_tree" in context:
        context["furo_navigation_tree"] = context["furo_navigation_tree"].replace(
            'role="heading"', 'role="heading" aria-level="2"'
        )
    if "body" in context:
        # A block that is wider than the page can then be scrolled by keyboard.
        context["body"] = context["body"].replace("<pre>", '<pre tabindex="0">')


def setup(app):
    """Tell Sphinx of the directives."""
    app.connect("html-page-context", for_everyone, priority=900)
    for name, directive in {
        **{"about": About, "task": Task, "hints": Hints, "mistakes": Mistakes, "change": Change},
        **{"files": Files, "folders": Folders, "timetable": Timetable},
        **{"challenges": Challenges, "what-goes-wrong": WhatGoesWrong},
        **{"sequence": Sequence},
    }.items():
        app.add_directive(name, directive)
    app.add_role("proof", Proof())
    return {"parallel_read_safe": True}
