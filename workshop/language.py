"""The language of the command, of what a check says, and of what pages make from the steps.

All text is in English where it is used. The files in locale/LANGUAGE/ translate it, one message at
a time, and what they lack stays in English. Only the standard library is used: the command needs
this before anything is installed.
"""

import contextlib
import functools
import gettext
import itertools
import json
import locale
import os
import re
from dataclasses import dataclass
from pathlib import Path

ENGLISH = "en"
LOCALE = Path(__file__).with_name("locale")
VARIABLE = "WORKSHOP_LANGUAGE"
MARKED = ("command", "steps")  # texts marked in the code: they aren't looked for in sentences
SYSTEM = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order in which a system reads them
LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr(?:\[(\d)\])?) )?(".*")')
# A value in a template, such as {name}; doubled braces are those of the text.
VALUE = re.compile(r"(\{\{|\}\}|\{[^{}]*\})")
DEEPEST = 5  # sentences within sentences
MEANWHILE = "Meanwhile "
JOINTS = re.compile(r"`[^`]*`|(: |; |, | and | \(|(?<=`) )")  # between sentences, but not in code
CLAUSE = r"((?:: |; |, | \(| after | and | in | again| The | A ).*?|)"  # how one begins
NAME = r"(\S* ?|'.*?'|\".*?\")"
LONGEST = 3000  # characters of a sentence that a template is looked for
A_WORD = 0.5  # what one word counts: an "and" alone doesn't make a translation
SHORT = 10  # characters of a template, with which it could mean anything


@dataclass
class Message:
    """One message of a catalogue."""

    msgid: str = ""
    plural: str = ""
    strings: tuple[str, ...] = ()  # one, or one for each plural form
    is_fuzzy: bool = False  # its English has changed since

    @property
    def is_translated(self):
        """Whether each of its forms has a translation that holds."""
        return all(self.strings) and bool(self.strings) and not self.is_fuzzy


def read(path):
    """The messages of a .po file, the first of which is its header."""
    messages, strings, is_fuzzy, field = [], {}, False, ""
    for line in [*path.read_text(encoding="utf-8").splitlines(), 'msgid ""']:
        found = LINE.fullmatch(line)
        if line.startswith("#,"):
            is_fuzzy = "fuzzy" in line
        elif found and found[1] == "msgid" and strings:
            texts = tuple(text for key, text in strings.items() if key.startswith("msgstr"))
            was_fuzzy = strings.pop("fuzzy")
            messages.append(
                Message(strings["msgid"], strings.get("msgid_plural", ""), texts, was_fuzzy)
            )
            strings = {}
        if found:
            if found[1] == "msgid":
                strings["fuzzy"], is_fuzzy = is_fuzzy, False
            field = found[0].split(" ")[0] if found[1] else field
            strings[field] = strings.get(field, "") + json.loads(found[3])
    return messages


@dataclass(frozen=True)
class Catalogue:
    """All that is translated into a language."""

    texts: dict
    plurals: dict
    form: object = int  # the number of the plural form for a number
    sentences: tuple[str, ...] = ()  # those that are looked for in what is said

    @functools.cached_property
    def templates(self):
        """The sentences with values in them, each with its other parts and how long these are.

        Those with the longest parts come first.
        """
        found = [text for text in self.sentences if any(map(is_value, VALUE.split(text)))]
        parts = [(text, [part for part in literals(text) if part]) for text in found]
        sized = [(text, one, sum(map(len, one))) for text, one in parts]
        return sorted(sized, key=lambda each: -each[2])


def is_value(part):
    """Whether a part of a template stands for a value."""
    return part[:1] == "{" and part not in ("{{", "}}") and part[-1:] == "}"


def literals(template):
    """The parts of a template that aren't values, as they are in a sentence."""
    parts = re.split(r"\{[^{}]+\}", template.replace("{{", "\0").replace("}}", "\1"))
    return [part.replace("\0", "{").replace("\1", "}") for part in parts]


def of(language, folder=LOCALE):
    """The catalogue of a language, from all files of its folder."""
    texts, plurals, form, sentences = {}, {}, int, []
    for path in sorted((folder / language).glob("*.po")):
        for message in read(path):
            if not message.msgid:
                rule = re.search(r"plural=([^;\n]*)", message.strings[0])
                form = gettext.c2py(rule[1]) if rule else form
            elif message.is_translated and message.plural:
                plurals[message.msgid] = message.strings
            elif message.is_translated:
                texts[message.msgid] = message.strings[0]
                sentences += [] if path.stem in MARKED else [message.msgid]
    return Catalogue(texts, plurals, form, tuple(sentences))


_NOTHING = Catalogue({}, {})
_now = _NOTHING
code = ENGLISH  # of the language that is used
asked = None  # a dictionary that notes of each text whether it is translated, if one is wanted


def use(language):
    """Use a language from now on."""
    global _now, code
    if language == code:
        return
    code = language
    _now = _NOTHING if language == ENGLISH else of(language)
    _told.cache_clear()


def known():
    """The codes of the languages that there are, English first."""
    return [ENGLISH, *sorted(path.name for path in LOCALE.iterdir() if path.is_dir())]


def _(text):
    """A text in the language that is used."""
    found = _now.texts.get(text)
    if asked is not None and text:
        asked[text] = found is not None
    return found or text


def N_(text):
    """A text that is translated where it is shown, by `_`."""
    return text


def plural(one, many, number):
    """The form of a text for a number, in the language that is used; the number isn't filled in."""
    if forms := _now.plurals.get(one):
        return forms[_now.form(number)]
    return one if number == 1 else many


def sentence(text):
    """What a check says, in the language that is used.

    Tests say everything in English, with the values filled in, so a template is looked for that the
    sentence can be made from. A value may be such a sentence, too, or several, one after the other,
    but not if it is code. What has no template stays.
    """
    if not _now.texts or len(text) > LONGEST:
        return text
    if text.startswith(MEANWHILE):  # which stands on a line of its own
        told = _told(f"; m{text[1:]}", DEEPEST)[0].removeprefix("; ")
        return told[0].upper() + told[1:]
    return _told(text, DEEPEST)[0]


def named(check):
    """The name of a check in the language that is used; a case in parentheses stays."""
    words, space, case = check.partition(" (")
    return _(words) + space + case


@functools.cache
def _told(text, depth):
    """A sentence in the language that is used, and how many of its characters have a template."""
    if found := _now.texts.get(text):
        return found, len(text) if " " in text.strip() else A_WORD
    if not depth or " " not in text:
        return text, 0
    best, most = text, 0
    for template, parts, size in _now.templates:
        if all(part in text for part in parts) and (values := values_of(template, text)):
            told = {
                name: (value, 0) if f"`{name}`" in template else _told(value, depth - 1)
                for name, value in values.items()
            }
            known = size + sum(count for _value, count in told.values())
            if known >= most:  # of several, the one with more in its values is more specific
                best, most = fill(_now.texts[template], {one: told[one][0] for one in told}), known
    for found in JOINTS.finditer(text):
        for place in (found.start(), found.end()) if found[1] else ():  # which isn't in code
            if 0 < place < len(text):
                (one, known), (other, more) = (
                    _told(part, depth - 1) for part in (text[:place], text[place:])
                )
                if known + more > max(most, A_WORD):
                    best, most = one + other, known + more
    return best, most


@functools.cache
def _pattern(template):
    """What matches the sentences that are made from a template, and the names of its values.

    Of two values with nothing between them, the second one is a clause, or empty. A template with
    few words of its own begins with a name, or something in quotes.
    """
    names, parts, is_after_value = [], [], False
    is_short = sum(map(len, literals(template))) < SHORT
    for part in filter(None, VALUE.split(template)):
        if is_value(part):
            first = NAME if is_short and not parts else "(.*?)"
            names.append(part)
            parts.append(CLAUSE if is_after_value else first)
        else:
            parts.append(re.escape(part[0] if part in ("{{", "}}") else part))
        is_after_value = is_value(part)
    return re.compile("".join(parts), re.DOTALL), names


def values_of(template, text):
    """The values with which a template becomes a text, or None."""
    pattern, names = _pattern(template)
    found = pattern.fullmatch(text)
    values = {}
    for name, value in zip(names, found.groups() if found else (), strict=False):
        if values.setdefault(name, value) != value:
            return None
    return values or None


def fill(template, values):
    """A template with its values, which are named as in it: {"{name}": "bob"}."""
    parts = [values.get(part, part) if is_value(part) else part for part in VALUE.split(template)]
    return "".join(part[0] if part in ("{{", "}}") else part for part in parts)


def chosen(option=None):
    """The language to use: an option, a variable, or the system's, if it is known here.

    Raises ValueError for one that was asked for and isn't known.
    """
    for asked_for in (option, os.environ.get(VARIABLE)):
        if asked_for:
            if asked_for not in known():
                raise ValueError(f"no such language: {asked_for} (there are {', '.join(known())})")
            return asked_for
    return next((each for each in known() if each == of_system()), ENGLISH)


def begin(arguments):
    """Use the language that the command's arguments ask for, before they are read properly."""
    option = None
    for word, following in itertools.pairwise([*arguments, ""]):
        if not word.startswith("--language"):
            break
        option = following if word == "--language" else word.partition("=")[2]
    with contextlib.suppress(ValueError):  # which is told once they are
        use(chosen(option))


def of_system():
    """The code of the system's language, such as "de", or "" if it doesn't say."""
    for variable in SYSTEM:
        if value := os.environ.get(variable):
            return re.split(r"[_.@]", value)[0].lower()
    with contextlib.suppress(ValueError, AttributeError, locale.Error):
        name = locale.getlocale()[0] or ""  # on Windows "German_Germany"
        name = locale.normalize(name.replace("_", "-").split("-")[0].lower())
        return name[:2].lower()
    return ""
