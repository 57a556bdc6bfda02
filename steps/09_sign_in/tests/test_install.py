import ast
import sys

import pytest

from harness.markup import Markup
from harness.pipfile import headings_instead, one_name, packages_in

pytestmark = pytest.mark.asyncio


async def test_the_pipfile_names_what_the_app_imports(project):
    try:
        tree = ast.parse((project / "websocket.py").read_bytes())
    except SyntaxError as error:
        pytest.fail(f"websocket.py, line {error.lineno}: SyntaxError: {error.msg}")
    imported, names = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            imported.add(node.module.partition(".")[0])
            names |= {alias.name for alias in node.names}
    imported -= sys.stdlib_module_names | {path.stem for path in project.iterdir()}
    missing = sorted(set(map(one_name, imported)) - packages_in(project, "packages"))
    assert not missing, (
        f"websocket.py imports {', '.join(missing)}: [packages] should name it"
        f"{headings_instead(project, 'packages')}"
    )
    parts = set(map(one_name, names)) - set(map(one_name, imported))
    parts &= packages_in(project, "packages")
    assert not parts, f"[packages] lists {', '.join(parts)}: a part of a package, not one"


async def test_the_pipfile_names_what_the_tests_need(project):
    missing = sorted({"pytest", "pytest-asyncio"} - packages_in(project, "dev-packages"))
    assert not missing, (
        f"the tests need {', '.join(missing)}: [dev-packages] should name it"
        f"{headings_instead(project, 'dev-packages')}"
    )


async def test_the_quart_command_starts_the_app(quart_run):
    page = await quart_run()
    assert Markup(page).headings, "the app answers, but not with the page of templates/index.html"
