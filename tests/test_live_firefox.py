"""An exercise in its page, in Firefox: the checks and sentences are those of other browsers."""

import asyncio
import json

import pytest
from firefox import NO_FIREFOX, find, firefox
from test_live_page import (
    BLOCKS,
    CHECK,
    ECHO,
    RECEIVE,
    STEPS_OF_PAGES,
    STUCK,
    WRONG,
    names,
    not_in_a_page,
)

from docs.served import served
from harness.missing import missing
from workshop.steps import all_exercises, find_exercise

SECONDS = 600
pytestmark = [pytest.mark.timeout(SECONDS + 40), pytest.mark.browser]
EXERCISES = [
    one for one in all_exercises() if one.number in STEPS_OF_PAGES and not one.is_challenge
]
CHECK_IN_FIREFOX = f"(id, files) => ({CHECK})([id, files])"
# Wait until a condition holds; what it was that did not is told.
UNTIL = """
async (condition, value, text) => {
  const holds = new Function("panel", "value", `return ${condition}`);
  const place = document.querySelector("[data-live]");
  for (let tries = 0; tries < 2400; tries += 1) {
    if (holds(place.panel, value)) return;
    await new Promise((done) => setTimeout(done, 50));
  }
  throw new Error(`never: ${condition} (${value}), but: ${place.textContent}`);
}
"""
OPEN = "() => document.querySelector('[data-live] button').click()"
PRESS = """
(words) => [...document.querySelectorAll("[data-live] button")]
  .find((button) => button.textContent === words).click()
"""
SET = "(files) => document.querySelector('[data-live]').panel.files.setAll(files)"
SEND = """
(text) => {
  const { doc } = document.querySelector("[data-live]").panel.tabs[0];
  doc.querySelector("#message").value = text;
  doc.querySelector("#send").click();
}
"""
CONNECT = """
(text) => {
  const ws = new (document.querySelector("[data-live]").panel.tabs[0].win.WebSocket)("/ws");
  ws.onopen = () => ws.send(text);
}
"""


@pytest.fixture
def live(site):
    """Run a coroutine function with a function that opens exercises in Firefox."""
    files = json.loads((site / "_static/live/runtime/files.json").read_text(encoding="utf-8"))
    if "missing" in files:
        missing(f"the site was built without Python for pages: {files['missing']}")
    if not (path := find()):
        pytest.skip(NO_FIREFOX)

    async def run(function):
        with served(site) as address:
            async with asyncio.timeout(SECONDS), firefox(path) as open_page:
                pages = []

                async def open_exercise(id):
                    pages.append(Exercise(await open_page(f"{address}/{id}.html")))
                    await pages[-1].run(OPEN)
                    await pages[-1].until("panel")
                    return pages[-1]

                await function(open_exercise)
            own = (address, "blob:", "data:", "about:")
            for page in (one.page for one in pages):
                assert any("pyodide" in url for url in page.requests), "no request is noticed"
                assert [url for url in page.requests if not url.startswith(own)] == []
                assert page.problems == []

    return lambda function: asyncio.run(run(function))


class Exercise:
    """The panel of an exercise in a page of Firefox."""

    def __init__(self, page):
        self.page, self.run = page, page.run

    async def until(self, condition, value=""):
        """Wait until a condition of the panel holds: JavaScript with `panel` and `value`."""
        await self.run(UNTIL, condition, value)

    async def says(self, text):
        """Wait until the panel's state contains a text."""
        await self.until("panel.state.textContent.includes(value)", text)

    async def tells(self, text):
        """Wait until the verdict contains a text."""
        await self.until("panel.verdict.textContent.includes(value)", text)

    async def press(self, words):
        """Press one of the panel's buttons."""
        await self.run(PRESS, words)

    async def set(self, files):
        """Set some of the files."""
        await self.run(SET, files)

    async def check(self, exercise, files):
        """What is told of files, all checks of an exercise being run."""
        return await self.run(CHECK_IN_FIREFOX, exercise.id, texts(files))


def texts(files):
    """Files as text."""
    return {name: content.decode() for name, content in files.items()}


@pytest.mark.long
@pytest.mark.thorough
def test_firefox_checks_and_runs_edits_and_runs_and_stops_a_loop(live):
    async def look(open_exercise):
        page = await open_exercise("04_javascript")
        exercise = find_exercise("4")
        told = await page.check(exercise, exercise.solution)
        assert names(told, "failed") == names(told, "later") == set(), told["verdict"]
        assert names(told, "skipped") <= not_in_a_page(exercise)
        assert exercise.own_tests <= names(told, "passed") | not_in_a_page(exercise)
        files = texts(exercise.solution)
        code = files["websocket.py"]
        assert code.count("echo {data}") == 1
        for word in ("echo", "heard"):
            await page.set({**files, "websocket.py": code.replace("echo {data}", word + " {data}")})
            await page.press("Run")
            await page.says("Starting the app")
            await page.says("The app is running")
            await page.until("!panel.tabs[0].doc.querySelector('#send').disabled")
            await page.run(SEND, "hello")
            await page.until("panel.tabs[0].doc.body.textContent.includes(value)", f"{word} hello")
        before, after, told = STUCK["a loop"]
        await page.set({**files, "websocket.py": code.replace(before, after)})
        await page.press("Run")
        await page.says("The app is running")
        await page.run(CONNECT, "hello")
        await page.says("The app was stopped.")
        await page.tells(told)
        await page.set(files)
        await page.press("Run")
        await page.says("The app is running")

    live(look)


@pytest.mark.exhaustive
def test_firefox_passes_a_solution_and_fails_a_start(live):
    async def look(open_exercise):
        for exercise in EXERCISES:
            page = await open_exercise(exercise.id)
            told = await page.check(exercise, exercise.solution)
            assert names(told, "failed") == names(told, "later") == set(), told["verdict"]
            assert names(told, "skipped") <= not_in_a_page(exercise)
            assert exercise.own_tests <= names(told, "passed") | not_in_a_page(exercise)
            told = await page.check(exercise, exercise.start)
            assert names(told, "failed"), "the start is solved already"

    live(look)


@pytest.mark.exhaustive
def test_firefox_tells_what_never_ends_or_is_wrong_and_goes_on(live):
    async def look(open_exercise):
        page = await open_exercise("03_echo")
        files = texts(find_exercise("3").solution)
        for before, after, told in [*STUCK.values(), *WRONG.values()]:
            await page.set({**files, "websocket.py": ECHO.replace(before, after)})
            await page.press("Check")
            await page.says("Checking")
            await page.says("Checked.")
            await page.tells(told)
        for name, (before, after, told) in STUCK.items():
            await page.set({**files, "websocket.py": ECHO.replace(before, after)})
            await page.press("Run")
            if name != "a loop at the top":
                await page.says("The app is running")
                await page.run(CONNECT, "hello")
            await page.says("The app was stopped.")
            await page.tells(told)
        await page.set(
            {**files, "websocket.py": ECHO.replace(RECEIVE, f"{RECEIVE}        {BLOCKS}\n")}
        )
        await page.press("Run")
        await page.says("The app is running")
        await page.run(CONNECT, "hello")
        await page.says("The app was stopped.")
        await page.tells("a call that blocks?")
        await page.set(files)
        await page.press("Check")
        await page.tells("All 14 checks pass")

    live(look)
