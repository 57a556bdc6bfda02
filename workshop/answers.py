"""Files of answers to the eight questions, as learners save them in their browsers, counted.

A file is what a stranger hands in: it is read up to a bound, and nothing in it is believed.
"""

import json
from collections import Counter

from workshop.questions import TIMES, eight

LARGEST = 1_000_000  # bytes


class BadAnswers(Exception):
    """A file holds no answers; the message says why."""


def read(path):
    """The answers in a file: for "before" and "after", the option by the name of a question.

    Raises BadAnswers.
    """
    try:
        if path.exists() and not path.is_file():  # reading a pipe might never end
            raise BadAnswers("it is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "its name cannot be that of a file"
        raise BadAnswers(f"it cannot be read: {why}") from None
    if len(content) > LARGEST:
        raise BadAnswers("it is larger than 1 MB, and saved answers are not")
    try:
        answers = json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise BadAnswers("it is not text in UTF-8") from None
    except (ValueError, RecursionError):
        raise BadAnswers("it is not JSON") from None
    if not isinstance(answers, dict) or answers.get("questions") != "eight":
        raise BadAnswers("it does not hold answers that a learner has saved")
    return {time: _chosen(answers.get(time, {})) for time in TIMES}


def _chosen(answers):
    if not isinstance(answers, dict):
        raise BadAnswers("it does not hold answers that a learner has saved")
    counts = {before.name: len(before.options) for _, before, _ in eight()}
    for name, option in answers.items():
        if name not in counts:
            raise BadAnswers("it answers an unknown question")
        if type(option) is not int or not 0 <= option < counts[name]:
            raise BadAnswers("it chooses an unknown option")
    return answers


def count(all_answers):
    """How often each option was chosen, by the name of a question and "before" or "after"."""
    counts = {}
    for answers in all_answers:
        for time in TIMES:
            for name, option in answers[time].items():
                counts.setdefault((name, time), Counter())[option] += 1
    return counts


def rows(counts):
    """The table: a question's topic, then for each option its text and its two numbers."""
    for topic, before, _ in eight():
        options = []
        for number, option in enumerate(before.options):
            chosen = [counts.get((before.name, time), {}).get(number, 0) for time in TIMES]
            options.append((option, *chosen))
        yield topic, options
