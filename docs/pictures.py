"""Make the pictures of the docs from the real steps and the real board, in a real browser.

Usage: python docs/pictures.py

Each picture holds the text of the page that it shows, so that a test can tell whether the page is
still the same, also on a machine with other fonts.
"""

import asyncio
import functools
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.async_api import async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/pictures"
sys.path += [str(ROOT), str(ROOT / "docs")]

from panel import LISTEN, Panel
from websockets.asyncio.client import connect

from harness import inprocess
from harness.browser import NO_BROWSER, launch
from harness.live_server import LiveServer
from workshop import labs, reporting
from workshop.board.app import Board, create_app
from workshop.board.learners import Learners
from workshop.board.serving import settings
from workshop.checking import Check
from workshop.steps import find_exercise, write_files

TWO_TABS = """
<!doctype html><html lang="en"><title>Two tabs</title>
<style>
  body { margin: 0; padding: 12px; display: flex; gap: 12px; background: #d0d7de }
  iframe { flex: 1; height: 296px; border: 0; border-radius: 8px; background: white }
</style>
<iframe src="URL" title="one tab"></iframe><iframe src="URL" title="another tab"></iframe>
"""


async def send(tab, text):
    """Type a message and send it."""
    await tab.get_by_role("textbox", name="Message").fill(text)
    await tab.get_by_role("button", name="Send").click()


async def one_page(page, server):
    """A step's page and, if it can send, two messages."""
    await page.set_viewport_size({"width": 640, "height": 150})
    await page.goto(server.url)
    if await page.get_by_role("button").count():
        await page.set_viewport_size({"width": 640, "height": 260})
        await expect(page.get_by_role("status")).to_have_text("Connected")
        for number, text in enumerate(("hello", "is anybody there?"), 1):
            await send(page, text)
            await expect(page.get_by_role("listitem")).to_have_count(number)
    return await shown(page.locator("body"))


async def shown(body):
    """The text of a page, and how wide its heading is, which tells one font from another."""
    width = await body.locator("h1").evaluate(
        "h1 => { const range = document.createRange(); range.selectNodeContents(h1); "
        "return range.getBoundingClientRect().width; }"
    )
    return await body.inner_text(), f"{width:.1f}"


async def gap(page, server):
    """The page of step 6 when its server has started again, with an empty log."""
    await page.set_viewport_size({"width": 640, "height": 330})
    await page.goto(server.url)
    messages = page.get_by_role("listitem")
    await expect(page.get_by_role("status")).to_have_text("Connected")
    for number, text in enumerate(("Is anybody there?", "Yes, everyone."), 1):
        await send(page, text)
        await expect(messages).to_have_count(number)
    await asyncio.to_thread(server.start_again)
    await expect(messages).to_have_count(3)
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await send(page, "And we are back.")
    await expect(messages).to_have_count(4)
    return await shown(page.locator("body"))


async def two_tabs(page, server):
    """Two tabs of step 5 and what their people and a POST have said."""
    await page.set_viewport_size({"width": 900, "height": 320})
    html = TWO_TABS.replace("URL", server.url)
    # From the server's own address, so that the frames may connect to it.
    await page.route(
        "**/two-tabs", lambda route: route.fulfill(body=html, content_type="text/html")
    )
    await page.goto(f"{server.url}two-tabs")
    tabs = [page.frame_locator("iframe").nth(number) for number in (0, 1)]
    for tab in tabs:
        await expect(tab.get_by_role("status")).to_have_text("Connected")
    for tab, text in zip(
        tabs, ("Hello from this tab!", "And hello from the other one."), strict=True
    ):
        await send(tab, text)
        await expect(tabs[0].get_by_role("listitem").last).to_have_text(text)
    await page.request.post(f"{server.url}api/v2/messages", data="A POST reaches both.")
    for tab in tabs:
        await expect(tab.get_by_role("listitem")).to_have_count(3)
    return await shown(tabs[0].locator("body"))


LESSON = 1767608100  # when the lesson in the pictures of the board begins, in seconds since 1970
NAMES = (
    *("alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"),
    *("ken", "laura", "mike", "nina", "olivia", "peggy", "quinn", "rupert", "sybil", "trent"),
    *("ursula", "victor", "wendy", "xavier", "yves", "zoe", "anna", "ben", "clara", "dora"),
)
# Where each learner is, in turn: the step, and which of its own checks fails first, if any does.
WHERE = [(3, 1), (4, None), (3, 0), (5, 3), (3, 1), (2, 0), (4, 2), (3, None), (5, 3), (3, 1)]


def class_of(size):
    """The app of a board with a class of that size, which is in the middle of a lesson."""
    learners = Learners()
    for number, name in enumerate(NAMES[:size]):
        learner, token = learners.join(name)
        learners.rows[learner]["joined"] = LESSON
        step, first = WHERE[number % len(WHERE)]
        for done in range(1, step):
            learners.buckets.clear()  # a lesson in a moment
            learners.report(token, found(done, None, LESSON + 600 * done))
        for again in range(1 + number % 4):
            learners.report(token, found(step, first, LESSON + 600 * step + 60 * again))
        learners.hand(token, number in (2, 5))
    app = create_app(Board("K7M2QX", learners.rows.values(), address="192.168.1.20:5050"))
    app.settings, app.errors = settings(), []
    return app


def found(step, first, when):
    """The report of a check of a step, of whose own checks one fails or none."""
    exercise = find_exercise(str(step))
    words = [name.removeprefix("test_").replace("_", " ") for name in sorted(exercise.own_tests)]
    checks = [Check(each, "failed" if i == first else "passed") for i, each in enumerate(words)]
    return {**reporting.made_of(exercise.id, checks), "time": when}


async def board(page, server, height):
    """The board's page, as a projector shows it."""
    await page.set_viewport_size({"width": 1280, "height": height})
    await page.goto(f"{server.url}#K7M2QX")
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_role("rowheader", name="hand up")).to_have_count(2)
    return await shown(page.locator("header"))


def app_of_lab(number):
    """The app of a lab, whose slow network is even slower, so that there is time for a picture."""
    files = labs.find_lab(number).files()
    files["websocket.py"] = files["websocket.py"].replace(b"sleep(0.2)", b"sleep(1)")
    place = tempfile.TemporaryDirectory()
    app = inprocess.load(write_files(files, Path(place.name) / "websocket"))
    app.place = place  # which is there as long as the app is
    return app


async def watched(page, server):
    """A connected page of a step or a lab, and the panel beside it."""
    panel = Panel()
    await panel.watch(page)
    await page.add_init_script("Math.random = () => 0.5")  # how long the page waits
    await page.goto(server.url)
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await page.evaluate(LISTEN)
    return panel


async def draw(panel, page, height):
    """Show a panel in place of the page that it is of."""
    await page.set_viewport_size({"width": 760, "height": height})
    await page.set_content(panel.page())
    body = page.locator("body")
    _, font = await shown(body)
    lines = await body.locator("h1, h2, p").all_inner_texts()
    return "\n".join(lines), font


async def panel_of_step(page, server):
    """The panel of a page that sends two messages, of which the second breaks a rule."""
    panel = await watched(page, server)
    await page.evaluate("ws.send('hello')")
    await expect(page.get_by_role("listitem")).to_have_count(1)
    await page.evaluate("ws.send('')")
    while len(panel.frames()) < 3:  # the third says where it resumes
        await page.wait_for_timeout(20)
    return await draw(panel, page, 320)


async def panel_of_lab(page, server):
    """The panel of a page that reconnects while alice writes."""
    panel = await watched(page, server)
    messages = page.get_by_role("listitem")
    async with connect(f"ws://{server.host}/api/v3/ws", proxy=None) as alice:
        await alice.send("one")
        await expect(messages).to_have_count(1)
        await page.evaluate("ws.close()")
        await alice.send("two")
        while len(panel.frames()) < 3:  # and now it is sent what it missed
            await page.wait_for_timeout(20)
        await alice.send("three")
        await expect(messages).to_have_count(2)
        await alice.send("four")
        await expect(messages).to_have_count(3)
    return await draw(panel, page, 320)


SCENES = {
    "step_1": ("01_structure", one_page),
    "step_2": ("02_install", one_page),
    "step_3": ("03_echo", one_page),
    "step_4": ("04_javascript", one_page),
    "two_tabs": ("05_broadcast", two_tabs),
    "gap": ("06_resume", gap),
    "board": (functools.partial(class_of, 8), functools.partial(board, height=330)),
    "board_30": (functools.partial(class_of, 30), functools.partial(board, height=720)),
    "panel": ("07_harden", panel_of_step),
    "panel_lab_6": (functools.partial(app_of_lab, "6"), panel_of_lab),
}


async def make(browser):
    """Make all pictures: yields the name of each, its PNG in bytes, its text, and its font."""
    for name, (what, scene) in SCENES.items():
        load = what if callable(what) else functools.partial(inprocess.load, ROOT / "steps" / what)
        server = LiveServer(load(), load)
        server.start()
        context = await browser.new_context(
            device_scale_factor=2, color_scheme="light", locale="en-GB", timezone_id="UTC"
        )
        page = await context.new_page()
        text, font = await scene(page, server)
        await page.evaluate("document.activeElement.blur()")
        yield name, await page.screenshot(caret="hide"), text, font
        await context.close()
        await asyncio.to_thread(server.stop)


def share_that_differs(one, other):
    """The share of pixels, from 0 to 1, that differ clearly between two pictures (PNG bytes)."""
    from PIL import ImageChops

    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png in (one, other)]
    if pictures[0].size != pictures[1].size:
        return 1.0
    bands = ImageChops.difference(*pictures).split()
    histogram = ImageChops.lighter(ImageChops.lighter(*bands[:2]), bands[2]).histogram()
    return sum(histogram[48:]) / sum(histogram)


async def main():
    """Write all pictures."""
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        if browser is None:
            sys.exit(NO_BROWSER)
        async for name, png, text, font in make(browser):
            about = PngInfo()
            about.add_itxt("shows", text)
            about.add_itxt("font", font)
            picture = Image.open(io.BytesIO(png)).quantize(64)
            picture.save(PICTURES / f"{name}.png", pnginfo=about, optimize=True)
            print(f"docs/pictures/{name}.png")
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
