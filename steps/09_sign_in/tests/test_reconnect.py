import re

import pytest
import pytest_asyncio

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them
MISSING = re.compile("missing")


@pytest_asyncio.fixture(loop_scope="session")
async def tab(page, expect):
    """What a test does with the page and expects of it, in words."""
    await page.evaluate("Math.random = () => 0.1")  # so that it is soon back
    return Tab(page, expect)


class Tab:
    def __init__(self, page, expect):
        self.page, self.expect = page, expect
        self.box = page.get_by_role("textbox", name="Message")
        self.button = page.get_by_role("button", name="Send")
        self.state = page.get_by_role("status")
        self.items = page.get_by_role("listitem")

    async def says(self, text):
        await self.expect(self.state, f"the state should say {text!r}").to_contain_text(text)

    async def shows(self, texts, why):
        texts = [text if text == MISSING else f"tester {text}" for text in texts]
        await self.expect(self.items, why).to_have_text(texts)

    async def post(self, text):
        await self.page.request.post(f"{self.page.url}api/v2/messages", data=text)


async def test_the_page_reconnects_by_itself_and_catches_up(tab, server):
    await tab.says("Connected")
    await tab.post("before")
    await tab.shows(["before"], "a POST should show")
    server.leave()
    await tab.says("Disconnected")
    await tab.post("one")
    await tab.post("two")
    server.come_back()
    await tab.says("Connected")
    await tab.post("after")
    texts = ["before", "one", "two", "after"]
    await tab.shows(texts, "what was said while the page was away should show, once and in order")


@pytest.fixture
def redis_url(redis_server, monkeypatch):
    monkeypatch.setenv("REDIS_URL", redis_server.url)  # before the app is loaded


async def test_a_gap_is_marked(redis_url, tab, redis_server):
    await tab.says("Connected")
    await tab.post("before")
    await tab.shows(["before"], "a POST should show")
    redis_server.client.delete("workshop:messages", "workshop:log")  # but nobody is signed out
    await tab.shows(["before", MISSING], "a gap should be marked by an item with 'missing' in it")
    await tab.post("after")
    await tab.shows(["before", MISSING, "after"], "messages should go on after the gap")


async def test_text_typed_while_disconnected_is_not_lost(tab, server):
    await tab.says("Connected")
    server.leave()
    await tab.says("Disconnected")
    await tab.box.fill("typed while away")
    await tab.box.press("Enter")
    server.come_back()
    await tab.says("Connected")
    await tab.expect(tab.box, "what was typed while away should still be in the box").to_have_value(
        "typed while away"
    )
    await tab.button.click()
    await tab.shows(["typed while away"], "what was typed while away can be sent now")


WAITS = """
(random) => {
  const waits = [];
  Math.random = () => random;
  window.setTimeout = (again, milliseconds) => {
    waits.push(milliseconds / 1000);
    again();
  };
  for (let count = 1; count <= 10 && sockets.length === count; count++) {
    sockets.at(-1).dispatchEvent(new CloseEvent("close"));
  }
  return waits;
}
"""


async def test_the_page_waits_longer_before_each_attempt_and_for_a_random_time(page_at):
    first, second = [
        await (await page_at("http://workshop.example/")).evaluate(WAITS, random)
        for random in (0.3, 0.9)  # what Math.random() says on the one page, and on the other
    ]
    assert len(first) == 10, f"the page should try again each time, but waited {first} s"
    assert first[3] >= 7 * first[0], f"each wait should be twice the last (back-off): {first} s"
    assert max(second) <= 60, f"the page should not wait over a minute, but waits {second} s"
    assert first[-1] != second[-1], f"two pages wait the same {first} s: jitter needs Math.random()"


async def test_after_reconnecting_the_page_waits_only_briefly_again(page_at):
    page = await page_at("http://workshop.example/")
    waits = await page.evaluate(
        f"""() => {{
          const waits = ({WAITS})(0.5);
          const data = JSON.stringify({{ log: "a", last: 0, gap: null }});
          sockets.at(-1).dispatchEvent(new MessageEvent("message", {{ data }}));
          sockets.at(-1).dispatchEvent(new CloseEvent("close"));
          return waits;
        }}"""
    )
    assert waits, "the page does not connect again when its socket closes"
    assert waits[-1] <= waits[0], (
        f"it was connected, and then waits {waits[-1]} s to come back: does it count its tries "
        "from 0 again once it is connected?"
    )


async def test_the_state_is_announced_only_when_it_changes(page_at):
    page = await page_at("http://workshop.example/")
    changes = await page.evaluate(
        f"""() => {{
          const observer = new MutationObserver(() => {{}});
          const state = document.querySelector("[role=status]");
          observer.observe(state, {{ subtree: true, childList: true, characterData: true }});
          ({WAITS})(0.5);
          return observer.takeRecords().length;
        }}"""
    )
    assert changes == 1, (
        f"the page tried ten times to connect, and its state changed {changes} times: "
        "screen readers announce each change, even one to the same text"
    )
