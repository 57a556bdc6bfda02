"""Make the pictures of the docs from the real steps in a real browser.

Usage: python docs/pictures.py
"""

import asyncio
import runpy
import sys
from pathlib import Path

from playwright.async_api import async_playwright, expect

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / "docs/pictures"
testing = runpy.run_path(str(ROOT / "steps/conftest.py"), run_name="conftest")

TWO_TABS = """
<style>
  body { margin: 0; padding: 12px; display: flex; gap: 12px; background: #d0d7de }
  iframe { flex: 1; height: 296px; border: 0; border-radius: 8px; background: white }
</style>
<iframe src="URL" title="one tab"></iframe><iframe src="URL" title="another tab"></iframe>
"""


async def two_tabs(browser):
    """Two tabs of step 5 and what their people and a POST have said."""
    server = testing["LiveServer"](testing["load"](ROOT / "steps/05_broadcast"))
    server.start()
    page = await browser.new_page(viewport={"width": 900, "height": 320}, device_scale_factor=2)
    # From the server's own address, so that the frames may connect to it.
    await page.route(
        "**/two-tabs", lambda route: route.fulfill(body=html, content_type="text/html")
    )
    html = TWO_TABS.replace("URL", server.url)
    await page.goto(f"{server.url}two-tabs")
    one, another = (page.frame_locator("iframe").nth(number) for number in (0, 1))
    for tab in (one, another):
        await expect(tab.get_by_role("status")).to_have_text("Connected")
    for tab, text in ((one, "Hello from this tab!"), (another, "And hello from the other one.")):
        await tab.get_by_role("textbox", name="Message").fill(text)
        await tab.get_by_role("button", name="Send").click()
        await expect(one.get_by_role("listitem").last).to_have_text(text)
    await page.request.post(f"{server.url}api/v2/messages", data="A POST reaches both.")
    for tab in (one, another):
        await expect(tab.get_by_role("listitem")).to_have_count(3)
    await page.screenshot(path=PICTURES / "two_tabs.png")
    server.stop()


async def main():
    async with async_playwright() as playwright:
        browser = await testing["launch_browser"](playwright)
        if browser is None:
            sys.exit(testing["NO_BROWSER"])
        await two_tabs(browser)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
