import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them
SEND_ALL = """texts => {
  Math.random = () => 0.1;  // so that it is soon back
  for (const text of texts) {
    document.querySelector("input").value = text;
    document.querySelector("form").requestSubmit();
  }
}"""


@pytest.fixture
def redis_url(redis_server, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_server.url)  # before the app is loaded


@pytest.mark.usefixtures("redis_url")
async def test_more_messages_than_the_server_takes_in_a_second_are_all_stored(page, expect):
    button = page.get_by_role("button", name="Send")
    await expect(button, "the button should work once the socket is open").to_be_enabled()
    texts = [f"message {number}" for number in range(1, 61)]
    await page.evaluate(SEND_ALL, texts)
    await expect(
        page.get_by_role("listitem"),
        "60 messages were typed at once, and the server takes 20 in a second: if it closes the "
        "connection, the page should send the rest again, a few at a time",
    ).to_have_text(texts)
    note = page.get_by_role("note", name="Pending")
    await expect(note, "all messages are stored").to_have_text("0 not stored yet")
