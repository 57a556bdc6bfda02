import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def test_the_page_sends_no_message_that_would_be_refused(page, expect):
    box, items = page.get_by_role("textbox", name="Message"), page.get_by_role("listitem")
    await expect(page.get_by_role("status"), "the page should connect").to_have_text("Connected")
    await box.press("Enter")
    await box.focus()
    await page.keyboard.insert_text("€" * 5000)
    await box.press("Enter")
    await expect(items, "an empty message stays here, a long one is cut").to_have_count(1)
    states = await page.evaluate("states")
    assert states[-1] == "Connected", f"the page has sent what the server refuses: {states}"
