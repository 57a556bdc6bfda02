import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them


@pytest.fixture
def redis_url(redis_server, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_server.url)  # before the app is loaded
    return redis_server.url


@pytest.mark.usefixtures("redis_url")
async def test_a_message_that_could_not_be_stored_is_back_in_the_text_box(
    page, redis_server, expect
):
    box, state = page.get_by_role("textbox", name="Message"), page.get_by_role("status")
    await expect(state, "the page should connect once Redis is found").to_have_text("Connected")
    redis_server.client.config_set("maxmemory", 1)  # so that it stores nothing more
    await box.fill("no room for this")
    await box.press("Enter")
    await expect(state, "the state should say that it is 'Not sent'").to_contain_text("Not sent")
    await expect(box, "what is not sent should be back in the box").to_have_value(
        "no room for this"
    )
    redis_server.client.config_set("maxmemory", 0)
    await box.press("Enter")
    item = page.get_by_role("listitem")
    await expect(item, "now it can be sent").to_have_text(
        ["Not sent: no room for this", "tester no room for this"]
    )
    await expect(state, "and the state is as before").to_have_text("Connected")
