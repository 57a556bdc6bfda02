import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def test_two_tabs_show_each_others_messages_and_a_post(page, expect):
    other = await page.context.new_page()
    await other.goto(page.url)
    for tab in (page, other):
        await expect(tab.get_by_role("status"), "a tab should connect").to_contain_text("Connected")

    async def both_show(text):
        for tab in (page, other):
            items = tab.get_by_role("listitem").filter(has_text=text)
            where = (
                f"each tab connects to {page.sockets[0].url}: is that the address that broadcasts?"
            )
            await expect(items, f"both tabs should show {text!r} once ({where})").to_have_count(1)

    for speaker, text in ((page, "from one tab"), (other, "from the other")):
        await speaker.get_by_role("textbox", name="Message").fill(text)
        await speaker.get_by_role("button", name="Send").click()
        await both_show(text)
    await page.request.post(f"{page.url}api/v2/messages", data="from a POST")
    await both_show("from a POST")
