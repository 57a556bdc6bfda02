"""The board of a class: what is reported, who may write and look, and that no report is lost."""

import inspect
import json
import os
import re
import socket
import sys
import time
from pathlib import Path

import pytest
from quart.testing import WebsocketResponseError
from repo import ROOT, new_learner

from harness.live_server import LiveServer
from workshop import reporting
from workshop.board import exercises, lessons, saving
from workshop.board.app import ATTEMPTS, POLICY, Board, create_app
from workshop.board.learners import RATE, Learners, Refused, clean_name
from workshop.board.serving import Session
from workshop.checking import Check
from workshop.steps import find_exercise, write_files

CODE = "K7M2QX"
ECHO = "a message comes back with echo before it"
ORDER = "every message comes back in order"
WAIT = 20  # seconds for what should take a moment
READABLE = 16  # pixels of 720: a letter that can be read from six times the picture's height


def a_report(exercise="03_echo", failed=(), passed=(ECHO,), **more):
    """A report as `check` makes it."""
    checks = [Check(words, "failed") for words in failed]
    checks += [Check(words, "passed") for words in passed if words not in failed]
    return {**reporting.made_of(exercise, checks), **more}


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


@pytest.fixture
def board():
    return Board(CODE)


@pytest.fixture
def client(board):
    return create_app(board).test_client()


# ---- What is built on the steps


def test_the_board_uses_the_steps_own_files():
    for function, file in (
        (lessons.Log.append, "06_resume/log.py"),
        (lessons.doors.TokenBucket.take, "07_harden/doors.py"),
        (lessons.server_settings()["ws"].data_received, "07_harden/protocol.py"),
    ):
        assert Path(inspect.getfile(function)) == ROOT / "steps" / file
    assert "log" not in sys.modules and "doors" not in sys.modules


@pytest.mark.asyncio
async def test_the_page_has_the_content_security_policy_of_step_7(client):
    nginx = (ROOT / "docs/nginx.conf").read_text(encoding="utf-8")
    assert f'add_header Content-Security-Policy "{POLICY}"' in nginx
    for path in ("/", "/static/board.js", "/nowhere", "/api/state"):
        response = await client.get(path)
        assert response.headers["Content-Security-Policy"] == POLICY, path


# ---- What a report holds


def test_a_report_holds_the_exercise_the_checks_and_the_time_and_nothing_else():
    secret = {"reason": "SECRET", "printed": "SECRET", "console": "SECRET", "test": "SECRET"}
    checks = [
        *(Check("it works (bob)", "passed", **secret), Check("it works (alice)", "failed")),
        *(Check("it stops", "passed"), Check("it is fast", "skipped"), Check("it ends", "later")),
    ]
    made = reporting.made_of("03_echo", checks)
    assert made.pop("id") and abs(made.pop("time") - time.time()) < WAIT
    outcomes = {"it works": "failed", "it stops": "passed"}
    assert made == {"exercise": "03_echo", "checks": outcomes}


def test_before_join_no_packet_is_sent_and_no_process_started(tmp_path):
    seen, is_on = [], [True]

    def hook(event, arguments):
        if is_on[0] and event.startswith(("socket.", "subprocess.", "os.posix_spawn", "os.fork")):
            seen.append(event)

    sys.addaudithook(hook)
    try:
        assert reporting.report("03_echo", [Check(ECHO, "failed")], tmp_path / "none") is None
        assert seen == []
        joined = tmp_path / "joined"
        joined.mkdir()
        content = {"address": "127.0.0.1:9", "name": "alice", "token": "t"}
        (joined / "joined.json").write_text(json.dumps(content), encoding="utf-8")
        reporting.report("03_echo", [Check(ECHO, "failed")], joined)
        assert seen != []  # it would have been noticed
    finally:
        is_on[0] = False
    assert list(tmp_path.iterdir()) == [joined]


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        ("192.0.2.7", "192.0.2.7:5050"),
        ("192.0.2.7:5051", "192.0.2.7:5051"),
        ("http://localhost:5050/", "localhost:5050"),
        ("[::1]:5050", "[::1]:5050"),
    ],
)
def test_an_address_may_be_typed_in_several_ways(typed, address):
    assert reporting.address_of(typed) == address


@pytest.mark.parametrize(
    "typed", ["", "https://board", "a:b", "host:99999", "http://u@h", "h/x", "[::1"]
)
def test_what_is_no_address_is_refused(typed):
    with pytest.raises(reporting.ReportProblem, match="no address of a board"):
        reporting.address_of(typed)


# ---- What the board makes of it


@pytest.mark.parametrize(
    "name", ["", " ", "a" * 25, "a\nb", "\x1b[31m", "a\u202eb", "\u200b", "\ud800", 7, ["a"], True]
)
def test_a_name_is_a_short_text_without_control_characters(name):
    with pytest.raises(Refused, match="a name"):
        clean_name(name)


def test_a_name_is_taken_once_and_one_without_a_name_has_a_number():
    learners = Learners()
    learners.join("<b>alice</b>")
    number, _ = learners.join()
    assert learners.rows[number]["name"] == "Learner 2"
    with pytest.raises(Refused, match="has this name already"):
        learners.join("<B>Alice</B> ")


BAD_REPORTS = [
    *({}, {"more": 1}, {"id": 7}, {"id": ""}, {"id": "x" * 33}, {"exercise": "99"}),
    *({"exercise": ["03_echo"]}, {"checks": []}, {"checks": {"buy my book": "failed"}}),
    *({"checks": {ECHO: "great"}}, {"checks": {ECHO: ["failed"]}}, {"time": "now"}, {"time": -1}),
    *({"time": True}, {"time": 10**30}, {"time": None}),
]


@pytest.mark.parametrize("wrong", BAD_REPORTS, ids=str)
def test_a_report_of_anything_that_the_workshop_does_not_have_is_refused(wrong):
    learners = Learners()
    _, token = learners.join()
    bad = {**a_report(), **wrong} if wrong else {}
    with pytest.raises(Refused) as refused:
        learners.report(token, bad)
    assert refused.value.status == 400
    assert learners.rows[1]["exercises"] == {}


def test_a_report_that_arrives_twice_counts_once():
    learners = Learners()
    _, token = learners.join()
    report = a_report(failed=[ECHO])
    for each in (report, report, a_report(failed=[ECHO]), report):
        learners.report(token, each)
    assert learners.rows[1]["exercises"]["03_echo"]["runs"] == 2


def test_since_when_is_since_the_same_check_fails_first():
    learners = Learners()
    _, token = learners.join()
    now = learners.rows[1]["joined"] = int(time.time()) - 1000
    since = []
    for after, failed in ((1, [ECHO, ORDER]), (2, [ECHO]), (3, [ORDER]), (4, [ECHO])):
        learners.report(token, a_report(failed=failed, time=now + after))
        since.append(learners.rows[1]["exercises"]["03_echo"]["since"] - now)
    assert since == [1, 1, 3, 4]
    learners.report(token, a_report(failed=[ORDER], time=0))  # a wrong clock
    assert learners.rows[1]["exercises"]["03_echo"]["since"] == now


def test_an_exercise_is_done_if_only_an_optional_part_fails():
    learners = Learners()
    _, token = learners.join()
    optional = sorted(exercises.optional_checks("05_broadcast"))[0]
    learners.report(token, a_report("05_broadcast", failed=[optional]))
    assert learners.rows[1]["exercises"]["05_broadcast"]["done"]
    learners.report(token, a_report("03_echo", failed=[ORDER]))
    assert not learners.rows[1]["exercises"]["03_echo"]["done"]


def test_the_three_checks_that_most_fail_first_come_with_their_common_mistake():
    learners = Learners()
    refused, empty = "a plain get is refused", "an empty message comes back"
    for check, count in ((ORDER, 3), (ECHO, 2), (refused, 2), (empty, 1)):
        for _ in range(count):
            _, token = learners.join()
            learners.report(token, a_report(failed=[empty], time=1))
            learners.report(token, a_report(failed=[check], time=2))
    most = learners.most_failed()
    assert [(each["check"], each["learners"]) for each in most] == [
        *((ORDER, 3), (ECHO, 2), (refused, 2))
    ]
    mistakes = {mistake.name: mistake for mistake in find_exercise("3").mistakes}
    assert mistakes["forgets the loop"].says == most[0]["says"]
    assert most[0]["mistake"] == "forgets the loop"


# ---- Who gets in


@pytest.mark.asyncio
@pytest.mark.parametrize("code", ["", "WRONG1", CODE[:-1], f"{CODE}X", None, 7, [CODE], "\ud800"])
async def test_without_the_code_nobody_gets_in(client, board, code):
    answer = await client.post("/api/join", json={"code": code, "name": "eve"})
    assert (answer.status_code, board.learners.rows) == (403, {})
    typed = str(code).encode(errors="replace").decode()
    assert (await client.get("/api/state", query_string={"code": typed})).status_code == 403
    with pytest.raises(WebsocketResponseError) as refused:
        async with client.websocket("/ws", query_string={"code": typed}) as ws:
            await ws.receive()
    assert refused.value.response.status_code == 403


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("content", "status"),
    [(b"", 400), (b"[]", 400), (b"[" * 10_000, 400), (b"\xff", 400), (b"x" * 20_000, 413)],
)
async def test_what_is_no_json_object_or_too_long_is_refused(client, content, status):
    for path in ("join", "report", "hand"):
        headers = {"Authorization": "Bearer x"}
        answer = await client.post(f"/api/{path}", data=content, headers=headers)
        assert answer.status_code == status, path


@pytest.mark.asyncio
async def test_wrong_codes_are_limited_and_then_the_right_one_is_refused_too(client):
    statuses = []
    for _ in range(ATTEMPTS + 3):
        statuses.append((await client.get("/api/state?code=WRONG1")).status_code)
    assert statuses[:ATTEMPTS] == [403] * ATTEMPTS and statuses[-1] == 429
    assert (await client.get(f"/api/state?code={CODE}")).status_code == 429


@pytest.mark.asyncio
async def test_right_codes_are_not_counted(client):
    for _ in range(4 * ATTEMPTS):
        assert (await client.get(f"/api/state?code={CODE.lower()}")).status_code == 200


@pytest.mark.asyncio
async def test_nobody_writes_as_another(client, board):
    alice, bob = [
        await (await client.post("/api/join", json={"code": CODE, "name": name})).get_json()
        for name in ("alice", "bob")
    ]
    state = await (await client.get(f"/api/state?code={CODE}")).get_data(as_text=True)
    assert alice["token"] not in state and "token" not in state
    for token in ("", "x", CODE, hash_of(board, alice)):
        for path in ("report", "hand", "leave"):
            headers = {"Authorization": f"Bearer {token}"}
            answer = await client.post(f"/api/{path}", json=a_report(), headers=headers)
            assert answer.status_code == 401, (token, path)
    headers = {"Authorization": f"Bearer {bob['token']}"}
    answer = await client.post("/api/report", json=a_report(failed=[ECHO]), headers=headers)
    assert answer.status_code == 204
    assert board.learners.rows[alice["learner"]]["exercises"] == {}
    assert (await client.post("/api/leave", headers=headers)).status_code == 204
    assert list(board.learners.rows) == [alice["learner"]]
    assert (await client.post("/api/leave", headers=headers)).status_code == 401


def hash_of(board, joined):
    """What the board keeps of a token, and would write to a file."""
    return board.learners.rows[joined["learner"]]["token"]


@pytest.mark.asyncio
async def test_a_learner_that_sends_too_much_is_told_so(client, board):
    number, token = board.learners.join()
    headers = {"Authorization": f"Bearer {token}"}
    statuses = {
        (await client.post("/api/report", json=a_report(), headers=headers)).status_code
        for _ in range(3 * RATE)
    }
    assert statuses == {204, 429}
    assert board.learners.rows[number]["exercises"]["03_echo"]["runs"] < 2 * RATE


@pytest.mark.asyncio
async def test_a_page_of_another_site_gets_nothing(client):
    headers = {"Origin": "http://evil.example"}
    for path in ("/", f"/api/state?code={CODE}"):
        assert (await client.get(path, headers=headers)).status_code == 403
    listed = create_app(Board(CODE), "http://192.0.2.7:5050").test_client()
    headers = {"Origin": "http://192.0.2.7:5050", "Host": "192.0.2.7:5050"}
    assert (await listed.get("/", headers=headers)).status_code == 200


@pytest.mark.asyncio
async def test_a_page_resumes_where_it_was(client, board):
    state = await (await client.get(f"/api/state?code={CODE}")).get_json()
    board.learners.join("alice")
    query = f"code={CODE}&log={state['log']}&last={state['last']}"
    async with client.websocket(f"/ws?{query}") as ws:
        assert json.loads(await ws.receive())["gap"] is None
        (message,) = json.loads(await ws.receive())["messages"]
        assert json.loads(message)["row"]["name"] == "alice"
    async with client.websocket(f"/ws?code={CODE}&log=another&last=7") as ws:
        assert json.loads(await ws.receive())["gap"] == "new log"


# ---- What is kept in a file


def test_a_board_that_is_started_again_knows_everyone(tmp_path):
    path = tmp_path / "class.board"
    saved = saving.Saved(path, CODE, [])
    learners = Learners(on_change=saved.add)
    tokens = [learners.join(name)[1] for name in ("alice", "bob", "carol")]
    report = a_report(failed=[ECHO])
    learners.report(tokens[0], report)
    learners.leave(tokens[1])
    saved.close()
    with path.open("a", encoding="utf-8") as file:
        file.write('{"learner": 3, "na')  # it was killed
    for _ in range(2):
        code, rows = saving.read(path)
        saving.Saved(path, code, rows).close()
        again = Learners(rows)
        assert (code, again.rows) == (CODE, learners.rows)
    assert all(token not in path.read_text(encoding="utf-8") for token in tokens)
    assert os.name == "nt" or path.stat().st_mode & 0o077 == 0
    again.report(tokens[0], report)
    assert again.rows[1]["exercises"]["03_echo"]["runs"] == 1
    assert again.join("dave")[0] == 4
    with pytest.raises(Refused):
        again.report(tokens[1], report)


@pytest.mark.parametrize("content", [b"mine\n", b"", b"[]\n", b'{"code": "x"}\n', b"\xff\n"])
def test_a_file_that_is_not_a_boards_is_left_alone(tmp_path, content):
    path = tmp_path / "mine.txt"
    path.write_bytes(content)
    with pytest.raises(saving.BoardProblem, match="not the file of a board"):
        Session(save=path)
    assert path.read_bytes() == content


# ---- The command


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["join"], "join takes the ADDRESS and the CODE"),
        (["join", "https://x", "C"], "https://x is no address of a board"),
        (["join", "127.0.0.1:9", CODE], "add --yes if you agree"),
        (["join", "127.0.0.1:9", CODE, "--yes"], "no board answers at 127.0.0.1:9"),
        (["hand", "up"], "no board was joined"),
        (["board", "--save", "nowhere/at/all"], "cannot be written to"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(learner, arguments, told):
    code, output = learner(*arguments)
    assert code != 0 and told in output
    assert not (learner.clone / "attempts").exists()


def test_leave_without_join_and_show_need_no_board(learner):
    code, output = learner("leave")
    assert code == 0 and "You haven't joined a board" in output
    code, output = learner("join", "--show")
    assert code == 0
    shown = json.loads(output[output.index("{") : output.rindex("}") + 1])
    assert set(shown) == {"id", "exercise", "checks", "time"}
    assert list(shown["checks"].values()).count("failed") == 1


# ---- A class


class Served:
    """A board in this process, on a real server."""

    def __init__(self, rows=()):
        self.board = Board(CODE, rows, address="192.0.2.7:5050")
        app = create_app(self.board)
        app.settings, app.errors = lessons.server_settings(), []
        self.server = LiveServer(app)
        self.server.start()
        self.host = self.server.host
        self.page = f"{self.server.url}#{CODE}"

    def join(self, name, folder):
        reporting.join(self.host, CODE, name, folder)


@pytest.fixture
def served():
    one = Served()
    yield one
    one.server.stop()


def silent_board():
    """A board that accepts connections and never answers: its listener and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"


def joined(folder, address):
    """A folder as `join` makes it."""
    folder.mkdir(parents=True)
    content = {"address": address, "name": "alice", "token": "t"}
    (folder / "joined.json").write_text(json.dumps(content), encoding="utf-8")
    return folder


def test_a_slow_board_does_not_hold_up_a_check(tmp_path, monkeypatch):
    listener, address = silent_board()
    folder = joined(tmp_path / "board", address)
    took = []
    with listener:
        for _ in range(5):
            began = time.perf_counter()
            assert reporting.report("03_echo", [Check(ECHO, "failed")], folder) == address
            took.append(time.perf_counter() - began)
        assert min(took) < 0.05, took
    assert len(reporting._unsent(folder)) == 5


def test_what_could_not_be_sent_is_sent_next_time_in_order(served, tmp_path):
    folder = tmp_path / "board"
    served.join("alice", folder)
    served.server.stop()
    for failed in ([ECHO], [ORDER], [ORDER]):
        reporting.note(a_report(failed=failed), folder)
        reporting.send(folder)
    assert len(reporting._unsent(folder)) == 3
    served.server.start()
    reporting.send(folder)
    assert reporting._unsent(folder) == []
    rows = served.board.learners.rows
    assert rows[1]["exercises"]["03_echo"]["runs"] == 3
    assert rows[1]["exercises"]["03_echo"]["first"] == ORDER
    told = [json.loads(message)["row"] for message in served.board.log.messages]
    assert [row["exercises"].get("03_echo", {}).get("runs") for row in told] == [None, 1, 2, 3]


def test_what_is_not_sent_is_limited(tmp_path):
    folder = joined(tmp_path / "board", "127.0.0.1:9")
    for _ in range(reporting.MOST_UNSENT + 5):
        reporting.note(a_report(), folder)
    assert len(reporting._unsent(folder)) == reporting.MOST_UNSENT


def test_a_learner_whom_the_board_forgot_is_told_so_once(served, learner):
    folder = learner.clone / "attempts/.board"
    served.join("alice", folder)
    served.board.learners.by_token.clear()
    reporting.note(a_report(), folder)
    reporting.send(folder)
    learner.write("websocket.py", "")
    for expected in (True, False):
        _, output = learner("check", "1")
        assert ("doesn't know you any more" in output) == expected
    assert not folder.exists()


def test_a_learner_joins_checks_raises_a_hand_and_leaves(served, learner):
    rows = served.board.learners.rows
    code, output = learner("join", served.host, CODE, "--as", "alice", "--yes")
    assert code == 0, output
    assert "Never sent: your code" in output and "You have joined as alice" in output
    code, output = learner("join", served.host, CODE, "--yes")
    assert code == 1 and "type `python3 -m workshop leave` first" in output
    write_files(find_exercise("1").start, learner.folder)
    code, output = learner("check", "1")
    assert code == 1 and f"Reported to the board at {served.host}" in output
    first = re.search("Fix this first: (.*)", output)[1]
    wait_until(lambda: rows[1]["exercise"], "the report")
    assert rows[1]["exercises"]["01_structure"]["first"] == first
    last = learner("join", "--show")[1]
    assert f'"{first}": "failed"' in last and str(learner.clone) not in last
    assert learner("hand", "up")[0] == 0 and rows[1]["hand"]
    assert learner("hand", "down")[0] == 0 and not rows[1]["hand"]
    code, output = learner("leave")
    assert code == 0 and "your row is removed" in output
    assert rows == {} and not (learner.clone / "attempts").exists()


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not arrive"
        time.sleep(0.01)
