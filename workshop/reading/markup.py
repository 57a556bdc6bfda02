"""The start tags of a page, and the lines of a Pipfile."""

import re
import tomllib
from html.parser import HTMLParser

from workshop.reading.statement import Statement


class Tags(HTMLParser):
    """Notes each start tag of a page, its attributes in order."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        words = [name if value is None else f'{name}="{value}"' for name, value in attributes]
        text = re.sub(r"\s*([{}(),=])\s*", r"\1", " ".join([tag, *sorted(words)]).replace("'", '"'))
        self.found.append(Statement(self.getpos()[0], 0, text))


def of_page(text):
    """The start tags of a page; raises ValueError if it can't be read."""
    tags = Tags()
    try:
        tags.feed(text)
    except AssertionError as error:  # as the parser says of some that begin with <!
        raise ValueError(str(error)) from None
    return sorted(tags.found, key=lambda one: one.text)  # their order makes little difference


def of_pipfile(text):
    """The lines of a Pipfile."""
    found = []
    for section, table in tomllib.loads(text).items():
        if isinstance(table, dict) and table:
            found.append(Statement(line_of(text, f"[{section}]"), 0, f"[{section!r}]"))
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str) and re.match(r"[<>=~!]=?\s*\d", value):
                value = "*"  # any version will do
            line = line_of(text, key)
            if isinstance(value, dict) and set(value) == {"version"}:
                value = value["version"]
            found.append(Statement(line, 0, f"[{section!r}] {key!r} = {value!r}"))
    return found


def line_of(text, start):
    """The number of the first line of a text that begins with something, perhaps in quotes."""
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, one in lines if one.strip(" \"'").startswith(start)), 1)
