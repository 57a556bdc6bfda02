"""What the original tutorial got wrong, where no step's mistake shows it already."""

import asyncio

import pytest
from quart import Quart, websocket


def test_await_in_a_plain_function_is_a_syntax_error():
    with pytest.raises(SyntaxError, match="'await' outside async function"):
        compile("def broadcast(message):\n    await queue.put(message)\n", "websocket.py", "exec")


@pytest.mark.asyncio
async def test_quarts_test_client_hides_a_handshake_that_nobody_accepts():
    app = Quart(__name__)
    queue = asyncio.Queue()

    @app.websocket("/api/v2/ws")
    async def ws():
        while True:
            await websocket.send(await queue.get())

    async with asyncio.timeout(5):
        async with app.test_client().websocket("/api/v2/ws") as alice:
            # A real client would still be waiting: nothing has accepted yet.
            assert not alice.accepted
            queue.put_nowait("the first message")
            assert await alice.receive() == "the first message"
            assert alice.accepted
