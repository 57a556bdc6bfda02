"""The instructor's own list of a class: whose submission is which, and who is missing."""

import csv
import re

from workshop.grading.running import CannotGrade


def read(path, column):
    """The identifiers in a column of a CSV file; raises CannotGrade if there is none."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotGrade(f"{path} can't be read: {error}") from None
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)  # as spreadsheets of different countries write it
    lines = csv.DictReader(text.splitlines(), delimiter=delimiter)
    if column not in (lines.fieldnames or []):
        names = ", ".join(lines.fieldnames or [])
        raise CannotGrade(f"{path} has no column {column!r}; its columns are {names}")
    known = [value for line in lines if (value := (line[column] or "").strip())]
    for name in known:
        if known.count(name) > 1:
            raise CannotGrade(f"{path} has {name!r} more than once in its column {column!r}")
    if not known:
        raise CannotGrade(f"{path} has nobody in its column {column!r}")
    return known


def is_of(identifier, name):
    """Whether a submission's name has an identifier in it, as a whole: "Lee_a12_file", "a12"."""
    pattern = rf"(?<![^\W_]){re.escape(identifier.casefold())}(?![^\W_])"
    return bool(re.search(pattern, name.casefold()))


def match(sources, identifiers):
    """Match submissions to learners: identifiers to sources, and the identifiers without any.

    A submission that matches nobody keeps its own name; so does one that isn't the only match.
    """
    found, missing = {}, []
    taken = {}
    for source in sources:
        bare = re.sub(r"\.zip$", "", source.name, flags=re.IGNORECASE)
        exact = [one for one in identifiers if one.casefold() == bare.casefold()]
        owners = exact or [one for one in identifiers if is_of(one, bare)]
        taken[source] = max(owners, key=len) if owners else None
    for source in sources:
        owner = taken[source]
        alone = owner and list(taken.values()).count(owner) == 1
        found[owner if alone else source.name] = source
    missing = [one for one in identifiers if one not in found]
    return found, missing


def by_own_names(sources):
    """The submissions by their own names, without .zip where that is clear."""
    named = {}
    bare = [re.sub(r"\.zip$", "", source.name, flags=re.IGNORECASE) for source in sources]
    for source, name in zip(sources, bare, strict=True):
        named[name if bare.count(name) == 1 else source.name] = source
    return named
