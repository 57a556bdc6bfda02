"""Run the small files of docs/snippets/, which the pages show.

NAME.py prints something, and NAME.html shows it in a browser; docs/captured/snippets/NAME.txt holds
what. NAME.toml is a Pipfile.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
SNIPPETS = DOCS / "snippets"
CAPTURED = DOCS / "captured/snippets"
SECONDS = 30  # for the slowest machine; most take less than one
UTF_8 = {"PYTHONUTF8": "1"}


def printed(path):
    """What a script prints; raises if it fails or takes too long."""
    result = subprocess.run(
        [sys.executable, path.relative_to(DOCS.parent)],
        cwd=DOCS.parent,
        env={**os.environ, **UTF_8},
        capture_output=True,
        encoding="utf-8",
        timeout=SECONDS,
    )
    if result.returncode:
        raise RuntimeError(f"{path.name} ends with exit code {result.returncode}:\n{result.stderr}")
    return result.stdout


async def shown(browser, path):
    """The text that a page shows; raises if the browser's console complains."""
    problems = []
    page = await browser.new_page()
    page.on("console", lambda m: m.type in ("error", "warning") and problems.append(m.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    await page.goto(path.as_uri(), wait_until="load")
    text = await page.evaluate("document.body.innerText")
    await page.close()
    if problems:
        raise RuntimeError(f"{path.name}: the console says {problems}")
    return f"{text.rstrip()}\n"


def scenes(terminal=None):
    """Each script and each page with what it prints or shows."""
    from playwright.async_api import async_playwright

    from harness.browser import NO_BROWSER, launch

    async def in_browser(paths):
        async with async_playwright() as playwright:
            browser = await launch(playwright) or sys.exit(NO_BROWSER)
            return [(path, await shown(browser, path)) for path in paths]

    for path in sorted(SNIPPETS.glob("*.py")):
        yield f"snippets/{path.name}", printed(path)
    for path, text in asyncio.run(in_browser(sorted(SNIPPETS.glob("*.html")))):
        yield f"snippets/{path.name}", text


def captured(path):
    """Where the output of a snippet is kept."""
    return CAPTURED / f"{path.stem}.txt"
