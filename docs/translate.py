"""Update the catalogues of a language after a change to the English text.

    python docs/translate.py [LANGUAGE]
    python docs/translate.py --check [LANGUAGE]

A new message is empty, and stays English until it is translated. One whose English has changed
keeps its translation, but is marked as fuzzy and not used until somebody has looked at it: correct
it, and delete the mark. Then it says what is left to do. With --check, it only says which
catalogues are out of date.
"""

import ast
import difflib
import io
import json
import re
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
BOARD = ROOT / "workshop/board"
sys.path[:0] = [str(DOCS), str(ROOT)]

from jinja2.ext import babel_extract  # noqa: E402
from live_page import scripts  # noqa: E402
from quiz import SCRIPT  # noqa: E402
from translated import LOCALE, catalogue, texts_of  # noqa: E402

from workshop import language  # noqa: E402
from workshop.labs import all_labs  # noqa: E402
from workshop.outcomes import words_of  # noqa: E402
from workshop.steps import all_exercises, all_steps  # noqa: E402

CLOSE = 0.6  # how much of a message is the same if only its English has changed
WIDTH = 100
HEADER = [
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit",
]
RULE = "Plural-Forms: "
PLURALS = "nplurals=2; plural=(n != 1);"  # of a new language
CALLS = ("_", "N_", "plural")
TRANSLATED_STEPS = 3
# What a check says in these steps is told in words of these files; no text there is marked.
TELLING = [
    *(f"harness/{name}.py" for name in ("clues", "errors", "failures", "inprocess", "journey")),
    *(f"harness/{name}.py" for name in ("loading", "loops", "markup", "pipfile", "processes")),
    *(f"harness/{name}.py" for name in ("redirects", "remembering", "sources")),
    *("workshop/outcomes.py", "workshop/comparing.py", "workshop/checking.py"),
]
SAYING = ("doctor", "installing", "reporting")  # modules in which most texts say what is wrong
# Values that are words, and what Python says.
VALUES = (
    "free",
    "taken",
    "nobody",
    "again",
    " again",
    "before",
    "after",
    " and ",
    "coroutine {name} was never awaited",
)
# Marked in workshop/verdict.py; also here, for pages that show captured output.
CAPTURED = ("Fix this first: {check}", "The browser's console says: {words}")
NO_PROSE = re.compile(
    r"\\|\(\?|[a-z]\|[A-Za-z]|\[\^|\.\*|://|^ ?--|^/api|\.json$|\n\w|^<link|^<script s"
    r"|^[A-Z][a-z]+(?: [a-z]+)+$|\.gone|\(f['\"]"
)


def of_pages(code):
    """The messages of each page that a language has, and all that the pages' directives ask for."""
    from sphinx.application import Sphinx

    with tempfile.TemporaryDirectory() as made:
        app = Sphinx(
            *(DOCS, DOCS, Path(made, "gettext"), Path(made, "doctrees"), "gettext"),
            confoverrides={"translating": code},
            status=None,
            warning=io.StringIO(),
        )
        app.builder.read()
    pages = {page: list(found) for page, (found, _asked) in app.messages.items()}
    asked = [text for _found, texts in app.messages.values() for text in texts]
    return pages, asked


def in_code(folder):
    """The texts in the code of a folder that `_`, `N_` and `plural` are called with."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                is_one = node.func.id in CALLS and isinstance(node.args[0], ast.Constant)
                if is_one and node.func.id == "plural":
                    found.append((node.args[0].value, node.args[1].value))
                elif is_one:
                    found.append(node.args[0].value)
    return found


def of_command():
    """The texts of the command: those in its code, and the help of what is typed."""
    from workshop.cli import main_group
    from workshop.commands import helping
    from workshop.faults import FAULTS

    helps = [helping.written(*one) for one in helping.texts(main_group)]
    helps += [fault.__doc__ for fault in FAULTS.values()]
    return [*helps, *in_code(language.LOCALE.parent)]


def problems():
    """What the modules beneath the command say is wrong, as templates: no text there is marked."""
    found = []
    for path in sorted(language.LOCALE.parent.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise) and node.exc]
        if path.stem in SAYING:
            parts = [tree]
        found += (text for part in parts for text in templates(part) if is_prose(text))
    return found


def of_board():
    """The texts of the board's page: those of its template, and of its script."""
    with (BOARD / "templates/board.html").open("rb") as file:
        found = [text for _line, _name, text, _comments in babel_extract(file, CALLS, (), {})]
    return [*found, *texts_of(BOARD / "static/board.js")]


def parts_of(message):
    """The texts of a message."""
    return message if isinstance(message, tuple) else (message,)


def of_exercises():
    """What a learner reads of the exercises of the first steps, and the titles of all."""
    found = [exercise.title for exercise in all_exercises()]
    for exercise in all_exercises():
        if exercise.number <= TRANSLATED_STEPS:
            found += [*exercise.objectives, exercise.task, *exercise.hints]
            found += [*(mistake.name for mistake in exercise.mistakes)]
            found += [part.title for part in exercise.parts]
            if way := exercise.other_way:
                found += [way.name, way.trade_off]
    return found


def of_labs():
    """The texts of the labs that the command shows."""
    found = []
    for lab in all_labs():
        found += [lab.title, lab.complaint, lab.note, *(each["do"] for each in lab.tries)]
        found += [lab.solution[part] for part in ("cause", "repair", "prevent")]
        found += lab.solution["shows"].values()
    return list(filter(None, found))


def in_checks():
    """The sentences that checks of the first steps can say, as templates, and the checks' names.

    The values in a template are called what they are in the code: {response.status}.
    """
    paths = [ROOT / name for name in TELLING]
    for step in all_steps()[:TRANSLATED_STEPS]:
        paths += sorted([*step.glob("tests/test_*.py"), *step.glob("challenges/*/tests/test_*.py")])
    found = [*VALUES, *CAPTURED]
    for path in paths:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        parts = [tree]
        if path.name.startswith("test_"):
            names = re.findall(r"def (test_\w+)\(", path.read_text(encoding="utf-8"))
            found += map(words_of, names)
            asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert) and node.msg]
            calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
            fails = [call for call in calls if getattr(call.func, "attr", "") == "fail"]
            parts = [*(node.msg for node in asserts), *(call.args[0] for call in fails)]
        found += (text for part in parts for text in templates(part) if is_prose(text))
    return found


def templates(node):
    """The texts in code, but for docstrings, what is compared and what is marked, as templates."""
    is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    is_marked = isinstance(node, ast.Call) and getattr(node.func, "id", "") in CALLS
    if is_docstring or is_marked or isinstance(node, ast.Compare):
        return
    if (text := template(node)) is not None:
        yield text
        inner = (part for part in ast.walk(node) if isinstance(part, ast.FormattedValue))
        children = [part.value for part in inner]
    elif isinstance(node, ast.Dict) and all(isinstance(one, ast.Constant) for one in node.values):
        children = node.values  # what they are found by are patterns
    else:
        children = ast.iter_child_nodes(node)
    for child in children:
        yield from templates(child)


def template(node):
    """The template that a node is; None if it is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace("{", "{{").replace("}", "}}")
    if isinstance(node, ast.JoinedStr):
        return "".join(
            template(part) if isinstance(part, ast.Constant) else named(part)
            for part in node.values
        )
    return None


def named(part):
    """A value of a template: {its code}, or {its code!r} if its repr() is shown."""
    return f"{{{ast.unparse(part.value)}{'!r' if part.conversion == ord('r') else ''}}}"


def is_prose(text):
    """Whether a template has words of its own that a learner could read."""
    literals = language.literals(text)
    words = re.findall(r"\b[a-z']{2,}\b", " ".join(literals))
    if len(literals) > 1:
        is_enough = any(len(word) > 2 for word in words) or (words and literals[0])
    else:
        is_enough = " " in text and len(words) > 1
    return bool(is_enough) and not NO_PROSE.search(text)


def catalogues(code):
    """The path of each catalogue of a language, with the messages that should be in it.

    A message is its English text, or a pair: one, and many.
    """
    pages, asked = of_pages(code)
    made = {catalogue(code, page): found for page, found in pages.items()}
    folder = language.LOCALE / code
    made[folder / "command.po"] = command = of_command()
    made[folder / "checks.po"] = checks = in_checks()
    said = {part for message in [*command, *checks] for part in parts_of(message)}
    made[folder / "problems.po"] = [text for text in problems() if text not in said]
    elsewhere = {part for message in command for part in parts_of(message)}
    # Apart, since most are so short that a sentence of a check could have them as a value.
    made[LOCALE / code / "scripts.po"] = [
        text for path in (SCRIPT, *scripts()) for text in texts_of(path)
    ]
    made[BOARD / "locale" / code / "board.po"] = of_board()
    steps = [*in_code(DOCS), *of_exercises(), *of_labs(), *asked]
    elsewhere |= {part for message in steps if isinstance(message, tuple) for part in message}
    made[folder / "steps.po"] = [text for text in steps if text not in elsewhere]
    return {path: list(dict.fromkeys(messages)) for path, messages in made.items()}


def merged(wanted, old, known, forms):
    """The messages of a catalogue: what is translated stays so, and what has changed is fuzzy.

    `old` has those of its file, and `known` those of all files. A language has so many `forms`.
    """
    known = known | {message.msgid: message for message in old}
    gone = {message.msgid for message in old if message.strings[0]}
    gone -= {parts_of(message)[0] for message in wanted}
    made = []
    for message in wanted:
        msgid, plural = (*parts_of(message), "")[:2]
        one, is_fuzzy = known.get(msgid), False
        if one is None and (close := difflib.get_close_matches(msgid, gone, 1, CLOSE)):
            one, is_fuzzy = known[close[0]], True
        strings = ("",) * (forms if plural else 1)
        if one and len(one.strings) == len(strings):
            strings, is_fuzzy = one.strings, is_fuzzy or one.is_fuzzy or one.plural != plural
        made.append(language.Message(msgid, plural, strings, is_fuzzy and any(strings)))
    return made


def text_of(messages, code, plurals):
    """The text of a .po file."""
    header = [f"Language: {code}", *HEADER, f"{RULE}{plurals}"]
    lines = ['msgid ""', 'msgstr ""', *(json.dumps(f"{line}\n") for line in header)]
    for one in messages:
        lines += ["", *(["#, fuzzy"] if one.is_fuzzy else []), *field("msgid", one.msgid)]
        if one.plural:
            lines += field("msgid_plural", one.plural)
            for number, text in enumerate(one.strings):
                lines += field(f"msgstr[{number}]", text)
        else:
            lines += field("msgstr", one.strings[0])
    return "\n".join(lines) + "\n"


def field(name, text):
    """The lines of one field, broken where the text is, and between words."""
    parts = []
    for line in text.splitlines(keepends=True):
        part = ""
        for word in line.split(" "):
            if part and len(part) + len(word) > WIDTH:
                parts.append(part)
                part = ""
            part += f"{word} "
        parts.append(part[:-1])
    quoted = [json.dumps(part, ensure_ascii=False) for part in parts or [""]]
    return [f"{name} {quoted[0]}"] if len(quoted) == 1 else [f'{name} ""', *quoted]


def updated(code):
    """The paths of the catalogues of a language, with what should be in them."""
    wanted = catalogues(code)
    old = {path: language.read(path) if path.is_file() else [] for path in wanted}
    rules = [line for one in old.values() for line in header_of(one) if line.startswith(RULE)]
    rule = rules[0].removeprefix(RULE) if rules else PLURALS
    forms = int(re.search(r"nplurals=(\d)", rule)[1])
    known = {message.msgid: message for one in old.values() for message in one[1:]}
    return {
        path: text_of(merged(messages, old[path][1:], known, forms), code, rule)
        for path, messages in wanted.items()
    }


def header_of(messages):
    """The lines of a catalogue's header."""
    return messages[0].strings[0].splitlines() if messages else []


def check(code):
    """Say which catalogues are out of date, and end with 1 if there are any."""
    made = updated(code)
    stale = [
        path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    folders = (language.LOCALE, LOCALE, BOARD / "locale")
    present = {path for folder in folders for path in folder.glob(f"{code}/*.po")}
    stale += sorted(present - set(made))
    for path in stale:
        name = path.relative_to(ROOT).as_posix()
        print(f"{name} is out of date: `python docs/translate.py {code}` updates it")
    sys.exit(bool(stale))


def main(code="de"):
    """Write the catalogues, and say what is left to translate."""
    for path, text in updated(code).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
        messages = language.read(path)[1:]
        left = sum(not one.is_translated for one in messages)
        fuzzy = sum(one.is_fuzzy for one in messages)
        print(
            f"{path.relative_to(ROOT)}: {len(messages) - left} of {len(messages)} translated"
            + (f", {fuzzy} fuzzy" if fuzzy else "")
        )


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--check"]
    check(*words or ["de"]) if "--check" in sys.argv else main(*words)
