"""The small files that the pages show run, and print what the pages say."""

import asyncio
import tomllib

import pytest
from repo import RAISES_AT_DISCONNECT, ROOT, load_script

from harness.browser import NO_BROWSER, launch
from harness.missing import missing

SNIPPETS = ROOT / "docs/snippets"
AGAIN = "`python docs/capture.py snippets` captures it again"


RUN = load_script("run_snippets")


def snippets(suffix):
    paths = sorted(SNIPPETS.glob(f"*.{suffix}"))
    return pytest.mark.parametrize("path", paths, ids=lambda path: path.name)


@snippets("py")
def test_a_script_prints_what_was_captured(path):
    if path.stem == "countdown" and RAISES_AT_DISCONNECT:
        pytest.skip("the test client of Quart 0.23 tells no close code: it needs an older Quart")
    text = RUN.printed(path)
    assert text.strip(), f"{path.name} prints nothing"
    assert RUN.captured(path).read_text(encoding="utf-8") == text, AGAIN


@pytest.mark.thorough
@pytest.mark.browser
def test_each_page_shows_what_was_captured():
    from playwright.async_api import async_playwright

    async def look():
        async with async_playwright() as playwright:
            browser = await launch(playwright) or missing(NO_BROWSER)
            return {path: await RUN.shown(browser, path) for path in SNIPPETS.glob("*.html")}

    for path, text in asyncio.run(look()).items():
        assert RUN.captured(path).read_text(encoding="utf-8") == text, f"{path.name}: {AGAIN}"


@snippets("toml")
def test_a_pipfile_has_packages_with_versions(path):
    pipfile = tomllib.loads(path.read_text(encoding="utf-8"))
    assert set(pipfile) <= {"packages", "dev-packages", "scripts"} and pipfile
    versions = [version for packages in pipfile.values() for version in packages.values()]
    assert versions and all(isinstance(version, str) for version in versions)


def test_snippets_have_different_names_and_each_output_a_snippet():
    names = [path.stem for suffix in ("py", "html") for path in SNIPPETS.glob(f"*.{suffix}")]
    assert sorted(names) == sorted(path.stem for path in RUN.CAPTURED.glob("*.txt")), AGAIN
