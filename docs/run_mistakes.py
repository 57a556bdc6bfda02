"""Make each mistake of each exercise, and ask `check` what it says of it."""

import contextlib
import io
import json
import re
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock

END = re.compile(r"\n  The test: |\n\nChecks marked|\n\nStuck\?")  # what comes after the sentence

ONE_AT_A_TIME = Lock()  # since all threads share one standard output


def scenes(terminal=None):
    """The first failure of each mistake, as a learner reads it: a name, and a text in JSON."""
    from workshop.steps import all_exercises

    mistakes = [
        (exercise, mistake) for exercise in all_exercises() for mistake in exercise.mistakes
    ]
    said = {}
    with ThreadPoolExecutor(2) as pool:
        for (exercise, mistake), text in zip(mistakes, pool.map(told, mistakes), strict=True):
            said.setdefault(exercise.id, {})[mistake.name] = text
    yield "mistakes.json", json.dumps(said, indent=1, ensure_ascii=False) + "\n"


def told(exercise_and_mistake):
    """What `check` says first of a mistake; only the tests that it fails are run."""
    from test_exercises import DEADLINE, Checker, test_files, tests_to_try

    from workshop.commands.telling import tell
    from workshop.steps import TEST, write_files

    exercise, mistake = exercise_and_mistake
    names = tests_to_try(exercise, mistake)
    chosen = [
        f"{path}::{name}"
        for path in test_files(exercise.tests[0])
        for name in TEST.findall(path.read_text(encoding="utf-8"))
        if name in names
    ]
    with tempfile.TemporaryDirectory() as folder:
        files = mistake.applied_to(exercise.solution)
        project = write_files(files, Path(folder) / "websocket")
        checks = Checker(project, chosen, False, True, DEADLINE, 3 * DEADLINE).check()
        failed = next((one for one in checks if one.outcome == "failed"), None)
        assert failed, f"{exercise.id}: no test fails because of the mistake {mistake.name!r}"
        checks.close()  # which ends the tests that would follow
    with ONE_AT_A_TIME, contextlib.redirect_stdout(io.StringIO()) as output:
        tell(exercise, [failed])
    text = END.split("Fix this first" + output.getvalue().partition("Fix this first")[2])[0]
    return as_an_example(text.replace(str(project), "websocket"))


def as_an_example(text):
    """A text in which what differs from run to run is that of an example."""
    text = re.sub(r"\d+:\d\d:\d\d [AP]M", "10:30:00 AM", text)
    return re.sub(r":\d{5}\b", ":5000", text)
