import asyncio
import contextlib

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def send(page, expect, text):
    box = page.get_by_role("textbox", name="Message")
    button = page.get_by_role("button", name="Send")
    await expect(box, "the page should have a box with the label 'Message'").to_be_visible()
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    await box.fill(text)
    await button.click()


async def test_the_state_goes_from_connecting_to_connected(page, expect):
    state = page.get_by_role("status")
    await expect(state, "the state should become 'Connected' once the socket is open").to_have_text(
        "Connected"
    )
    states = await page.evaluate("states")  # every text the state has had
    assert states == ["Connecting…", "Connected"], (
        f"the state should say 'Connecting…', then 'Connected', but it said {states}"
    )


async def test_what_is_typed_comes_back_by_button_and_by_enter(page, expect):
    box, items = page.get_by_role("textbox", name="Message"), page.get_by_role("listitem")
    await send(page, expect, "by button")
    await expect(items, "what is sent by the button should come back").to_contain_text(
        ["by button"]
    )
    await expect(box, "the box should have the focus again, for the next message").to_be_focused()
    await box.fill("by enter")
    await box.press("Enter")
    await expect(
        items, "what is sent by Enter should come back, after what was there"
    ).to_contain_text(["by button", "by enter"])
    await expect(box, "the box should be empty once its text is sent").to_have_value("")


async def test_the_button_is_disabled_until_the_socket_is_open(page_at, expect):
    page = await page_at("http://workshop.example/")  # where no socket ever opens
    button = page.get_by_role("button", name="Send")
    await expect(
        button, "nothing can be sent yet, so the button should be disabled"
    ).to_be_disabled()


async def test_html_shows_as_text(page, expect):
    html = "<img src=/nowhere onerror=alert(1)> <b>bold</b>"
    await send(page, expect, html)
    item = page.get_by_role("listitem")
    await expect(item, "typed HTML should show as the text it is: see textContent").to_contain_text(
        [html]
    )


async def test_when_the_server_goes_the_page_says_so(page, expect, server):
    button, state = page.get_by_role("button", name="Send"), page.get_by_role("status")
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    await asyncio.to_thread(server.stop)
    await expect(
        state, "the state should say 'Disconnected' when the socket closes"
    ).to_contain_text("Disconnected")
    await expect(
        button, "nothing can be sent now, so the button should be disabled"
    ).to_be_disabled()


async def test_the_page_works_by_keyboard_alone(page, expect):
    button, items = page.get_by_role("button", name="Send"), page.get_by_role("listitem")
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    await page.keyboard.type("first")
    await page.keyboard.press("Enter")
    await page.keyboard.type("second")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    await expect(
        items, "the cursor should be in the box at the start, and Tab should lead to the button"
    ).to_contain_text(["first", "second"])


async def test_an_empty_message_is_not_sent(page, expect):
    box, items = page.get_by_role("textbox", name="Message"), page.get_by_role("listitem")
    await send(page, expect, "")
    await box.press("Enter")
    await send(page, expect, "after it")
    await expect(items, "an empty message should not be sent").to_have_count(1)


async def test_the_newest_message_is_in_view_unless_the_reader_has_scrolled_up(page, expect):
    await page.set_viewport_size({"width": 360, "height": 300})
    items = page.get_by_role("listitem")
    for number in range(1, 13):
        await send(page, expect, f"message {number}")
        await expect(items, "what is sent should come back").to_have_count(number)
    await expect(items.last, "the newest message should be in view").to_be_in_viewport()
    await items.first.scroll_into_view_if_needed()
    await send(page, expect, "one more")
    await expect(items, "what is sent should come back").to_have_count(13)
    await expect(
        items.first, "the reader has scrolled up, so the list should stay where it is"
    ).to_be_in_viewport()


@pytest.mark.parametrize(("page_scheme", "ws_scheme"), [("http", "ws"), ("https", "wss")])
async def test_the_script_takes_scheme_and_host_from_the_page(page_at, page_scheme, ws_scheme):
    page = await page_at(f"{page_scheme}://workshop.example:8443/")
    url = await page.evaluate("window.connectedTo")  # what the script gave to new WebSocket()
    expected = f"{ws_scheme}://workshop.example:8443/"
    assert url, "the script of the page opens no WebSocket"
    assert url.startswith(expected), (
        f"from a page at {page.url} the script should connect to {expected}…, not to {url}"
    )


async def test_the_console_shows_no_error(page, expect, console_errors):
    await expect(page.get_by_role("heading")).to_be_visible()
    # The socket opens soon after the page is there, and what goes wrong, goes wrong then.
    with contextlib.suppress(AssertionError):
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert console_errors == [], f"the console should show no error, but shows {console_errors}"
    await send(page, expect, "hello")
    await expect(page.get_by_role("listitem")).to_contain_text(["hello"])
    assert console_errors == [], f"the console should show no error, but shows {console_errors}"
