"""Each step on real servers, with real clients: the lesson's commands, and the workshop's."""

import asyncio
import os
import re
import shutil
import sys
from contextlib import asynccontextmanager

import pytest
from clients import signed_in
from repo import HTTP, RUNS_ALL, STEPS, free_port, get_when_served
from websockets.asyncio.client import connect

from harness.sign_in import SETTINGS

# With --all, every step is served.
SERVED = STEPS if RUNS_ALL else [STEPS[0], STEPS[4], STEPS[7]]
WITH_SOCKETS = [step for step in STEPS if step.name >= "03"]
each_step = pytest.mark.parametrize("step", SERVED, ids=lambda step: step.name)
pytestmark = pytest.mark.asyncio


def socket_path(step):
    return "/ws" if step.name < "05" else "/api/v2/ws" if step.name < "06" else "/api/v3/ws"


def heading(step):
    return re.search("<h1>.*</h1>", (step / "templates/index.html").read_text(encoding="utf-8"))[0]


def page(url):
    with HTTP.open(url, timeout=10) as response:
        return response.read().decode()


@pytest.fixture
def served(workshop):
    """`python -m workshop run STEP` on a free port, once it serves: the process and its host."""

    def run(target, *options, **more):
        env = {"QUART_TCP_PORT": "0", **more.pop("env", {})}
        process = workshop("run", target, "--port", free_port(), *options, env=env, **more)
        return process, re.search(r"http://(\S+)/", process.wait_for("is served at"))[1]

    return run


@pytest.fixture(autouse=True)
def class_word(monkeypatch):
    for name, value in SETTINGS.items():  # so that step 9's clients can sign in
        monkeypatch.setenv(name, value)


@asynccontextmanager
async def client(host, path, name="alice"):
    options = {"proxy": None, "additional_headers": signed_in(host, name)}
    async with asyncio.timeout(20), connect(f"ws://{host}{path}", **options) as connection:
        yield connection


@each_step
async def test_the_originals_command_serves_the_page(step, start):
    port = free_port()
    quart = shutil.which("quart", path=os.path.dirname(sys.executable))
    env = {"QUART_APP": "websocket:app", "QUART_RUN_PORT": str(port), "QUART_TCP_PORT": "0"}
    process = start(quart, "run", cwd=step, env=env)
    process.wait_for("Running on")
    served = await asyncio.to_thread(get_when_served, f"http://127.0.0.1:{port}/")
    assert heading(step) in served
    if step in WITH_SOCKETS:
        async with client(f"127.0.0.1:{port}", socket_path(step)) as alice:
            await alice.send("bob")
            while "bob" not in await alice.recv():
                pass  # from step 6 on, a frame with the client's place comes first


@each_step
async def test_run_serves_a_step_and_ctrl_c_ends_it_with_clients_connected(step, served):
    process, host = served(step.name)
    assert heading(step) in page(f"http://{host}/")
    if step in WITH_SOCKETS:
        path = socket_path(step)
        async with client(host, path) as alice, client(host, path, "bob") as bob:
            await alice.send("hello")
            await alice.recv()
            process.interrupt()
            code, output = await asyncio.to_thread(process.end, 2)
            await asyncio.gather(alice.wait_closed(), bob.wait_closed())
            assert alice.close_code == bob.close_code == 1012  # service restart
    else:
        process.interrupt()
        code, output = process.end(2)
    assert code == 0
    assert "Traceback" not in output
    assert "Fatal" not in output


@pytest.mark.parametrize(
    "step", [step for step in SERVED if step in WITH_SOCKETS], ids=lambda step: step.name
)
async def test_run_survives_a_client_that_is_killed_without_goodbye(step, served, start):
    process, host = served(step.name)
    path = socket_path(step)
    async with client(host, path) as alice:
        script = (
            "from websockets.sync.client import connect\n"
            f"headers = {signed_in(host, 'bob')}\n"
            f"with connect('ws://{host}{path}', proxy=None, additional_headers=headers) as bob:\n"
            "    bob.send('bob'); print('joined', bob.recv()); bob.recv(); bob.recv()\n"
        )
        bob = start(sys.executable, "-c", script)
        await asyncio.to_thread(bob.wait_for, "joined")
        bob.process.kill()
        bob.process.wait(5)
        for message in ("one", "two"):
            await alice.send(message)
            while message not in await alice.recv():
                pass  # what bob said before he was killed
    process.interrupt()
    assert "Traceback" not in process.end(2)[1]


async def test_the_server_ends_when_run_itself_is_killed(served):
    process, host = served(STEPS[2].name)
    async with client(host, "/ws") as alice:
        process.process.kill()
        async with asyncio.timeout(5):
            await alice.wait_closed()
        assert alice.close_code == 1012


async def test_run_starts_again_when_a_file_changes_and_says_what_is_wrong(served, tmp_path):
    project = shutil.copytree(STEPS[2], tmp_path / "my own")
    code = (project / "websocket.py").read_text(encoding="utf-8")
    process, host = served(project)

    def save(text):
        (project / "websocket.py").write_text(text, encoding="utf-8", newline="\n")
        process.wait_for("websocket.py changed")

    save(code + "async def oops(:\n")
    process.wait_for("websocket.py, line 20: SyntaxError")
    save(code.replace("echo {", "shout {"))
    process.wait_for("served again")
    async with client(host, "/ws") as bob:
        await bob.send("bob")
        assert await bob.recv() == "shout bob"
    process.interrupt()
    code, output = process.end(2)
    assert code == 0
    assert "Traceback" not in output
    assert "Fatal" not in output
