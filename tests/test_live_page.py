"""An exercise in its page: what a learner does there, and that its checks are those of `check`."""

import asyncio
import json
import re

import pytest
from playwright.async_api import async_playwright, expect
from repo import ROOT

from docs.served import served
from harness.browser import NO_BROWSER, launch
from harness.missing import missing
from workshop.steps import all_exercises, find_exercise

SECONDS = 400
pytestmark = [pytest.mark.timeout(SECONDS + 40), pytest.mark.browser]
MILLISECONDS = 120_000  # for Python to be loaded on a busy machine
TOLD = json.loads((ROOT / "docs/captured/mistakes.json").read_text(encoding="utf-8"))
# Check files against an exercise, in the worker of the page's panel: what is told.
CHECK = """
async ([id, files]) => {
  const { panel } = document.querySelector("[data-live]");
  const checks = [];
  let verdict = null;
  const { on } = panel.python;
  Object.assign(panel, { isChecking: true, current: null, isTold: false });
  on.outcome = (check) => checks.push(check);
  panel.showVerdict = (told) => { verdict = told; panel.isTold = true; };
  await panel.python.check(id, files, true).catch((error) => verdict ??= { failed: error.message });
  panel.isChecking = false;
  return { checks, verdict };
}
"""


@pytest.fixture
def live(site):
    """Run a coroutine function with a browser and the address of the site."""
    files = json.loads((site / "_static/live/runtime/files.json").read_text(encoding="utf-8"))
    if "missing" in files:
        missing(f"the site was built without Python for pages: {files['missing']}")

    async def run(function):
        async with asyncio.timeout(SECONDS), async_playwright() as playwright:
            browser = await launch(playwright)
            if browser is None:
                missing(NO_BROWSER)
            with served(site) as address:
                await function(browser, address)
            await browser.close()

    return lambda function: asyncio.run(run(function))


class Page:
    """The page of an exercise, opened: what a test does with it."""

    def __init__(self, page):
        self.page, self.place = page, page.locator("[data-live]")
        self.state = self.place.locator(".state")
        self.problems, self.requests = [], []

    @classmethod
    async def open(cls, browser, address, name, **options):
        """Open a page, and the exercise in it."""
        self = cls(await browser.new_page(**options))
        page = self.page
        page.set_default_timeout(MILLISECONDS)
        page.on("console", lambda m: m.type == "error" and self.problems.append(m.text))
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        await page.goto(f"{address}/{name}.html")
        self.requests_before = len([url for url in self.requests if "/live/" in url])
        await self.place.get_by_role("button").first.click()
        await expect(self.place.locator(".files, .stage").first).to_be_visible(timeout=MILLISECONDS)
        return self

    async def says(self, text):
        """Wait until the panel's state contains a text."""
        await expect(self.state).to_contain_text(text, timeout=MILLISECONDS)

    async def press(self, name):
        """Press one of the panel's buttons."""
        await self.place.get_by_role("button", name=name, exact=True).click()

    async def set(self, name, text):
        """Set the text of a file."""
        script = (
            "([name, text]) => { const { files } = document.querySelector('[data-live]').panel; "
        )
        await self.page.evaluate(
            script + "files.set(name, text); files.show(name); }", [name, text]
        )

    async def solve(self):
        """Set the files to those of the solution."""
        await self.place.evaluate("({ panel }) => panel.files.setAll(panel.exercise.solution)")

    async def check(self, exercise, files):
        """What is told of files, all checks of an exercise being run."""
        texts = {name: content.decode() for name, content in files.items()}
        return await self.page.evaluate(CHECK, [exercise.id, texts])

    def is_well(self, address):
        """No request left the site, and the console has no error."""
        own = (address, "blob:", "data:", "about:")
        assert [url for url in self.requests if not url.startswith(own)] == []
        assert self.problems == []


def names(told, outcome):
    """The names of the tests with an outcome."""
    words = [check["words"] for check in told["checks"] if check["outcome"] == outcome]
    return {"test_" + one.partition(" (")[0].replace(" ", "_") for one in words}


NOT_IN_A_PAGE = {"test_the_quart_command_starts_the_app"}


# Those in which a check drives tabs take long.
SOLUTIONS = [
    pytest.param(exercise, marks=pytest.mark.thorough if exercise.number in (4, 6, 7) else ())
    for exercise in all_exercises()
    if exercise.number <= 7 and not exercise.is_challenge
]


@pytest.mark.parametrize("exercise", SOLUTIONS, ids=lambda exercise: exercise.id)
def test_a_solution_passes_all_checks_but_those_that_a_page_cannot_run(exercise, live):
    async def look(browser, address):
        page = await Page.open(browser, address, exercise.id)
        told = await page.check(exercise, exercise.solution)
        assert names(told, "failed") == set(), told["verdict"]
        assert names(told, "skipped") <= NOT_IN_A_PAGE
        assert names(told, "later") == set()
        assert exercise.own_tests <= names(told, "passed") | NOT_IN_A_PAGE
        told = await page.check(exercise, exercise.start)
        assert names(told, "failed"), "the start is solved already"
        page.is_well(address)

    live(look)


@pytest.mark.thorough
@pytest.mark.parametrize("step", range(1, 7))
def test_a_mistake_is_told_as_check_tells_it(step, live):
    async def look(browser, address):
        page = await Page.open(browser, address, find_exercise(str(step)).id)
        wrong = []
        for exercise in all_exercises():
            if exercise.number != step:
                continue
            for mistake in exercise.mistakes:
                told = await page.check(exercise, mistake.applied_to(exercise.solution))
                if problem := differs(exercise, mistake, told):
                    wrong.append((exercise.id, mistake.name, problem))
        assert wrong == []

    live(look)


def differs(exercise, mistake, told):
    """What is told otherwise than `check` tells it, if anything is."""
    failed, passed = names(told, "failed"), names(told, "passed")
    if mistake.fails == ["all"]:
        if not failed or not all("pipfile" in name for name in passed):
            return f"passed: {passed}"
    elif failed != set(mistake.fails) - NOT_IN_A_PAGE:
        return f"failed: {sorted(failed)}, not {sorted(mistake.fails)}"
    verdict = told["verdict"]
    said = "\n".join([verdict["heading"], *verdict["lines"]])
    local = "\n".join(line.strip() for line in TOLD[exercise.id][mistake.name].splitlines())
    # Up to the first number, path or text that was received: they vary.
    begins = re.split(r"[\d'/\[]", re.sub(r"\S+, line \d+:? ", "", local))[0]
    if begins not in re.sub(r"\S+, line \d+:? ", "", said):
        return f"said: {said!r}, not {local!r}"
    return ""
