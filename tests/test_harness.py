"""The library behind the tests of the steps: small modules, of which some must run in a page."""

import ast
import gc
import logging
import os
import re
import subprocess
import sys
import weakref

import pytest
from repo import ROOT, STEPS
from uvicorn.protocols.utils import ClientDisconnected

from harness import inprocess
from harness.loops import never_reached
from harness.mended import is_disconnect, is_no_disconnect

MODULES = sorted((ROOT / "harness").glob("*.py"))
TESTS_OF_STEPS = sorted((ROOT / "steps").rglob("tests/test_*.py"))
IN_PROCESS = [
    "clues",
    "errors",
    "failures",
    "inprocess",
    "journey",
    "loading",
    "mended",
    "patience",
    "remembering",
]
IN_PROCESS += ["loops", "redirects", "sign_in", "sources"]
# What there is not in a page, or is of no use there.
NOT_IN_A_PAGE = {"subprocess", "threading", "multiprocessing", "socket", "select", "http", "urllib"}
NOT_IN_A_PAGE |= {"uvicorn", "websockets", "playwright", "redis", "pytest"}


def imported_by(path):
    """The full names of the modules that a file imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_is_at_most_200_lines_long_and_says_what_it_knows(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 200
    assert ast.get_docstring(ast.parse(text))


def test_the_conftest_of_the_steps_is_at_most_120_lines_long():
    lines = (ROOT / "steps/conftest.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 120


@pytest.mark.parametrize("name", IN_PROCESS)
def test_the_in_process_part_imports_nothing_that_a_page_has_not(name):
    names = imported_by(ROOT / f"harness/{name}.py")
    names = {one for one in names if not one.startswith("urllib.parse")}  # it needs no network
    assert not {one.partition(".")[0] for one in names} & NOT_IN_A_PAGE
    own = {one.split(".")[1] for one in names if one.startswith("harness.")}
    assert own <= set(IN_PROCESS), "it imports a module that is not of this part"


def test_the_in_process_part_loads_no_server_and_no_browser():
    code = "import sys; from harness import inprocess; print(*sys.modules, sep='\\n')"
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()
    packages = {"uvicorn", "websockets", "playwright", "redis", "pytest", "watchfiles"}
    assert "harness.inprocess" in loaded
    assert not packages & {name.partition(".")[0] for name in loaded}


@pytest.mark.asyncio
async def test_a_client_that_disconnected_is_kept_by_nothing():
    client = inprocess.load(STEPS[2]).test_client().websocket("/ws")
    async with client:
        await client.send("hello")
        await client.receive()
    kept = weakref.ref(client)
    del client
    gc.collect()
    assert kept() is None


def test_what_is_skipped_is_told_by_kind(tmp_path):
    folders = [ROOT / "steps/03_echo", ROOT / "steps/04_javascript", ROOT / "tests/test_harness.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-m", "browser", *folders]
    environ = {**os.environ, "PATH": str(tmp_path), "WORKSHOP_REQUIRE_ALL": ""}  # no browser there
    environ["PLAYWRIGHT_BROWSERS_PATH"] = str(tmp_path)
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    told = [line for line in result.stdout.splitlines() if "SKIPPED" in line]
    assert len(told) == 1, result.stdout
    assert re.search(r"SKIPPED \d+ .*no browser: install", told[0])


@pytest.mark.parametrize("path", TESTS_OF_STEPS, ids=lambda path: path.stem)
def test_each_assertion_of_a_steps_test_has_a_sentence(path):
    tree = ast.parse(path.read_bytes())
    asserts = [node for node in ast.walk(tree) if isinstance(node, ast.Assert)]
    bare = [node.lineno for node in asserts if node.msg is None]
    assert not bare, f"{path.relative_to(ROOT)} has an assert without a sentence in lines {bare}"


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("    while True:\n        await one()\n    await two()", "line 4 is never reached"),
        ("    while True:\n        break\n    await two()", ""),
        ("    while True:\n        await one()", ""),
    ],
)
def test_a_line_after_a_loop_without_an_end_is_told(body, says):
    assert never_reached(f"async def handler():\n{body}\n")[: len(says) or None] == says


def test_a_line_after_a_call_that_never_returns_is_told():
    text = "async def f():\n    while True:\n        pass\n"
    text += "async def g():\n    await f()\n    h()\n"
    assert "waits for the end of f()" in never_reached(text)
    assert never_reached(text.replace("pass", "return")) == ""


def test_an_exception_that_only_says_that_a_client_disconnected_is_no_failure():
    name, module = "ClientDisconnectedError", {"__module__": "quart.wrappers.base"}
    gone = type(name, (Exception,), module)()  # as Quart has it since 0.23
    own = type(name, (Exception,), {})()
    both = ExceptionGroup("two tasks", [gone, ExceptionGroup("one", [ClientDisconnected()])])
    assert is_disconnect(gone) and is_disconnect(both)
    for error in (own, ValueError(), ExceptionGroup("two tasks", [gone, ValueError()])):
        assert not is_disconnect(error)
    record = logging.makeLogRecord({"exc_info": (type(both), both, None)})
    assert not is_no_disconnect(record)
    assert is_no_disconnect(logging.makeLogRecord({"msg": "something else"}))
