import pytest

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("data", [b"\x00\xff\x80", bytes(range(256)) * 100], ids=["short", "long"])
async def test_a_binary_message_comes_back_as_the_same_bytes(app, data):
    async with app.test_client().websocket("/ws") as alice:
        await alice.send(data)
        reply = await alice.receive()
    assert reply == data, f"expected the {len(data)} bytes that were sent, not {reply!r:.60}"


async def test_an_empty_binary_message_comes_back_empty(app):
    async with app.test_client().websocket("/ws") as alice:
        await alice.send(b"")
        reply = await alice.receive()
    assert reply == b"", f"sent an empty binary message: expected it back, but received {reply!r}"


async def test_text_and_bytes_take_turns(app):
    async with app.test_client().websocket("/ws") as alice:
        replies = []
        for data in ("text", b"bytes", "text again"):
            await alice.send(data)
            replies.append(await alice.receive())
    expected = ["echo text", b"bytes", "echo text again"]
    assert replies == expected, f"expected {expected}, but received {replies}"
