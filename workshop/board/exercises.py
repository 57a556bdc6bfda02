"""What the board knows of the exercises: their names, their checks, and the common mistakes."""

from functools import cache

from workshop.language import N_, _
from workshop.steps import TEST, all_exercises

# What `check` fails with if the tests themselves can't be run or don't finish.
OF_THE_RUN = ("there are tests to run", "the tests can be read", "the tests run to their end")

UNKNOWN = N_("a check of another version of the workshop")


@cache
def known():
    """All exercises by their id."""
    return {exercise.id: exercise for exercise in all_exercises()}


def described():
    """What a page shows of each exercise: its id, its number as in "3+", and its title."""
    return [
        {
            "id": exercise.id,
            "number": f"{exercise.number}{'+' if exercise.is_challenge else ''}",
            "title": _(exercise.title),
        }
        for exercise in known().values()
    ]


def test_of(check):
    """The name of the test of a check in words."""
    return "test_" + check.replace(" ", "_")


@cache
def checks(exercise_id):
    """The words of all checks that an exercise has."""
    files = [file for folder in known()[exercise_id].tests for file in folder.glob("test_*.py")]
    names = {name for file in files for name in TEST.findall(file.read_text(encoding="utf-8"))}
    return {name.removeprefix("test_").replace("_", " ") for name in names} | set(OF_THE_RUN)


@cache
def optional_checks(exercise_id):
    """The words of the checks that an exercise does not ask for."""
    parts = [part for part in known()[exercise_id].parts if part.optional]
    tests = {test for part in parts for test in part.tests}
    return {check for check in checks(exercise_id) if test_of(check) in tests}


@cache
def mistake(exercise_id, check):
    """The common mistake that fails this check first: its name, and what is said of it.

    Looked for in the exercise, then in those before it; two empty texts if there is none.
    """
    exercise, test = known()[exercise_id], test_of(check)
    while exercise:
        named = [mistake for mistake in exercise.mistakes if test in mistake.fails]
        for one in sorted(named, key=lambda one: one.fails.index(test)):
            return one.name, " ".join(one.says.split())
        exercise = exercise.previous
    return "", ""
