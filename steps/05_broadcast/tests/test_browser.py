import asyncio

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def send(page, text):
    await page.get_by_role("textbox", name="Message").fill(text)
    await page.get_by_role("button", name="Send").click()


async def test_the_state_goes_from_connecting_to_connected(page, expect):
    await expect(page.get_by_role("status")).to_have_text("Connected")
    states = await page.evaluate("states")  # every text the state has had
    assert states == ["Connecting…", "Connected"]


async def test_what_is_typed_comes_back_by_button_and_by_enter(page, expect):
    await send(page, "by button")
    await expect(page.get_by_role("listitem")).to_contain_text(["by button"])
    await page.get_by_role("textbox", name="Message").fill("by enter")
    await page.get_by_role("textbox", name="Message").press("Enter")
    await expect(page.get_by_role("listitem")).to_contain_text(["by button", "by enter"])
    await expect(page.get_by_role("textbox", name="Message")).to_have_value("")


async def test_html_shows_as_text(page, expect):
    html = "<img src=/nowhere onerror=alert(1)> <b>bold</b>"
    await send(page, html)
    await expect(page.get_by_role("listitem")).to_contain_text([html])
    assert await page.locator("li *").count() == 0, "typed HTML became elements: use textContent"


async def test_when_the_server_goes_the_page_says_so(page, expect, server):
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await asyncio.to_thread(server.stop)
    await expect(page.get_by_role("status")).to_contain_text("Disconnected")
    await expect(page.get_by_role("button", name="Send")).to_be_disabled()


async def test_the_page_works_by_keyboard_alone(page, expect):
    await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    await page.keyboard.press("Tab")
    await page.keyboard.type("first")
    await page.keyboard.press("Enter")
    await page.keyboard.type("second")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(page.get_by_role("listitem")).to_contain_text(["first", "second"])


@pytest.mark.parametrize("page_scheme, ws_scheme", [("http", "ws"), ("https", "wss")])
async def test_the_script_takes_scheme_and_host_from_the_page(page_at, page_scheme, ws_scheme):
    page = await page_at(f"{page_scheme}://workshop.example:8443/")
    url = await page.evaluate("connectedTo")  # what the script gave to new WebSocket()
    assert url.startswith(f"{ws_scheme}://workshop.example:8443/"), f"the script connects to {url}"


async def test_the_console_shows_no_error(page, expect, console_errors):
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await send(page, "hello")
    await expect(page.get_by_role("listitem")).to_contain_text(["hello"])
    assert console_errors == []
