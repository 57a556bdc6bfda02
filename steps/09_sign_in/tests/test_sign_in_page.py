import asyncio

import pytest

from harness.sign_in import SETTINGS, fields

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them
WORD = SETTINGS["QUART_CLASS_WORD"]


async def signed_in(page, expect, url, name="Alice"):
    """Sign in by the form, with the keyboard."""
    await page.goto(url)
    box = page.get_by_role("textbox", name="Name")
    await expect(box, "a stranger should come to a form with a box labelled Name").to_be_visible()
    await expect(box, "the cursor should be in the box for the name").to_be_focused()
    await page.keyboard.type(name)
    await page.keyboard.press("Tab")
    await page.keyboard.type(WORD)
    await page.keyboard.press("Enter")
    state = page.get_by_role("status")
    sentence = "after the form, the page should be there, and connect"
    await expect(state, sentence).to_have_text("Connected")


async def is_at_the_form(page, expect, why):
    await expect(page.get_by_role("textbox", name="Name"), why).to_be_visible()


async def test_the_form_leads_to_the_page_which_names_the_author(context, server, expect):
    page = await context.new_page()
    await signed_in(page, expect, server.url)
    await page.get_by_role("textbox", name="Message").fill("hello")
    await page.keyboard.press("Enter")
    item = page.get_by_role("listitem")
    await expect(item, "a message should show with its author").to_have_text("Alice hello")


async def test_the_wrong_word_is_told_and_the_name_is_kept(context, server, expect):
    page = await context.new_page()
    await page.goto(server.url)
    await page.get_by_role("textbox", name="Name").fill("Alice")
    await page.get_by_label("Class word").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    alert = page.get_by_role("alert")
    await expect(alert, "the form should say that the word is wrong").to_contain_text("word")
    box = page.get_by_role("textbox", name="Name")
    await expect(box, "the name should still be in its box").to_have_value("Alice")


async def test_signing_out_leads_every_tab_of_this_person_to_the_form(context, server, expect):
    page, other = await context.new_page(), await context.new_page()
    await signed_in(page, expect, server.url)
    await other.goto(server.url)
    await expect(other.get_by_role("status"), "a second tab is signed in, too").to_have_text(
        "Connected"
    )
    await page.get_by_role("button", name="Sign out").click()
    await is_at_the_form(page, expect, "after signing out, the form should be there")
    await is_at_the_form(other, expect, "the other tab should show the form, too: see code 3000")


async def test_a_page_whose_session_is_gone_leads_to_the_form(context, server, expect):
    page = await context.new_page()
    await page.add_init_script("Math.random = () => 0.1")  # so that it is soon back
    await signed_in(page, expect, server.url)
    await asyncio.to_thread(server.start_again)  # which forgets who was signed in
    await is_at_the_form(
        page, expect, "each handshake is refused now, so the page should find out why"
    )


HOLD_TIMERS = "window.held = []; window.setTimeout = (call) => held.push(call);"
LET_GO = "for (const call of window.held.splice(0)) call();"


async def test_a_page_that_was_away_says_who_is_signed_in_now(context, server, expect):
    page = await context.new_page()
    await page.add_init_script(HOLD_TIMERS)  # so that it is not back too soon
    await signed_in(page, expect, server.url)
    await asyncio.to_thread(server.start_again)  # which forgets who was signed in
    state = page.get_by_role("status")
    await expect(state, "the server has ended").to_contain_text("Disconnected")
    await context.request.post(server.url + "sign-in", form=fields("Bob"))  # as in another tab
    await page.evaluate(LET_GO)
    why = "the browser's cookie is Bob's now, and the page should say so once it is back"
    await expect(page.get_by_text("Bob").first, why).to_be_visible()


HEARD = """
url => new Promise((resolve) => {
  const ws = new WebSocket(url);
  ws.onmessage = (event) => resolve(event.data);
  ws.onclose = (event) => resolve(event.code);
})
"""


async def test_a_page_of_another_port_cannot_ride_on_the_cookie(context, server, expect):
    page, foreign = await context.new_page(), await context.new_page()
    await signed_in(page, expect, server.url)
    # The same site, so the browser sends the cookie: a site has no port.
    await foreign.route("**/*", lambda route: route.fulfill(body="<h1>Free kittens</h1>"))
    await foreign.goto("http://127.0.0.1:9/")
    heard = await foreign.evaluate(HEARD, server.url.replace("http", "ws") + "api/v3/ws")
    assert heard == 1006, f"a foreign page connects with the cookie, and hears {heard}"
