"""The labs: each has the symptom that its users complain of, and its step alone doesn't.

The app runs in this process, behind the proxy and with the users that `workshop lab` plays, too.
"""

import asyncio
import json
import re
import shutil
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from click.testing import CliRunner
from repo import HTTP, free_port
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness import inprocess
from harness.live_server import LiveServer
from harness.patience import PatienceWithAnother, within
from workshop import labs, language
from workshop.cli import main_group
from workshop.labs import users
from workshop.labs.stage import Stage, played
from workshop.steps import write_files

LABS = labs.all_labs()
BROKEN, FIXED = pytest.param(False, id="broken"), pytest.param(True, id="fixed")
both = pytest.mark.parametrize("fixed", [BROKEN, FIXED])
SECONDS = 20
SHORTER = {
    "idle_seconds = 6 ": "idle_seconds = 0.6 ",
    '"ws_ping_interval": 2,': '"ws_ping_interval": 0.2,',
}


@pytest.fixture
def stage(tmp_path):
    """Put a lab on its stage, with or without the fault: an `async with` that gives the stage."""

    @asynccontextmanager
    async def on_stage(number, fixed, *doings):
        files = labs.find_lab(str(number)).files(fixed)
        for was, becomes in SHORTER.items():
            files = {
                name: text.replace(was.encode(), becomes.encode()) for name, text in files.items()
            }
        folder = write_files(files, tmp_path / "websocket")
        servers = [
            LiveServer(inprocess.load(folder)) for _ in range(labs.settings(files)["workers"])
        ]
        for server in servers:
            server.start()
        wire = []
        stage = Stage(files, [server.port for server in servers], wire.append)
        stage.wire = wire
        try:
            async with played(stage, doings):
                yield stage
        finally:
            for server in servers:
                await asyncio.to_thread(server.stop)

    return on_stage


class Client:
    """A client on a stage, which knows the frames that it got."""

    def __init__(self, connection):
        self.connection, self.send = connection, connection.send

    async def frame(self):
        """The next frame."""
        return json.loads(await within(SECONDS, self.connection.recv()))

    async def messages_until(self, last):
        """The ids of messages and their texts, up to one with this text."""
        found = {}
        while last not in found.values():
            frame = await self.frame()
            found |= dict(enumerate(frame["messages"], frame["first"]))
        return found


@asynccontextmanager
async def client(stage, log="", last=0):
    """A client that has got its first frame, which is `hello`."""
    query = f"?log={log}&last={last}" if log else ""
    address = f"ws://127.0.0.1:{stage.proxy.port}/api/v3/ws{query}"
    async with connect(address, **users.OPTIONS) as connection:
        one = Client(connection)
        one.hello = await one.frame()
        try:
            yield one
        finally:
            connection.transport.abort()  # it may not read, and so not hear a goodbye


async def until(condition, what, seconds=SECONDS):
    """Wait until a function returns something true, and return that."""
    patience = PatienceWithAnother(seconds)
    while not (result := condition()):
        assert not patience.is_over(), f"in {seconds} s, {what} was not seen"
        await asyncio.sleep(0.01)
    return result


# What is written about them


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.folder.name)
def test_a_lab_is_a_change_of_its_step_and_all_is_said_about_it(lab):
    broken, right = lab.files(), lab.files(fixed=True)  # each change applies exactly once
    assert {name for name in broken if broken[name] != right[name]} == {
        change["file"] for change in lab.changes
    }
    assert [path.name for path in lab.folder.iterdir()] == ["lab.toml"]
    assert lab.tool in lab.solution["shows"]
    tried = {each["tool"] for each in lab.tries}
    assert (
        len(tried) >= 3 and lab.tool in tried and tried | {*lab.solution["shows"]} <= {*labs.TOOLS}
    )
    assert {*lab.solution} == {"cause", "repair", "prevent", "shows"}
    assert {doing["does"] for doing in lab.users} <= {*users.DO}


def test_the_labs_are_numbered_and_each_tool_is_the_best_once():
    others = {path.name for path in labs.LABS.iterdir()} - {lab.folder.name for lab in LABS}
    assert others == {labs.DEPLOY}
    assert [lab.number for lab in LABS] == list(range(1, len(LABS) + 1))
    assert sorted(lab.tool for lab in LABS) == sorted(labs.TOOLS)


# The symptom as a client sees it, what the tool shows, and that the step alone shows neither


@both
@pytest.mark.asyncio
async def test_1_no_handshake_gets_through_a_proxy_that_drops_upgrade(fixed, stage):
    async with stage(1, fixed) as one:
        if fixed:
            async with client(one) as alice:
                assert alice.hello["last"] == 0
        else:
            with pytest.raises(InvalidStatus, match="HTTP 400"):
                async with client(one):
                    pass
        asked, passed_on, answered = one.wire[:3]
        assert "user → proxy" in asked and "Upgrade: websocket" in asked
        assert "proxy → app" in passed_on and ("Upgrade: websocket" in passed_on) == fixed
        assert ("HTTP/1.1 101" in answered) == fixed
        status = 101 if fixed else 400
        assert f'websocket_handshakes_total{{status="{status}"}} 1\n' in one.proxy.metrics()


@both
@pytest.mark.asyncio
async def test_2_an_idle_connection_is_closed_unless_pings_pass(fixed, stage):
    def pings():
        return [line for line in one.wire if "app → user   PING" in line]

    async with stage(2, fixed) as one:
        if fixed:
            one.proxy.idle_seconds = 2  # 0.6 may pass on a busy machine, pings or not
            async with client(one) as alice:
                # Each is answered by a pong, so some time passes in between.
                await until(lambda: len(pings()) >= 12, "twelve pings, one in 0.2 s")
                await alice.send("still here")
                assert (await alice.frame())["messages"] == ["still here"]
            return
        async with client(one) as alice:
            with pytest.raises(ConnectionClosed):
                await alice.frame()
            assert alice.connection.close_code == 1006
        assert pings() == []
        await until(lambda: "closed by the proxy: no byte for 0.6 s" in one.wire[-1], "its end")
        assert "TEXT" in one.wire[-2]


@both
@pytest.mark.asyncio
async def test_3_after_a_cut_all_pages_reconnect_at_once_and_again(fixed, stage):
    number = 10
    async with stage(3, fixed, {"does": "crowd", "number": number}) as one:
        handshakes = one.proxy.handshakes
        await until(lambda: len(one.proxy.websockets) == number, "ten open connections")
        one.proxy.is_away = True
        one.proxy.cut()
        if fixed:
            await asyncio.sleep(1)
            assert 0 < handshakes["502"] < 2.5 * number
        else:
            # With back-off, four tries take each of them seven seconds on average.
            await until(lambda: handshakes["502"] >= 4 * number, "a storm", seconds=3)
            assert 'websocket_handshakes_total{status="502"} 4' in one.proxy.metrics()
        one.proxy.is_away = False
        if not fixed:
            await until(lambda: len(one.proxy.websockets) == number, "ten open connections")


def test_users_wait_as_the_page_says():
    def waits(fixed, tries):
        script = labs.find_lab("3").files(fixed)["static/js/websocket.js"].decode()
        return [users.wait_of_page(script, tries) for _ in range(50)]

    assert set(waits(False, 0) + waits(False, 9)) == {0.2}
    for tries, most in ((0, 1), (3, 8), (9, 30)):
        assert most / 2 < max(waits(True, tries)) <= most
        assert min(waits(True, tries)) < most / 2


@both
@pytest.mark.asyncio
async def test_4_one_client_that_does_not_read_holds_up_everyone(fixed, stage):
    talkers = {"does": "talkers", "number": 4, "every": 0.06, "length": 2000}
    async with (
        stage(4, fixed, talkers, {"does": "sleeper", "seconds": 60}) as one,
        client(one) as bob,
    ):
        await until(lambda: one.asleep, "a client that doesn't read")
        behind = [0]  # how many bytes were sent by users since bob last got a message

        async def reading():
            while True:
                received = one.proxy.received
                await bob.frame()
                behind.append(0)
                waiting["since"] = received

        waiting = {"since": one.proxy.received}
        task = asyncio.create_task(reading())
        try:
            most = 100_000
            if fixed:  # more passes than all buffers hold, and bob gets it
                start = one.proxy.received
                await until(lambda: one.proxy.received > start + 4 * most, "what users write")
                assert one.proxy.received - waiting["since"] < most
                return
            await until(lambda: one.proxy.received - waiting["since"] > most, "a standstill")
            sent, queued = one.proxy.sent, send_queue(one.proxy.port, one.asleep[0])
            await until(lambda: one.proxy.received - waiting["since"] > 2 * most, "more of it")
            assert one.proxy.sent == sent
            assert queued is None or send_queue(one.proxy.port, one.asleep[0]) == queued > 0
            since = waiting["since"]
            for writer in one.proxy.connections:
                if writer.get_extra_info("peername")[1] == one.asleep[0]:
                    writer.transport.abort()
            await until(lambda: waiting["since"] > since, "a message for bob")
        finally:
            task.cancel()


def send_queue(port, peer_port):
    """How many bytes wait to be sent on a connection, as `ss -tn` says; None if there is no ss."""
    if not shutil.which("ss"):
        return None
    lines = subprocess.run(["ss", "-tn"], capture_output=True, text=True, check=True).stdout
    return int(re.search(rf"ESTAB +\d+ +(\d+) +\S+:{port} +\S+:{peer_port}\b", lines)[1])


@both
@pytest.mark.asyncio
async def test_5_two_processes_are_two_rooms(fixed, stage):
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(stage(5, fixed))
        alice, bob, carol = [await stack.enter_async_context(client(one)) for _ in range(3)]
        names = [each.hello["log"] for each in (alice, bob, carol)]
        assert names[0] == names[2] and (names[0] == names[1]) == fixed
        await alice.send("from alice")
        assert "from alice" in (await carol.messages_until("from alice")).values()
        await bob.send("from bob")
        heard = list((await bob.messages_until("from bob")).values())
        assert heard == (["from alice", "from bob"] if fixed else ["from bob"])


@both
@pytest.mark.asyncio
async def test_6_a_message_is_lost_that_arrives_while_others_are_resent(fixed, stage):
    async with stage(6, fixed) as one, client(one) as alice:
        await alice.send("missed")
        await alice.messages_until("missed")
        async with client(one, alice.hello["log"], 0) as bob:
            resent = asyncio.create_task(bob.frame())
            count = 0
            while not resent.done():  # meanwhile, alice writes
                count += 1
                await alice.send(f"{count}")
                await asyncio.sleep(0.06)  # or she would be closed: at most 20 messages a second
            await alice.send("end")
            frame = await resent
            got = dict(enumerate(frame["messages"], frame["first"]))
            got |= await bob.messages_until("end")
        expected = ["missed", *map(str, range(1, count + 1)), "end"]
        lost = [text for text in expected if text not in got.values()]
        ids = list(got)
        assert ids[0] == 1 and (ids == list(range(1, len(ids) + 1))) == fixed
        assert bool(lost) != fixed


# The command


def run(*arguments):
    """What the command prints, run in this process, and its exit code."""
    result = CliRunner().invoke(main_group, ["lab", *map(str, arguments)])
    return result.exit_code, result.output


def test_without_a_number_it_lists_the_labs():
    code, output = run()
    assert code == 0
    assert output.startswith("".join(f"{lab.number}  {lab.title}\n" for lab in LABS))


@pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.folder.name)
def test_solve_tells_the_cause_the_change_and_what_shows_it(lab):
    code, output = run(lab.number, "--solve")
    words = " ".join(output.split())
    assert code == 0
    for text in [
        *lab.solution["shows"].values(),
        *map(lab.solution.get, ("cause", "repair", "prevent")),
    ]:
        assert " ".join(text.split()) in words
    for change in lab.changes:
        for line in change["replace"].strip().splitlines():
            assert line in output


def test_all_that_the_command_tells_of_a_lab_is_in_german(german):
    for lab in LABS:
        texts = [
            lab.title,
            lab.complaint,
            *filter(None, [lab.note]),
            *lab.solution["shows"].values(),
        ]
        texts += [each["do"] for each in lab.tries]
        texts += [lab.solution[part] for part in ("cause", "repair", "prevent")]
        assert [text for text in texts if language._(text) == text] == []
    assert [tool for tool in labs.TOOLS.values() if language._(tool) == tool] == []
    code, output = run(LABS[0].number, "--solve")
    assert code == 0
    assert output.startswith(f"Lab 1: {language._(LABS[0].title)}: die Lösung\n")
    assert " ".join(language._(LABS[0].solution["repair"]).split()) in " ".join(output.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["7"], "there is no lab '7'; the labs are 1 to 6"),
        (["one"], "there is no lab 'one'; the labs are 1 to 6"),
        (["--wire"], "these options need the number of a lab"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(arguments, told):
    code, output = run(*arguments)
    assert code == 2
    assert output.splitlines()[-1] == f"Error: {told}"


def test_a_lab_is_served_with_its_complaint_and_its_log_until_ctrl_c(workshop):
    port = free_port()
    process = workshop("lab", 1, "--port", port, "--wire")
    process.wait_for("To try:")
    words = " ".join(process.output.replace("  > ", " ").split())
    assert " ".join(LABS[0].complaint.split()) in words
    app_port = int(re.search(r"behind a proxy, at http://127.0.0.1:(\d+)/", process.output)[1])
    for address, told in ((port, "HTTP 400"), (app_port, "Connected to")):
        command = [sys.executable, "-m", "websockets", f"ws://127.0.0.1:{address}/api/v3/ws"]
        result = subprocess.run(command, input="", capture_output=True, text=True, timeout=SECONDS)
        assert told in result.stdout
    process.wait_for('"GET /api/v3/ws HTTP/1.1" 400')
    process.wait_for('"WebSocket /api/v3/ws" [accepted]')
    with HTTP.open(f"http://127.0.0.1:{port}/metrics", timeout=SECONDS) as response:
        assert 'status="400"} 1\n' in response.read().decode()
    process.interrupt()
    code, output = process.end(5)
    assert code == 0, output
    assert output.endswith("\nStopped.\n") and "Traceback" not in output
    for each in (port, app_port):
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", each), 0.5)


@pytest.mark.thorough
@pytest.mark.parametrize(("number", "sign"), [(4, "app → user   TEXT"), (5, "The server's log")])
def test_ctrl_c_ends_users_that_do_not_read_and_several_processes(number, sign, workshop):
    process = workshop("lab", number, "--port", free_port(), "--wire")
    process.wait_for(sign)
    process.interrupt()
    code, output = process.end(8)
    assert code == 0, output
    assert output.endswith("\nStopped.\n") and "Traceback" not in output
