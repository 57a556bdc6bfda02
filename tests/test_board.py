"""The board of a class: what is reported, who may write and look, and that no report is lost."""

import asyncio
import contextlib
import html
import http.client
import inspect
import json
import os
import re
import shutil
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from click.testing import CliRunner
from playwright.async_api import async_playwright, expect
from quart.testing import WebsocketResponseError
from repo import ROOT, STEPS, Learner, copy_repository, free_port

from harness.browser import NO_BROWSER, launch
from harness.live_server import LiveServer
from harness.missing import missing
from workshop import language, machine, reporting
from workshop.board import exercises, lessons, saving
from workshop.board.app import ATTEMPTS, POLICY, Board, create_app
from workshop.board.connections import PER_ADDRESS
from workshop.board.learners import RATE, Learners, Refused, clean_name
from workshop.board.serving import Session, settings
from workshop.checking import Check
from workshop.cli import main_group
from workshop.commands import board as commands
from workshop.commands.learner import tell_and_report
from workshop.steps import find_exercise, write_files

CODE = "K7M2QX"
ECHO = "a message comes back with echo in front"
ORDER = "every message comes back in order"
WAIT = 20  # seconds for what should take a moment
ORDER_IN_GERMAN = "jede Nachricht kommt zurück, der Reihe nach"
WORDS = re.compile(r'data-words="(.*?)"')  # as JSON, of which quotes are escaped
READABLE = 16  # pixels of 720: a letter that can be read from six times the picture's height


def a_report(exercise="03_echo", failed=(), passed=(ECHO,), **more):
    """A report as `check` makes it."""
    checks = [Check(words, "failed") for words in failed]
    checks += [Check(words, "passed") for words in passed if words not in failed]
    return {**reporting.made_of(exercise, checks), **more}


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Type a command in this process: its exit code and output; `.folder` is the learner's."""
    folder = tmp_path / "attempts/.board"
    for function in vars(reporting).values():
        if reporting.FOLDER in (defaults := getattr(function, "__defaults__", None) or ()):
            mine = tuple(folder if value == reporting.FOLDER else value for value in defaults)
            monkeypatch.setattr(function, "__defaults__", mine)

    def typed(*words):
        result = CliRunner().invoke(main_group, words)
        assert result.exception is None or isinstance(result.exception, SystemExit), result
        return result.exit_code, result.output

    typed.folder = folder
    return typed


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
    # Except that the board has no form that the browser sends by itself, as step 9 has.
    policy = POLICY.replace("form-action 'none'", "form-action 'self'")
    assert f'add_header Content-Security-Policy "{policy}"' in nginx
    for path in ("/", "/static/board.js", "/nowhere", "/api/state"):
        response = await client.get(path)
        assert response.headers["Content-Security-Policy"] == POLICY, path


@pytest.mark.asyncio
async def test_the_board_speaks_the_language_of_the_command_that_serves_it(german):
    board = Board(CODE)
    client = create_app(board).test_client()
    page = await (await client.get("/")).get_data(as_text=True)
    words = json.loads(html.unescape(WORDS.search(page)[1]))
    assert '<html lang="de">' in page and "<h1>Tafel des Kurses</h1>" in page
    assert words["No check fails."] == "Alle Checks sind bestanden."
    _, token = board.learners.join()
    board.learners.report(token, a_report("03_echo", failed=[ORDER]))
    state = await (await client.get(f"/api/state?code={CODE}")).get_json()
    assert state["exercises"][0]["title"] == "Aufbau"
    (row,), (most,) = state["rows"], state["most"]
    assert (row["name"], row["exercises"]["03_echo"]["first"]) == ("Nummer 1", ORDER_IN_GERMAN)
    assert (most["check"], most["mistake"]) == (ORDER_IN_GERMAN, "vergisst die Schleife")
    assert board.learners.rows[1]["exercises"]["03_echo"]["first"] == ORDER  # what is saved
    answer = await client.post("/api/join", data=json.dumps({"code": "no"}))
    assert await answer.get_json() == {"problem": "der Code ist falsch"}


@pytest.mark.asyncio
async def test_in_english_the_page_needs_no_catalogue(client):
    page = await (await client.get("/")).get_data(as_text=True)
    assert '<html lang="en">' in page and WORDS.search(page)[1] == "{}"
    assert "<h1>Class board</h1>" in page


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
    with pytest.raises(reporting.ReportProblem, match="is not the address of a board"):
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
    with pytest.raises(Refused, match="somebody else has this name"):
        learners.join("<B>Alice</B> ")


BAD_REPORTS = [
    *({}, {"more": 1}, {"id": 7}, {"id": ""}, {"id": "x" * 33}, {"exercise": "99"}),
    *({"exercise": ["03_echo"]}, {"checks": []}),
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


def test_a_check_that_the_board_does_not_know_fails_but_writes_no_text_of_its_own():
    learners = Learners()
    _, token = learners.join()
    learners.report(token, a_report(failed=["buy my book"]))
    found = learners.rows[1]["exercises"]["03_echo"]
    assert (found["first"], found["done"]) == (exercises.UNKNOWN, False)
    assert "buy my book" not in str(learners.rows)


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
async def test_a_page_of_another_site_may_report_with_a_code_or_a_token_and_do_nothing_else(client):
    origin = {"Origin": "http://192.0.2.9:8080"}

    def may_read(answer):
        return answer.headers.get("Access-Control-Allow-Origin") == "*"

    async def post(what, content, token=""):
        headers = {**origin, "Authorization": f"Bearer {token}"}
        answer = await client.post(f"/api/{what}", json=content, headers=headers)
        assert may_read(answer), what
        return answer.status_code, await answer.get_json()

    for what in ("join", "report", "hand", "leave"):
        asked = await client.options(f"/api/{what}", headers=origin)
        assert asked.status_code == 200 and may_read(asked)
        assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    for path in ("/", "/static/board.js", f"/api/state?code={CODE}", "/nowhere", "/api/report/"):
        for method in ("GET", "OPTIONS"):
            answer = await client.open(path, method=method, headers=origin)
            assert answer.status_code == 403 and not may_read(answer), (method, path)
    with pytest.raises(WebsocketResponseError) as refused:
        async with client.websocket(f"/ws?code={CODE}", headers=origin) as ws:
            await ws.receive()
    assert refused.value.response.status_code == 403

    assert (await post("join", {"code": "WRONG1", "name": "eve"}))[0] == 403
    status, joined = await post("join", {"code": CODE, "name": "alice"})
    assert status == 201
    assert (await post("report", a_report(failed=[ECHO]), "x"))[0] == 401
    assert (await post("report", a_report(failed=[ECHO]), joined["token"]))[0] == 204
    assert (await post("leave", {}, joined["token"]))[0] == 204


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


@pytest.mark.skipif(os.name == "nt", reason="there, the system itself refuses it")
def test_two_boards_never_share_a_file(tmp_path):
    path = tmp_path / "class.board"
    one = Session(save=path)
    one.board.learners.join("alice")
    with pytest.raises(saving.BoardProblem, match="another board uses class"):
        Session(save=path)
    one.listener.close()
    one.file.close()
    assert saving.read(path)[1][0]["name"] == "alice"


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
        (["join", "https://x", "C"], "https://x is not the address of a board"),
        (["join", "127.0.0.1:9", CODE], "add --yes if you agree"),
        (["join", "127.0.0.1:9", CODE, "--yes"], "no board answers at 127.0.0.1:9"),
        (["hand", "up"], "you haven't joined a board"),
        (["board", "--save", "nowhere/at/all"], "cannot be written to"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(typed, arguments, told):
    code, output = typed(*arguments)
    assert code != 0 and told in output
    assert not typed.folder.parent.exists()


@pytest.mark.parametrize(("answer", "joins"), [("n", False), ("", False), ("y", True)])
def test_join_says_what_will_be_sent_and_asks_before_anything_is(answer, joins, typed, monkeypatch):
    asked = []
    monkeypatch.setattr(commands, "can_ask", lambda: True)
    monkeypatch.setattr(reporting, "join", lambda *words: asked.append(words) or "Learner 1")
    result = CliRunner().invoke(main_group, ["join", "192.0.2.7", CODE], input=f"{answer}\n")
    before = result.output.partition("Join? [y/N]")[0]
    assert "the name of each check that ran" in before and "Never sent: your code" in before
    assert asked == ([("192.0.2.7:5050", CODE, None)] if joins else [])
    assert result.exit_code == (0 if joins else 1)
    assert ("Nothing was sent." in result.output) != joins


def test_leave_without_join_and_show_need_no_board(typed):
    code, output = typed("leave")
    assert code == 0 and "You haven't joined a board" in output
    code, output = typed("join", "--show")
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
        app.settings, app.errors = settings(), []
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


def test_one_machine_cannot_take_all_connections(served):
    host, port = served.host.split(":")
    opened = [socket.create_connection((host, port)) for _ in range(PER_ADDRESS + 5)]
    connections = served.server.server.server_state.connections
    wait_until(lambda: len(connections) == PER_ADDRESS, "the end of what is too much")
    for one in opened:
        one.close()
    wait_until(lambda: not connections, "the end of all")


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


def test_a_learner_whom_the_board_forgot_is_told_so_once(served, typed, capsys):
    served.join("alice", typed.folder)
    served.board.learners.by_token.clear()
    reporting.note(a_report())
    reporting.send()
    for expected in (True, False):
        tell_and_report(find_exercise("1"), [Check("the page names the step", "failed")])
        assert ("doesn't know you any more" in capsys.readouterr().out) == expected
    assert not typed.folder.parent.exists()


def test_a_learner_joins_checks_raises_a_hand_and_leaves(served, typed, capsys):
    rows = served.board.learners.rows
    code, output = typed("join", served.host, CODE, "--as", "alice", "--yes")
    assert code == 0, output
    assert "Never sent: your code" in output and "You have joined as alice" in output
    code, output = typed("join", served.host, CODE, "--yes")
    assert code == 1 and f"type `{machine.COMMAND} leave` first" in output
    secret = {"reason": "SECRET", "printed": "SECRET", "test": "SECRET"}
    assert not tell_and_report(find_exercise("3"), [Check(ECHO, "failed", **secret)])
    assert f"Reporting this to the board at {served.host}" in capsys.readouterr().out
    wait_until(lambda: rows[1]["exercise"], "the report")
    assert rows[1]["exercises"]["03_echo"]["first"] == ECHO
    shown = typed("join", "--show")[1]
    assert f'"{ECHO}": "failed"' in shown and "SECRET" not in shown
    for direction in ("up", "down"):
        assert typed("hand", direction) == (0, f"Your hand is {direction}.\n")
        assert bool(rows[1]["hand"]) == (direction == "up")
    code, output = typed("leave")
    assert code == 0 and "your row is removed" in output
    assert rows == {} and not typed.folder.parent.exists()


def wait_until(condition, what):
    deadline = time.monotonic() + WAIT
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not arrive"
        time.sleep(0.01)


# ---- The page

WATCH = """
window.seen = [];
new MutationObserver((records) => {
  for (const node of records.flatMap((record) => [...record.addedNodes]))
    if (node.dataset?.learner)
      seen.push([Number(node.dataset.learner), Number(node.dataset.runs), Date.now() / 1000]);
}).observe(document, {subtree: true, childList: true});
"""
OUTSIDE = """
[...document.querySelectorAll("header, section, tr, tr *")].filter((element) => {
  const {right, bottom} = element.getBoundingClientRect();
  return right > innerWidth || bottom > innerHeight;
}).map((element) => element.outerHTML)
"""
SMALLEST = """
Math.min(...[...document.querySelectorAll("th, td, #join, #hands")].map(
  (element) => parseFloat(getComputedStyle(element).fontSize)))
"""


def in_browser(function):
    """Run a coroutine function with a browser."""

    async def run():
        async with asyncio.timeout(100), async_playwright() as playwright:
            browser = await launch(playwright)
            if browser is None:
                missing(NO_BROWSER)
            await function(browser)
            await browser.close()

    asyncio.run(run())


async def open_board(browser, address, **options):
    """A page of the board; its `problems` are what its console complains of."""
    page = await browser.new_page(**options)
    page.problems, page.sockets = [], []
    page.on("console", lambda m: m.type in ("error", "warning") and page.problems.append(m.text))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("websocket", lambda ws: page.sockets.append(ws.url))
    await page.add_init_script(WATCH)
    await page.goto(address)
    return page


def a_class(size):
    """The rows of a class: half of it fails step 3, the others are further."""
    learners = Learners()
    for number in range(1, size + 1):
        _, token = learners.join(f"learner with a name{number:5}")
        for step in ("01_structure", "02_install"):
            learners.report(token, a_report(step, passed=["the page names the step"]))
        if number % 2:
            learners.report(token, a_report(failed=[ECHO if number % 3 else ORDER]))
        else:
            held_up = "a client that does not read delays nobody"
            learners.report(token, a_report("05_broadcast", failed=[held_up]))
        learners.hand(token, number in (2, 5))
    return list(learners.rows.values())


async def findings(page):
    """What axe-core finds in a page: in light by all rules and, in dark, of its contrast."""
    await page.evaluate(Axe().axe_script)
    found = []
    for scheme, rules in (("light", {}), ("dark", {"runOnly": ["color-contrast"]})):
        await page.emulate_media(color_scheme=scheme)
        run = "async (options) => (await axe.run(document, options)).violations"
        found += [
            f"{scheme}: {each['help']}: {each['nodes'][0]['html']}"
            for each in await page.evaluate(run, {"resultTypes": ["violations"], **rules})
        ]
    return found


async def thirty_rows_can_be_read_from_the_last_row_and_fit_a_phone(browser, served):
    page = await open_board(browser, served.page, viewport={"width": 1280, "height": 720})
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_role("row")).to_have_count(31)
    assert await page.evaluate(OUTSIDE) == []
    assert await page.evaluate(SMALLEST) >= READABLE
    await expect(page.get_by_text("Hands up: learner with a name")).to_be_visible()
    most = await page.get_by_role("region", name="To fix first").get_by_role("listitem").all()
    assert len(most) == 3
    assert f"{ECHO} (3 Echo, 10 learners)" in await most[1].inner_text()
    await expect(page.get_by_role("columnheader", name="3 Echo", exact=True)).to_be_visible()
    row = page.get_by_role("row", name="learner with a name 1 ✓")
    await expect(row).to_contain_text(ECHO)
    await expect(row.get_by_role("cell", name="✓ done")).to_have_count(2)
    await expect(row.locator("[aria-current=true]")).to_have_text("0/1 checks pass")
    await page.set_viewport_size({"width": 390, "height": 800})
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.problems == []


@pytest.mark.thorough
def test_the_page_works_in_a_browser(served, tmp_path):
    full = Served(a_class(30))

    async def look(browser):  # one browser, since to start it takes long
        await thirty_rows_can_be_read_from_the_last_row_and_fit_a_phone(browser, full)
        await a_page_asks_for_the_code_and_is_live_even_after_a_sleep(browser, served, tmp_path)
        await a_page_in_german_is_german_all_over(browser)

    try:
        in_browser(look)
    finally:
        full.server.stop()


async def a_page_asks_for_the_code_and_is_live_even_after_a_sleep(browser, served, tmp_path):
    folder = tmp_path / "board"

    async def send(report):
        reporting.note(report, folder)
        await asyncio.to_thread(reporting.send, folder)

    page = await open_board(browser, served.server.url)
    await page.clock.install()
    await page.goto(served.server.url)
    await page.keyboard.type("wrong")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("The class code is wrong.")
    await page.get_by_label("Class code").fill(CODE.lower())
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_have_text("Connected")
    await expect(page.get_by_text("Nobody has joined yet.")).to_be_visible()
    await asyncio.to_thread(served.join, "<b>alice</b>", folder)
    row = page.get_by_role("row", name="<b>alice</b>")
    await send(a_report(failed=[ECHO]))
    await expect(row).to_contain_text(ECHO)
    await expect(page.get_by_role("listitem")).to_contain_text("1 learner")
    await asyncio.to_thread(reporting.tell, "hand", {"up": True}, folder)
    await expect(page.get_by_text("Hands up: <b>alice</b>")).to_be_visible()
    assert await findings(page) == []
    before = len(page.sockets)
    await page.clock.fast_forward(3_600_000)
    await send(a_report(failed=[ORDER]))
    await expect(row).to_contain_text(ORDER)
    assert len(page.sockets) == before + 1
    assert f"log={served.board.log.name}&last=3" in page.sockets[-1]
    assert [runs for _, runs, _ in await page.evaluate("seen")] == [0, 1, 1, 2]
    await asyncio.to_thread(reporting.tell, "leave", {}, folder)
    await expect(row).to_have_count(0)


async def a_page_in_german_is_german_all_over(browser):
    language.use("de")
    german = Served(a_class(3))
    try:
        page = await open_board(browser, german.page)
        await expect(page.get_by_role("status")).to_have_text("Verbunden")
        shown = await page.locator("body").inner_text()
        assert "Zum Mitmachen: python3" in shown and "Hände oben: learner with" in shown
        assert "(3 Echo, 1 Person)" in shown and "Oft: " in shown and "Checks bestanden" in shown
        assert page.problems == []
    finally:
        german.server.stop()
        language.use(language.ENGLISH)


# ---- With a board in a process of its own


class Room:
    """A board as the command serves it, and the folders of those who have joined it."""

    def __init__(self, workshop, folder):
        self.workshop, self.folder, self.port = workshop, folder, free_port()
        self.save = folder / "class.board"
        self.start()

    def start(self):
        options = ("--port", str(self.port), "--save", str(self.save), "--no-browser")
        self.process = self.workshop("board", *options)
        line = self.process.wait_for("Learners type:")
        *_, self.address, self.code = line.split()
        self.page = f"http://{self.address}/#{self.code}"

    def kill(self):
        """End it at once, as a crash would."""
        self.process.process.kill()
        self.process.process.wait()

    def join(self, number, folder=None):
        folder = folder or self.folder / f"learner-{number}"
        reporting.join(self.address, self.code, f"learner {number}", folder)
        return folder

    def runs(self):
        """How many reports of each learner the board's file says that have arrived."""
        _, rows = saving.read(self.save)
        return {
            row["name"]: sum(found["runs"] for found in row["exercises"].values()) for row in rows
        }


@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="there, no signal ends a process as a crash does")
def test_a_board_that_is_killed_and_started_again_loses_nothing(workshop, tmp_path):
    room = Room(workshop, tmp_path)
    folders = [room.join(number) for number in range(6)]
    stops = threading.Event()

    def check_often(folder):
        for _ in range(8):
            reporting.note(a_report(failed=[ECHO]), folder)
            reporting.send(folder)
        stops.wait(WAIT)
        reporting.send(folder)

    with ThreadPoolExecutor(len(folders)) as pool:
        ended = [pool.submit(check_often, folder) for folder in folders]
        wait_until(lambda: sum(room.runs().values()) >= 12, "some reports")
        room.kill()
        before = sum(room.runs().values())
        room.start()
        stops.set()
        for one in ended:
            one.result(WAIT)
    assert before < 8 * len(folders)  # it was in the middle
    assert room.runs() == {f"learner {number}": 8 for number in range(6)}
    room.process.interrupt()
    code, output = room.process.end()
    assert code == 0 and "Traceback" not in output
    assert "served again" in output


@contextlib.contextmanager
def flood(room, folder):
    """A learner that sends as much as it can, from an address of its own: the statuses it gets."""
    token, statuses, is_over = reporting.read_joined(folder)["token"], [], threading.Event()

    def send_much(path, content):
        headers = {"Authorization": f"Bearer {token}"}
        connection = http.client.HTTPConnection(room.address, source_address=("127.0.0.2", 0))
        while not is_over.is_set():
            connection.request("POST", path, content(), headers)
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
        connection.close()

    with ThreadPoolExecutor(3) as pool:
        ended = [
            pool.submit(send_much, "/api/report", lambda: json.dumps(a_report(failed=[ECHO]))),
            pool.submit(send_much, "/api/report", lambda: b"x" * 15_000),
            pool.submit(send_much, "/api/join", lambda: b'{"code": "WRONG1"}'),
        ]
        try:
            yield statuses
        finally:
            is_over.set()
        for one in ended:
            one.result(WAIT)


@pytest.mark.exhaustive
@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="only there, 127.0.0.2 is another address")
def test_thirty_learners_check_and_two_pages_show_every_report_within_a_second(workshop, tmp_path):
    room = Room(workshop, tmp_path)
    first = Learner(
        copy_repository(tmp_path / "0", {"workshop", "harness", "steps", "pyproject.toml"})
    )
    for step in STEPS[2:]:
        shutil.rmtree(first.clone / "steps" / step.name)
    write_files(find_exercise("1").start, first.folder)
    first("check", "1")  # so that what it compiles is copied, too
    clones = [shutil.copytree(first.clone, tmp_path / str(number)) for number in range(1, 30)]
    learners = [first, *map(Learner, clones)]
    folders = [learner.clone / "attempts/.board" for learner in learners]
    for number, folder in enumerate(folders):
        room.join(number, folder)
    sent = []  # when each report was made: the file is written before anything is sent

    def check(number):
        code, output = learners[number]("check", "1")
        assert code == 1 and "Fix this first: the page names the step" in output
        sent.append((number + 1, (folders[number] / "last.json").stat().st_mtime))

    async def check_all(numbers):
        with ThreadPoolExecutor(2) as pool:  # as many as there are cores
            calls = [asyncio.to_thread(lambda n=n: pool.submit(check, n).result()) for n in numbers]
            await asyncio.gather(*calls)

    async def look(browser):
        pages = [await open_board(browser, room.page) for _ in range(2)]
        for page in pages:
            await expect(page.get_by_role("row")).to_have_count(31)
        await check_all(range(30))
        for page in pages:
            took = delays(await rows_seen(page, 30, lambda learner, runs: runs == 1), sent)
            assert took[int(0.95 * len(took))] < 1, took

        room.kill()
        await check_all(range(3))  # the board is away: the checks say the same
        room.start()
        await check_all(range(3))
        for page in pages:
            await expect(page.get_by_role("status")).to_have_text("Connected")
            await rows_seen(page, 3, lambda learner, runs: runs == 3)
            seen = await page.evaluate("seen")
            for number in (1, 2, 3):
                runs = [runs for learner, runs, _ in seen if learner == number]
                assert runs == sorted(runs) and runs[-1] == 3, runs

        with flood(room, folders[0]) as answers:
            wait_until(lambda: len(answers) > 50, "the flood")
            sent.clear()
            for number in range(10, 15):
                report = a_report("02_install", passed=["the page names the step"])
                reporting.note(report, folders[number])
                sent.append((number + 1, time.time()))
                await asyncio.to_thread(reporting.send, folders[number])
            for page in pages:
                seen = await rows_seen(page, 5, lambda learner, runs: learner > 10 and runs == 2)
                took = delays(seen, sent)
                assert took[-1] < 1, took
        assert {answer for answer in answers if answer >= 500} == set()

    in_browser(look)
    runs = room.runs()
    assert all(
        runs[f"learner {n}"] == (3 if n < 3 else 2 if 10 <= n < 15 else 1) for n in range(1, 30)
    )


async def rows_seen(page, count, condition):
    """What a page has shown, once it has shown that many rows of which something is true."""
    deadline = time.monotonic() + WAIT
    while True:
        seen = [row for row in await page.evaluate("seen") if condition(*row[:2])]
        if len(seen) == count:
            return seen
        assert len(seen) < count and time.monotonic() < deadline, seen
        await asyncio.sleep(0.05)


def delays(seen, sent):
    """How many seconds passed from each report to its row on a page, the longest last."""
    shown = {learner: at for learner, _, at in seen}
    return sorted(shown[learner] - at for learner, at in sent)
