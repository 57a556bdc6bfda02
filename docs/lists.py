"""`{timetable}` and `{challenges}`: lists of the exercises, from what stands in steps/."""

from docutils import nodes
from docutils.statemachine import StringList
from workshop_docs import FromFiles

from workshop.steps import DEFAULT, all_exercises


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


def minutes_of_steps(further=False):
    """How long the workshop takes, or the steps that come after it, in words."""
    steps = [each for each in all_exercises() if not each.is_challenge]
    minutes = sum(each.minutes for each in steps if is_further(each) == further)
    return f"{minutes // 60} hours" if minutes % 60 == 0 else f"{minutes} minutes"


def setup(app):
    """Tell Sphinx of the directives."""
    app.add_directive("timetable", Timetable)
    app.add_directive("challenges", Challenges)
    return {"parallel_read_safe": True}
