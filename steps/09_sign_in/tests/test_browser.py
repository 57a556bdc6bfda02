import asyncio
import contextlib
import re

import pytest

from harness.browser import connection_of
from harness.expecting import misspelled

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them

# What an item shows if its text is not the message's.
NO_TEXT = {"", "undefined", "null", "[object Object]", "[object MessageEvent]"}
PARENTS = '[...document.querySelectorAll("li")].map((item) => item.parentElement.localName)'


async def state_of(page, expect):
    state = page.get_by_role("status")
    await expect(state, 'the page should have one element with role="status"').to_have_count(1)
    return state


async def shows(page, expect, *texts):
    """Each text should be in an item of the page's list, once; the order is the page's own."""
    items = page.get_by_role("listitem")
    try:
        for text in texts:
            await expect(items.filter(has_text=text)).to_have_count(1)
    except AssertionError:
        shown = await items.all_text_contents()
        if page.loads > 1:
            problem = await problem_of_button(page)
            why = "the page was loaded again: does a listener of its <form> call preventDefault()?"
            why += f" And {problem}." if problem else ""
        elif not await page.get_by_role("list").count():
            why = "the page has no list, such as <ol>, whose items they could be"
        elif not page.sent and shown:
            why = "an empty text was sent: is the box's .value read before the box is emptied?"
        elif not page.sent and (problem := await problem_of_button(page)):
            why = f"the script has sent nothing: {problem}"
        elif not page.sent:
            why = "the script has sent nothing: does it listen to the submit event of its <form>?"
        elif not all(text in " ".join(str(page.sent).split()) for text in texts):
            problem = await problem_of_button(page)
            why = f"the script has sent {page.sent}: is that the box's .value, by button and Enter?"
            why += f" And {problem}." if problem else ""
        elif not shown and (bare := await text_of_list(page)):
            why = f"{bare!r} is in the list as bare text: an item is an element, such as <li>"
        elif not shown and (parents := await page.evaluate(PARENTS)):
            why = f"the <li> is in a <{parents[0]}>, and not in the list"
        elif not shown:
            why = (
                f"the script sent {page.sent} and received {page.received}, and the list shows "
                '[]: does a listener of the socket\'s "message" event add an element, such as <li>?'
            )
        else:
            hint = ": is the text event.data?" if NO_TEXT & set(shown) else ""
            there = f"received {page.received}, and the list shows {shown}"
            why = f"the script sent {page.sent} and {there}{hint}"
        text = f"the list should show {' and '.join(map(repr, texts))} once each"
        hint = await misspelled(page)
        raise AssertionError(f"what is sent should come back: {text}, but {why}{hint}") from None
    assert await page.get_by_role("list").count(), (
        "the page has no list, such as <ol>, that its items are in"
    )


async def problem_of_button(page):
    button = page.get_by_role("button", name="Send")
    kind = await button.evaluate("button => button.getAttribute('type')")
    if kind in ("button", "reset"):
        return f"a button with type={kind!r} submits no form"
    is_in_one = await button.evaluate("button => Boolean(button.form)")
    return "" if is_in_one else "the button is outside of a <form>, so it submits none"


async def text_of_list(page):
    return (await page.get_by_role("list").first.text_content()).strip()


async def send(page, expect, text):
    box = page.get_by_role("textbox", name="Message")
    button = page.get_by_role("button", name="Send")
    await expect(box, "the page should have a box with the label 'Message'").to_be_visible()
    hint = ': does a listener of the "open" event set its .disabled to false, and not to a text?'
    usable = expect(button, "the button should work once the socket is open", lambda says: hint)
    await usable.to_be_enabled()
    await box.fill(text)
    await button.click()


async def test_the_state_goes_from_connecting_to_connected(page, expect):
    state = await state_of(page, expect)
    sentence = "the state should become 'Connected' once the socket is open"
    connected = expect(state, sentence, why=lambda says: connection_of(page, says))
    await connected.to_contain_text("Connected")
    states = await page.evaluate("states")  # every text the state has had
    said = re.findall("Connecting|Connected", " ".join(states))  # whatever else it says
    assert list(dict.fromkeys(said)) == ["Connecting", "Connected"], (
        f"the state should say 'Connecting…', then 'Connected', but it said {states}"
    )


async def test_typed_text_comes_back_by_button_and_by_enter(page, expect):
    box = page.get_by_role("textbox", name="Message")
    await send(page, expect, "by button")
    await shows(page, expect, "by button")
    sentence = "the box should have the focus again, for the next message: call its focus()"
    await expect(box, sentence).to_be_focused()
    await box.fill(" by  enter ")
    await box.press("Enter")
    await shows(page, expect, "by button", "by enter")
    assert page.sent == ["by button", " by  enter "], (
        "the script should send what was typed, as it is and once each, not "
        f"{' and '.join(map(repr, page.sent))}"
    )
    await expect(box, "the box should be empty once its text is sent").to_have_value("")


async def test_the_button_is_disabled_until_the_socket_is_open(page_at, expect):
    page = await page_at("http://workshop.example/")  # where no socket ever opens
    button = page.get_by_role("button", name="Send")
    await expect(
        button, "nothing can be sent yet: the button should be disabled until the socket is open"
    ).to_be_disabled()
    state = await state_of(page, expect)
    await page.clock.run_for(3000)  # milliseconds that the page believes have passed
    text = await state.text_content()
    assert "Connected" not in text, (
        f"3 s later the socket is still not open, but the state says {text!r}: set it when the "
        "socket's open event fires, not by a timer"
    )
    await expect(button, "the socket is still not open").to_be_disabled()


async def test_html_shows_as_text(page, expect):
    html = "<img src=/static/css/websocket.css onerror=alert(1)> <b>bold</b>"
    await send(page, expect, html)
    item = page.get_by_role("listitem")
    await expect(item, "typed HTML should show as the text it is: see textContent").to_contain_text(
        [html]
    )


async def test_when_the_server_stops_the_page_says_so(page, expect, server):
    button, state = page.get_by_role("button", name="Send"), await state_of(page, expect)
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    await asyncio.to_thread(server.stop)
    await expect(
        state, "a \"close\" listener should set the state to 'Disconnected'"
    ).to_contain_text("Disconnected")
    await expect(
        button, 'nothing can be sent now, so a "close" listener should disable the button'
    ).to_be_disabled()


async def test_the_page_works_by_keyboard_alone(page, expect):
    button = page.get_by_role("button", name="Send")
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    box = page.get_by_role("textbox", name="Message")
    hint = ": use autofocus, which has no effect on a disabled element"
    await expect(box, f"the cursor should be in the box at the start{hint}").to_be_focused()
    await page.keyboard.type("first")
    await page.keyboard.press("Enter")
    await shows(page, expect, "first")
    await page.keyboard.type("second")
    for _ in range(10):  # what else the page has may stand between
        await page.keyboard.press("Tab")
        if await button.evaluate("button => button === document.activeElement"):
            break
    await expect(button, "Tab should lead from the box to the button").to_be_focused()
    await page.keyboard.press("Space")
    await shows(page, expect, "first", "second")


async def test_an_empty_message_is_not_sent(page, expect):
    box, items = page.get_by_role("textbox", name="Message"), page.get_by_role("listitem")
    await send(page, expect, "")
    await box.press("Enter")
    await send(page, expect, "after it")
    after = items.filter(has_text="after it")
    await expect(after, "what is sent should come back").not_to_have_count(0)
    sentence = (
        "an empty message should not be sent (does the box have `required`, or does the script "
        "test its value?): one item should be in the list"
    )
    await expect(items, sentence).to_have_count(1)


async def test_the_newest_message_is_visible_unless_the_reader_has_scrolled_up(page, expect):
    await page.set_viewport_size({"width": 360, "height": 800})
    items = page.get_by_role("listitem")
    box = page.get_by_role("textbox", name="Message")
    long = " and so on" * 20  # so that twelve don't fit into a list, however high it is
    await send(page, expect, f"message 01{long}")
    for number in range(2, 13):
        await box.fill(f"message {number:02}{long}")
        await box.press("Enter")
    await expect(items, "what is sent should come back").to_have_count(12)
    oldest, newest = (items.filter(has_text=f"message {number}") for number in ("01", "12"))
    sentence = (
        "the newest message should be in view: does the script scroll to it, and look where the "
        "reader is before it adds the item?"
    )
    await expect(newest, sentence).to_be_in_viewport()
    lists = page.get_by_role("list")
    scrolls = await lists.count() and await lists.first.evaluate(
        "list => list.scrollHeight > list.clientHeight"
    )
    hint = (
        "does the script scroll only if the list was already at its end?"
        if scrolls
        else "the page scrolls, not the list: the list needs overflow-y, and a limited height on "
        "it or on what it is in (min-height is no limit)"
    )
    await oldest.scroll_into_view_if_needed()
    await send(page, expect, "one more")
    await expect(items, "what is sent should come back").to_have_count(13)
    await expect(
        oldest, f"the reader has scrolled up, so the list should stay where it is: {hint}"
    ).to_be_in_viewport()


@pytest.mark.parametrize(("page_scheme", "ws_scheme"), [("http", "ws"), ("https", "wss")])
async def test_the_script_takes_scheme_and_host_from_the_page(page_at, page_scheme, ws_scheme):
    page = await page_at(f"{page_scheme}://workshop.example:8443/")
    url = await page.evaluate("window.connectedTo")  # what the script gave to new WebSocket()
    expected = f"{ws_scheme}://workshop.example:8443/"
    assert url, "the script of the page opens no WebSocket"
    assert url.startswith(expected), (
        f"from a page at {page.url} the script should connect to {expected}…, not to {url}: "
        "location.protocol is 'http:' or 'https:', with the colon, and location.host has the port"
    )


async def test_the_console_shows_no_error(page, expect, console_errors):
    await expect(page.get_by_role("heading"), "the page should have a heading").not_to_have_count(0)
    # The socket opens soon after the page is there, and what goes wrong, goes wrong then.
    with contextlib.suppress(AssertionError):
        await expect(page.get_by_role("button", name="Send")).to_be_enabled()
    assert console_errors == [], f"the console should show no error, but shows {console_errors}"
    await send(page, expect, "hello")
    hello = page.get_by_role("listitem").filter(has_text="hello")
    await expect(hello, "what is sent should come back").not_to_have_count(0)
    assert console_errors == [], f"the console should show no error, but shows {console_errors}"
