"""Where a project differs from the solution that is most like it, told in words.

Of the right ways to write an exercise, its solution and the variants, the most similar one counts.
A project that is written in another way than all of them is not compared.
"""

import re
from collections import Counter
from contextlib import suppress
from difflib import SequenceMatcher
from typing import NamedTuple

from workshop.reading import statements

MOST_PLACES = 3  # that differ: if there are more, the project is written in another way
MOST_TOLD = 2
MOST_WORDS = 4  # of a line, that are told
LONGEST = 70  # characters of a line that are shown
LONGEST_FILE = 20_000  # characters of a file that is compared
# Of the words of a function and of a line, so that one is compared with another.
LEAST_ALIKE, LEAST_ALIKE_LINES = 0.45, 0.4
WORDS = re.compile(r"\"[^\"]*\"|'[^']*'|[\w.$]*[\w$]")
BLOCKS = {"async", "else", "except", "finally", "for", "if", "try", "while", "with"}
SYMBOLS = re.compile(r"[^\s\w]+")


class Place(NamedTuple):
    """A place in a file that differs."""

    line: int
    why: str  # what the solution has there; the sentence begins with "it"
    words: int = 1  # that differ


def places(project, exercise):
    """Say where the files of a project differ from a solution: sentences, none if that is unclear.

    What a learner has not written yet, such as a whole function, is left out.
    """
    found, other_ways, solution = [], set(), exercise.solution
    ways = [solution, *(variant.applied_to(solution) for variant in exercise.variants)]
    for name in solution:
        texts = list(dict.fromkeys(way[name].decode() for way in ways if name in way))
        with suppress(OSError, ValueError, SyntaxError, RecursionError):
            text = (project / name).read_text(encoding="utf-8")
            if text in texts or not text.strip() or len(text) > LONGEST_FILE:
                continue
            may_lack = bool(exercise.parts) and name.endswith(".py")
            differ, is_other_way = differences(name, text, texts, may_lack)
            kind = name.rpartition(".")[2]
            other_ways |= {kind} if is_other_way else set()
            lines = text.splitlines()
            found += [(kind, in_words(name, lines, place)) for place in differ]
    # If one file has functions of its own, what another file lacks may be in them.
    told = [sentence for kind, sentence in found if kind not in other_ways]
    return told[:MOST_TOLD] if len(told) <= MOST_PLACES else []


def in_words(name, lines, place):
    """A place that differs, as a sentence."""
    code = lines[place.line - 1].strip()
    code = code if len(code) <= LONGEST else f"{code[:LONGEST]}…"
    return f"The solution differs at {name}, line {place.line}, `{code}`: it {place.why}."


def differences(name, text, ways, may_lack):
    """The places where a file differs from the most similar way; whether it has more functions."""
    found = [
        compare(*(statements(name, one, inlines) for one in (text, way)), may_lack)
        for way in ways
        for inlines in (False, True)
    ]
    places, _, is_other_way = min(found, key=lambda result: result[1])
    return places, is_other_way


def blocks(statements):
    """The statements by the number of their block."""
    found = {0: []}
    for one in statements:
        found.setdefault(one.block, []).append(one)
    return found


def keys(statements):
    """What counts of some statements, depth and text."""
    return [one.key for one in statements]


def words_of(*statements):
    """The words of some statements; each of a project's own names is _."""
    return [word for one in statements for word in WORDS.findall(one.key[1])]


def alike(mine, theirs):
    """How alike the words of two lists of statements are, from 0 to 1."""
    return SequenceMatcher(None, words_of(*mine), words_of(*theirs), autojunk=False).ratio()


def pairs(mine, theirs):
    """The blocks of two files that belong together, and those that are left of each."""
    mine, theirs = blocks(mine), blocks(theirs)
    found = [(mine.pop(0), theirs.pop(0))]
    ratios = {(a, b): alike(mine[a], theirs[b]) for a in mine for b in theirs}
    for a, b in sorted(ratios, key=ratios.get, reverse=True):
        if a in mine and b in theirs and ratios[a, b] >= LEAST_ALIKE:
            found.append((mine.pop(a), theirs.pop(b)))
    return (
        found,
        [one for part in mine.values() for one in part],
        [one for part in theirs.values() for one in part],
    )


def compare(mine, theirs, may_lack=False):
    """The places where one file differs from another, how many words do, and whether it has more.

    If the first one may lack lines at the left margin, that they are missing doesn't count: of an
    exercise that has parts, some may not be begun.
    """
    found, same = [], []
    paired, only_mine, only_theirs = pairs(mine, theirs)
    for ours, others in paired:
        opcodes = SequenceMatcher(None, keys(ours), keys(others), autojunk=False).get_opcodes()
        for kind, a, b, c, d in opcodes:
            if kind == "equal":
                same += zip(ours[a:b], others[c:d], strict=True)
            else:
                places = different(ours, a, b, others, c, d)
                is_at_margin = not any(one.block for one in others)
                found += [] if may_lack and is_at_margin and a == b else places
    found = found or names_differ(same)
    words = len(words_of(*only_mine, *only_theirs))
    return found, sum(place.words for place in found) + words, bool(only_mine)


def different(ours, a, b, others, c, d):
    """The places of a difference: statements of ours from a to b, of others from c to d."""
    found, theirs = [], others[c:d]
    texts, other_texts = (Counter(one.key[1] for one in part) for part in (ours, others))
    lacking, extra = other_texts - texts, texts - other_texts
    has_order = any(one.block for one in ours)  # which at the left margin makes no difference
    # Where the solution has more, that is after a line of ours, or before the first one.
    line, side = (ours[a - 1].line, "after") if a else (ours[0].line if ours else 1, "before")
    for one in ours[a:b]:
        ratios = [alike([one], [other]) for other in theirs]
        best = max(range(len(theirs)), key=ratios.__getitem__, default=None)
        if best is not None and ratios[best] >= LEAST_ALIKE_LINES:
            found += missing(theirs[:best], line, side, lacking)
            found.append(changed(one, theirs[best]))
            del theirs[: best + 1]
        elif one.key[1] in extra:
            found.append(Place(one.line, "doesn't have this line", len(words_of(one))))
        elif has_order:
            found.append(Place(one.line, "has this line elsewhere"))
        line, side = one.line, "after"
    return found + missing(theirs, line, side, lacking)


def missing(theirs, line, side, lacking):
    """The place before or after a line where the solution has some more, of those lacking."""
    theirs = [one for one in theirs if one.key[1] in lacking]
    if not theirs:
        return []
    words = words_of(*theirs)
    count = "one more line" if len(theirs) == 1 else f"{len(theirs)} more lines"
    telling = [word for word in words if ("." in word and word.strip("_.")) or word in BLOCKS]
    names = f", with {listed(telling)}" if telling else ""
    # One template for each, since {count} has several words.
    why = f"has {count} after it{names}" if side == "after" else f"has {count} before it{names}"
    return [Place(line, why, len(words))]


def changed(mine, theirs):
    """The place where two statements differ."""
    if mine.key[1] == theirs.key[1]:
        return Place(mine.line, "indents this line differently")
    for pattern in (WORDS, SYMBOLS):
        ours, others = (Counter(pattern.findall(one.key[1])) for one in (mine, theirs))
        left, right = list((ours - others).elements()), list((others - ours).elements())
        if left or right:
            break
    count = max(1, len(left) + len(right))
    left, right = ([w for w in words if w.strip("_.")] for words in (left, right))
    if not (left or right) and ours.total() != others.total():
        why = f"has one {'more name' if others.total() > ours.total() else 'name fewer'} there"
    elif max(len(left), len(right)) > MOST_WORDS or not (left or right):
        why = "has something else there"
    elif not right:
        why = f"doesn't have {listed(left)} there"
    elif left and "f" in [*left, *right]:
        why = f"has {'an f-string' if 'f' in right else 'a plain string'} there"
    else:
        why = f"has {listed(right)} there" + (f", not {listed(left)}" if left else "")
    return Place(mine.line, why, count)


def listed(words):
    """Words, quoted, with commas between them."""
    return ", ".join(f"`{word.lstrip('_.')}`" for word in dict.fromkeys(words))


def names_differ(same):
    """The places where a name is used for something else than in the solution."""
    uses = {}  # a name of the solution, where it is used, to how often each of ours stands for it
    for mine, theirs in same:
        for name, other in zip(mine.names, theirs.names, strict=True):
            uses.setdefault((other, theirs.block), Counter())[name] += 1
    found = []
    for mine, theirs in same:
        for name, other in zip(mine.names, theirs.names, strict=True):
            usual = uses[other, theirs.block].most_common(1)[0][0]
            if name != usual:
                why = f"uses your `{usual}` there, not `{name}`"
                found.append(Place(mine.line, why))
    return found
