"""What a check says of an app in which something goes wrong unseen: the clue that leads to it."""

import asyncio

import pytest

from harness import inprocess, patience
from workshop.outcomes import Check, stuck
from workshop.steps import find_exercise
from workshop.verdict import Verdict

BEGIN = """
import asyncio

from quart import Quart, websocket

app = Quart(__name__)
queues = set()


async def receiving(queue):
    while True:
        message = await websocket.receive()
        for one in queues:
            one.put_nowait(message)


async def sending(queue):
    while True:
        await websocket.send(await queue.get())


@app.websocket("/ws")
async def ws():
    queue = asyncio.Queue()
    queues.add(queue)
    try:
"""
END = """
    finally:
        queues.discard(queue)
"""
RIGHT = "        await asyncio.gather(receiving(queue), sending(queue))"
TASKS = "        both = [asyncio.create_task(one(queue)) for one in (receiving, sending)]\n"
WAITS = f"{TASKS}        await asyncio.wait(both)"
ACCEPTS = "await websocket.accept()\n        asyncio.g"
FIRST_SENDS = "        await sending(queue)\n        await receiving(queue)"
ROOM = "class Room:\n    box = asyncio.Queue()\n\n\napp = "
# What is changed in the right app, and what is then said of a message that doesn't arrive.
CLUES = {
    "since `gather(…)` is not awaited": {"await asyncio.g": ACCEPTS},
    "returned without waiting for its task": {"await asyncio.gather": "asyncio.gather"},
    "(is the client that sent it left out?)": {"in queues:": "in queues - {queue}:"},
    "a task of this client failed: websocket.py, line 14: QueueFull": {
        "asyncio.Queue()": "asyncio.Queue(1)",
        "await queue.get()": "await asyncio.sleep(9)",
        RIGHT: WAITS,
    },
    "is never reached": {RIGHT: FIRST_SENDS},
    "makes one queue that all Room objects share": {
        "await websocket.send": "print",
        "app = ": ROOM,
    },
}


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    monkeypatch.setattr(patience, "DEADLINE", 0.3)  # seconds in which nothing will come


async def what_is_said(folder, code, *messages):
    (folder / "websocket.py").write_text(code, encoding="utf-8")
    app = inprocess.load(folder)
    async with app.test_client().websocket("/ws") as alice:
        for message in messages:
            await alice.send(message)
        for message in messages:
            assert await alice.receive() == message


@pytest.mark.asyncio
async def test_the_right_app_gives_no_clue(tmp_path):
    async with asyncio.timeout(5):
        await what_is_said(tmp_path, BEGIN + RIGHT + END, "one", "two")


@pytest.mark.asyncio
@pytest.mark.parametrize("clue", CLUES)
async def test_a_clue_leads_to_the_cause(clue, tmp_path):
    code = BEGIN + RIGHT + END
    for old, new in CLUES[clue].items():
        assert old in code, old
        code = code.replace(old, new)
    with pytest.raises(AssertionError) as failed:
        await what_is_said(tmp_path, code, "one", "two", "three")
    assert clue in str(failed.value)


def test_a_loop_that_goes_on_reading_is_told_from_one_without_an_end(tmp_path):
    path = tmp_path / "tcp.py"
    path.write_text("while True:\n    line = await reader.readline()\n    f(line)\n\n\n\nx = 1\n")
    assert "tcp.py, line 3: " in stuck(str(path), 3)
    assert "does a loop keep reading" in stuck(str(path), 3)
    assert "is there a loop without an end" in stuck(str(path), 7)


def test_where_the_console_names_the_cause_no_other_is_asked_for():
    sentence = 'the state says "Connecting": does a listener of its "open" event say so?'
    for console, expected in (("", sentence), ("line 3: x is null", sentence.partition(": ")[0])):
        verdict = Verdict(find_exercise("4"))
        verdict.hear(Check("the state changes", "failed", sentence, console=console))
        assert verdict.to_fix()[1][-1] == expected
