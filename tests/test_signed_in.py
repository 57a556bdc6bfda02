"""Step 9 as it is served, behind nginx: what ends up in a log, and what does not."""

import http.client
import re
import sys
from urllib.parse import urlencode

import pytest
from proxies import nginx_settings, require
from repo import ROOT, STEPS, free_port, get_when_served
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from harness.sign_in import cookie_of

SIGN_IN = STEPS[8]
WORD = "Sesame-Open-Me"
SECRET = "a-key-that-is-nobodys-business"


class Behind:
    """Step 9 behind nginx: where it is, and the logs of both."""

    def __init__(self, start, folder):
        nginx = require("nginx", "nginx-light")
        own, self.port, self.folder = free_port(), free_port(), folder
        settings = {"QUART_CLASS_WORD": WORD, "QUART_SECRET_KEY": SECRET, "QUART_TCP_PORT": ""}
        settings |= {"FORWARDED_ALLOW_IPS": "127.0.0.1"}
        self.app = start(sys.executable, "serve.py", "--port", own, cwd=SIGN_IN, env=settings)
        get_when_served(f"http://127.0.0.1:{own}/sign-in")
        # As the docs have it, but without TLS, and with a log.
        server = (ROOT / "docs/nginx.conf").read_text(encoding="utf-8")
        server = re.sub(r"^ *ssl_.*\n", "", server, flags=re.MULTILINE)
        server = server.replace("listen 443 ssl", f"listen 127.0.0.1:{self.port}")
        server = server.replace("127.0.0.1:5000", f"127.0.0.1:{own}")
        server = server.replace("server_name", f"access_log {folder}/access.log; server_name")
        self.nginx = start(nginx, "-p", folder, "-c", nginx_settings(server, folder))
        get_when_served(f"http://127.0.0.1:{self.port}/sign-in")

    def post(self, path, cookie="", **fields):
        """The answer to a POST, and its text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": cookie}
        connection.request("POST", path, urlencode(fields), headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer, text

    def connect(self, query="", **headers):
        url = f"ws://127.0.0.1:{self.port}/api/v3/ws{query}"
        return connect(url, additional_headers=headers, proxy=None)

    def logs(self):
        """All that the app, its server and nginx have written, once they have ended."""
        for one in (self.nginx, self.app):
            one.process.terminate()
            _, said = one.end()
        files = [self.folder / "access.log", self.folder / "error.log"]
        return said + "".join(file.read_text(encoding="utf-8") for file in files)


@pytest.fixture
def behind(start, tmp_path):
    return Behind(start, tmp_path)


def test_no_log_contains_a_ticket_a_cookie_or_the_word(behind):
    answer, _ = behind.post("/sign-in", name="Alice", word=WORD)
    cookie = cookie_of(answer)
    answer, ticket = behind.post("/api/v3/tickets", cookie)
    assert answer.status == 201
    with behind.connect(Authorization=f"Bearer {ticket}") as program:
        program.recv(timeout=10)
    with pytest.raises(InvalidStatus, match="401"):
        behind.connect(Authorization=f"Bearer {ticket}")
    with behind.connect(Cookie=cookie) as page:
        page.recv(timeout=10)
    behind.post("/sign-in", name="Bob", word=f"{WORD}!")
    behind.post("/sign-out", cookie)
    logs = behind.logs()
    assert logs.count("/api/v3/ws") >= 6, f"each handshake should be in both logs: {logs}"
    for secret in (ticket, cookie.partition("=")[2], WORD, SECRET):
        assert secret not in logs, f"{secret} is in a log: {logs}"


@pytest.mark.thorough
def test_a_query_is_in_the_logs(behind):
    with pytest.raises(InvalidStatus, match="401"):
        behind.connect("?ticket=in-the-address")
    assert behind.logs().count("ticket=in-the-address") == 2, "one log is nginx's, one Uvicorn's"
