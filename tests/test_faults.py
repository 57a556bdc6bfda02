"""The fault lab: each bad client is played to its end, and what it tells is what happened.

What `huge`, `foreign` and, at step 5, `flood` tell stands in the docs, and a test of the docs plays
them again.
"""

import re
import socket

import pytest
from repo import free_port

from workshop.faults import FAULTS

SUFFERS = {  # what is seen at step 5: the words that lead to a label, and what follows it
    "slow --megabytes 8": [
        (r"a good client hears", r"8.0 of 8 MB"),
        (r"server memory, with a slow one", r"\d+ MB → \d+ MB \(\+[4-9]\.\d\)"),
        (r"it wakes up and reads on", r"8\.\d MB; still connected"),
    ],
    "silent --seconds 1": [
        (r"the silent client", r"still connected after 1 s"),
        (r"the deaf client", r"still connected after 1 s"),
    ],
    "vanish": [
        (r"resets its connection", r"forgotten after \d+ ms"),
        (r"closes TCP and nothing else", r"forgotten after \d+ ms"),
        (r"resets in the middle of a message", r"forgotten after \d+ ms"),
    ],
    "garbage": [
        (r"text that is not UTF-8", r"closed with 1007"),
        (r"a reserved opcode", r"closed with 1002"),
        (r"a frame without a mask", r"closed with 1002"),
        (r"a binary message", r"let through; everyone gets b'binary'"),
        (r"JSON that is cut off", r"let through; everyone gets '{\"last\": '"),
        (r"a TCP line, not UTF-8", r"nothing"),
    ],
    "storm --clients 60": [
        (r"let in", r"60 of 60 in"),
        (r"all leave at once", r"forgotten after \d+ ms"),
    ],
}
# A project of somebody else's, in the words of v3: it has no TCP source, and takes empty messages.
OTHER = """
import asyncio, json
from quart import Quart, abort, request, websocket
app = Quart(__name__)
inside = set()
def say(text):
    for queue in inside:
        queue.put_nowait(text)
async def hearing(queue):
    while True:
        said = [await queue.get()]
        await websocket.send(json.dumps({"first": 1, "messages": said}))
@app.websocket("/api/v3/ws")
async def ws():
    if not websocket.args.get("last", "0").isdecimal():
        abort(400)
    queue = asyncio.Queue()
    await websocket.accept()
    inside.add(queue)
    await websocket.send(json.dumps({"log": "x", "last": 0, "gap": None}))
    task = asyncio.create_task(hearing(queue))
    try:
        while True:
            text = await websocket.receive()
            if not isinstance(text, str):
                return await websocket.close(1003, "text only")
            say(text)
    finally:
        task.cancel()
        inside.discard(queue)
@app.post("/api/v2/messages")
async def post():
    say((await request.get_data()).decode())
    return "", 204
"""
AT_ANOTHER = {
    "garbage": [
        (r"a binary message", r"closed with 1003 \(text only\)"),
        (r"\?log=x&last=zzz", r"refused with HTTP 400"),
        (r"an empty message", r"let through; everyone gets ''"),
        (r"a TCP line, not UTF-8", r"not known where|nothing"),
    ],
    "slow --megabytes 1": [(r"a good client hears", r"1.0 of 1 MB")],  # by POSTs: it has no TCP
}
HOLDS = {
    "slow --megabytes 8": [
        (r"a good client hears", r"8.0 of 8 MB"),
        (r"it wakes up and reads on", r"\d.\d MB; closed with 1013"),
    ],
    "silent --seconds 50": [
        (r"the silent client", r"closed with 1011 .* after 4\d.\d s"),
        (r"the deaf client", r"let go after 2\d.\d s"),
    ],
    "vanish": [(r"resets its connection", r"forgotten after \d+ ms")],
    "flood --seconds 0.1 --megabytes 8": [
        (r"the flooder", r"closed with 1008 \(Send at most 20 messages a second.\)"),
        # A second's worth; on a busy machine, the bucket refills a little meanwhile.
        (r"the good client heard", r"\d\d of them"),
    ],
    "garbage": [
        (r"text that is not UTF-8", r"closed with 1007"),
        (r"a binary message", r"closed with 1003"),
        (r"an empty message", r"closed with 1008"),
        (r"\?log=x&last=zzz", r"refused with HTTP 400"),
    ],
    "storm --clients 120": [
        (r"let in", r"99 of 120 in"),
        (r"the others", r"21 refused with HTTP 429"),
    ],
}


def played(process):
    """What a fault printed, once it has ended well and left no server behind."""
    code, output = process.end(60)
    assert code == 0, output
    assert "Traceback" not in output
    port = int(re.search(r"ws://127.0.0.1:(\d+)/", output)[1])
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 0.5)
    assert re.search(r"a good client, alone +hears itself after \d+ ms", output), output
    assert re.search(r"server memory, in the end +\d+ MB → \d+ MB", output), output
    return output


def assert_seen(output, seen):
    for label, words in seen:
        assert re.search(rf"^  {label} +{words}", output, re.MULTILINE), (label, words, output)


@pytest.mark.thorough  # some of them, the lab plays against somebody else's project, too
@pytest.mark.parametrize("fault", SUFFERS, ids=lambda fault: fault.split()[0])
def test_a_fault_tells_how_step_5_suffers(fault, workshop):
    name, *options = fault.split()
    output = played(workshop("fault", name, "5", *options))
    assert_seen(output, SUFFERS[fault])
    assert "LOST" not in output


@pytest.mark.thorough
@pytest.mark.parametrize("fault", AT_ANOTHER, ids=lambda fault: fault.split()[0])
def test_a_fault_is_played_against_somebody_elses_project(fault, workshop, tmp_path):
    (tmp_path / "websocket.py").write_text(OTHER, encoding="utf-8")
    name, *options = fault.split()
    assert_seen(played(workshop("fault", name, tmp_path, *options)), AT_ANOTHER[fault])


# The others take longer; a test of the docs plays them, too.
SHORT = ("vanish", "garbage")
HOLDING = [
    pytest.param(fault, marks=() if fault in SHORT else (pytest.mark.thorough, pytest.mark.long))
    for fault in HOLDS
]


@pytest.mark.parametrize("fault", HOLDING, ids=lambda fault: fault.split()[0])
def test_step_7_holds(fault, workshop):
    name, *options = fault.split()
    output = played(workshop("fault", name, "7", *options))
    assert_seen(output, HOLDS[fault])
    assert "LOST" not in output


@pytest.mark.thorough
def test_a_fault_is_told_in_german(workshop):
    code, output = workshop("fault", "vanish", "5", env={"WORKSHOP_LANGUAGE": "de"}).end()
    assert code == 0, output
    assert_seen(output, [("Server-Speicher, am Ende", r"\d+ MB → \d+ MB"), ("Ziel", "ws://")])
    assert_seen(output, [("schließt TCP und sonst nichts", r"vergessen nach [\d.]+ m?s")])
    left = re.findall(r"\b(?:the|after|client is|memory|nothing)\b", output)
    assert left == [], output


def test_a_server_that_runs_already_is_played_against_and_goes_on(workshop):
    port = free_port()
    server = workshop("run", "5", "--port", port, env={"QUART_TCP_PORT": "0"})
    server.wait_for("is served at")
    process = workshop("fault", "vanish", f"http://127.0.0.1:{port}")
    code, output = process.end()
    assert code == 0, output
    assert_seen(output, [(r"server memory, in the end", r"\d+ MB → \d+ MB")])
    assert server.process.poll() is None


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["vanish", "http://example.com"], 1, "against 127.0.0.1 only"),
        (["vanish", "http://127.0.0.1:99999"], 1, "against 127.0.0.1 only"),
        (["vanish", "3"], 1, "it broadcasts nothing"),
        (["vanish", "99"], 2, "05_broadcast"),
        (["vanquish"], 2, "the faults are slow, silent, vanish"),
        (["vanish", "--seconds", "3"], 2, "vanish has no --seconds"),
    ],
)
def test_what_cannot_be_played_is_one_sentence(arguments, code, told, workshop):
    exit_code, output = workshop("fault", *arguments).end()
    assert exit_code == code, output
    assert told in output
    assert "Traceback" not in output


def test_a_port_on_which_nobody_listens_is_one_sentence(workshop):
    code, output = workshop("fault", "vanish", f"http://127.0.0.1:{free_port()}").end()
    assert code == 1
    assert "nothing listens there" in output
    assert "Traceback" not in output


def test_a_project_that_cannot_be_loaded_is_told_why(workshop, tmp_path):
    (tmp_path / "websocket.py").write_text("import flusk\n", encoding="utf-8")
    code, output = workshop("fault", "vanish", tmp_path).end()
    assert code == 1
    assert "websocket.py, line 1: ModuleNotFoundError" in output
    assert "Traceback" not in output


def test_ctrl_c_stops_at_once_and_leaves_nothing_running(workshop):
    process = workshop("fault", "silent")
    port = int(process.wait_for("ws://").split(":")[2].split("/")[0])
    process.wait_for("a deaf one")
    process.interrupt()
    code, output = process.end(3)
    assert code == 130, output
    assert "Stopped." in output
    assert "Traceback" not in output
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), 0.5)


def test_help_has_a_sentence_on_each_fault(workshop):
    code, output = workshop("fault", "--help").end()
    assert code == 0
    for fault in FAULTS:
        assert re.search(rf"^  {fault}: [A-Z]", output, re.MULTILINE)
