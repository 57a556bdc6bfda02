"""What the original tutorial got wrong, where no step's mistake shows it already."""

import asyncio
import re

import pytest
from quart import Quart, websocket
from repo import STEPS

from harness import loading


def test_await_in_a_plain_function_is_a_syntax_error(tmp_path):
    code = (STEPS[4] / "websocket.py").read_text(encoding="utf-8")
    wrong, places = re.subn(r"(\w+)\.put_nowait\(", r"await \1.put(", code)
    assert places == 1, "step 5 puts messages into its queues in one place"
    (tmp_path / "websocket.py").write_text(wrong, encoding="utf-8", newline="\n")
    told = r"websocket\.py, line \d+: SyntaxError: 'await' outside async function"
    with pytest.raises(loading.NotLoaded, match=told):
        loading.load(tmp_path)


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
