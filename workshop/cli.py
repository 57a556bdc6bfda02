"""The words of the command and its exit codes, and nothing else."""

import inspect
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import click

from workshop import environment, machine, serving, steps
from workshop.learner import FOLDER, LearnerProblem, Progress, require_folder

COMMAND = "python3 -m workshop"
SITE = ".quart-websocket-workshop"  # an empty file in a folder that holds the docs site
BENCHMARKS = ("fanout", "memory", "resume", "environment", "check")
PROBLEMS = (serving.PortTaken, LearnerProblem, environment.EnvironmentFailed)


class Commands(click.Group):
    """Commands in the order in which they are written, whose problems are one sentence each."""

    def list_commands(self, context):
        """The names of the commands in the order in which a learner meets them."""
        return list(self.commands)

    def invoke(self, context):
        """Run a command; what is in its way becomes one sentence and an exit code."""
        from workshop.branches import BranchProblem

        try:
            return super().invoke(context)
        except steps.UnknownTarget as problem:
            raise click.UsageError(str(problem)) from None
        except (*PROBLEMS, BranchProblem) as problem:
            raise click.ClickException(str(problem)) from None


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`COMMAND --help` tells more about each.",
)
@click.pass_context
def main_group(context):
    """Learn WebSockets with Quart by building one small app in numbered steps.

    Without a command: where you are, and what to type next.
    """
    if not machine.has_colours():
        context.color = False
    if context.invoked_subcommand is None:
        where_am_i()


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
        title = f"{indent}{exercise.id}: {exercise.about['title']}"
        table.add_row(title, str(exercise.about["minutes"]), state, style=style)
    Console().print(table)
    if FOLDER.is_file():
        click.echo("\nNext: rename the file websocket, whose name your folder will have")
        return
    started = progress.started and steps.find_exercise(progress.started)
    if started and started.id not in progress.done:
        click.echo(f"\nNext: {COMMAND} check, or {COMMAND} hint")
    elif progress.noticed and (FOLDER / "websocket.py").is_file():
        click.echo(f"\nNext: {COMMAND} check N, with the number of the step that you are at")
    elif progress.next_exercise():
        click.echo(f"\nNext: {COMMAND} start {progress.next_exercise().number}")
    else:
        click.echo("\nAll steps are done. The indented ones are challenges: start one by its name.")


@main_group.command()
@click.argument("target", required=False)
@click.option("--port", type=click.IntRange(1, 65535), help="Insist on this port.")
def run(target, port):
    """Serve a step, or a folder of your own, until Ctrl-C.

    TARGET is a step's number, its name, or any folder with a websocket.py; without it, your own
    folder websocket/ is served or, if there is none, step 5. The server starts again when a file of
    the project changes. It listens on 127.0.0.1 only, on port 5000 or, if that is taken, on the
    next free one.
    """
    if target is None:
        if FOLDER.exists():
            require_folder()
        if (FOLDER / "websocket.py").is_file():
            sys.exit(serving.run(FOLDER, port))
        click.echo(f"websocket/ holds no app of yours yet, so this is step {steps.DEFAULT}.")
    sys.exit(serving.run(steps.find(steps.DEFAULT if target is None else target), port))


@main_group.command()
@click.argument("exercise", required=False)
@click.option(
    "--back",
    is_flag=False,
    flag_value="",
    metavar="[ATTEMPT]",
    help="List earlier attempts, or bring one back.",
)
def start(exercise, back):
    """Put the start of an exercise into websocket/, and show the task.

    EXERCISE is a step's number, or the name of a step or a challenge; without it, it is the first
    step that is not done. What is in websocket/ now goes to attempts/.
    """
    from workshop import learner

    if back is not None:
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
    say_kept(learner.start(chosen))
    show_task(chosen)
    where = f"holds the workshop's {chosen.previous.title}" if chosen.previous else "is empty"
    click.echo(f"\nYour folder websocket/ {where}: go on from there. Then type: {COMMAND} check")
    click.echo(f"When you are stuck: {COMMAND} hint. To see it run: {COMMAND} run")


def say_kept(kept):
    """Say where an earlier attempt went, if there was one."""
    if kept:
        click.echo(f"What was in websocket/ is now in attempts/{kept.name}.\n")


def show_task(exercise):
    """Print an exercise's title and task."""
    about = exercise.about
    show(f"# {exercise.title}\n\nAbout {about['minutes']} minutes.\n\n{about['task']}")


def show(markdown):
    """Print Markdown, set for the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console(width=min(100, Console().width)).print(Markdown(markdown))


@main_group.command()
@click.argument("exercise", required=False)
@click.option("--watch", is_flag=True, help="Check again at every save.")
@click.option("--live", is_flag=True, help="Check on a real server, over real sockets.")
@click.option("--thorough", is_flag=True, help="Look at every promise, also when one is broken.")
def check(exercise, watch, live, thorough):
    """Check websocket/ against the promises of an exercise, the one you started or EXERCISE.

    What needs a browser takes longer, and is looked at when all else is kept. The exit code is 0
    only if all promises are kept.
    """
    from workshop import learner
    from workshop.checking import Checker, Interrupted

    def choose():
        learner.require_folder()
        return steps.find_exercise(exercise) if exercise else read_progress().current_exercise()

    chosen = choose()
    environment.ensure("develop")
    checker = Checker(FOLDER, chosen.tests, live, thorough)
    try:
        if not watch:
            sys.exit(0 if tell(chosen, checker.check()) else 1)
        saves = learner.Saves(lambda: checker.interrupt())
        while True:
            with suppress(Interrupted):
                tell(chosen, checker.check(warm_up_again=True))
                click.echo("\nWatching websocket/: save a file to check again. Ctrl-C stops this.")
            names = saves.wait()
            if machine.is_terminal(sys.stdout):
                click.clear()
            click.echo(f"{', '.join(names)} changed.\n")
            if choose() != chosen:  # another one was started meanwhile
                chosen = choose()
                checker.close()
                checker = Checker(FOLDER, chosen.tests, live, thorough)
    except KeyboardInterrupt:
        click.echo("\nStopped.")
        sys.exit(130)
    finally:
        checker.close()


SIGNS = {"kept": "✓ok", "broken": "✗--", "skipped": "–..", "later": "·  "}
COLOURS = {"kept": "green", "broken": "red", "skipped": "yellow", "later": None}


def sign(outcome):
    """The sign of an outcome, or two letters where the output's encoding has no such sign."""
    signs = "".join(known[0] for known in SIGNS.values())
    return SIGNS[outcome][0] if machine.can_print(signs, sys.stdout) else SIGNS[outcome][1:]


def tell(exercise, promises):
    """Print promises as they come, then the first broken one; returns whether all are kept."""
    first, kept, later, skipped, printed = None, 0, 0, [], ""
    for promise in promises:
        later += promise.outcome == "later"
        click.secho(f"{sign(promise.outcome)} {promise.words}", fg=COLOURS[promise.outcome])
        if promise.printed != printed:  # what each test loads again need not be seen again
            for line in promise.printed.splitlines():
                click.echo(f"    printed: {line}")
        printed = promise.printed
        kept += promise.outcome == "kept"
        if promise.outcome == "skipped":
            skipped.append(promise.reason)
        if promise.outcome == "broken" and first is None:
            first = promise
    if first:
        click.secho(f"\nFirst, mend this: {first.words}", bold=True)
        click.echo(f"  {first.reason}".replace("\n", "\n  "))
        for line in first.console.splitlines():
            click.echo(f"  The browser's console says: {line}")
        if first.test:
            click.echo(f"  The test: {first.test}")
        if later:
            click.echo(f"\nThose with {sign('later').strip() or 'no sign'} haven't run yet.")
        click.echo(f"\nStuck? {COMMAND} hint {exercise.id}")
        return False
    for reason in dict.fromkeys(skipped):
        click.echo(f"\nNot checked: {reason}")
    if not kept:
        click.echo("Nothing was checked.")
        return False
    progress = Progress()
    progress.is_done(exercise)
    click.secho(f"\nAll promises are kept: {exercise.id} is done.", fg="green", bold=True)
    following = progress.next_exercise(after=exercise)
    click.echo(
        f"Next: {COMMAND} start {following.number}" if following else "That was the last step."
    )
    for challenge in steps.all_exercises():
        if challenge.is_challenge and challenge.number == exercise.number:
            if challenge.id not in progress.done:
                click.echo(f"Or a challenge: {COMMAND} start {challenge.id}")
    return True


@main_group.command()
@click.argument("exercise", required=False)
def hint(exercise):
    """Show the next hint for an exercise, the one you started or EXERCISE."""
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


@main_group.command()
@click.argument("exercise", required=False)
def diff(exercise):
    """Compare websocket/ with the solution of an exercise, the one you started or EXERCISE.

    Lines with - are yours, those with + are the solution's.
    """
    from workshop import learner

    chosen = steps.find_exercise(exercise) if exercise else read_progress().current_exercise()
    lines = list(learner.diff(chosen))
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        click.secho(line, fg=colours.get(line[:1]), bold=line.startswith(("+++", "---")))
    if not lines:
        click.echo("No difference: websocket/ is the solution.")


def read_progress():
    """The learner's progress; says so if its file was damaged."""
    progress = Progress()
    if progress.noticed:
        click.secho(progress.noticed, fg="yellow", err=True)
    return progress


@main_group.command()
def doctor():
    """Look for what may be wrong on this machine, and say how to mend it."""
    from workshop.doctor import examine

    for what, is_well, mend in examine():
        outcome = "kept" if is_well else "broken"
        words = what if is_well else f"{what}: {mend}"
        click.secho(f"{sign(outcome)} {words}", fg=COLOURS[outcome])


@main_group.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": ["--help"]}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def test(arguments):
    """Run the tests of everything, or those that ARGUMENTS name.

    ARGUMENTS go to pytest: a folder such as steps/03_echo, -k WORD, -x, --live and the like.
    Tests that need a browser which is not there are skipped, and the last lines say what to
    install; with WORKSHOP_REQUIRE_ALL=1 they fail.
    """
    environment.ensure("develop" if is_of_steps(arguments) else "maintenance")
    pytest = [sys.executable, "-m", "pytest"]
    if not any(Path(argument.partition("::")[0]).exists() for argument in arguments):
        # No file or folder is named, so it is everything, from wherever it is called: five tests at
        # once, also on fewer cores, because half of the time they wait.
        pytest += ["-n", "5", "--maxschedchunk", "1"]
        os.chdir(environment.ROOT)
    variables = machine.environ(also={*environment.network_variables(), "NODE_PATH"})
    environment.hand_over([*pytest, *map(without_brackets, arguments)], variables)


def without_brackets(argument):
    """An argument for pytest, which takes what follows a [ in a path for a test's parameters."""
    path, colons, test = argument.partition("::")
    if not Path(path).is_absolute() or not Path(path).exists():
        return argument
    with suppress(ValueError):  # it is on another drive
        path = os.path.relpath(path)
    return f"{path}{colons}{test}"


@main_group.command()
@click.option("--force", is_flag=True, help="Also move or delete branches with other commits.")
@click.option("--list", "list_them", is_flag=True, help="List the branches that there are.")
@click.option("--delete", is_flag=True, help="Delete the branches.")
def branches(force, list_them, delete):
    """Make the branches exercise/ID and solution/ID in this repository (for instructors).

    The same sources give the same commits on any machine. The work tree, the index and the current
    branch stay as they are; a branch that holds somebody's own commits is left alone.
    """
    from workshop import branches

    if list_them:
        for branch, is_ours in branches.present():
            click.echo(branch if is_ours else f"{branch} (with other commits)")
        if not branches.present():
            click.echo(f"There are no branches yet: {COMMAND} branches makes them.")
    elif delete:
        for branch, what in branches.delete(force):
            click.echo(f"{branch} {what}")
    else:
        for branch, what in branches.make(force):
            click.echo(f"{branch} {what}")


@main_group.command()
@click.argument("exercise", required=False)
@click.option("--to", "remote", required=True, help="The remote, as in `git push REMOTE`.")
@click.option("--exercises", is_flag=True, help="Push all exercise branches, and no solution.")
@click.option("--force", is_flag=True, help="Replace what the remote has.")
def release(exercise, remote, exercises, force):
    """Push the solution branch of one EXERCISE to a remote (for instructors).

    An exercise starts from the solution of the one before, which is in its history: hand the
    exercises out one by one, by `git push`, if nobody may look ahead.
    """
    from workshop import branches

    if exercises == bool(exercise):
        raise click.UsageError("name one exercise, or --exercises for all exercise branches")
    names = branches.exercise_branches()
    if not exercises:
        names = [f"solution/{steps.find_exercise(exercise).id}"]
    pushed = branches.push(remote, names, force)
    for name in names:
        click.echo(f"{name} {'pushed to' if name in pushed else 'was up to date at'} {remote}")


class Fault(click.Command):
    """A command whose help has a sentence on each fault, and loads them for that only."""

    @property
    def help(self):
        """What the command does, and what each fault is."""
        from workshop.faults import FAULTS

        return "\n\n".join([self.about, *(f"{name}: {it.__doc__}" for name, it in FAULTS.items())])

    @help.setter
    def help(self, about):
        self.about = inspect.cleandoc(about)


@main_group.command(cls=Fault, short_help="Play a bad client against a step, and see who suffers.")
@click.argument("fault")
@click.argument("target", default=steps.DEFAULT)
@click.option("--seconds", type=click.FloatRange(0.1, 60), help="Of silent and flood: how long.")
@click.option("--megabytes", type=click.IntRange(1, 1024), help="Of slow, flood, huge: how much.")
@click.option("--clients", type=click.IntRange(1, 5000), help="Of storm: how many.")
def fault(fault, target, **limits):
    """Play a bad client against a running step, and see what it does to the others.

    TARGET is a step's number, its name, or a folder with a websocket.py, which is then served for
    as long as it takes; or http://127.0.0.1:PORT, where one of yours runs already. Without it, step
    5 is served. Each FAULT is bounded in time and size, and Ctrl-C stops it at once.
    """
    from workshop import faults, lab

    if fault not in faults.FAULTS:
        raise click.UsageError(
            f"there is no fault {fault!r}; the faults are {', '.join(faults.FAULTS)}"
        )
    limits = {name: value for name, value in limits.items() if value is not None}
    for name in limits.keys() - faults.limits_of(fault):
        raise click.UsageError(f"{fault} has no --{name}")
    environment.ensure("develop")
    click.secho(f"{fault}: {faults.FAULTS[fault].__doc__}", bold=True)
    report = Report()
    try:
        faults.play(fault, target, report.tell, report.progress, **limits)
    except (lab.CannotPlay, serving.NotServed) as problem:
        report.clear()
        raise click.ClickException(str(problem)) from None
    except KeyboardInterrupt:
        click.echo("\nStopped.")
        sys.exit(130)


class Report:
    """What a fault tells, line by line, and how far it is, which a terminal shows in one place."""

    def __init__(self):
        self.is_terminal, self.last = machine.is_terminal(sys.stdout), time.monotonic()

    def clear(self):
        """Take away how far it was."""
        if self.is_terminal:
            click.echo("\r\033[K", nl=False)

    def tell(self, label, words):
        """Print what was seen."""
        self.clear()
        click.echo(f"  {click.style(f'{label:<36}', fg='cyan')} {words}")
        sys.stdout.flush()

    def progress(self, words):
        """Say how far it is: at once on a terminal, and else every two seconds."""
        if time.monotonic() - self.last > (0.1 if self.is_terminal else 2):
            self.last = time.monotonic()
            self.clear()
            click.secho(f"  … {words}", dim=True, nl=not self.is_terminal)


@main_group.command()
@click.option("--build", "folder", type=click.Path(path_type=Path), help="Only build, into FOLDER.")
@click.option("--port", type=click.IntRange(1, 65535), help="Insist on this port.")
def docs(folder, port):
    """Serve the docs site, and build it again at every save, until Ctrl-C.

    With --build it is only built, as a folder of files that need no server; a warning is an error
    then.
    """
    if folder:
        folder = folder.absolute()
        require_place_for_site(folder)
    environment.ensure("maintenance")
    source, made = environment.ROOT / "docs", environment.ROOT / "docs/_build"
    if folder:
        strict = ["-W", "--keep-going", "-E", "-d", made / "doctrees"]
        sphinx = [sys.executable, "-m", "sphinx", *strict, source, folder]
        environment.hand_over(sphinx, machine.environ())
    port = serving.chosen_port(port, 8000)
    # What cannot be built is not served.
    built = subprocess.run(
        [sys.executable, "-m", "sphinx", source, made / "html"], env=machine.environ()
    )
    if built.returncode:
        sys.exit(built.returncode)
    watched = [f"--watch={environment.ROOT / name}" for name in ("steps", "workshop", "notebooks")]
    environment.hand_over(
        [
            sys.executable,
            "-m",
            "sphinx_autobuild",
            "--no-initial",
            f"--port={port}",
            *watched,
            source,
            made / "html",
        ],
        machine.environ(),
    )


def require_place_for_site(folder):
    """Raise UsageError unless a folder is new, empty, or holds a site already."""
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{folder} is a file: name a folder for the site")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / SITE).is_file():
            raise click.UsageError(f"{folder} holds something else: name a new folder for the site")
        (folder / SITE).touch()
    except OSError as error:
        raise click.UsageError(f"{folder} cannot be written to: {error.strerror}") from None


@main_group.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Insist on this port.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def notebooks(port, no_browser):
    """Open the notebooks in JupyterLab, until Ctrl-C."""
    environment.ensure("maintenance")
    options = [
        f"--ServerApp.root_dir={environment.ROOT / 'notebooks'}",
        f"--ServerApp.port={serving.chosen_port(port, 8888)}",
        "--ServerApp.port_retries=0",
        "--ServerApp.answer_yes=True",  # or Ctrl-C would ask whether it was meant
        # A classroom may be offline, so it asks nobody else for news and extensions.
        "--LabApp.extension_manager=readonly",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        "--LabApp.news_url=",
        "--LanguageServerManager.autodetect=False",  # it looks for servers that nobody installed
        *(["--no-browser"] if no_browser else []),
    ]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        options.append("--allow-root")
    environment.hand_over([sys.executable, "-m", "jupyterlab", *options], machine.environ())


@main_group.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--quick", is_flag=True, help="Measure less, in under a minute each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write JSON and SVG into this folder.",
)
def bench(names, quick, out):
    """Measure the steps beside other servers, until it is done or Ctrl-C.

    NAME is fanout (deliveries a second, and how late the last is), memory (what an idle client
    costs, and one that never reads), resume (everyone comes back at once), environment or check
    (how long a `run` and a `check` take). Without a NAME it is fanout, memory and resume.

    Only ratios within one run say something: each is printed beside the one that is wanted. The
    exit code is 1 if a server lost, doubled or mixed up a message, or was too slow to be measured.
    """
    for name in names:
        if name not in BENCHMARKS:
            raise click.UsageError(f"{name!r} is none of {', '.join(BENCHMARKS)}")
    environment.ensure("maintenance")
    from bench import running

    try:
        is_good = running.run(names or BENCHMARKS[:3], quick, out)
    except KeyboardInterrupt:
        click.echo("\nStopped.", err=True)
        sys.exit(130)
    sys.exit(0 if is_good else 1)


@main_group.command(hidden=True)
def lock():
    """Lock the newest versions of the packages in Pipfile (for maintainers)."""
    from workshop import locking

    environment.ensure("maintenance")
    try:
        locking.lock()
    except subprocess.CalledProcessError as failure:
        raise click.ClickException(f"this failed: {' '.join(map(str, failure.cmd))}") from None


def main():
    """Run the command that the arguments name."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # a Windows code page may lack ✓ and …
    main_group(prog_name=COMMAND)
