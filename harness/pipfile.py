"""A project's Pipfile as pipenv reads it; what is wrong with it is told in a sentence."""

import re
import tomllib
from codecs import BOM_UTF8

from harness.errors import found_elsewhere

ANY_VERSION = re.compile(r"\*$|[<>=~! ]*\d")

HEADING = re.compile(r"\W*(dev-)?packages\W*")  # or what is meant to be one


def one_name(name):
    """A package's name in one form: to pip and pipenv, pytest_asyncio is pytest-asyncio."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_in(project, section):
    """The names under a heading of the Pipfile, as far as pipenv can read them."""
    packages = read(project).get(section, {})
    is_list_of_tables = isinstance(packages, list) and all(isinstance(p, dict) for p in packages)
    what = f"not [[{section}]]" if is_list_of_tables else "not a value"
    assert isinstance(packages, dict), f"the Pipfile needs a heading [{section}], {what}"
    for name, entry in packages.items():
        says = f"[{section}] says {name} = {entry!r}"
        assert isinstance(entry, str | dict) and entry, (
            f'{says}: a version stands in quotes, "*" for any'
        )
        version = entry.get("version", "*") if isinstance(entry, dict) else entry
        assert ANY_VERSION.match(version), f'{says}, which is no version: "*" stands for any'
    return set(map(one_name, packages))


def headings_instead(project, section):
    """Say which headings a Pipfile has if it lacks one: a clause, or ""."""
    headings = [f"[{name}]" for name in read(project)]
    has = f"only {', '.join(headings)}" if headings else "no headings yet"
    return "" if f"[{section}]" in headings else f", but the Pipfile has {has}"


def read(project):
    """The Pipfile's tables; raises AssertionError."""
    path = project / "Pipfile"
    assert path.is_file(), (
        "there is no Pipfile yet: it should stand beside websocket.py"
        f"{found_elsewhere(project, 'pipfile*') or found_elsewhere(project, '*require*.txt')}"
    )
    content = path.read_bytes()
    assert not content.startswith(BOM_UTF8), (
        "the Pipfile begins with a byte order mark, an invisible character that pipenv cannot "
        "read: save it as UTF-8 without BOM"
    )
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        raise AssertionError(
            f"the Pipfile is not valid TOML: {error}{line_of(error, content)}"
        ) from None
    except UnicodeDecodeError:
        raise AssertionError("the Pipfile is not saved as UTF-8") from None


def line_of(error, content):
    """The line that is not valid TOML, and what it may lack: a clause, or ""."""
    number = re.search(r"line (\d+)", str(error))
    if not number:
        return ""
    line = content.decode().splitlines()[int(number[1]) - 1].strip()
    why = {
        "ends with a comma, but in TOML each entry has a line to itself": line.endswith(","),
        "has two equals signs before the version, but TOML takes one": re.match(r"[^=]*==", line),
        "is a heading, which stands in brackets, as in [packages]": HEADING.fullmatch(line)
        and line[-1] != "]",
        "names something a second time": "Cannot overwrite" in str(error) or "twice" in str(error),
        "has curly quotes, but TOML takes straight ones": re.search("[“”‘’]", line),
        'needs a version in quotes, as in quart = "*"': re.match(r"[^=]*= *[*\w<>~]", line),
        'needs a name, =, and a version in quotes, as in quart = "*"': "'='" in str(error),
    }
    return f": `{line}`" + next((f" {words}" for words, is_so in why.items() if is_so), "")
