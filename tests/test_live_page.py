"""An exercise in its page: what a learner does there, and that its checks are those of `check`."""

import ast
import asyncio
import json
import re

import pytest
from playwright.async_api import async_playwright, expect
from repo import ROOT
from test_board import CODE, Served
from test_docs import ALL_BUT_CONTRAST, CONTRAST, findings

from docs.served import served
from harness.browser import NO_BROWSER, launch
from harness.missing import missing
from workshop import reporting
from workshop.steps import TEST, all_exercises, find_exercise

SECONDS = 400
SECONDS_FOR_ALL = 2400  # the mistakes of a step and its challenges
pytestmark = [pytest.mark.timeout(SECONDS + 40), pytest.mark.browser, pytest.mark.long]
NARROW = {"width": 390, "height": 800}
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
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

    async def run(function, seconds):
        async with asyncio.timeout(seconds), async_playwright() as playwright:
            browser = await launch(playwright)
            if browser is None:
                missing(NO_BROWSER)
            with served(site) as address:
                await function(browser, address)
            await browser.close()

    return lambda function, seconds=SECONDS: asyncio.run(run(function, seconds))


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


STEPS_OF_PAGES = (*range(1, 8), 9)
NOT_IN_A_PAGE = {"test_the_quart_command_starts_the_app"}
# The arguments of tests on servers, or with a Redis server.
ON_SERVERS = {"redis_server", "redis_url", "room", "serve", "servers"}


def not_in_a_page(exercise):
    """The names of an exercise's tests that a page leaves out."""
    paths = [path for folder in exercise.tests for path in folder.glob("test_*.py")]
    functions = [
        node
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    return NOT_IN_A_PAGE | {
        one.name
        for one in functions
        if ON_SERVERS & {argument.arg for argument in one.args.args}
        or any("redis_url" in ast.unparse(mark) for mark in one.decorator_list)
    }


# Each takes seconds, since each loads Python anew.
WHEN = {3: pytest.mark.thorough}
SOLUTIONS = [
    pytest.param(exercise, marks=WHEN.get(exercise.number, pytest.mark.exhaustive))
    for exercise in all_exercises()
    if exercise.number in STEPS_OF_PAGES and not exercise.is_challenge
]


@pytest.mark.parametrize("exercise", SOLUTIONS, ids=lambda exercise: exercise.id)
def test_a_solution_passes_all_checks_but_those_that_a_page_cannot_run(exercise, live):
    async def look(browser, address):
        left_out = not_in_a_page(exercise)
        page = await Page.open(browser, address, exercise.id)
        told = await page.check(exercise, exercise.start)
        assert names(told, "failed"), "the start is solved already"
        told = await page.check(exercise, exercise.solution)
        assert names(told, "failed") == set(), told["verdict"]
        assert names(told, "skipped") <= left_out
        assert names(told, "later") == set()
        assert exercise.own_tests <= names(told, "passed") | left_out
        page.is_well(address)

    live(look)


@pytest.mark.timeout(SECONDS_FOR_ALL + 40)
@pytest.mark.exhaustive
@pytest.mark.parametrize("step", [*range(1, 7), 9])
def test_a_mistake_is_told_as_check_tells_it(step, live):
    async def look(browser, address):
        page = await Page.open(browser, address, find_exercise(str(step)).id)
        wrong = []
        for exercise in all_exercises():
            # No page has a challenge. That of step 6 needs a browser that Playwright drives.
            if exercise.number != step or (exercise.is_challenge and step >= 6):
                continue
            for mistake in exercise.mistakes:
                for _ in range(2):  # one that is told by milliseconds needs a quiet machine
                    told = await page.check(exercise, mistake.applied_to(exercise.solution))
                    problem = differs(exercise, mistake, told)
                    if not problem:
                        break
                else:
                    wrong.append((exercise.id, mistake.name, problem))
        assert not wrong, "\n".join(map(str, wrong))

    live(look, SECONDS_FOR_ALL)


def defined(path):
    """The names of the tests in a file."""
    return set(TEST.findall(path.read_text(encoding="utf-8")))


def not_tried(exercise, mistake):
    """The tests that tests/test_exercises.py does not try a mistake with, so they may fail, too."""
    paths = [path for folder in exercise.tests for path in folder.glob("test_*.py")]
    drive = [path for path in paths if "page, expect" in path.read_text(encoding="utf-8")]
    left_out = {name for path in drive for name in defined(path)}
    if exercise.number >= 6:
        named = set(mistake.fails)
        left_out |= {name for path in paths if not defined(path) & named for name in defined(path)}
    return left_out


def differs(exercise, mistake, told):
    """What is told otherwise than `check` tells it, if anything is."""
    failed, passed = names(told, "failed"), names(told, "passed")
    named = set(mistake.fails) - not_in_a_page(exercise)
    if not named:
        return f"failed: {sorted(failed)}, but only servers can tell" if failed else ""
    if mistake.fails == ["all"]:
        if not failed or not all("pipfile" in name for name in passed):
            return f"passed: {passed}"
    elif failed - not_tried(exercise, mistake) | failed & named != named:
        return f"failed: {sorted(failed)}, not {sorted(named)}"
    verdict = told["verdict"]
    said = "\n".join([verdict["heading"], *verdict["lines"]])
    local = "\n".join(line.strip() for line in TOLD[exercise.id][mistake.name].splitlines())
    first = "test_" + verdict["heading"].removeprefix("Fix this first: ").replace(" ", "_")
    if first in not_tried(exercise, mistake) - set(mistake.fails):
        local = local.partition("\n")[2]  # so another check was the first there
    # Up to the first number, path or text that was received: they vary.
    # Which of two clients is the first in a set varies, too.
    shown, found = (
        re.sub(r"\S+, line \d+:? ", "", text).replace("bob", "alice") for text in (local, said)
    )
    if re.split(r"[\d'/\[]", shown)[0] not in found:
        return f"said: {said!r}, not {local!r}"
    return ""


# What a learner does


@pytest.mark.thorough
def test_a_learner_runs_edits_and_checks_by_keyboard(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "04_javascript", viewport=NARROW)
        assert page.requests_before == 0, "something is loaded before the button is pressed"
        keyboard, place = page.page.keyboard, page.place
        await page.solve()
        # From the tab of a file into the editor, and out again.
        await place.get_by_role("tab", name="websocket.py").focus()
        await keyboard.press("Tab")
        await expect(place.get_by_role("textbox", name="websocket.py")).to_be_focused()
        await keyboard.press("Control+End")
        await keyboard.type('print("hello from the app")')
        await keyboard.press("Escape")
        await keyboard.press("Tab")
        await expect(place.get_by_role("button", name="Run")).to_be_focused()
        await keyboard.press("Enter")
        await page.says("The app is running")
        await expect(place.locator(".output")).to_contain_text("hello from the app")
        tab = place.frame_locator("iframe").first
        await expect(tab.get_by_role("status")).to_have_text("Connected")
        await tab.get_by_role("textbox").fill("hello")
        await tab.get_by_role("button", name="Send").click()
        await expect(tab.get_by_role("listitem")).to_have_text(["echo hello"])
        # What travelled, and a frame taken apart.
        rows = place.locator(".rows tbody tr")
        sent = rows.filter(has_text="Tab A → app").filter(has_text="text")
        await expect(sent).to_contain_text("5 bytes")
        await expect(rows.filter(has_text="101 Switching Protocols")).to_have_count(2)
        await place.get_by_label("Show").select_option("Tab B")
        await expect(sent).to_be_hidden()
        await place.get_by_label("Show").select_option("all tabs")
        await sent.get_by_role("button").press("Enter")
        await expect(place.locator(".frame")).to_contain_text("68 65 6c 6c 6f")
        await expect(place.locator(".frame")).to_contain_text("masked, and 5 bytes long")
        assert await page.page.evaluate(OVERFLOW) <= 0, "the page scrolls sideways"
        await place.get_by_role("button", name="Check").press("Enter")
        await page.says("Checked.")
        headline = place.locator(".headline")
        await expect(headline).to_have_text("All 25 checks pass: 04_javascript is done.")
        await expect(place.get_by_role("button", name="Check")).to_be_focused()
        assert await page.page.evaluate(OVERFLOW) <= 0, "the page scrolls sideways"
        page.is_well(address)

    live(look)


# Texts as a script of the panel asks for them; two are in no catalogue.
WORDS = """
import("/_static/live/words.js").then(({ inWords, plural }) => [
  plural("{number} byte", "{number} bytes", 2),
  inWords("a cup of {what}", { what: "tea" }),
  plural("{number} cup", "{number} cups", 1),
])
"""


@pytest.mark.thorough
def test_on_a_german_page_the_panel_and_its_checks_speak_german(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "de/03_echo")
        place = page.place
        await expect(place).to_contain_text("Was du schreibst, bleibt in diesem Browser")
        await place.get_by_text("An die Tafel deines Kurses berichten").click()
        await expect(place).to_contain_text("welche Übung geprüft wurde")
        exercise = find_exercise("03_echo")
        mistake = next(one for one in exercise.mistakes if one.name == "forgets the loop")
        texts = mistake.applied_to(exercise.solution).items()
        for name, content in texts:
            await page.set(name, content.decode())
        words = await page.page.evaluate(WORDS)
        assert words == ["2 Bytes", "a cup of tea", "1 cup"]  # what is missing stays English
        await page.press("Prüfen")
        await page.says("Geprüft.")
        verdict = place.locator(".verdict")
        await expect(verdict.locator(".heading")).to_contain_text("Behebe das zuerst: jede Nach")
        await expect(verdict).to_contain_text("Die Lösung weicht ab bei websocket.py, Zeile")
        await expect(verdict).to_contain_text("Eine Seite kann den Befehl quart nicht starten")
        # A place leads to the editor in this language, too.
        await verdict.get_by_role("button", name="websocket.py, Zeile").first.click()
        await expect(place.get_by_role("textbox", name="websocket.py")).to_be_focused()
        await page.press("Ausführen")
        await page.says("Die App läuft.")
        await expect(place.locator("thead")).to_contain_text("Von und an")
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_tabs_hear_each_other_a_post_and_a_line_and_how_a_server_ends(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "05_broadcast")
        place = page.place
        await page.solve()
        await page.press("Run")
        await page.says("The app is running")
        tabs = [place.frame_locator("iframe").nth(number) for number in (0, 1)]
        for tab in tabs:
            await expect(tab.get_by_role("status")).to_have_text("Connected")
        await tabs[0].get_by_role("textbox").fill("from A")
        await tabs[0].get_by_role("button").click()
        await expect(tabs[1].get_by_role("listitem")).to_have_text(["from A"])
        for number in (0, 1):
            await place.locator(".sending form").nth(number).get_by_role("button").click()
        for tab in tabs:
            await expect(tab.get_by_role("listitem")).to_have_text(
                ["from A", "from a POST", "from TCP"]
            )
        # A tab that vanishes, and a server that stops and starts again.
        await place.get_by_role("button", name="Drop the connection").last.click()
        await expect(tabs[1].locator("body")).to_contain_text("This tab has vanished")
        await expect(place.locator(".rows")).to_contain_text("the connection is lost")
        await page.press("Stop the server")
        await expect(tabs[0].get_by_role("status")).to_contain_text("Disconnected")
        await expect(place.locator(".rows")).to_contain_text("code 1012")
        await page.press("Start the server")
        await page.says("The app is running")
        await place.get_by_role("button", name="Reload").first.click()
        await expect(tabs[0].get_by_role("status")).to_have_text("Connected")
        page.is_well(address)

    live(look)


# What a script in a tab finds of the cookies, and of redirects.
SEEN = """
async () => {
  const here = await fetch(location, { method: "HEAD" });
  const { redirected } = await fetch("/", { method: "HEAD" });
  const { type, status } = await fetch("/", { redirect: "manual" });
  return [document.cookie, new URL(here.url).pathname, redirected, type, status];
}
"""


@pytest.mark.thorough
def test_people_sign_in_in_tabs_of_one_browser_or_of_two(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "09_sign_in")
        place = page.place
        await page.solve()
        await page.press("Run")
        await page.says("The app is running")
        hers, his = [place.frame_locator("iframe").nth(number) for number in (0, 1)]

        async def sign_in(tab, name, word="tulip"):
            await tab.get_by_role("textbox", name="Name").fill(name)
            await tab.get_by_label("Class word").fill(word)
            await tab.get_by_role("button", name="Sign in").click()

        async def is_here(tab, name):
            await expect(tab.get_by_role("status")).to_have_text("Connected")
            await expect(tab.get_by_text("You are")).to_have_text(f"You are {name}.")

        async def run(index, script):
            frame = await place.locator("iframe").nth(index).element_handle()
            return await (await frame.content_frame()).evaluate(script)

        await expect(place.get_by_text("the class word is")).to_contain_text("tulip")
        await sign_in(hers, "Alice")
        await is_here(hers, "Alice")
        assert await run(0, SEEN) == ["", "/", False, "basic", 200]
        # Another tab of the same browser, and then one of another browser.
        await place.get_by_role("button", name="Reload").last.click()
        await is_here(his, "Alice")
        await place.get_by_label("Tab B is another browser").check()
        await sign_in(his, "Bob", "rose")
        await expect(his.get_by_role("alert")).to_contain_text("class word")
        assert await run(1, SEEN) == ["", "/sign-in", True, "opaqueredirect", 0]
        await run(1, "document.querySelector('[name=word]').value = 'tulip'")
        await run(1, "document.querySelector('form').submit()")
        await is_here(his, "Bob")
        await hers.get_by_role("textbox").fill("hello")
        await hers.get_by_role("button", name="Send").click()
        await page.place.locator(".sending form").first.get_by_role("button").click()
        await page.says("answered with 204")
        for tab in (hers, his):
            await expect(tab.get_by_role("listitem")).to_have_text(
                ["Alice hello", "Alice from a POST"]
            )
        # A script's location leads to the app, and to no page of the site.
        await run(1, "location.reload()")
        await expect(his.get_by_role("listitem")).to_have_count(0)
        await is_here(his, "Bob")
        await run(1, "location.href = '/sign-in'")
        await expect(his.get_by_role("textbox", name="Name")).to_be_visible()
        assert "404" in page.problems.pop(), "the site has no such page"
        await run(1, "location.assign('/')")
        await is_here(his, "Bob")
        # Signing out ends her connections, and not his.
        await hers.get_by_role("button", name="Sign out").click()
        await expect(hers.get_by_role("textbox", name="Name")).to_be_visible()
        assert await run(0, SEEN) == ["", "/sign-in", True, "opaqueredirect", 0]
        await is_here(his, "Bob")
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_what_leads_on_and_on_or_to_another_site_is_told(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "09_sign_in")
        code = find_exercise("9").solution["websocket.py"].decode()
        await page.solve()
        for place, told in (
            ("/", "/ redirects more than 20 times"),
            ("https://evil.example/", "/ leads to another site: https://evil.example/"),
        ):
            await page.set("websocket.py", code.replace('"/sign-in"', f'"{place}"'))
            await page.press("Run")
            for number in (0, 1):
                tab = page.place.frame_locator("iframe").nth(number)
                await expect(tab.locator("pre")).to_have_text(told, timeout=MILLISECONDS)
        page.is_well(address)

    live(look)


ECHO = find_exercise("3").solution["websocket.py"].decode()
RECEIVE = "        data = await websocket.receive()\n"
BUSY = "after 2 s the code is still busy here: is there a loop without an end"
# What is written, in place of what, and what is told.
STUCK = {
    "a loop": (RECEIVE, f"{RECEIVE}        while True:\n            pass\n", BUSY),
    "a sleep": (RECEIVE, f"{RECEIVE}        import time\n        time.sleep(60)\n", BUSY),
    "an exit": (
        RECEIVE,
        f"{RECEIVE}        import os\n        os._exit(1)\n",
        "is there an os._exit()?",
    ),
    "a loop at the top": ("app = Quart(__name__)\n", "while True:\n    pass\n", BUSY),
}
BLOCKS = "sum(range(10**15))"  # it neither runs a line nor sleeps, so only silence tells
WRONG = {
    "a syntax error": (
        "async def index():",
        "async def index()",
        "websocket.py, line 11: SyntaxError",
    ),
    "a template that is not there": ('"index.html"', '"page.html"', "TemplateNotFound: page.html"),
    "an exception": (RECEIVE, f"{RECEIVE}        1 / 0\n", "ZeroDivisionError: division by zero"),
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(
            name, marks=pytest.mark.thorough if name == "a loop" else pytest.mark.exhaustive
        )
        for name in STUCK
    ],
)
def test_code_that_never_ends_is_told_and_the_page_goes_on(name, live):
    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        before, after, told = STUCK[name]
        await page.set("websocket.py", ECHO.replace(before, after))
        await page.press("Check")
        await page.says("Checked.")
        verdict = page.place.locator(".verdict")
        await expect(verdict).to_contain_text(told)
        await expect(verdict).to_contain_text("Fix this first: ")
        await page.press("Run")
        await page.says("The app ")
        if name != "a loop at the top":
            await connect(page, "/ws", "hello")
        await page.says("The app was stopped.")
        await expect(verdict).to_contain_text(told)
        await page.solve()
        await page.press("Check")
        await expect(verdict).to_contain_text("All 14 checks pass", timeout=MILLISECONDS)
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_a_call_that_blocks_the_running_app_is_told_and_the_page_goes_on(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        await page.set("websocket.py", ECHO.replace(RECEIVE, f"{RECEIVE}        {BLOCKS}\n"))
        await page.press("Run")
        await page.says("The app is running")
        await connect(page, "/ws", "hello")
        await page.says("The app was stopped.")
        await expect(page.place.locator(".verdict")).to_contain_text("a call that blocks?")
        await page.solve()
        await page.press("Run")
        await page.says("The app is running")
        page.is_well(address)

    live(look)


async def connect(page, path, text):
    """Connect from the first tab, and send a text."""
    frame = await page.place.locator("iframe").first.element_handle()
    tab = await frame.content_frame()
    script = (
        "([path, text]) => { const ws = new WebSocket(path); ws.onopen = () => ws.send(text); }"
    )
    await tab.evaluate(script, [path, text])


@pytest.mark.exhaustive
def test_an_error_is_told_with_its_place_which_leads_to_the_line(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        output = page.place.locator(".output")
        for before, after, told in WRONG.values():
            await page.set("websocket.py", ECHO.replace(before, after))
            await page.press("Check")
            await page.says("Checked.")
            await expect(page.place.locator(".verdict")).to_contain_text(told)
            await page.press("Run")
            await page.says("The app ")
            if "ZeroDivision" in told:
                await connect(page, "/ws", "hello")
            await expect(output).to_contain_text(told.rpartition(": ")[2])
        await output.get_by_role("button").last.click()
        box = page.place.get_by_role("textbox", name="websocket.py")
        await expect(box).to_be_focused()
        line = "box => box.value.slice(0, box.selectionStart).split('\\n').length"
        assert (
            await box.evaluate(line)
            == ECHO.replace(before, after).splitlines().index("        1 / 0") + 1
        )
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_what_is_written_is_kept_and_can_be_taken_along(live, tmp_path):
    async def look(browser, address):
        context = await browser.new_context(accept_downloads=True)
        page = await Page.open(context, address, "03_echo")
        place = page.place
        await page.set("websocket.py", "# mine\n")
        async with page.page.expect_download() as download:
            await page.press("Save as a zip")
        await (await download.value).save_as(tmp_path / "mine.zip")
        again = await Page.open(context, address, "03_echo")
        box = again.place.get_by_role("textbox", name="websocket.py")
        await expect(box).to_have_value("# mine\n")
        # The solution, and back.
        await again.press("Show the solution")
        await expect(box).to_have_value("# mine\n")
        await again.press("Show it")
        await expect(box).to_have_value(ECHO)
        again = await Page.open(context, address, "03_echo")
        box = again.place.get_by_role("textbox", name="websocket.py")
        await expect(box).to_have_value(ECHO)
        await again.press("Back to my files")
        await expect(box).to_have_value("# mine\n")
        await again.press("Start over")
        await again.place.get_by_role("button", name="Start over").last.click()
        await expect(box).not_to_have_value("# mine\n")
        third = await Page.open(context, address, "03_echo")
        box = third.place.get_by_role("textbox", name="websocket.py")
        await expect(box).not_to_have_value("# mine\n")
        await third.place.get_by_label("Load a zip").set_input_files(tmp_path / "mine.zip")
        await expect(box).to_have_value("# mine\n")
        for number in range(3):
            await third.press("Hint")
            await expect(third.place.locator(".hint")).to_have_count(number + 1)
        await expect(place.get_by_role("button", name="Hint")).to_be_enabled()
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_what_is_missing_is_told_in_a_sentence(live, site):
    async def look(browser, address):
        for options, route, told in (
            ({}, "**/pyodide.asm.wasm", "Python could not be loaded"),
            ({}, "**/panel.js", "Python can't be loaded here"),
        ):
            page = await browser.new_page(**options)
            await page.route(route, lambda asked: asked.fulfill(status=404, body="not there"))
            await page.goto(f"{address}/03_echo.html")
            place = page.locator("[data-live]")
            await place.get_by_role("button").click()
            if "panel" not in route:
                await place.get_by_role("button", name="Run").click()
            await expect(place.locator(".state").last).to_contain_text(told, timeout=MILLISECONDS)
            await expect(place).to_contain_text("python3 -m workshop start 3")
        page = await browser.new_page()
        await page.goto((site / "03_echo.html").as_uri())
        await page.locator("[data-live]").get_by_role("button").click()
        await expect(page.locator("[data-live]")).to_contain_text("python3 -m workshop start 3")

    live(look)


@pytest.mark.exhaustive
def test_without_jspi_what_drives_a_page_is_listed_as_not_run(live):
    async def look(browser, address):
        context = await browser.new_context()
        await context.add_init_script(
            "document.addEventListener('DOMContentLoaded', () => {"
            "for (const place of document.querySelectorAll('[data-live]'))"
            " place.dataset.options = '?jspi=0'; })"
        )
        page = await Page.open(context, address, "04_javascript")
        exercise = find_exercise("4")
        told = await page.check(exercise, exercise.solution)
        assert names(told, "failed") == names(told, "later") == set()
        assert "test_html_shows_as_text" in names(told, "skipped")
        assert any("JSPI" in reason for reason in told["verdict"]["skipped"])
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_two_pages_at_once_do_not_disturb_each_other(live):
    async def look(browser, address):
        context = await browser.new_context()
        exercise = find_exercise("5")
        pages = [await Page.open(context, address, exercise.id) for _ in range(2)]
        told = await asyncio.gather(*(page.check(exercise, exercise.solution) for page in pages))
        assert [names(one, "failed") for one in told] == [set(), set()]

    live(look)


@pytest.mark.exhaustive
def test_running_again_and_again_does_not_fill_the_memory(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "05_broadcast")
        await page.solve()
        code = find_exercise("5").solution["websocket.py"].decode()
        sizes = []
        for number in range(11):
            await page.set("websocket.py", f"{code}\n# {number}\n")
            await page.press("Run")
            await page.says("Starting the app")
            await page.says("The app is running")
            sizes.append(await memory(page))
        assert sizes[-1] - sizes[0] < 30e6, sizes

    live(look)


async def memory(page):
    """Bytes of the page's and the worker's memory, as the browser has it."""
    session = await page.page.context.new_cdp_session(page.page)
    await session.send("HeapProfiler.collectGarbage")
    used = (await session.send("Runtime.getHeapUsage"))["usedSize"]
    await session.detach()
    return used + await page.place.evaluate("({ panel }) => panel.python.bytes")


@pytest.mark.thorough
def test_a_check_in_a_page_reports_to_the_board_that_was_joined_there(live):
    board = Served()
    rows = board.board.learners.rows

    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        place, field = page.place, page.place.locator(".board")
        asked = []
        page.page.on("request", lambda r: board.host in r.url and asked.append((r.method, r.url)))

        async def check():
            await place.evaluate("({ panel }) => panel.onCheck()")

        async def says(text):
            status = field.get_by_role("status")
            await expect(status).to_contain_text(text, timeout=MILLISECONDS)

        async def join(code):
            await field.get_by_label("Code").fill(code)
            await page.press("Join")

        await check()
        await field.get_by_text("Report to the board").click()
        for line in reporting.what_is_sent("the name that you type here, or a number"):
            await expect(field.get_by_text(line.removeprefix("- "))).to_be_visible()
        await field.get_by_label("Address").fill(f"http://{board.host}/")
        await field.get_by_label("Name").fill("<b>alice</b>")
        assert asked == [], "something was sent before Join"
        await join("WRONG1")
        await says("the code is wrong")
        await join(CODE)
        await expect(field).to_contain_text(
            f"reports to the board at {board.host}, as <b>alice</b>"
        )
        await check()
        await says("The board has this report.")
        found = rows[1]["exercises"]["03_echo"]
        assert (rows[1]["name"], found["first"], found["runs"]) == (
            *("<b>alice</b>", "a message comes back with echo in front"),
            1,
        )
        sent = json.loads(await field.locator("pre").text_content())
        assert set(sent) == set(reporting.made_of("03_echo", []))
        assert found["passed"] + found["failed"] == len(sent["checks"]) > 10
        # A board that is away holds up no check, and has its report later.
        board.server.stop()
        await page.solve()
        await check()
        await expect(place.locator(".headline")).to_contain_text("03_echo is done")
        await says("No board answers")
        board.server.start()
        await check()
        await says("The board has this report.")
        assert (rows[1]["exercises"]["03_echo"]["runs"], found["done"]) == (3, False)
        assert rows[1]["exercises"]["03_echo"]["done"]
        await page.press("Hand up")
        await says("Your hand is up.")
        assert rows[1]["hand"]
        await page.press("Leave")
        await expect(field.get_by_label("Address")).to_be_visible()
        await says("You have left")
        before = len(asked)
        await check()
        assert (rows, len(asked)) == ({}, before)

    try:
        live(look)
    finally:
        board.server.stop()


@pytest.mark.exhaustive
def test_an_open_exercise_can_be_used_by_everyone(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        await page.set("websocket.py", ECHO.replace("{data}", "{date}"))
        await page.press("Run")
        await page.says("The app is running")
        await page.press("Check")
        await page.says("Checked.")
        await page.press("Hint")
        for scheme in ("light", "dark"):
            await page.page.emulate_media(color_scheme=scheme)
            ratio, kind = await page.page.evaluate(CONTRAST)
            assert ratio >= 4.5, f"{scheme}: hard to read ({ratio:.1f}): {kind}"
        assert await findings(page.page, {"light": ALL_BUT_CONTRAST}) == []
        page.is_well(address)

    live(look)


@pytest.mark.thorough
def test_the_first_page_runs_the_app_at_one_click(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "index")
        assert page.requests_before == 0
        await page.says("The app is running")
        tabs = [page.place.frame_locator("iframe").nth(number) for number in (0, 1)]
        await tabs[0].get_by_role("textbox").fill("hello")
        await tabs[0].get_by_role("button").click()
        await expect(tabs[1].get_by_role("listitem")).to_have_text(["hello"])
        page.is_well(address)

    live(look)


@pytest.mark.exhaustive
def test_once_opened_python_starts_while_the_next_page_is_read(live):
    async def look(browser, address):
        page = await Page.open(browser, address, "03_echo")
        await page.page.goto(f"{address}/04_javascript.html")
        assert await page.place.evaluate("place => place.python === undefined")
        await page.place.scroll_into_view_if_needed()
        started = "document.querySelector('[data-live]').python?.started"
        await page.page.wait_for_function(started, timeout=MILLISECONDS)
        await page.place.get_by_role("button").first.click()
        await page.solve()
        await page.press("Run")
        await page.says("The app is running")
        page.is_well(address)

    live(look)
