"""What a learner types: run, start, check, hint, diff, doctor, and nothing at all."""

import sys
from contextlib import suppress
from pathlib import Path

import click

from workshop import environment, machine, serving, steps
from workshop.commands import COMMAND, port_option
from workshop.commands.as_json import tell_json
from workshop.commands.telling import say, tell, tell_page
from workshop.language import _, plural, sentence
from workshop.learner import FOLDER, Progress, require_folder


def where_am_i():
    """Print the exercises with what became of them, and the next command."""
    from rich.console import Console
    from rich.table import Table

    progress = read_progress()
    table = Table(box=None, pad_edge=False)
    for heading, justify in ((_("exercise"), "left"), (_("minutes"), "right"), ("", "left")):
        table.add_column(heading, justify=justify)
    for exercise in steps.all_exercises():
        state, style = _("to do"), None
        if exercise.id in progress.done:
            state, style = _("done"), "green"
        elif exercise.id == progress.started:
            state, style = _("started"), "bold"
        indent = "   " if exercise.is_challenge else ""
        title = f"{indent}{exercise.id}: {_(exercise.title)}"
        table.add_row(title, str(exercise.minutes), state, style=style)
    Console().print(table)
    if FOLDER.is_file():
        click.echo("\n" + _("Next: rename the file websocket: your folder needs that name"))
        return
    started = progress.started and steps.find_exercise(progress.started)
    if started and started.id not in progress.done:
        click.echo("\n" + _("Next: {command} check, or {command} hint").format(command=COMMAND))
    elif progress.noticed and (FOLDER / "websocket.py").is_file():
        words = _("Next: {command} check N, with the number of the step you're on")
        click.echo("\n" + words.format(command=COMMAND))
    elif following := progress.next_exercise():
        words = _("Next: {command} start {number}")
        click.echo("\n" + words.format(command=COMMAND, number=following.number))
    else:
        words = _("All steps are done. The indented ones are challenges: start one by its name.")
        click.echo(f"\n{words}")


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
        words = _("websocket/ has no app yet, so this is step {number}.")
        click.echo(words.format(number=steps.DEFAULT))
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
        raise click.UsageError(_("--from takes none of --mine, --theirs and --back"))
    if back is not None:
        if whose:
            raise click.UsageError(_("--back takes neither --mine nor --theirs"))
        if back == "" and exercise is None:
            for attempt in learner.attempts():
                click.echo(attempt.name)
            if learner.attempts():
                words = _("To bring one back: {command} start --back NAME")
                click.echo("\n" + words.format(command=COMMAND))
            else:
                click.echo(_("There are no earlier attempts."))
            return
        say_kept(learner.bring_back(back or exercise))
        click.echo(_("websocket/ is {attempt} again.").format(attempt=back or exercise))
        return
    progress = read_progress()
    chosen = steps.find_exercise(exercise) if exercise else progress.next_exercise()
    if chosen is None:
        words = _("All steps are done. `{command}` lists the challenges: start one by its name.")
        click.echo(words.format(command=COMMAND))
        return
    if file:
        say_kept(start_from(chosen, file))
        is_mine = True
    elif is_mine := whose == "mine" if whose else goes_on_with_own(chosen):
        kept, added = learner.go_on(chosen)
        click.echo(_("A copy of your work is in attempts/{name}.").format(name=kept.name))
        if added:
            words = _("Added files that were missing: {names}.")
            click.echo(words.format(names=", ".join(added)))
        click.echo()
    else:
        say_kept(learner.start(chosen))
    show_task(chosen)
    if is_mine:
        holds = _("Your folder websocket/ holds your own work.")
    elif chosen.previous:
        holds = _("Your folder websocket/ holds the workshop's solution of {exercise}.")
        holds = holds.format(exercise=chosen.previous.shown)
    else:
        holds = _("Your folder websocket/ holds this step's files, with {count} gaps to fill.")
        holds = holds.format(count=len(chosen.gaps))
    on = _("Continue from there, then type: {command} check").format(command=COMMAND)
    click.echo(f"\n{holds} {on}")
    words = _("When you are stuck: {command} hint. To see it run: {command} run")
    click.echo(words.format(command=COMMAND))
    tell_page(chosen)


def start_from(exercise, file):
    """Begin an exercise with the files of a zip; returns where what was there is now."""
    from workshop import learner
    from workshop.unzipping import BadZip, project_in

    try:
        return learner.start(exercise, project_in(file))
    except BadZip as problem:
        raise click.UsageError(sentence(str(problem))) from None


def goes_on_with_own(exercise):
    """Whether to continue with the learner's own work on the step before: ask, or say so."""
    from workshop import learner

    before = learner.work_before(exercise)
    if before is None:
        return False
    words = _("websocket/ holds your own work on {exercise}, which hasn't passed its checks.")
    if before.id in Progress().done:
        words = _("websocket/ holds your own work on {exercise}, which has passed its checks.")
    click.echo(words.format(exercise=before.shown))
    left_out = [_(part.title) for part in exercise.previous.parts if not part.is_begun(FOLDER)]
    if left_out:
        words = _("It leaves out {parts}, which later checks need.")
        click.echo(words.format(parts=", ".join(left_out)))
    if not can_ask():
        words = _("Continuing with it. To take the workshop's solution instead: {other}")
        click.echo(words.format(other=f"{COMMAND} start {exercise.id} --theirs"))
        return True
    question = _("Continue with your own (mine), or take the workshop's solution (theirs)?")
    try:
        return click.prompt(question, "mine", value_proc=mine_or_theirs) == "mine"
    except click.Abort:
        click.echo("\n" + _("Stopped: nothing has changed."))
        sys.exit(130)


def can_ask():
    """Whether somebody can answer a question: stdin is a terminal."""
    return bool(sys.stdin) and sys.stdin.isatty()


def mine_or_theirs(answer):
    """The answer that somebody has typed, as one of two words, which may be shortened."""
    for word in ("mine", "theirs"):
        if answer.strip() and word.startswith(answer.strip().lower()):
            return word
    raise click.UsageError(_("type mine or theirs, or press Enter for mine"))


def say_kept(kept):
    """Say where an earlier attempt went, if there was one."""
    if kept:
        click.echo(_("What was in websocket/ is now in attempts/{name}.").format(name=kept.name))
        click.echo()


def show_task(exercise):
    """Print an exercise's title and task."""
    about = _("About {minutes} minutes.").format(minutes=exercise.minutes)
    show(f"# {exercise.shown}\n\n{about}\n\n{_(exercise.task)}")


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
        raise click.UsageError(_("--json and --watch don't go together"))
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
                words = _("Watching websocket/: save a file to check again. Ctrl-C stops this.")
                click.echo(f"\n{words}")
            names = saves.wait()
            if machine.is_terminal(sys.stdout):
                click.clear()
            click.echo(_("{names} changed.").format(names=", ".join(names)) + "\n")
            if choose() != chosen:  # another one was started meanwhile
                chosen = choose()
                checker.close()
                checker = Checker(FOLDER, chosen.tests, live, thorough, exercise=chosen)
    except KeyboardInterrupt:
        click.echo("\n" + _("Stopped."))
        sys.exit(130)
    finally:
        checker.close()


def tell_and_report(exercise, checks):
    """Print checks as they come, and report them if a board was joined; whether all pass."""
    from workshop import reporting

    seen = []
    passes = tell(exercise, (seen.append(check) or check for check in checks), FOLDER)
    if address := reporting.report(exercise.id, seen):
        words = _("Reporting this to the board at {address}. To stop: {command} leave")
        click.echo(words.format(address=address, command=COMMAND))
    elif address := reporting.ended():
        words = _("The board at {address} doesn't know you any more, so nothing was reported.")
        click.echo(words.format(address=address))
        words = _("To join again: {command} join {address} CODE")
        click.echo(words.format(command=COMMAND, address=address))
    return passes


@click.command()
@click.argument("exercise", required=False)
def hint(exercise):
    """Show the next hint for the exercise you started, or for EXERCISE."""
    from workshop import learner

    chosen = steps.find_exercise(exercise) if exercise else read_progress().current_exercise()
    text, left = learner.hint(chosen)
    show(_(text))
    words = plural("{number} hint is left.", "{number} hints are left.", left)
    words = words if left else _("That was the last hint.")
    click.echo("\n" + words.format(number=left))
    if not left:
        words = _("To compare with the solution: {command} diff {exercise}")
        click.echo(words.format(command=COMMAND, exercise=chosen.id))
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
        words = _("Another way that passes: it {way}.")
        click.echo(words.format(way=_(chosen.other_way.name)))
        click.echo(f"{_(chosen.other_way.trade_off)}\n")
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        click.secho(line, fg=colours.get(line[:1]), bold=line.startswith(("+++", "---")))
    if not lines:
        click.echo(_("No difference: websocket/ matches the solution."))


def read_progress():
    """The learner's progress; says so if its file was damaged."""
    progress = Progress()
    if progress.noticed:
        click.secho(sentence(progress.noticed), fg="yellow", err=True)
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
        what, remedy = sentence(what), sentence(remedy)
        say(outcome, what if is_well else f"{what}: {remedy}")
        found.append((what, is_well, remedy))
    sys.exit(exit_code(found))
