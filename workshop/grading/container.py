"""A container for the judges, where this system has no namespaces that could isolate them.

The container runs Linux, in which each judge makes namespaces for its submission as it does on
Linux itself. It sees the workshop and the submissions, can write to neither, and has no network.
Everything else, such as results, stays with the process that starts it: only judges run there.
"""

import contextlib
import csv
import dataclasses
import hashlib
import io
import re
import secrets
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

from workshop.grading import submissions
from workshop.tied import end
from workshop.venv import ROOT

PYTHON = "3.13"
BASE = f"python:{PYTHON}-slim"  # Debian's packages are installed into it
NAME = "quart-websocket-workshop"
DOCKERFILE = f"""\
FROM {BASE}
RUN apt-get update \\
 && apt-get install --yes --no-install-recommends chromium-headless-shell git redis-server \\
 && rm -rf /var/lib/apt/lists/*
COPY packages /packages
RUN python -m pip install --no-cache-dir --no-index --find-links=/packages \\
    --no-deps --require-hashes --requirement=/packages/requirements.txt
# The image comes without bytecode, and nothing could be written when a judge runs.
RUN python -m compileall -qq /usr/local/lib/python{PYTHON} || true
"""
MACHINES = {"x86_64": "Linux (x86-64)", "amd64": "Linux (x86-64)"}
MACHINES |= {"aarch64": "Linux (arm64)", "arm64": "Linux (arm64)"}
# The engines, the best first: how each says which machine it is for, and shows all of /proc.
ENGINES = {
    "docker": ("{{.Architecture}}", "systempaths=unconfined"),
    "podman": ("{{.Host.Arch}}", "unmask=ALL"),
}
ANSWER_SECONDS, START_SECONDS = 10, 120
LATER = 5  # seconds after its limit, a judge is ended by the container itself
WORKSHOP, CLASS = "/workshop", "/class"  # where the container has them
SHOWN = ("harness", "pyproject.toml", "steps", "workshop")  # of the workshop
# Namespaces, the network of one, and a look at the processes of a submission, need these rights.
# A submission has none of them: its box gives up all rights before its code runs.
RIGHTS = ("SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE")
# It says whether it can isolate submissions: how many it can run at a time, or why it can't. Then
# it waits for the end of its standard input, and so ends with the process that has started it.
WAIT = "python -m harness.namespaces && nproc && exec cat"
STEP = re.compile(r"(?:step |\[)(\d+)/(\d+)", re.IGNORECASE)  # of a Dockerfile
LONGEST = 200  # characters of an engine's reason


class NoContainer(Exception):
    """There is no container for the judges: the message says why, in a clause."""


class Engine:
    """A program that runs containers, and answers."""

    def __init__(self, name):
        about, self.unmask = ENGINES[name]
        self.name, self.program = name, shutil.which(name)
        if not self.program:
            raise NoContainer(f"{name} is not installed")
        try:
            result = self.run("info", "--format", about, timeout=ANSWER_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            raise NoContainer(f"{name} doesn't answer") from None
        self.machine = MACHINES.get(result.stdout.strip())
        if result.returncode or not self.machine:
            raise NoContainer(f"{name} doesn't answer: {last_line(result.stderr, result.stdout)}")

    def run(self, *words, **options):
        """Run a command of the engine, and return what it printed."""
        return subprocess.run(
            [self.program, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            **options,
        )

    def open(self, *words, **options):
        """Start a command of the engine that Ctrl-C doesn't reach."""
        return subprocess.Popen(
            [self.program, *words],
            stdout=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            **options,
        )


def last_line(*texts):
    """The line in which a program says why it has failed."""
    lines = [line.strip() for text in texts for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith(("error", "e: "))]
    reason = (errors or lines or ["no reason given"])[-1].rstrip(".")
    return reason if len(reason) <= LONGEST else f"{reason[:LONGEST]}…"


def find_engine():
    """The first engine that answers; raises NoContainer, with what is wrong with each."""
    problems = []
    for name in ENGINES:
        try:
            return Engine(name)
        except NoContainer as problem:
            problems.append(str(problem))
    if all(shutil.which(name) is None for name in ENGINES):
        raise NoContainer(f"neither {' nor '.join(ENGINES)} is installed")
    raise NoContainer(" and ".join(one for one in problems if "not installed" not in one))


# ---- The image


def packages_of(machine):
    """What pip is to install for running and checking on such a machine: a line for each."""
    from workshop.installing import requirement
    from workshop.kit.targets import SYSTEMS
    from workshop.venv import locked, up_to

    target = next(one for one in SYSTEMS["linux"] if one.name == machine)
    packages = {name: entry for group in up_to("develop") for name, entry in locked(group).items()}
    lines = [
        requirement(name, {"version": entry["version"], "hashes": entry["hashes"]})
        for name, entry in sorted(packages.items())
        if target.needs(entry.get("markers"), PYTHON)
    ]
    return target, lines


def image(engine, say):
    """The name of the image with all that judges need, which is built if it isn't there."""
    target, lines = packages_of(engine.machine)
    made_of = "".join([DOCKERFILE, engine.machine, *lines])
    name = f"{NAME}:{hashlib.sha256(made_of.encode()).hexdigest()[:16]}"
    if engine.run("image", "inspect", name).returncode == 0:
        return name
    say(f"Building an image for the container with {engine.name}, once; this takes minutes …")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8", newline="\n")
        (folder / "packages").mkdir()
        download(folder / "packages", lines, target, say)
        build(engine, name, folder, say)
    return name


def download(folder, lines, target, say):
    """Download the packages here, so that this user's settings of pip are those that count."""
    from workshop.kit import download as download_wheels

    say(f"  {len(lines)} packages")
    _, why = download_wheels(lines, folder, PYTHON, target)
    if why:
        raise NoContainer(f"the packages for its image can't be downloaded: {why}")
    text = "".join(lines)
    (folder / "requirements.txt").write_text(text, encoding="utf-8", newline="\n")


def build(engine, name, folder, say):
    """Build an image from a folder, and say which step it is at."""
    building = engine.open("build", "--tag", name, str(folder), stderr=subprocess.STDOUT)
    printed, told = [], ""
    try:
        for line in building.stdout:
            printed.append(line)
            step = STEP.search(line)
            if step and step[0] != told:
                told = step[0]
                say(f"  step {step[1]} of {step[2]}")
        code = building.wait()
    finally:
        end(building)
    if code:
        raise NoContainer(f"{engine.name} can't build its image: {last_line(''.join(printed))}")


# ---- The container


class Container:
    """A running container in which judges can isolate what was handed in."""

    def __init__(self, engine, image, shown):
        self.engine, self.name = engine, f"{NAME}-{secrets.token_hex(6)}"
        self.place = shown  # what the container has as CLASS
        self.errors = tempfile.TemporaryFile()
        self.client = engine.open(
            *("run", "--rm", "--interactive", "--name", self.name, *self.options()),
            *(image, "sh", "-c", WAIT),
            stdin=subprocess.PIPE,
            stderr=self.errors,
        )
        try:
            timer = threading.Timer(START_SECONDS, end, [self.client])
            timer.start()
            said = self.client.stdout.readline().strip()
            timer.cancel()
            if not said.isdecimal():
                self.errors.seek(0)
                why = said or last_line(self.errors.read().decode(errors="replace"))
                raise NoContainer(f"a container of {engine.name} can't isolate them: {why}")
        except BaseException:
            self.end()
            raise
        self.jobs = int(said)

    def options(self):
        """What it may do and see."""
        options = ["--network=none", "--read-only", "--tmpfs=/tmp", f"--workdir={WORKSHOP}"]
        options += ["--env=PYTHONUTF8=1", *(f"--cap-add={right}" for right in RIGHTS)]
        unconfined = ("seccomp=unconfined", "apparmor=unconfined", "label=disable")
        for one in (*unconfined, self.engine.unmask):
            options += ["--security-opt", one]
        shown = [(ROOT / name, f"{WORKSHOP}/{name}") for name in SHOWN]
        for source, target in [*shown, (self.place, CLASS)]:
            words = ["type=bind", f"source={source}", f"target={target}", "readonly"]
            line = io.StringIO()
            csv.writer(line, lineterminator="").writerow(words)
            options += ["--mount", line.getvalue()]
        return options

    def inside(self, source):
        """A submission as the container has it."""
        if source.kind == "branch":
            return dataclasses.replace(source, path=CLASS)
        below = Path(source.path).relative_to(self.place).as_posix()
        return dataclasses.replace(source, path=CLASS if below == "." else f"{CLASS}/{below}")

    def command(self, limit):
        """The words that come before the name of a module which Python is to run there."""
        ends = ["timeout", "--signal=KILL", f"{limit + LATER:g}"]
        return [self.engine.program, "exec", "--interactive", self.name, *ends, "python", "-m"]

    def end(self):
        """End it, with all that runs in it."""
        self.engine.run("rm", "--force", self.name)
        end(self.client)
        with contextlib.suppress(OSError):
            self.client.stdin.close()
        self.client.stdout.close()
        self.errors.close()


def shown_of(place, is_repository):
    """What a container must show so that submissions can be read: a folder, a zip, or a .git."""
    if not is_repository:
        return Path(place).absolute()
    words = ("rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(submissions.git(place, *words).strip())


def start(place, is_repository, say):
    """Start a container for the submissions in a place; raises NoContainer."""
    engine = find_engine()
    return Container(engine, image(engine, say), shown_of(place, is_repository))
