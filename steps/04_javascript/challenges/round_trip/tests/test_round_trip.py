import re

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")  # one browser for all of them

# Each message leaves the page so many milliseconds late, as on a slow network.
SLOW_NETWORK = """
const send = WebSocket.prototype.send;
const delays = [60, 10, 120, 30];
WebSocket.prototype.send = function (data) {
  setTimeout(() => send.call(this, data), delays.shift());
};
"""


@pytest.fixture
def say(page, expect):
    """Send messages one after the other; returns what the page says of each and of all."""

    async def say(*texts):
        await page.add_init_script(SLOW_NETWORK)
        await page.reload()
        box = page.get_by_role("textbox", name="Message")
        button = page.get_by_role("button", name="Send")
        items = page.get_by_role("listitem")
        await expect(button, "the button should work once the socket is open").to_be_enabled()
        for number, text in enumerate(texts, 1):
            await box.fill(text)
            await button.click()
            await expect(items, f"{text!r} should come back").to_have_count(number)
        summary = page.get_by_role("note", name="Round trips")
        await expect(summary, "there should be a note with the label 'Round trips'").to_be_visible()
        return await items.all_text_contents(), await summary.text_content()

    return say


def milliseconds(text):
    return [float(number) for number in re.findall(r"([\d.]+) ms", text)]


async def test_each_message_shows_how_long_its_round_trip_took(say):
    items, _ = await say("a", "b", "c")
    for item, delay in zip(items, (60, 10, 120), strict=True):
        took = milliseconds(item)
        assert len(took) == 1, f"a message should show its time, such as '12.3 ms', but is {item!r}"
        assert delay <= took[0] < delay + 1000, (
            f"this message took a little over {delay} ms from send to reply, but shows {item!r}"
        )


async def test_the_page_shows_the_fastest_median_and_slowest_round_trip(say):
    items, summary = await say("a", "b", "c")
    fastest, median, slowest = sorted(milliseconds(" ".join(items))) or (0, 0, 0)
    expected = f"fastest {fastest} ms, median {median} ms, slowest {slowest} ms"
    assert summary == expected, f"the note should say {expected!r}, but says {summary!r}"
