"""The language of the command, of what a check says, and of what pages make from the steps.

All text is in English where it is used. The files in locale/LANGUAGE/ translate it, one message at
a time, and what they lack stays in English. Only the standard library is used: the command needs
this before anything is installed.
"""

import contextlib
import functools
import gettext
import json
import locale
import os
import re
from dataclasses import dataclass
from pathlib import Path

ENGLISH = "en"
LOCALE = Path(__file__).with_name("locale")
VARIABLE = "WORKSHOP_LANGUAGE"
SYSTEM = ("LC_ALL", "LC_MESSAGES", "LANG")  # in the order in which a system reads them
LINE = re.compile(r'(?:(msgid|msgid_plural|msgstr(?:\[(\d)\])?) )?(".*")')
# A value in a template, such as {name}; doubled braces are those of the text.
VALUE = re.compile(r"(\{\{|\}\}|\{[^{}]*\})")
DEEPEST = 3  # sentences within sentences


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

    @functools.cached_property
    def templates(self):
        """The texts with values in them, those with the most words of their own first."""
        found = [text for text in self.texts if any(map(is_value, VALUE.split(text)))]
        return sorted(found, key=lambda text: -len("".join(literals(text))))


def is_value(part):
    """Whether a part of a template stands for a value."""
    return part[:1] == "{" and part not in ("{{", "}}") and part[-1:] == "}"


def literals(template):
    """The parts of a template that aren't values, as they are in a sentence."""
    parts = re.split(r"\{[^{}]+\}", template.replace("{{", "\0").replace("}}", "\1"))
    return [part.replace("\0", "{").replace("\1", "}") for part in parts]


def of(language, folder=LOCALE):
    """The catalogue of a language, from all files of its folder."""
    texts, plurals, form = {}, {}, int
    for path in sorted((folder / language).glob("*.po")):
        for message in read(path):
            if not message.msgid:
                rule = re.search(r"plural=([^;\n]*)", message.strings[0])
                form = gettext.c2py(rule[1]) if rule else form
            elif message.is_translated and message.plural:
                plurals[message.msgid] = message.strings
            elif message.is_translated:
                texts[message.msgid] = message.strings[0]
    return Catalogue(texts, plurals, form)


_NOTHING = Catalogue({}, {})
_now = _NOTHING
code = ENGLISH  # of the language that is used
asked = None  # a dictionary that notes of each text whether it is translated, if one is wanted


def use(language):
    """Use a language from now on."""
    global _now, code
    code = language
    _now = _NOTHING if language == ENGLISH else of(language)


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


def sentence(text, depth=DEEPEST):
    """What a check says, in the language that is used.

    Tests say everything in English, with the values filled in, so a template is looked for that the
    sentence can be made from. A value may be such a sentence, too. What has no template stays.
    """
    if not text or not _now.texts:
        return text
    if found := _now.texts.get(text):
        return found
    for template in _now.templates:
        if depth and all(part in text for part in literals(template)):
            if values := values_of(template, text):
                told = {name: sentence(value, depth - 1) for name, value in values.items()}
                return fill(_now.texts[template], told)
    return text


@functools.cache
def _pattern(template):
    """What matches the sentences that are made from a template, and the names of its values."""
    names, parts = [], []
    for part in VALUE.split(template):
        if is_value(part):
            names.append(part)
            parts.append("(.+?)" if part != template else "(?!)")
        else:
            parts.append(re.escape(part[0] if part in ("{{", "}}") else part))
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
