"""The linter of the workshop: no exercise is solved at its start, and no mistake goes unnoticed."""

import difflib
import json
import os
import re
import sys
import tempfile
import tomllib
from pathlib import Path

import batching
import pytest
from forking import CAN_FORK, FORKS
from repo import IS_EXHAUSTIVE, RAISES_AT_DISCONNECT, ROOT, RUNS_ALL

from workshop import checking
from workshop.questions import what_check_says
from workshop.steps import TEST, all_exercises, write_files

EXERCISES = all_exercises()
VARIANTS = [(exercise, variant) for exercise in EXERCISES for variant in exercise.variants]
DEADLINE = 0.7  # seconds
QUART_RUN = "test_the_quart_command_starts_the_app"
NO_SENTENCE = re.compile(r"^\w+Error|^assert |Timeout")


@pytest.fixture(params=EXERCISES, ids=lambda exercise: exercise.id)
def exercise(request):
    return request.param


class Forked:
    """Stands for the process of a check, but need not import what all of them import."""

    def __init__(self, arguments):
        told, tells = FORKS.Pipe(duplex=False)
        hears, says = FORKS.Pipe(duplex=False)
        self.process = FORKS.Process(target=self.run, args=(arguments, hears, tells))
        self.process.start()
        self.pid, self.wait = self.process.pid, self.process.join
        self.errors = tempfile.TemporaryFile()
        tells.close()
        hears.close()
        self.stdin = os.fdopen(os.dup(says.fileno()), "w")
        self.stdout = os.fdopen(os.dup(told.fileno()), encoding="utf-8")

    @staticmethod
    def run(arguments, hears, tells):
        os.setsid()  # so that it is ended with all that it started
        os.chdir(ROOT)
        os.dup2(hears.fileno(), 0)
        os.dup2(tells.fileno(), 1)
        sys.stdin = open(0, encoding="utf-8", closefd=False)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        checking.main(arguments)

    def poll(self):
        return self.process.exitcode


class Checker(checking.Checker):
    def _warm_up(self):
        if not CAN_FORK:
            return super()._warm_up()
        return Forked(self.command[3:])  # without `python -m workshop.checking`


def check(project, tests, live=False, deadline=DEADLINE, thorough=True):
    # The `quart` command takes as long to start as the rest takes, and loads what the rest loads.
    files = [path.relative_to(ROOT).as_posix() for path in tests if isinstance(path, Path)]
    tests = [*tests, *(f"--deselect={file}::{QUART_RUN}" for file in files)]
    checker = Checker(project, tests, live, thorough, deadline, 3 * deadline)
    checks = list(checker.check())
    skipped = {one.reason for one in checks if one.outcome == "skipped"}
    if skipped:
        pytest.skip(", ".join(skipped))
    return checks


def test_files(*folders):
    return [path for folder in folders for path in sorted(folder.glob("test_*.py"))]


test_files.__test__ = False


def is_of_the_page(name):
    return name.startswith(("static/", "templates/"))


def is_seen_in_a_browser(exercise, variant):
    return exercise.number >= 4 and is_of_the_page(variant.file)


def code_lines(text):
    return [
        line
        for line in text.decode().splitlines()
        if line.strip() and not re.match(r'\s*(#|//|"""|import |from )', line)
    ]


def test_an_exercise_says_what_a_learner_and_an_instructor_need(exercise):
    names = {"title", "minutes", "objectives", "task", "hints", "mistakes"}
    text = (exercise.folder / "exercise.toml").read_text(encoding="utf-8")
    assert set(tomllib.loads(text)) - {"gaps", "variants", "parts"} == names
    assert exercise.title
    assert 5 <= exercise.minutes <= 60
    assert exercise.objectives
    assert len(exercise.hints) >= 3
    assert len(exercise.mistakes) >= 3
    assert len(exercise.task) > 100


def test_the_step_from_start_to_solution_is_small(exercise):
    changed = 0
    for name, solution in exercise.solution.items():
        # These files belong to no task: they are there to be read.
        if not name.endswith((".css", ".svg", "serve.py", "protocol.py", "store.py", "client.py")):
            old, new = code_lines(exercise.start.get(name, b"")), code_lines(solution)
            changed += sum(line.startswith("+ ") for line in difflib.ndiff(old, new))
    limit = 60 if exercise.number <= 5 else 190  # those who go further have come far
    assert changed <= limit, f"{changed} lines of code are to be written"


# From step 8 on, a challenge takes as long as its step.
BUT_LATE_CHALLENGES = [
    pytest.param(
        exercise,
        id=exercise.id,
        marks=pytest.mark.exhaustive if exercise.is_challenge and exercise.number >= 8 else (),
    )
    for exercise in EXERCISES
]


@pytest.mark.parametrize("exercise", BUT_LATE_CHALLENGES, indirect=True)
def test_the_start_fails_by_assertion_with_a_sentence(exercise, tmp_path):
    start = write_files(exercise.start, tmp_path / "websocket")
    # Tests that the exercise before has, too, pass for its solution, which is the start.
    before = exercise.previous.tests if exercise.previous else []
    known = [path.read_bytes() for path in test_files(*before)]
    tests = [path for path in test_files(exercise.tests[0]) if path.read_bytes() not in known]
    # Nothing will come; and once one has failed, what is slow is left out.
    checks = check(start, tests, deadline=DEADLINE / 2, thorough=IS_EXHAUSTIVE)
    failed = [one for one in checks if one.outcome == "failed"]
    assert failed, "the start is solved already"
    for one in failed:
        assert not NO_SENTENCE.search(one.reason), (one.words, one.reason)


GAPS = [(exercise, gap) for exercise in EXERCISES for gap in exercise.gaps]


@pytest.mark.parametrize(("exercise", "gap"), GAPS, ids=[gap.file for _, gap in GAPS])
def test_each_gap_is_a_comment_that_a_check_misses(exercise, gap, tmp_path):
    assert exercise.previous is None, "another exercise starts where the one before ends"
    assert re.fullmatch(r"(# Gap: .+|\s*<!-- Gap: .+ -->)\n", gap.replace)
    project = write_files(gap.applied_to(exercise.solution), tmp_path / "websocket")
    checks = check(project, test_files(exercise.tests[0]))
    failed = [one for one in checks if one.outcome == "failed"]
    assert failed, checks
    for one in failed:
        assert not NO_SENTENCE.search(one.reason), (one.words, one.reason)


@pytest.mark.parametrize(
    "challenge", [each for each in BUT_LATE_CHALLENGES if each.values[0].is_challenge]
)
def test_the_solution_of_a_challenge_passes_its_checks_and_those_of_its_step(challenge, tmp_path):
    # A step is its own solution; its tests, and each challenge's own, run in-process anyway.
    solution = challenge.write_to(tmp_path / "websocket")
    # A browser sees the page only; the tests of the step show it the same one.
    differs = any(map(is_of_the_page, challenge.changes))
    # What is its own in a browser is seen by the tests of its own.
    chosen = [] if differs and IS_EXHAUSTIVE else ["-m", "not browser"]
    checks = check(solution, [*test_files(*challenge.tests), *chosen], live=RUNS_ALL)
    assert checks
    assert [one for one in checks if one.outcome != "passed"] == []


def is_tried_with_all_tests(exercise):
    """Whether it is seen that a mistake fails what it names and nothing else, which takes long."""
    return exercise.number < 4 or IS_EXHAUSTIVE


def tests_to_try(exercise, mistake):
    """The names of the tests to try a mistake with; of the slow ones, those that it names.

    From step 4 on, the first that it names; if exhaustive, all, and from step 6 on, those in the
    files of what it names.
    """
    if mistake.fails != ["all"] and not is_tried_with_all_tests(exercise):
        return mistake.fails[:1]
    texts = [path.read_text(encoding="utf-8") for path in test_files(exercise.tests[0])]
    if exercise.number >= 6 and mistake.fails != ["all"]:
        texts = [text for text in texts if any(f"def {name}(" in text for name in mistake.fails)]
    return [name for text in texts for name in TEST.findall(text)]


tests_to_try.__test__ = False
# Those whose fixtures are a page or what opens one.
IN_A_BROWSER = re.compile(r"def (test_\w+)\([^)]*\b(?:page|page_at|context)\b")

OF_OLDER_QUART = {
    "catches the cancellation when the client disconnects",
    "keeps sending after the client has disconnected",
}


def mistakes_to_try(exercise):
    """The mistakes of an exercise: without `--all`, one in four of those that a browser shows.

    If Quart raises an exception when a client disconnects, some of them aren't mistakes.
    """
    mistakes = exercise.mistakes
    if RAISES_AT_DISCONNECT:
        mistakes = [mistake for mistake in mistakes if mistake.name not in OF_OLDER_QUART]
    if RUNS_ALL:
        return mistakes
    texts = [path.read_text(encoding="utf-8") for path in test_files(exercise.tests[0])]
    slow = {name for text in texts for name in IN_A_BROWSER.findall(text)}
    in_browser = [mistake for mistake in mistakes if mistake.fails[0] in slow]
    return [one for one in mistakes if one not in in_browser or one in in_browser[::4]]


def mark_of_challenge(exercise):
    """With `--all`, mistakes from step 6 on are tried, and those of the first challenges."""
    if not exercise.is_challenge:
        return pytest.mark.thorough if exercise.number >= 6 else ()
    return pytest.mark.exhaustive if exercise.number >= 6 else pytest.mark.thorough


TRIED = [pytest.param(exercise, marks=mark_of_challenge(exercise)) for exercise in EXERCISES]


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.parametrize("exercise", TRIED, indirect=True, ids=lambda exercise: exercise.id)
def test_each_mistake_fails_the_test_it_names_and_is_told_what_to_look_at(exercise, tmp_path):
    # All in one process, which has one browser; what differs there is tried by itself.
    mistakes = mistakes_to_try(exercise)
    projects = [
        write_files(mistake.applied_to(exercise.solution), tmp_path / str(number))
        for number, mistake in enumerate(mistakes)
    ]
    results = try_together(exercise, mistakes, projects, tmp_path / "tries.json")
    for mistake, project, checks in zip(mistakes, projects, results, strict=True):
        try:
            assert_told(exercise, mistake, checks)
        except AssertionError:
            (checks,) = try_together(exercise, [mistake], [project], tmp_path / "tries.json")
            assert_told(exercise, mistake, checks)


def try_together(exercise, mistakes, projects, file):
    """What the tests say of each project with a mistake, tried in one process."""
    paths, left = test_files(exercise.tests[0]), list(range(len(projects)))
    results = [[] for _ in projects]
    while left:
        tries = [
            (str(projects[n]), tests_to_try(exercise, mistakes[n]), mistakes[n].fails) for n in left
        ]
        file.write_text(json.dumps(tries), encoding="utf-8")
        for one in check(projects[0], [*paths, "-p", "batching", f"--tries={file}"]):
            if one.outcome in ("passed", "failed") and "#" in one.words:
                number, one.words = batching.number_and_words(one.words)
                results[left[number]].append(one)
        # Where one of them ended the process, the ones after it are tried in another.
        ended = [n for n in left if results[n]] or left[:1]
        left = [n for n in left if n > ended[-1]]
    return results


def assert_told(exercise, mistake, checks):
    """Assert that a mistake fails what it names, and that it is told what to look at."""
    failed = [one for one in checks if one.outcome == "failed"]
    assert failed, f"{mistake.name}: {checks}"
    if mistake.fails == ["all"]:
        # All that load the app; the Pipfile's are about another file.
        passed = {one.name for one in checks if one.outcome == "passed"}
        assert all("pipfile" in name for name in passed), mistake.name
    elif set(tests_to_try(exercise, mistake)) >= set(mistake.fails):
        assert {one.name for one in failed} == set(mistake.fails), mistake.name
    told = f"{failed[0].reason}\n{failed[0].console}"
    assert mistake.says in told, f"{mistake.name}: {told}"
    shown = what_check_says(exercise, mistake).removeprefix("The browser's console says: ")
    again = f"{mistake.name}: {told}\n`python docs/capture.py mistakes` captures it again"
    # Without a place, and up to the first number, path or text that was received: they vary.
    shown = re.sub(r"^\S+, line \d+:? ", "", shown)
    beginning = re.split(r"[\d'/\[]", shown)[0]
    # Which of two clients is the first in a set varies, too.
    assert beginning.replace("bob", "alice") in told.replace("bob", "alice"), again


def mark_of_variant(exercise, variant):
    """What only a browser shows is tried once a week, and so is a variant of step 9."""
    is_slow = exercise.number >= 9 or is_seen_in_a_browser(exercise, variant)
    return pytest.mark.exhaustive if is_slow else ()


@pytest.mark.parametrize(
    ("exercise", "variant"),
    [
        pytest.param(
            *(exercise, variant),
            id=f"{exercise.id}: {variant.name}",
            marks=mark_of_variant(exercise, variant),
        )
        for exercise, variant in VARIANTS
    ],
)
def test_a_variant_is_as_right_as_the_solution(exercise, variant, tmp_path):
    project = write_files(variant.applied_to(exercise.solution), tmp_path / "websocket")
    chosen = [] if is_seen_in_a_browser(exercise, variant) else ["-m", "not browser"]
    checks = check(project, [*test_files(exercise.tests[0]), *chosen])
    assert checks
    assert [one for one in checks if one.outcome != "passed"] == []
