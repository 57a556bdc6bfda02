import ast
import sys
import tomllib

import pytest

pytestmark = pytest.mark.asyncio


def read_pipfile(project):
    path = project / "Pipfile"
    assert path.is_file(), "there is no Pipfile yet: it should stand beside websocket.py"
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        pytest.fail(f"the Pipfile is not valid TOML: {error}")


async def test_the_pipfile_names_what_the_app_imports(project):
    tree = ast.parse((project / "websocket.py").read_bytes())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    imported -= sys.stdlib_module_names | {path.stem for path in project.glob("*.py")}
    missing = imported - set(read_pipfile(project).get("packages", {}))
    assert not missing, f"websocket.py imports {', '.join(missing)}: [packages] should name it"


async def test_the_pipfile_names_what_the_tests_need(project):
    missing = {"pytest", "pytest-asyncio"} - set(read_pipfile(project).get("dev-packages", {}))
    assert not missing, f"the tests need {', '.join(missing)}: [dev-packages] should name it"


async def test_the_quart_command_starts_the_app(quart_run):
    page = await quart_run()
    assert "<h1>" in page, "the app answers, but not with the page of templates/index.html"
