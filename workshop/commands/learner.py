"""What a learner types: run, start, check, hint, diff, doctor, and nothing at all."""

import sys
from contextlib import suppress
from pathlib import Path

import click

from workshop import environment, machine, serving, steps
from workshop.commands import COMMAND, port_option
from workshop.commands.as_json import tell_json
from workshop.commands.telling import say, tell, tell_page
from workshop.learner import FOLDER, Progress, require_folder


def where_am_i():
    """Print the exercises with what became of them, and the next command."""
    from rich.console import Console
    from rich.table import Table

    progress = read_progress()
    table = Table(box=None, pad_edge=False)
    for heading, justify in (("exercise", "left"), ("minutes", "right"), ("", "left")):
        table.add_column(heading, justify=justify)
    for exercise in steps.all_exercises():
        state = "done" if exercise.id in progress.done else "to do"
        if state == "to do" and exercise.id == progress.started:
            state = "started"
        indent = "   " if exercise.is_challenge else ""
        style = {"done": "green", "started": "bold", "to do": None}[state]
        title = f"{indent}{exercise.id}: {exercise.title}"
        table.add_row(title, str(exercise.minutes), state, style=style)
    Console().print(table)
    if FOLDER.is_file():
        click.echo("\nNext: rename the file websocket: your folder needs that name")
        return
    started = progress.started and steps.find_exercise(progress.started)
    if started and started.id not in progress.done:
        click.echo(f"\nNext: {COMMAND} check, or {COMMAND} hint")
    elif progress.noticed and (FOLDER / "websocket.py").is_file():
        click.echo(f"\nNext: {COMMAND} check N, with the number of the step you're on")
    elif progress.next_exercise():
        click.echo(f"\nNext: {COMMAND} start {progress.next_exercise().number}")
    else:
        click.echo("\nAll steps are done. The indented ones are challenges: start one by its name.")


@click.command()
@click.argument("target", required=False)
@port_option
def run(target, port):
    """Serve a step, or a folder of your own, until Ctrl-C.

    TARGET is a step's number, its name, or any folder with a websocket.py; without it, your own
    folder websocket/ is served or, if there is none, step 5. The server restarts when a file of the
    project changes. It listens only on 127.0.0.1, on port 5000 or, if that is taken, on the next
    free port.
    """
    if target is None:
        if FOLDER.exists():
            require_folder()
        if (FOLDER / "websocket.py").is_file():
            sys.exit(serving.run(FOLDER, port))
        click.echo(f"websocket/ has no app yet, so this is step {steps.DEFAULT}.")
    sys.exit(serving.run(steps.find(steps.DEFAULT if target is None else target), port))


@click.command()
@click.argument("exercise", required=False)
@click.option(
    "--back",
    is_flag=False,
    flag_value="",
    metavar="[ATTEMPT]",
    help="List earlier attempts, or bring one back.",
)
@click.option("--mine", "whose", flag_value="mine", help="Continue with your own work.")
@click.option("--theirs", "whose", flag_value="theirs", help="Take the workshop's solution.")
@click.option(
    "--from",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.zip",
    help="Take your own files, as the page of the step saves them.",
)
def start(exercise, back, whose, file):
    """Set up an exercise in websocket/, and show its task.

    EXERCISE is a step's number, or the name of a step or a challenge; by default, it's the first
    step that isn't done. It starts from the solution of the step before. If websocket/ contains
    your own work on that step, you choose whether to continue with it or to take the workshop's
    solution. If you continue, files that only the workshop's solution has are added. Either way,
    what is in websocket/ now is kept in attempts/.
    """
    from workshop import learner

    if file and (whose or back is not None):
        raise click.UsageError("--from takes none of --mine, --theirs and --back")
    if back is not None:
        if whose:
            raise click.UsageError("--back takes neither --mine nor --theirs")
        if back == "" and exercise is None:
            for attempt in learner.attempts():
                click.echo(attempt.name)
            if learner.attempts():
                click.echo(f"\nTo bring one back: {COMMAND} start --back NAME")
            else:
                click.echo("There are no earlier attempts.")
            return
        say_kept(learner.bring_back(back or exercise))
        click.echo(f"websocket/ is {back or exercise} again.")
        return
    progress = read_progress()
    chosen = steps.find_exercise(exercise) if exercise else progress.next_exercise()
    if chosen is None:
        click.echo(f"All steps are done. `{COMMAND}` lists the challenges: start one by its name.")
        return
    if file:
        say_kept(start_from(chosen, file))
        is_mine = True
    elif is_mine := whose == "mine" if whose else goes_on_with_own(chosen):
        kept, added = learner.go_on(chosen)
        click.echo(f"A copy of your work is in attempts/{kept.name}.")
        if added:
            click.echo(f"Added files that were missing: {', '.join(added)}.")
        click.echo()
    else:
        say_kept(learner.start(chosen))
    show_task(chosen)
    where = f"holds this step's files, with {len(chosen.gaps)} gaps to fill"
    if chosen.previous:
        where = f"holds the workshop's solution of {chosen.previous.heading}"
    where = "holds your own work" if is_mine else where
    click.echo(f"\nYour folder websocket/ {where}. Continue from there, then type: {COMMAND} check")
    click.echo(f"When you are stuck: {COMMAND} hint. To see it run: {COMMAND} run")
    tell_page(chosen)


def start_from(exercise, file):
    """Begin an exercise with the files of a zip; returns where what was there is now."""
    from workshop import learner
    from workshop.unzipping import BadZip, project_in

    try:
        return learner.start(exercise, project_in(file))
    except BadZip as problem:
        raise click.UsageError(str(problem)) from None


def goes_on_with_own(exercise):
    """Whether to continue with the learner's own work on the step before: ask, or say so."""
    from workshop import learner

    before = learner.work_before(exercise)
    if before is None:
        return False
    passes = "which has passed" if before.id in Progress().done else "which hasn't passed"
    click.echo(f"websocket/ holds your own work on {before.heading}, {passes} its checks.")
    left_out = [part.title for part in exercise.previous.parts if not part.is_begun(FOLDER)]
    if left_out:
        click.echo(f"It leaves out {', '.join(left_out)}, which later checks need.")
    if not can_ask():
        other = f"{COMMAND} start {exercise.id} --theirs"
        click.echo(f"Continuing with it. To take the workshop's solution instead: {other}")
        return True
    question = "Continue with your own (mine), or take the workshop's solution (theirs)?"
    try:
        return click.prompt(question, "mine", value_proc=mine_or_theirs) == "mine"
    except click.Abort:
        click.echo("\nStopped: nothing has changed.")
        sys.exit(130)


def can_ask():
    """Whether somebody can answer a question: stdin is a terminal."""
    return bool(sys.stdin) and sys.stdin.isatty()


def mine_or_theirs(answer):
    """The answer that somebody has typed, as one of two words, which may be shortened."""
    for word in ("mine", "theirs"):
        if answer.strip() and word.startswith(answer.strip().lower()):
            return word
    raise click.UsageError("type mine or theirs, or press Enter for mine")


def say_kept(kept):
    """Say where an earlier attempt went, if there was one."""
    if kept:
        click.echo(f"What was in websocket/ is now in attempts/{kept.name}.\n")


def show_task(exercise):
    """Print an exercise's title and task."""
    show(f"# {exercise.heading}\n\nAbout {exercise.minutes} minutes.\n\n{exercise.task}")


def show(markdown):
    """Print Markdown, set for the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, Console().width)).print(Markdown(markdown))


@click.command()
@click.argument("exercise", required=False)
@click.option("--watch", is_flag=True, help="Check again whenever you save a file.")
@click.option("--live", is_flag=True, help="Check on a real server, over real sockets.")
@click.option("--thorough", is_flag=True, help="Run every check, even after one has failed.")
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON, for tools.")
def check(exercise, watch, live, thorough, as_json):
    """Check websocket/ against the exercise you started, or against EXERCISE.

    If the exercise has parts, they are checked one after the other, and an optional part is left
    out until you begin it. Checks that need a browser take longer, and run once all others pass.
    If your code is nearly right, it also shows where it differs from the closest solution.
    The exit code is 0 only if no check fails.
    """
    from workshop import learner
    from workshop.checking import Checker, Interrupted

    def choose():
        learner.require_folder()
        return steps.find_exercise(exercise) if exercise else read_progress().current_exercise()

    if as_json and watch:
        raise click.UsageError("--json and --watch don't go together")
    chosen = choose()
    environment.ensure("develop")
    checker = Checker(FOLDER, chosen.tests, live, thorough, exercise=chosen)
    try:
        if as_json:
            sys.exit(0 if tell_json(chosen, checker.check()) else 1)
        if not watch:
            sys.exit(0 if tell_and_report(chosen, checker.check()) else 1)
        saves = learner.Saves(lambda: checker.interrupt())
        while True:
            with suppress(Interrupted):
                tell_and_report(chosen, checker.check(warm_up_again=True))
                click.echo("\nWatching websocket/: save a file to check again. Ctrl-C stops this.")
            names = saves.wait()
            if machine.is_terminal(sys.stdout):
                click.clear()
            click.echo(f"{', '.join(names)} changed.\n")
            if choose() != chosen:  # another one was started meanwhile
                chosen = choose()
                checker.close()
                checker = Checker(FOLDER, chosen.tests, live, thorough, exercise=chosen)
    except KeyboardInterrupt:
        click.echo("\nStopped.")
        sys.exit(130)
    finally:
        checker.close()


def tell_and_report(exercise, checks):
    """Print checks as they come, and report them if a board was joined; whether all pass."""
    from workshop import reporting

    seen = []
    passes = tell(exercise, (seen.append(check) or check for check in checks), FOLDER)
    if address := reporting.report(exercise.id, seen):
        click.echo(f"Reporting this to the board at {address}. To stop: {COMMAND} leave")
    elif address := reporting.ended():
        click.echo(f"The board at {address} doesn't know you any more, so nothing was reported.")
        click.echo(f"To join again: {COMMAND} join {address} CODE")
    return passes


@click.command()
@click.argument("exercise", required=False)
def hint(exercise):
    """Show the next hint for the exercise you started, or for EXERCISE."""
    from workshop import learner

    chosen = steps.find_exercise(exercise) if exercise else read_progress().current_exercise()
    text, left = learner.hint(chosen)
    show(text)
    click.echo(
        {0: "\nThat was the last hint.", 1: "\n1 hint is left."}.get(
            left, f"\n{left} hints are left."
        )
    )
    if not left:
        click.echo(f"To compare with the solution: {COMMAND} diff {chosen.id}")
    tell_page(chosen)


@click.command()
@click.argument("exercise", required=False)
@click.option("--other", is_flag=True, help="Show another way to write the solution.")
def diff(exercise, other):
    """Compare websocket/ with the solution of the exercise you started, or of EXERCISE.

    Lines marked - are yours, and lines marked + are the solution's. With --other, lines marked -
    are the solution's, and lines marked + are another way to write it that passes all checks.
    """
    from workshop import learner

    chosen = steps.find_exercise(exercise) if exercise else read_progress().current_exercise()
    lines = list(learner.diff_other(chosen) if other else learner.diff(chosen))
    if other:
        click.echo(f"Another way that passes: it {chosen.other_way.name}.")
        click.echo(f"{chosen.other_way.trade_off}\n")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        click.secho(line, fg=colours.get(line[:1]), bold=line.startswith(("+++", "---")))
    if not lines:
        click.echo("No difference: websocket/ matches the solution.")


def read_progress():
    """The learner's progress; says so if its file was damaged."""
    progress = Progress()
    if progress.noticed:
        click.secho(progress.noticed, fg="yellow", err=True)
    return progress


@click.command()
def doctor():
    """Look for problems on this machine, and say how to fix them.

    Nothing is changed or installed. The exit code is 1 if there is something to fix.
    """
    from workshop.doctor import examine, exit_code

    found = []
    for what, is_well, remedy in examine():
        outcome = {True: "passed", False: "failed", None: "later"}[is_well]
        say(outcome, what if is_well else f"{what}: {remedy}")
        found.append((what, is_well, remedy))
    sys.exit(exit_code(found))
