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
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
sys.path[:0] = [str(DOCS), str(ROOT)]

from translated import catalogue  # noqa: E402

from workshop import language  # noqa: E402

CLOSE = 0.6  # how much of a message is the same if only its English has changed
WIDTH = 100
HEADER = [
    "Content-Type: text/plain; charset=UTF-8",
    "Content-Transfer-Encoding: 8bit",
]
PLURALS = "nplurals=2; plural=(n != 1);"  # of a new language
CALLS = ("_", "N_", "plural")


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


def catalogues(code):
    """The path of each catalogue of a language, with the messages that should be in it.

    A message is its English text, or a pair: one, and many.
    """
    pages, asked = of_pages(code)
    made = {catalogue(code, page): found for page, found in pages.items()}
    steps = [*in_code(DOCS), *in_code(language.LOCALE.parent), *asked]
    plurals = {one for pair in steps if isinstance(pair, tuple) for one in pair}
    folder = language.LOCALE / code
    made[folder / "steps.po"] = [text for text in steps if text not in plurals]
    return {path: list(dict.fromkeys(messages)) for path, messages in made.items()}


def merged(wanted, old):
    """The messages of a catalogue: what is translated stays so, and what has changed is fuzzy."""
    known = {message.msgid: message for message in old}
    gone = [
        one.msgid
        for one in old
        if one.msgid and one.msgid not in map(key, wanted) and one.strings[0]
    ]
    made = []
    for message in wanted:
        msgid, plural = message if isinstance(message, tuple) else (message, "")
        one = known.get(msgid)
        if one is None and (close := difflib.get_close_matches(msgid, gone, 1, CLOSE)):
            one = language.Message(msgid, plural, known[close[0]].strings, True)
        forms = 2 if plural else 1
        if one is None or len(one.strings) != forms:
            one = language.Message(msgid, plural, ("",) * forms)
        made.append(one)
    return made


def key(message):
    """What a message is found by."""
    return message[0] if isinstance(message, tuple) else message


def text_of(messages, code, plurals):
    """The text of a .po file."""
    header = [f"Language: {code}", *HEADER, f"Plural-Forms: {plurals}"]
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
    made = {}
    for path, wanted in catalogues(code).items():
        old = language.read(path) if path.is_file() else []
        rule = [line for line in header_of(old) if line.startswith("Plural-Forms: ")]
        plurals = rule[0].partition(": ")[2] if rule else PLURALS
        made[path] = text_of(merged(wanted, old[1:]), code, plurals)
    return made


def header_of(messages):
    """The lines of a catalogue's header."""
    return messages[0].strings[0].splitlines() if messages else []


def check(code):
    """Say which catalogues are out of date, and end with 1 if there are any."""
    made = updated(code)
    stale = [
        path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text
    ]
    stale += sorted({*language.LOCALE.glob(f"{code}/*.po")} - set(made))
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
