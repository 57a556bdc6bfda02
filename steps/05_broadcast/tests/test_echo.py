import pytest

from harness.failures import why_so

pytestmark = pytest.mark.asyncio


async def test_a_message_comes_back_with_echo_in_front(app):
    test_client = app.test_client()
    data = "bob"
    async with test_client.websocket("/ws") as test_websocket:
        await test_websocket.send(data)
        result = await test_websocket.receive()
    assert result == f"echo {data}", (
        f"sent {data!r}: expected 'echo {data}', but received {result!r}{why_so(result)}"
    )


async def test_every_message_comes_back_in_order(app):
    async with app.test_client().websocket("/ws") as alice:
        for data in ("bob", " Two  spaced ", "bob"):
            await alice.send(data)
        replies = [await alice.receive() for _ in range(3)]
    expected = ["echo bob", "echo  Two  spaced ", "echo bob"]
    assert replies == expected, f"expected {expected}, but received {replies}"


async def test_an_empty_message_comes_back(app):
    async with app.test_client().websocket("/ws") as alice:
        await alice.send("")
        reply = await alice.receive()
    assert reply == "echo ", f"sent an empty message: expected 'echo ', but received {reply!r}"


async def test_an_echo_reaches_only_its_sender(app):
    test_client = app.test_client()
    async with test_client.websocket("/ws") as alice, test_client.websocket("/ws") as bob:
        await bob.send("from bob")
        await alice.send("from alice")
        alices, bobs = await alice.receive(), await bob.receive()
    assert (alices, bobs) == ("echo from alice", "echo from bob"), (
        "bob sent 'from bob' and alice sent 'from alice', at the same time; "
        f"alice received {alices!r}, and bob {bobs!r}: is an answer sent to all clients, or "
        "kept in a variable or a queue that all of them share?"
    )


async def test_the_handler_ends_when_its_client_disconnects(app):
    test_client = app.test_client()
    async with test_client.websocket("/ws") as bob:
        async with test_client.websocket("/ws") as alice:
            await alice.send("hello")
            await alice.receive()
        # Leaving the block waits for her handler to end, and fails if it does not.
        await bob.send("again")
        try:
            await bob.receive()
        except AssertionError as error:
            pytest.fail(f"alice has disconnected, and bob wants an echo, but {error}")


async def test_a_plain_get_is_refused(app):
    response = await app.test_client().get("/ws")
    assert 400 <= response.status_code < 500, (
        f"a plain GET on /ws should be answered with an error such as 400, not {response.status}: "
        "is the route made with @app.websocket?"
    )
