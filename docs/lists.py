"""`{timetable}`, `{challenges}`, `{lab}` and `{symptoms}`: what stands in steps/ and in labs/."""

from changes import block, compared
from docutils import nodes
from docutils.statemachine import StringList
from workshop_docs import FromFiles

from workshop.labs import DEPLOY, LABS, TOOLS, all_labs, find_lab
from workshop.language import _, plural
from workshop.steps import DEFAULT, all_exercises, find_exercise


class Timetable(FromFiles):
    """`{timetable}`: the workshop's steps with their minutes; `all`: their challenges, too.

    `{timetable} further`: the steps that come after the workshop.
    """

    required_arguments = 0
    optional_arguments = 1

    def markdown(self):
        heads = _("exercise"), _("minutes"), _("so far")
        rows, total = [f"| {' | '.join(heads)} |", "|---|--:|--:|"], 0
        what = self.arguments[0] if self.arguments else ""
        for exercise in all_exercises():
            self.env.note_dependency(str(exercise.folder / "exercise.toml"))
            minutes = exercise.minutes
            if is_further(exercise) != (what == "further"):
                continue
            if not exercise.is_challenge:
                total += minutes
                link = f"[{exercise.shown}](/{exercise.id}.md)"
                rows.append(f"| {link} | {minutes} | {total} |")
            elif what == "all":
                link = f"[{exercise.shown}](#challenge-{slug(exercise)})"
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


class Lab(FromFiles):
    """`{lab} 1`: a lab's complaint, what to try, and its solution, folded.

    The content of the directive is shown in the solution, as what its best tool shows.
    """

    has_content = True

    def run(self):
        """A section, which the table of contents then shows."""
        lab = find_lab(self.arguments[0])
        for folder in (lab.folder, find_exercise(lab.step).folder):
            for path in folder.glob("*.*"):
                self.env.note_dependency(str(path))
        self.env.note_dependency(str(LABS / DEPLOY))
        anchor = f"lab-{lab.number}"
        section = nodes.section(ids=[anchor], names=[anchor])
        section += nodes.title("", lab.heading)
        self.state.document.note_explicit_target(section)
        quoted = [f"> {line}" for line in lab.complaint.strip().splitlines()]
        tries = [f"- *{TOOLS[each['tool']]}:* {each['do']}" for each in lab.tries]
        command = f"`python3 -m workshop lab {lab.number}` serves it."
        section += self.parsed("\n".join([*quoted, "", f"{command} {lab.note}", "", *tries]))
        section += self.solution(lab)
        return [section]

    def solution(self, lab):
        """The solution of a lab, folded."""
        (dropdown,) = self.parsed(":::{dropdown} Solution\n&nbsp;\n:::")
        heading, *_ = dropdown.children
        dropdown.children = []
        dropdown += [heading, *self.parsed(lab.solution["cause"])]
        broken, right = lab.files(), lab.files(fixed=True)
        for name in {change["file"]: None for change in lab.changes}:
            marked = compared(right[name].decode(), broken[name].decode(), name, context=1)
            dropdown += block(marked, name, f"The fault, in {name}", "change")
        shows = [f"- *{TOOLS[tool]}:* {words}" for tool, words in lab.solution["shows"].items()]
        dropdown += self.parsed("\n".join(["What shows it:", "", *shows]))
        dropdown += self.parsed(f"In {TOOLS[lab.tool]}:")
        dropdown += self.parsed("\n".join(self.content))
        for label in ("repair", "prevent"):
            words = {"repair": "Fix", "prevent": "Next time"}[label]
            dropdown += self.parsed(f"**{words}:** {lab.solution[label]}")
        return dropdown


class Symptoms(FromFiles):
    """`{symptoms}`: what users see, the tool that shows why, and what to look for."""

    required_arguments = 0

    def markdown(self):
        rows = ["| what users see | tool | what to look for |", "|---|---|---|"]
        for lab in all_labs():
            self.env.note_dependency(str(lab.folder / "lab.toml"))
            rows.append(f"| {lab.symptom} | {TOOLS[lab.tool]} | {lab.look} |")
        return "\n".join(rows)


def minutes_of_steps(further=False):
    """How long the workshop takes, or the steps that come after it, in words."""
    steps = [each for each in all_exercises() if not each.is_challenge]
    minutes = sum(each.minutes for each in steps if is_further(each) == further)
    if minutes % 60:
        return _("{minutes} minutes").format(minutes=minutes)
    hours = minutes // 60
    return plural("{hours} hour", "{hours} hours", hours).format(hours=hours)


def put_minutes(app, config):
    """Let pages say how long the workshop takes, in their language."""
    config.myst_substitutions = {
        "minutes": minutes_of_steps(),
        "minutes_further": minutes_of_steps(further=True),
    }


def setup(app):
    """Tell Sphinx of the directives."""
    app.connect("config-inited", put_minutes)
    app.add_directive("timetable", Timetable)
    app.add_directive("challenges", Challenges)
    app.add_directive("lab", Lab)
    app.add_directive("symptoms", Symptoms)
    return {"parallel_read_safe": True}
