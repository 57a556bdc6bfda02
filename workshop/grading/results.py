"""Results as files: a table, CSV, JSON, JUnit XML, what platforms take, and pages for learners."""

import csv
import io
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree

from workshop import moving
from workshop.commands import COMMAND

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of a formula
COLUMNS = ["id", "submission", "result", "passed", "failed", "not graded", "checks"]
COLUMNS += ["inside", "outside", "fix first", "isolated", "notes"]
SIGNS = {"passed": "ok", "failed": "fails", "skipped": "not graded"}
NOT_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
CLASSROOM50 = "classroom50/result/v1"
NEVER = "1970-01-01T00:00:00Z"


def harmless(cell):
    """A cell that no spreadsheet takes for a formula."""
    text = str(cell)
    return f"'{text}" if text.startswith(FORMULA) else text


def outside_of(row):
    """How many of the confirmations with random messages pass: "3 of 3", or "" without any."""
    kept = sum(one.outcome == "passed" for one in row.outside)
    return f"{kept} of {len(row.outside)}" if row.outside else ""


def inside_of(row):
    """How many of the checks that the project has a say in pass."""
    inside = [check for check in row.checks if check.inside]
    return sum(check.outcome == "passed" for check in inside)


def first_of(row):
    """What to fix first, or why there is nothing to grade, on one line."""
    text = f"{row.first.words}: {row.first.reason}" if row.first else ""
    if row.result == "look at it":
        bad = next(one for one in row.outside if one.outcome == "failed")
        text = f"{bad.words}: {bad.reason}"
    return " ".join(text.split())


def as_csv(rows):
    """A line for each row, with cells that do no harm in a spreadsheet."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        cells = [row.id, row.source, row.result, *map(row.count, SIGNS), len(row.checks)]
        cells += [inside_of(row), outside_of(row), first_of(row)]
        cells += ["yes" if row.isolated else "not isolated", "; ".join(row.notes)]
        writer.writerow(map(harmless, cells))
    return file.getvalue()


def as_json(exercise, rows):
    """Every check of every row with its sentence."""
    known = [row.as_dict() for row in rows]
    for row in known:
        del row["changed"]  # which a copy of the same submission may have otherwise
    graded = {"exercise": exercise.id, "rows": known}
    return json.dumps(graded, indent=1, ensure_ascii=False) + "\n"


def as_junit(exercise, row):
    """A row as JUnit XML: a test case for each check."""
    outside = [one for one in row.outside if one.outcome == "failed"]
    cases = [*row.checks, *outside]
    suite = ElementTree.Element("testsuite", name=exercise.id, tests=str(len(cases)))
    suite.set("failures", str(row.count("failed") + len(outside)))
    suite.set("errors", "0")
    suite.set("skipped", str(row.count("skipped")))
    for check in cases:
        case = ElementTree.SubElement(
            suite, "testcase", classname=exercise.id, name=check.words, time="0"
        )
        if check.outcome != "passed":
            kind = "failure" if check.outcome == "failed" else "skipped"
            reason = NOT_XML.sub("?", check.reason)
            ElementTree.SubElement(case, kind, message=reason.partition("\n")[0]).text = reason
    suites = ElementTree.Element("testsuites", {**suite.attrib, "name": NOT_XML.sub("?", row.id)})
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="unicode", xml_declaration=True) + "\n"


def points_of(row):
    """Each check that counts, and whether it gives its point; none until somebody has looked."""
    gives = row.result != "look at it"
    counted = [check for check in row.checks if check.outcome != "skipped"]
    return [(check, gives and check.outcome == "passed") for check in counted]


def as_gradescope(exercise, row):
    """A row as Gradescope's results.json: a test with one point for each check."""
    points = points_of(row)
    tests = [
        {
            "name": check.words,
            "score": int(passed),
            "max_score": 1,
            "status": "passed" if passed else "failed",
            "output": check.reason,
            "output_format": "text",
            "visibility": "visible",
        }
        for check, passed in points
    ]
    text = "; ".join([row.result, *row.notes])
    result = {"score": sum(passed for _, passed in points), "output": text, "tests": tests}
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def as_classroom50(exercise, row):
    """A row as Classroom 50's result.json; the runner there knows the addresses that it has."""
    tests = [
        {"test-name": check.words, "passed": passed, "score": int(passed), "max-score": 1}
        for check, passed in points_of(row)
    ]
    known = os.environ.get
    result = {
        "schema": CLASSROOM50,
        "classroom": known("CLASSROOM") or "workshop",
        "assignment": known("ASSIGNMENT") or exercise.id,
        "owner": row.id,
        "submission": known("SUBMISSION_TAG") or row.source,
        "commit": known("COMMIT_URL") or row.source,
        "release": known("RELEASE_URL") or row.source,
        "review": known("REVIEW_URL") or known("COMMIT_URL") or row.source,
        "datetime": row.changed or NEVER,
        "score": sum(test["score"] for test in tests),
        "max-score": len(tests),
        "tests": tests,
    }
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def quoted(text):
    """A text as a block of code, in which Markdown means nothing."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def as_feedback(exercise, row):
    """A page of Markdown for a learner: what passes, what to fix first, and the hint for it."""
    lines = [f"# {exercise.heading}", ""]
    if row.result in ("not graded", "missing"):
        return "\n".join(
            [*lines, "Nothing could be checked:", "", quoted("\n".join(row.notes)), ""]
        )
    lines += [f"{row.count('passed')} of {len(row.checks)} checks pass.", ""]
    if first := row.first:
        lines += ["## Fix this first", "", f"**{first.words}**", "", quoted(first.reason), ""]
        if names := [m.name for m in exercise.mistakes if m.says in first.reason]:
            lines += [f"A common mistake fails in the same way: *{names[0]}*.", ""]
        title = part_of(exercise, first)
        about = f", about the part *{title}*" if title else ""
        lines += [f"For a hint{about}, type `{COMMAND} hint {exercise.id}`.", ""]
    elif row.result == "look at it":
        lines += ["Your instructor will look at it.", ""]
    for outcome, title in (("passed", "Passes"), ("failed", "Fails"), ("skipped", "Not graded")):
        if checks := [check for check in row.checks if check.outcome == outcome]:
            lines += [f"## {title}", "", *(f"- {check.words}" for check in checks), ""]
    return "\n".join(lines)


def part_of(exercise, check):
    """The title of the part of an exercise that a check belongs to, if there is one."""
    name = "test_" + check.words.partition(" (")[0].replace(" ", "_")
    return next((part.title for part in exercise.parts if name in part.tests), "")


def file_names(rows):
    """A safe and different file's name for each row."""
    names = {}
    for row in rows:
        base = re.sub(r"[^\w.-]+", "_", row.id).strip("._")[:100] or "learner"
        name, number = base, 1
        while name.casefold() in {known.casefold() for known in names.values()}:
            number += 1
            name = f"{base}-{number}"
        names[row.id] = name
    return names


FORMATS = {
    "gradescope": ("results.json", as_gradescope),
    "classroom50": ("result.json", as_classroom50),
}


def write(path, text):
    """Write a file in one go, so that it is never there by half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8", newline="\n", errors="replace")
    moving.replace(beside, path)


def write_tables(folder, exercise, rows):
    """Write what holds all rows: grades.csv and grades.json."""
    write(folder / "grades.csv", as_csv(rows))
    write(folder / "grades.json", as_json(exercise, rows))


def write_each(folder, exercise, rows, form=None, feedback=None):
    """Write what there is for each learner: JUnit XML, a platform's file, a page of feedback."""
    names = file_names(rows)
    for row in rows:
        write(folder / "junit" / f"{names[row.id]}.xml", as_junit(exercise, row))
        if form:
            name, make = FORMATS[form]
            write(folder / form / names[row.id] / name, make(exercise, row))
        if feedback:
            write(Path(feedback) / f"{names[row.id]}.md", as_feedback(exercise, row))
