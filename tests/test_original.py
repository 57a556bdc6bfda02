"""What the original tutorial got wrong, where no step's mistake shows it already."""

import asyncio
import re

import pytest
from quart.testing import QuartClient
from repo import STEPS

from harness import inprocess, loading, patience

WAITS_FIRST = """
import asyncio
from quart import Quart, websocket

app = Quart(__name__)
queue = asyncio.Queue()


@app.websocket("/api/v2/ws")
async def ws():
    while True:
        await websocket.send(await queue.get())
"""


def test_await_in_a_plain_function_is_a_syntax_error(tmp_path):
    code = (STEPS[4] / "websocket.py").read_text(encoding="utf-8")
    wrong, places = re.subn(r"(\w+)\.put_nowait\(", r"await \1.put(", code)
    assert places == 1, "step 5 puts messages into its queues in one place"
    (tmp_path / "websocket.py").write_text(wrong, encoding="utf-8", newline="\n")
    line = wrong.partition(".put(")[0].count("\n") + 1
    told = rf"^websocket\.py, line {line}: SyntaxError: 'await' outside async function$"
    with pytest.raises(loading.NotLoaded, match=told):
        loading.load(tmp_path)


@pytest.mark.asyncio
async def test_quarts_test_client_hides_a_handshake_that_nobody_accepts(tmp_path, monkeypatch):
    monkeypatch.setattr(patience, "DEADLINE", 0.3)  # seconds in which nothing will come
    (tmp_path / "websocket.py").write_text(WAITS_FIRST, encoding="utf-8")
    app = inprocess.load(tmp_path)
    # The client of the workshop's tests waits for the handshake, as a real one does.
    with pytest.raises(
        AssertionError, match=r"Quart answers it at the first receive\(\) or send\(\)"
    ):
        async with app.test_client().websocket("/api/v2/ws"):
            pytest.fail("a handshake that nobody accepts lets a client in")
    app.test_client_class = QuartClient
    async with asyncio.timeout(5), app.test_client().websocket("/api/v2/ws") as alice:
        assert not alice.accepted, "nothing has accepted yet, and yet alice is in"
