"""The learners of a class: who has joined, and what their reports say.

A row is all that the board knows of a learner, as a dict that can be written as JSON. Each change
gives a new row to `on_change`, so that a page or a file needs nothing but the latest row.
"""

import hashlib
import secrets
import time
import unicodedata
from collections import Counter

from workshop.board import exercises
from workshop.board.lessons import doors
from workshop.language import _

MOST_LEARNERS = 200
LONGEST_NAME = 24  # characters
RATE = 10  # reports a second, for each learner
REMEMBERED = 100  # ids of reports, so that one that is sent twice counts once
SECRET = ("token", "reports")  # of a row, what no page is told


class Refused(Exception):
    """Something is not accepted; the message says why, and `status` is HTTP's."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status


def clean_name(name):
    """A learner's chosen name as it is shown; raises Refused. No name at all is None."""
    if name is None:
        return None
    if not isinstance(name, str):
        raise Refused(400, "a name must be text")
    name = unicodedata.normalize("NFC", name.strip())
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Refused(400, f"a name has 1 to {LONGEST_NAME} characters")
    # Neither control characters nor those that turn the direction of a line around.
    if not name.isprintable():
        raise Refused(400, "a name must not have control characters")
    return name


def hashed(token):
    """What is kept of a token: enough to know it again, and of no use to a thief."""
    return hashlib.sha256(token.encode()).hexdigest()


class Learners:
    """All learners by their number, and what they may change: their own row, with their token."""

    def __init__(self, rows=(), on_change=lambda row: None):
        self.rows = {row["learner"]: row for row in rows}
        self.by_token = {row["token"]: row["learner"] for row in rows if not row.get("left")}
        self.last = max(self.rows, default=0)
        self.rows = {number: row for number, row in self.rows.items() if not row.get("left")}
        self.on_change = on_change
        self.buckets = {}

    def join(self, name=None):
        """A new row; returns its number and its token. Raises Refused."""
        name = clean_name(name)
        if len(self.rows) >= MOST_LEARNERS:
            raise Refused(503, f"the board is full: it has {MOST_LEARNERS} learners")
        if name and name.casefold() in {row["name"].casefold() for row in self.rows.values()}:
            raise Refused(409, "somebody else has this name: choose another one")
        token = secrets.token_urlsafe(24)
        self.last += 1
        numbered = _("Learner {number}").format(number=self.last)
        row = {
            **{"learner": self.last, "name": name or numbered, "joined": time.time()},
            **{"exercise": None, "exercises": {}, "hand": None},
            **{"token": hashed(token), "reports": []},
        }
        self.by_token[row["token"]] = self.last
        self._change(row)
        return self.last, token

    def known(self, token):
        """The row that a token is for; raises Refused, also if it is used too often."""
        number = self.by_token.get(hashed(token))
        if number is None:
            raise Refused(401, "the board does not know this token")
        if number not in self.buckets:
            self.buckets[number] = doors.TokenBucket(RATE)
        if not self.buckets[number].take():
            raise Refused(429, f"at most {RATE} reports a second")
        return self.rows[number]

    def report(self, token, report):
        """Take in what a check has found; one that is sent twice counts once. Raises Refused."""
        row = self.known(token)
        report_id, exercise, checks, when = understood(report)
        if report_id in row["reports"]:
            return
        when = max(row["joined"], min(when, time.time()))  # a clock may be wrong
        before = row["exercises"].get(exercise, {})
        failed = [check for check, outcome in checks.items() if outcome == "failed"]
        first = failed[0] if failed else None
        is_same = first and first == before.get("first")
        found = {
            "runs": before.get("runs", 0) + 1,
            "passed": sum(outcome == "passed" for outcome in checks.values()),
            "failed": len(failed),
            "first": first,
            "since": before["since"] if is_same else when,
        }
        # What fails of an optional part does not keep an exercise from being done.
        asked = set(failed) - exercises.optional_checks(exercise)
        found["done"] = before.get("done", False) or (found["passed"] > 0 and not asked)
        self._change(
            {
                **row,
                "exercise": exercise,
                "exercises": {**row["exercises"], exercise: found},
                "reports": [*row["reports"], report_id][-REMEMBERED:],
            }
        )

    def hand(self, token, is_up):
        """Put a learner's hand up or down. Raises Refused."""
        row = self.known(token)
        if not isinstance(is_up, bool):
            raise Refused(400, "a hand is up or down")
        if is_up != bool(row["hand"]):
            self._change({**row, "hand": time.time() if is_up else None})

    def leave(self, token):
        """Remove a learner's row. Raises Refused."""
        row = self.known(token)
        del self.rows[row["learner"]], self.by_token[row["token"]]
        self.buckets.pop(row["learner"], None)
        self.on_change({"learner": row["learner"], "token": row["token"], "left": True})

    def _change(self, row):
        self.rows[row["learner"]] = row
        self.on_change(row)

    def most_failed(self, count=3):
        """The checks that most learners have to fix first now, each with its common mistake."""
        failing = Counter()
        for row in self.rows.values():
            found = row["exercises"].get(row["exercise"], {})
            if found.get("first"):
                failing[row["exercise"], found["first"]] += 1
        most = sorted(failing.items(), key=lambda item: (-item[1], item[0]))[:count]
        return [
            {
                **{"exercise": exercise, "check": check, "learners": number},
                **dict(zip(("mistake", "says"), exercises.mistake(exercise, check), strict=True)),
            }
            for (exercise, check), number in most
        ]


def shown(row):
    """A row as a page is told it: without the token."""
    return {key: value for key, value in row.items() if key not in SECRET}


def understood(report):
    """The id, exercise, checks and time of a report; raises Refused if it is anything else.

    An exercise that the workshop doesn't have is refused, and a check that it doesn't have loses
    its name: nobody can write a text of their own on the board, except for their name.
    """
    if not isinstance(report, dict) or set(report) != {"id", "exercise", "checks", "time"}:
        raise Refused(400, "a report has an id, an exercise, checks and a time")
    report_id, exercise, checks, when = (
        report[key] for key in ("id", "exercise", "checks", "time")
    )
    if not isinstance(report_id, str) or not 1 <= len(report_id) <= 32:
        raise Refused(400, "the id of a report must be a short string")
    if not isinstance(exercise, str) or exercise not in exercises.known():
        raise Refused(400, "there is no such exercise")
    if not isinstance(checks, dict):
        raise Refused(400, "the checks have names and outcomes")
    if any(outcome not in ("passed", "failed") for outcome in checks.values()):
        raise Refused(400, "a check has passed or failed")
    if isinstance(when, bool) or not isinstance(when, int) or not 0 <= when < 2**40:
        raise Refused(400, "the time is a number of seconds")
    known = exercises.checks(exercise)
    unknown = {outcome for check, outcome in checks.items() if check not in known}
    checks = {check: outcome for check, outcome in checks.items() if check in known}
    if "failed" in unknown:
        checks[exercises.UNKNOWN] = "failed"
    return report_id, exercise, checks, when
