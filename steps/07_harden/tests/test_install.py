import ast
import re
import sys
import tomllib
from codecs import BOM_UTF8

import pytest

from harness.markup import Markup

pytestmark = pytest.mark.asyncio


def one_name(name):
    """A package's name in one form: to pip and pipenv, pytest_asyncio is pytest-asyncio."""
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_in(project, section):
    """The names under a heading of the Pipfile, as far as pipenv can read them."""
    packages = read_pipfile(project).get(section, {})
    assert isinstance(packages, dict), f"the Pipfile needs a heading [{section}], not a value"
    for name, version in packages.items():
        assert isinstance(version, str | dict) and version, (
            f'[{section}] says {name} = {version!r}: a version stands in quotes, "*" for any'
        )
    return set(map(one_name, packages))


def read_pipfile(project):
    path = project / "Pipfile"
    assert path.is_file(), "there is no Pipfile yet: it should stand beside websocket.py"
    content = path.read_bytes()
    assert not content.startswith(BOM_UTF8), (
        "the Pipfile begins with a byte order mark, an invisible character that pipenv cannot "
        "read: save it as UTF-8 without BOM"
    )
    try:
        return tomllib.loads(content.decode())
    except tomllib.TOMLDecodeError as error:
        pytest.fail(f"the Pipfile is not valid TOML: {error}")
    except UnicodeDecodeError:
        pytest.fail("the Pipfile is not saved as UTF-8")


async def test_the_pipfile_names_what_the_app_imports(project):
    try:
        tree = ast.parse((project / "websocket.py").read_bytes())
    except SyntaxError as error:
        pytest.fail(f"websocket.py, line {error.lineno}: SyntaxError: {error.msg}")
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.partition(".")[0])
    imported -= sys.stdlib_module_names | {path.stem for path in project.glob("*.py")}
    missing = sorted(set(map(one_name, imported)) - packages_in(project, "packages"))
    assert not missing, f"websocket.py imports {', '.join(missing)}: [packages] should name it"


async def test_the_pipfile_names_what_the_tests_need(project):
    missing = sorted({"pytest", "pytest-asyncio"} - packages_in(project, "dev-packages"))
    assert not missing, f"the tests need {', '.join(missing)}: [dev-packages] should name it"


async def test_the_quart_command_starts_the_app(quart_run):
    page = await quart_run()
    assert Markup(page).headings, "the app answers, but not with the page of templates/index.html"
