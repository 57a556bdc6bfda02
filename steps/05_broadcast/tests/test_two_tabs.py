import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def test_two_tabs_hear_each_other_and_a_post(page, expect):
    other = await page.context.new_page()
    await other.goto(page.url)
    for tab in (page, other):
        await expect(tab.get_by_role("status")).to_have_text("Connected")
    for speaker, text in ((page, "from one tab"), (other, "from the other")):
        await speaker.get_by_role("textbox", name="Message").fill(text)
        await speaker.get_by_role("button", name="Send").click()
        for tab in (page, other):
            await expect(tab.get_by_role("listitem").last).to_have_text(text)
    response = await page.request.post(f"{page.url}api/v2/messages", data="from a POST")
    assert response.status == 204
    for tab in (page, other):
        await expect(tab.get_by_role("listitem").last).to_have_text("from a POST")
