"""What an instructor types to grade a class: grade."""

import contextlib
import json
import os
import sys
from pathlib import Path

import click

from workshop import environment, machine, steps
from workshop.commands.classroom import printable
from workshop.commands.telling import COLOURS, sign
from workshop.language import N_, _, sentence

UNFINISHED = ".unfinished.jsonl"
OUTCOMES = {N_("passed"): "passed", N_("failed"): "failed", N_("look at it"): "skipped"}
WIDTH = 72  # of the sentence in the table


@click.command()
@click.argument("exercise")
@click.argument("submissions", required=False)
@click.option(
    "--branches", "pattern", help="Grade the branches that match, such as `origin/students/*`."
)
@click.option(
    *("--roster", "roster_file"),
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A CSV file with everybody in the class.",
)
@click.option("--id", "column", help="The column of the roster with the identifiers.")
@click.option("--jobs", type=click.IntRange(1, 64), help="Submissions at a time.  [one per core]")
@click.option(
    *("--limit", "limit"),
    type=click.FloatRange(1, 3600),
    show_default="60, and 180 from step 7 on",
    help="Seconds for each submission.",
)
@click.option(
    *("--out", "folder"),
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("grades"),
    show_default=True,
    help="The folder for the results.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["gradescope", "classroom50"]),
    help="Also write what a platform takes.",
)
@click.option(
    *("--feedback", "feedback"),
    type=click.Path(path_type=Path, file_okay=False),
    help="Write a page of Markdown for each learner into a folder.",
)
@click.option("--resume", is_flag=True, help="Keep the rows of a run that was interrupted.")
def grade(
    exercise, submissions, pattern, roster_file, column, jobs, limit, folder, form, feedback, resume
):
    """Grade the submissions of a class for EXERCISE (for instructors).

    SUBMISSIONS is a folder or a zip with one folder, zip or git clone for each learner. With
    --branches, it is a git repository, by default the one in the current folder. If a
    submission contains no project, its row says so, and the others are graded.

    Each submission runs apart from the tests, which talk to it over sockets. On Linux, it is
    isolated from this machine and from the other submissions. Elsewhere, it is isolated in a
    container if Docker or Podman is running; the first time, this builds an image. Without them,
    each row says "not isolated".

    The results are in the folder of --out: grades.csv, grades.json with each check and its
    sentence, and JUnit XML for each learner. The exit code is 1 if something could not be graded,
    and 0 otherwise, whatever the grades are.
    """
    chosen = steps.find_exercise(exercise)
    if bool(roster_file) != bool(column):
        raise click.UsageError("--roster and --id belong together")
    if not submissions and not pattern:
        raise click.UsageError("name the folder or zip with the submissions, or use --branches")
    environment.ensure("develop")
    # Only now, because it needs what that installs.
    from workshop.grading import running
    from workshop.grading.submissions import NoSubmission

    try:
        sources, missing = choose(submissions, pattern, roster_file, column)
        why = running.why_not_isolated()
        rows = list(missing)
        kept = Kept(folder, chosen, resume)
        todo = kept.take(sources, rows)
        limit = limit or running.seconds_for(chosen)
        with container_if(why and todo, submissions or ".", bool(pattern)) as (container, problem):
            isolated = not why or bool(container)
            grade_them(chosen, todo, rows, kept, isolated, jobs, limit, form, feedback, container)
    except (NoSubmission, running.CannotGrade) as problem:
        raise click.ClickException(printable(problem)) from None
    if problem:
        words = _(
            "Not isolated: {why}, and {problem}. A submission could read or change files here."
        )
        told = words.format(why=why, problem=sentence(printable(problem)))
        click.secho(f"\n{told}", fg="yellow")
    elif container:
        click.echo(_("Isolated in a container, because {why}.").format(why=why))
    sys.exit(1 if any(row.result == "not graded" for row in rows) else 0)


@contextlib.contextmanager
def container_if(is_needed, place, is_repository):
    """A container for what was handed in, if one is needed and there is one; or why there isn't."""
    from workshop.grading import container, running

    if not is_needed:
        yield None, ""
        return
    try:
        started = container.start(place, is_repository, lambda text: click.echo(text, err=True))
    except KeyboardInterrupt:
        click.echo("\n" + _("Stopped."), err=True)
        sys.exit(130)
    except container.NoContainer as problem:
        if sys.platform == "win32":
            needs = "on Windows, grade needs Docker, Podman or WSL"
            raise running.CannotGrade(f"{needs}: {problem}") from None
        yield None, str(problem)
        return
    try:
        yield started, ""
    finally:
        started.end()


def choose(submissions, pattern, roster_file, column):
    """What to grade, by identifier, and a row for each one who is missing."""
    from workshop.grading import roster, running
    from workshop.grading import submissions as found

    if pattern:
        sources = found.branches(submissions or ".", pattern)
    else:
        sources = found.find(submissions)
    if not roster_file:
        return roster.by_own_names(sources), []
    named, missing = roster.match(sources, roster.read(roster_file, column))
    known = set(roster.read(roster_file, column))
    for name in named:
        if name not in known:
            words = _("{name} matches nobody on the roster, or others match, too.")
            click.echo(words.format(name=printable(name)), err=True)
    note = ["nothing was handed in"]
    return named, [running.Row(one, "", "missing", notes=list(note)) for one in missing]


class Kept:
    """The rows that are finished, kept in a file, so that a later run can continue."""

    def __init__(self, folder, exercise, resume):
        self.folder, self.exercise = folder, exercise
        self.path = folder / UNFINISHED
        self.marks, self.known = {}, {}
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            self.path.unlink(missing_ok=True)
        elif self.path.is_file():
            for line in self.path.read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError):  # it was interrupted while it wrote
                    entry = json.loads(line)
                    self.known[entry["mark"]] = entry["row"]

    def take(self, sources, rows):
        """Add the rows that are known; returns the submissions that are not graded yet."""
        from workshop.grading.running import row_from

        todo = {}
        for name, source in sources.items():
            try:
                mark = f"{self.exercise.id} {name} {source.mark()}"
            except Exception as problem:  # whatever a folder may hold: its judge will tell
                mark = f"{name} {problem}"
            self.marks[name] = mark
            if mark in self.known:
                rows.append(row_from(self.known[mark]))
            else:
                todo[name] = source
        return todo

    def keep(self, row):
        """Keep a row that is finished."""
        entry = json.dumps({"mark": self.marks[row.id], "row": row.as_dict()})
        with self.path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(f"{entry}\n")
            file.flush()
            os.fsync(file.fileno())

    def forget(self):
        """Everything is finished."""
        self.path.unlink(missing_ok=True)


def grade_them(exercise, todo, rows, kept, isolated, jobs, limit, form, feedback, container=None):
    """Grade, show how far it is, and write and tell the results."""
    from workshop.grading import results, running

    def in_order():
        return sorted(rows, key=lambda row: row.id)

    if todo:
        expected = running.all_checks(exercise, container)
        cores = container.jobs if container else os.cpu_count() or 1
        jobs = jobs or max(1, min(len(todo), cores))
        grading = running.grade_all(exercise, todo, expected, isolated, jobs, limit, container)
        bar = click.progressbar(
            length=len(todo),
            label=_("Grading {number} of {exercise}").format(
                number=len(todo), exercise=exercise.id
            ),
            file=sys.stderr,
            hidden=not machine.is_terminal(sys.stderr),
        )
        try:
            with contextlib.closing(grading), bar:
                for row in grading:
                    rows.append(row)
                    kept.keep(row)
                    results.write_tables(kept.folder, exercise, in_order())
                    bar.update(1)
        except KeyboardInterrupt:
            words = _("Stopped: with --resume, grading continues from here.")
            click.echo(f"\n{words}", err=True)
            sys.exit(130)
    rows[:] = in_order()
    results.write_tables(kept.folder, exercise, rows)
    results.write_each(kept.folder, exercise, rows, form, feedback)
    kept.forget()
    tell_table(rows)
    words = _("Results: {path}; grades.json has each check's sentence")
    click.echo("\n" + words.format(path=kept.folder / "grades.csv"))


def tell_table(rows):
    """Print a line for each learner, and below it what to fix first."""
    from workshop.grading import results

    width = max(len(printable(row.id)) for row in rows)
    for row in rows:
        outcome = OUTCOMES.get(row.result, "later")
        text = f"{sign(outcome)} {printable(row.id):{width}}  {_(row.result)}"
        if row.checks:
            words = _("{passed} of {total} checks pass")
            text += ", " + words.format(passed=row.count("passed"), total=len(row.checks))
            if row.outside:
                text += ", " + _("outside {count}").format(count=results.outside_of(row))
        text += "" if row.isolated else _(", not isolated")
        click.secho(text, fg=COLOURS[outcome])
        if told := results.first_of(row) or "; ".join(row.notes):
            told = printable(told)
            click.echo(f"  {told if len(told) <= WIDTH else told[: WIDTH - 1] + '…'}")
    counts = {result: sum(row.result == result for row in rows) for result in OUTCOMES}
    others = len(rows) - sum(counts.values())
    words = _(
        "{all} in all: {passed} passed, {failed} failed, {look} to look at, {others} without a "
        "submission that can be graded."
    )
    told = words.format(
        all=len(rows),
        passed=counts["passed"],
        failed=counts["failed"],
        look=counts["look at it"],
        others=others,
    )
    click.echo(f"\n{told}")
