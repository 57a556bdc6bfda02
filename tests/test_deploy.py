"""The recipes of deploy/, run as far as one machine allows, with the app of step 9."""

import asyncio
import configparser
import glob
import http.client
import http.server
import itertools
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import yaml
from clients import Client, are_in, say_surely, signed_in
from proxies import find, make_certificate, nginx_settings, replaced, require, wait_until_listening
from repo import ROOT, STEPS, free_port
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from harness.sign_in import PATH, SETTINGS
from workshop.grading.container import NoContainer, find_engine

DEPLOY, SIGN_IN = ROOT / "deploy", STEPS[8]
UNIT = DEPLOY / "websocket@.service"
DRAIN = 1  # second, in place of the recipe's 5
PLENTY = {"QUART_RATE": "1000", "QUART_LOG_SIZE": "10000"}
pytestmark = pytest.mark.timeout(110)


def read(name):
    return (DEPLOY / name).read_text(encoding="utf-8")


@pytest.fixture
def project(tmp_path):
    """A learner's folder with step 9, after `cp deploy/* websocket/`."""
    ignored = shutil.ignore_patterns("tests", "__pycache__")
    folder = shutil.copytree(SIGN_IN, tmp_path / "websocket", ignore=ignored)
    return shutil.copytree(DEPLOY, folder, dirs_exist_ok=True, ignore=ignored)


def ask(host, path, headers=None, method="GET", data=None):
    """The status of a server's answer, its headers and its text."""
    connection = http.client.HTTPConnection(host, timeout=20)
    connection.request(method, path, data, headers or {})
    response = connection.getresponse()
    try:
        return response, response.read().decode()
    finally:
        connection.close()


def until(host, path, is_so, seconds=20):
    """Ask until there is an answer that is so; returns its text."""
    deadline, told = time.monotonic() + seconds, "nothing"
    while True:
        with suppress(OSError):
            response, told = ask(host, path)
            if is_so(response, told):
                return told
        assert time.monotonic() < deadline, f"{path} still answers {told}"
        time.sleep(0.02)


@pytest.fixture
def serve(start):
    """Start the app on a port with a recipe's command in a process of its own: it and its host."""

    started = []

    def serve(folder, command=None, port=None, waits=True, **environ):
        port = port or free_port()
        command = command or ["python", "deployed.py", "--port", port, "--drain", DRAIN]
        words = [sys.executable if str(word).endswith("python") else word for word in command]
        environ = {"REDIS_URL": "", "PORT": str(port), "QUART_TCP_PORT": "", **SETTINGS, **environ}
        started.append(start(*words, cwd=folder, env=environ))
        if waits:
            wait_until_listening(port)
        return started[-1], f"127.0.0.1:{port}"

    yield serve
    for one in started:
        one.process.kill()  # or it would drain


SAMPLE = re.compile(r'(websocket_[a-z_]+)(?:\{code="(\d{3,4})"\})? (\d+)')
COMMENT = re.compile(r"# (?:HELP (\w+) \S.*|TYPE (\w+) (?:counter|gauge))")


def parse(text):
    """The numbers of a text in Prometheus' format, by name or by name and code."""
    numbers, families = {}, []
    assert text.endswith("\n")
    for line in text.splitlines():
        if line.startswith("#"):
            name = "".join(filter(None, COMMENT.fullmatch(line).groups()))
            families += [name] if name not in families else []
            assert name == families[-1], f"{name} is told about twice"
            continue
        name, code, number = SAMPLE.fullmatch(line).groups()
        assert name == families[-1], f"{line} stands below {families[-1]}"
        key = (name.removeprefix("websocket_"), code) if code else name.removeprefix("websocket_")
        assert key not in numbers, f"{key} is there twice"
        numbers[key] = int(number)
    return numbers


def numbers_of(host, name="connections", value=None):
    """The metrics of a server, once one of them has a value."""
    return parse(
        until(host, "/metrics", lambda _, text: value is None or parse(text)[name] == value)
    )


@pytest.mark.asyncio
async def test_metrics_count_connections_deliveries_refusals_and_closes(serve, project):
    _, host = serve(project)
    url = f"ws://{host}/api/v3/ws"
    response, text = ask(host, "/metrics")
    assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert set(parse(text).values()) == {0, 1} and parse(text)["log_up"] == 1
    with pytest.raises(InvalidStatus, match="401"):
        await connect(url, proxy=None)
    headers = signed_in(host, "alice")
    people = [await connect(url, proxy=None, additional_headers=headers) for _ in range(3)]
    for person in people:
        await person.recv()
    for text in ("tea?", "yes, please"):
        await people[0].send(text)
        for person in people:
            assert text in await person.recv()
    await people[0].send(b"bytes")
    people[2].transport.abort()  # which happens while the next one waits
    await people[1].close(1001)
    with pytest.raises(ConnectionClosed):
        await people[0].recv()
    numbers = numbers_of(host, "connections", 0)
    assert numbers == {
        **{"connections": 0, "deliveries_total": 6, ("refused_total", "401"): 1},
        **{("closes_total", code): 1 for code in ("1001", "1003", "1005")},
        **{"messages_total": 2, "log_messages": 2, "log_up": 1, "draining": 0},
    }
    for path in ("/metrics", "/ready"):
        expected = 200 if path == "/ready" else 404
        assert ask(host, path, {"X-Forwarded-For": "10.1.2.3"})[0].status == expected


def words_of_unit(port):
    """The command of the unit for a port."""
    (line,) = re.findall(r"^ExecStart=(.*)$", read(UNIT.name), re.MULTILINE)
    return shlex.split(replaced(line, {"%i": port, "--drain 5": f"--drain {DRAIN}"}))


@pytest.mark.asyncio
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
async def test_a_server_that_is_stopped_is_not_ready_first_and_closes_with_1012(serve, project):
    port = free_port()
    process, host = serve(project, words_of_unit(port), port=port)
    assert ask(host, "/ready")[1] == "well\n"
    headers = signed_in(host, "alice")
    async with connect(f"ws://{host}/api/v3/ws", proxy=None, additional_headers=headers) as alice:
        await alice.recv()
        process.process.send_signal(signal.SIGTERM)
        assert until(host, "/ready", lambda response, _: response.status == 503) == "draining\n"
        assert numbers_of(host)["draining"] == 1
        assert ask(host, "/health")[1] == "well\n"
        await alice.send("still here")
        assert "still here" in await alice.recv()
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionClosed):
                await alice.recv()
        assert alice.close_code == 1012
    _, output = await asyncio.to_thread(process.end, 20)
    assert "Traceback" not in output and "Cancel" not in output, output


# ---- systemd


@pytest.fixture
def unit(tmp_path):
    """The unit with a Python of this machine."""
    path = tmp_path / "websocket@5001.service"
    python = {"/srv/websocket/.venv/bin/python": sys.executable}
    path.write_text(replaced(read(UNIT.name), python), encoding="utf-8")
    return path


@pytest.mark.parametrize("words", [["verify"], ["security", "--offline=yes", "--threshold=20"]])
def test_systemd_takes_the_unit_and_finds_it_safe(words, unit):
    systemd = shutil.which("systemd-analyze") or pytest.skip("no systemd-analyze on this system")
    version = subprocess.check_output([systemd, "--version"], encoding="utf-8").split()[1]
    if int(re.match(r"\d+", version)[0]) < 250:
        pytest.skip(f"systemd {version} is too old for it: 250 isn't")
    result = subprocess.run(
        [systemd, *words, unit], capture_output=True, encoding="utf-8", timeout=60
    )
    assert result.returncode == 0, result.stderr + result.stdout[-3000:]
    assert words != ["verify"] or result.stderr == ""


def test_systemd_waits_until_a_server_has_drained():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string(read(UNIT.name))
    service = unit["Service"]
    drain = float(re.search(r"--drain (\S+)", service["ExecStart"])[1])
    code = (SIGN_IN / "serve.py").read_text(encoding="utf-8")
    graceful = re.search(r'"timeout_graceful_shutdown": (\S+),', code)
    assert float(service["TimeoutStopSec"]) >= drain + float(graceful[1]) + 5
    assert (service["KillSignal"], service["Restart"]) == ("SIGTERM", "on-failure")
    assert (service["DynamicUser"], service["NoNewPrivileges"]) == ("yes", "yes")


def test_every_setting_is_one_that_the_app_reads():
    settings = re.findall(r"^([A-Z_]+)=", read("websocket.env"), re.MULTILINE)
    code = "".join(path.read_text(encoding="utf-8") for path in SIGN_IN.glob("*.py")).upper()
    assert len(settings) == 5
    assert [name for name in settings if name.removeprefix("QUART_") not in code] == []


# ---- A container, and a platform


def instructions():
    """The instructions of the Containerfile: each one's name, and the rest of it."""
    text = read("Containerfile").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [line.split(maxsplit=1) for line in lines]


def copied():
    """What the last image gets from the project: patterns, and the folder each goes to."""
    pairs = [words.split() for name, words in instructions() if name == "COPY"]
    return [pair for pair in pairs if not pair[0].startswith("--")]


@pytest.fixture
def image(project, tmp_path):
    """A folder with what the last image has of the project."""
    folder = tmp_path / "image"
    folder.mkdir()
    for pattern, target in copied()[1:]:  # the first is for the other image
        for name in glob.glob(pattern, root_dir=project):
            copy = shutil.copytree if (project / name).is_dir() else shutil.copy
            copy(project / name, folder / target)
    return folder


def test_the_container_file_follows_its_rules(project):
    names = [name for name, _ in instructions()]
    for name, words in instructions():
        if name == "FROM":
            assert re.fullmatch(r"python:3\.\d\d-slim-[a-z]+( AS \w+)?", words), words
    last = len(names) - names[::-1].index("FROM")
    user = dict(instructions()[last:])["USER"]
    assert re.fullmatch(r"[1-9]\d{4}:[1-9]\d{4}", user), user
    assert names[-1] == "CMD" and isinstance(json.loads(instructions()[-1][1]), list)
    (project / "Pipfile.lock").touch()  # `pipenv lock` makes it
    for *sources, _ in copied():
        for source in sources:
            assert glob.glob(source, root_dir=project), f"nothing to copy: {source}"


def environment_of_image():
    (words,) = (words for name, words in instructions() if name == "ENV")
    return dict(word.split("=", 1) for word in words.split())


def test_what_the_image_holds_is_enough_to_serve_and_to_look_after_itself(serve, image):
    port = free_port()
    command = json.loads(dict(instructions())["CMD"])
    _, host = serve(image, command, port=port, **{**environment_of_image(), "PORT": str(port)})
    for path in (PATH, "/static/css/websocket.css"):
        assert ask(host, path)[0].status == 200, path
    look = json.loads(dict(instructions())["HEALTHCHECK"].partition("CMD")[2])
    for place, code in ((port, 0), (free_port(), 1)):
        environ = {**os.environ, "PORT": str(place)}
        result = subprocess.run(
            [sys.executable, *look[1:]], env=environ, capture_output=True, timeout=30
        )
        assert result.returncode == code, result.stderr


@pytest.mark.exhaustive
@pytest.mark.network
@pytest.mark.timeout(300)
def test_pipenv_installs_what_the_image_needs(project, image):
    ours = ("PIPENV_", "VIRTUAL_ENV", "PYTEST_", "WORKSHOP_")
    environ = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + environ["PATH"]
    environ["PIPENV_IGNORE_VIRTUALENVS"] = "1"
    _, install = [words for name, words in instructions() if name == "RUN"]
    for line in ("pipenv lock", install):
        result = subprocess.run(line, shell=True, cwd=project, env=environ, capture_output=True)
        assert result.returncode == 0, result.stdout + result.stderr
    python = project / ".venv/bin/python"
    result = subprocess.run([python, "deployed.py", "--help"], cwd=image, capture_output=True)
    assert result.returncode == 0 and b"--drain" in result.stdout, result.stderr


@pytest.mark.exhaustive
@pytest.mark.network
@pytest.mark.timeout(600)
def test_a_container_engine_builds_the_image(project):
    try:
        engine = find_engine()
    except NoContainer as why:
        pytest.skip(str(why))
    subprocess.run([sys.executable, "-m", "pipenv", "lock"], cwd=project, check=True)
    options = ["--file", "Containerfile", "--tag", "websocket"]
    subprocess.run([engine.program, "build", *options, "."], cwd=project, check=True)
    command = [engine.program, "run", "--rm", "websocket", ".venv/bin/python", "deployed.py"]
    assert b"--drain" in subprocess.check_output([*command, "--help"])


def test_a_platform_that_gives_a_port_serves_to_all(serve, project):
    name, command = read("Procfile").strip().split(": ")
    process, host = serve(project, shlex.split(command))
    assert (name, ask(host, "/ready")[1]) == ("web", "well\n")
    assert "http://0.0.0.0:" in process.wait_for("running on")


# ---- Alerts


def test_alerts_are_about_numbers_that_there_are_and_the_page_says_what_to_do(monkeypatch):
    rules = [
        rule for group in yaml.safe_load(read("alerts.yml"))["groups"] for rule in group["rules"]
    ]
    monkeypatch.syspath_prepend(DEPLOY)
    import metrics

    class NoLog:
        last, messages, name = 0, (), ""

    known = set(re.findall(r"# TYPE (\w+)", metrics.Watched(None, NoLog).metrics()))
    named = {name for rule in rules for name in re.findall(r"\bwebsocket_\w+", rule["expr"])}
    assert named - known == set()
    page = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `(\w+)`", page, re.MULTILINE) == [rule["alert"] for rule in rules]
    assert '"CONNECTIONS", 1000)' in (SIGN_IN / "websocket.py").read_text(encoding="utf-8")


def test_prometheus_takes_the_alerts():
    promtool = find("promtool") or pytest.skip("no promtool: it comes with Prometheus")
    result = subprocess.run([promtool, "check", "rules", DEPLOY / "alerts.yml"], timeout=60)
    assert result.returncode == 0


# ---- Behind a proxy


def test_nginx_takes_its_settings_which_are_those_of_step_7_and_more(start, tmp_path):
    before = (ROOT / "docs/nginx.conf").read_text(encoding="utf-8").splitlines()
    now = read("nginx.conf").splitlines()
    assert [line.strip() for line in before if line not in now] == [
        "proxy_pass http://127.0.0.1:5000;"
    ]
    policy = re.search('Content-Security-Policy "(.*)"', read("nginx.conf"))[0]
    assert policy in read("Caddyfile")
    nginx = require("nginx", "nginx-light")
    certificate, key = make_certificate(start, tmp_path)
    own = {"/etc/ssl/chat.example.pem": certificate, "/etc/ssl/chat.example.key": key}
    settings = nginx_settings(replaced(read("nginx.conf"), own), tmp_path)
    code, output = start(nginx, "-t", "-p", tmp_path, "-c", settings).end()
    assert code == 0, output


def caddy():
    return find("caddy") or pytest.skip("no caddy: install it (on Debian: sudo apt install caddy)")


def test_caddy_takes_its_settings(start):
    options = ["--adapter", "caddyfile", "--config", DEPLOY / "Caddyfile"]
    code, output = start(caddy(), "validate", *options).end()
    assert code == 0, output


def start_nginx(start, port, ports, folder):
    """nginx as the docs have it, without TLS, and for clients that all have one address."""
    own = {
        "listen 443 ssl": f"listen 127.0.0.1:{port}",
        "    ssl_certificate /etc/ssl/chat.example.pem;\n": "",
        "    ssl_certificate_key /etc/ssl/chat.example.key;\n": "",
        "rate=20r/s": "rate=10000r/s",
        "127.0.0.1:5001": f"127.0.0.1:{ports[0]}",
        "127.0.0.1:5002": f"127.0.0.1:{ports[1]}",
    }
    settings = nginx_settings(replaced(read("nginx.conf"), own), folder)
    start(require("nginx", "nginx-light"), "-p", folder, "-c", settings)


def start_caddy(start, port, ports, folder):
    own = {
        "chat.example {": f"{{\n\tadmin off\n}}\nhttp://127.0.0.1:{port} {{",
        "127.0.0.1:5001": f"127.0.0.1:{ports[0]}",
        "127.0.0.1:5002": f"127.0.0.1:{ports[1]}",
    }
    settings = folder / "Caddyfile"
    settings.write_text(replaced(read("Caddyfile"), own), encoding="utf-8")
    options = ["--adapter", "caddyfile", "--config", settings]
    start(caddy(), "run", *options, env={"HOME": str(folder), "XDG_DATA_HOME": str(folder)})


@pytest.fixture
def pool():
    with ThreadPoolExecutor() as pool:
        yield pool


def roll(ports, restart, folder, script=DEPLOY / "rolling.sh"):
    """Run the script that restarts servers, with a function in the place of systemctl."""
    require("curl", "curl")
    failures = []

    class Asked(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            try:
                restart(int(self.path.partition("@")[2]))
            except BaseException as failure:
                failures.append(failure)
            self.send_response(500 if failures else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Asked) as asked:
        threading.Thread(target=asked.serve_forever, daemon=True).start()
        systemctl = folder / "bin/systemctl"
        systemctl.parent.mkdir()
        curl = f'curl --silent --fail "http://127.0.0.1:{asked.server_port}/$1/$2"'
        systemctl.write_text(f"#!/bin/sh\n{curl}\n", encoding="utf-8")
        systemctl.chmod(0o755)
        path = f"{systemctl.parent}{os.pathsep}{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path, "NO_PROXY": "127.0.0.1"}
        command = ["sh", script, *map(str, ports)]
        code = subprocess.run(command, env=environ, timeout=80).returncode
        asked.shutdown()
    if failures:
        raise failures[0]
    return code


@pytest.mark.skipif(os.name == "nt", reason="it is for systemd")
def test_a_version_that_does_not_get_ready_is_rolled_out_no_further(tmp_path):
    script, restarted, ports = tmp_path / "rolling.sh", [], [free_port(), free_port()]
    script.write_text(replaced(read("rolling.sh"), {"--retry 30": "--retry 1"}), encoding="utf-8")
    assert roll(ports, restarted.append, tmp_path, script) != 0
    assert restarted == ports[:1]


@pytest.mark.asyncio
@pytest.mark.thorough
@pytest.mark.skipif(os.name == "nt", reason="needs SIGTERM")
@pytest.mark.parametrize(
    "start_proxy",
    [
        pytest.param(start_nginx, id="nginx"),
        pytest.param(start_caddy, id="caddy", marks=pytest.mark.exhaustive),
    ],
)
@pytest.mark.long
async def test_during_a_rolling_restart_each_accepted_message_arrives_once_in_order(
    start_proxy, start, serve, project, redis_url, tmp_path, pool
):
    newer = shutil.copytree(project, tmp_path / "newer")
    page = newer / "templates/sign_in.html"
    page.write_text(page.read_text("utf-8").replace("</title>", ", newer</title>"), "utf-8")
    settings = {**PLENTY, "REDIS_URL": redis_url, "FORWARDED_ALLOW_IPS": "127.0.0.1"}
    old, ports, port = [], [free_port(), free_port()], free_port()
    for one in ports:
        old.append(serve(project, port=one, **settings)[0])
        until(f"127.0.0.1:{one}", "/ready", lambda response, _: response.status == 200)
    start_proxy(start, port, ports, tmp_path)
    wait_until_listening(port)
    host = f"127.0.0.1:{port}"
    assert [ask(host, path)[0].status for path in ("/metrics", "/ready")] == [404, 404]
    clients = [Client(host, signed_in(host, f"listener {number}")) for number in range(46)]
    senders = [Client(host, signed_in(host, f"sender {number}")) for number in range(4)]
    listening = [asyncio.create_task(client.listen_until("the end")) for client in clients]
    await are_in(*clients)
    assert {numbers_of(f"127.0.0.1:{one}")["connections"] for one in ports} == {23}
    is_over = asyncio.Event()
    starts = itertools.takewhile(lambda _: not is_over.is_set(), itertools.count(0, 5))
    saying = [
        asyncio.create_task(say_surely(sender, f"sender {number}", starts, size=5, pause=0.05))
        for number, sender in enumerate(senders)
    ]
    await are_in(*senders)
    restarts, looking = [], []

    def until_ready(one, since):
        until(f"127.0.0.1:{one}", "/ready", lambda response, _: response.status == 200)
        restarts.append(time.monotonic() - since)

    def restart(one):
        """Stop a server, and start the newer version in its place, as systemctl does."""
        for other in {*ports} - {one}:
            assert ask(f"127.0.0.1:{other}", "/ready")[0].status == 200, "the others aren't ready"
        process = old[ports.index(one)]
        process.process.send_signal(signal.SIGTERM)
        _, output = process.end(20)
        assert "Traceback" not in output, output
        serve(newer, port=one, waits=False, **settings)
        looking.append(pool.submit(until_ready, one, time.monotonic()))

    assert await asyncio.to_thread(roll, ports, restart, tmp_path) == 0
    assert [one.result() for one in looking] == [None, None]
    assert ", newer</title>" in ask(host, PATH)[1]
    is_over.set()
    accepted = await asyncio.wait_for(asyncio.gather(*saying), 30)
    async with Client(host, signed_in(host, "end")).connected() as end, asyncio.timeout(30):
        await end.send("the end")
        await asyncio.gather(*listening)
    order = clients[0].texts
    assert len(set(order)) == len(order), "a message came twice"
    assert all(set(messages) <= set(order) for messages in accepted)
    assert all(len(messages) > 100 for messages in accepted)
    for client in clients:
        assert client.gaps == []
        assert client.ids == list(range(client.ids[0], client.ids[-1] + 1))
        assert client.texts == order
    away = [seconds for client in clients for seconds in client.away]
    assert len(away) >= len(clients), "each server that was stopped had clients"
    assert max(away) < max(restarts), "a client waited for a server, with another one there"
