import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


async def test_each_tab_shows_how_many_are_online(page, expect):
    note = page.get_by_role("note", name="Who is online")
    await expect(note, "one tab is open, and its note should say so").to_have_text("1 online")
    other = await page.context.new_page()
    await other.goto(page.url)
    for tab in (page, other):
        note = tab.get_by_role("note", name="Who is online")
        await expect(note, "two tabs are open, and both should say so").to_have_text("2 online")
    await other.close()
    note = page.get_by_role("note", name="Who is online")
    await expect(note, "a tab was closed, and the other should say so").to_have_text("1 online")
