"""Directives that show what stands in steps/, so that no page repeats it.

Each one writes Markdown from the files and lets MyST parse it; Sphinx is told of every file, and
builds a page again when one of them has changed. Beside it, `changes` shows what a step changes and
what goes wrong, `lists` the exercises, `proofs` the tests, and `drawings` draws.
"""

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from workshop.language import _
from workshop.steps import DEFAULT, ROOT, all_exercises, find_exercise

DOCS = ROOT / "docs"
LANGUAGES = {".py": "python", ".js": "javascript", ".html": "html+jinja", ".css": "css"}
LANGUAGES |= {".toml": "toml", "": "toml"}
ORDER = ["websocket.py", "templates/index.html", "static/js/websocket.js"]


class FromFiles(SphinxDirective):
    """A directive whose content is Markdown that `markdown()` makes from files."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Parse what `markdown()` returns, in the place of the directive."""
        return self.parsed(self.markdown())

    def parsed(self, markdown):
        """Markdown as nodes."""
        container = nodes.container()
        lines = StringList(markdown.splitlines(), self.get_source_info()[0])
        self.state.nested_parse(lines, self.content_offset, container)
        return untranslatable(container).children

    def exercise(self):
        """The exercise that the argument names; the page depends on all of its files."""
        exercise = find_exercise(self.arguments[0])
        for one in filter(None, (exercise, exercise.previous)):
            for path in one.folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    self.env.note_dependency(str(path))
        return exercise


def untranslatable(container):
    """Nodes that Sphinx doesn't translate, since what they are made from is translated."""
    for node in container.findall(nodes.TextElement):
        if not isinstance(node, nodes.Inline):
            node["translatable"] = False
    return container


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


class About(FromFiles):
    """`{about} 03_echo`: which step of how many, how long it takes, what one can do afterwards."""

    def run(self):
        """A mark of progress, then the objectives."""
        exercise = self.exercise()
        first, last = steps_beside(exercise)
        where = _("Step {number} of {last} · about {minutes} minutes")
        if first > 1:
            where = _("Step {number} · Going further, {first} to {last} · about {minutes} minutes")
        done = exercise.number - first + 1
        bar = "".join(f'<i class="{"done" * (n < done)}"></i>' for n in range(last - first + 1))
        progress = nodes.paragraph(classes=["progress"], translatable=False)
        progress += nodes.raw("", f'<span aria-hidden="true">{bar}</span>', format="html")
        number, minutes = exercise.number, exercise.minutes
        progress += nodes.Text(where.format(number=number, first=first, last=last, minutes=minutes))
        objectives = "\n".join(f"- {_(objective)}" for objective in exercise.objectives)
        can = _("After this step you can:")
        return [progress, *self.parsed(f"{can}\n\n{objectives}\n")]


def steps_beside(exercise):
    """The numbers of the first and the last step of the part that an exercise is in."""
    numbers = sorted(each.number for each in all_exercises())
    is_further = exercise.number > int(DEFAULT)
    part = [number for number in numbers if (number > int(DEFAULT)) == is_further]
    return part[0], part[-1]


class Task(FromFiles):
    """`{task} 03_echo`: what to write."""

    def markdown(self):
        return _(self.exercise().task)


class Hints(FromFiles):
    """`{hints} 03_echo`: the hints, folded one by one."""

    def markdown(self):
        hints = self.exercise().hints
        title = _("Hint {number} of {count}")
        return "\n".join(
            f":::{{dropdown}} {title.format(number=number, count=len(hints))}\n{_(hint)}\n:::\n"
            for number, hint in enumerate(hints, 1)
        )


class Files(FromFiles):
    """`{files} 03_echo`: all files of the project as it is then, folded, each in a tab."""

    def markdown(self):
        solution = self.exercise().solution
        tabs = [
            f"``````{{tab-item}} {name}\n{fenced(solution[name].decode(), language(name))}\n``````"
            for name in in_order(solution)
        ]
        folded = [f"````````{{dropdown}} {_('All files, whole')}", "```````{tab-set}"]
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


def for_everyone(app, pagename, templatename, context, doctree):
    """Fix what a screen reader or a keyboard would stumble over in the theme's HTML."""
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
    app.add_directive("about", About)
    app.add_directive("task", Task)
    app.add_directive("hints", Hints)
    app.add_directive("files", Files)
    app.add_directive("folders", Folders)
    return {"parallel_read_safe": True}
