"""What nginx does with each transport, with the settings it has if nobody sets anything.

A client connects through nginx to the app of a transport. Does it get through, how late is a
message, and what happens to a connection on which no message travels?
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter

from bench.load import HOST, Late, LoadProblem
from bench.servers import Server, wait_until_open
from bench.transport_load import LOADS, contestant
from workshop.serving import any_free_port
from workshop.tied import end

PATIENCE = 2.5  # seconds that a client waits for a first message, and in silence
READ_TIMEOUT = 1  # seconds, where nginx waits for 60 if nobody says anything
MESSAGES = 30
SETTINGS = """
daemon off; master_process off; pid FOLDER/nginx.pid; error_log FOLDER/error.log;
events {}
http {
  access_log off;
  client_body_temp_path FOLDER; proxy_temp_path FOLDER; fastcgi_temp_path FOLDER;
  uwsgi_temp_path FOLDER; scgi_temp_path FOLDER;
  SERVER
}
"""
SERVER = """
  server {
    listen HOST:PORT;
    location / {
      proxy_pass http://HOST:BACKEND;
      MORE
    }
  }
"""
UPGRADE = """
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $http_connection;
"""
IMPATIENT = f"proxy_read_timeout {READ_TIMEOUT}s;"
IGNORE = "proxy_ignore_headers X-Accel-Buffering;"
DEFAULTS = "default settings"
# What is tried: the transport, what is set in nginx in words, and its settings.
CASES = [
    ("WebSocket", DEFAULTS, ""),
    ("WebSocket", "passes Upgrade on", UPGRADE),
    ("server-sent events", DEFAULTS, ""),
    ("server-sent events", "ignores X-Accel-Buffering", IGNORE),
    ("long polling", DEFAULTS, ""),
]


def program():
    """The path of nginx; None if it isn't installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def version():
    """The version of nginx, such as 1.22.1."""
    said = subprocess.run([program(), "-v"], capture_output=True, text=True).stderr
    return said.strip().rpartition("/")[2]


@contextlib.contextmanager
def behind_nginx(port, more=""):
    """Run nginx before a server, with more settings; gives the port of nginx."""
    with tempfile.TemporaryDirectory() as folder:
        own = any_free_port()
        settings = SETTINGS.replace("SERVER", SERVER)
        values = {"FOLDER": folder, "HOST": HOST, "PORT": own, "BACKEND": port, "MORE": more}
        for name, value in values.items():
            settings = settings.replace(name, str(value))
        path = Path(folder) / "nginx.conf"
        path.write_text(settings, encoding="utf-8", newline="\n")
        nginx = subprocess.Popen(
            [program(), "-p", folder, "-c", path],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=os.name != "nt",
        )
        try:
            wait_until_open(own, nginx, Path(folder) / "error.log")
            yield own
        finally:
            end(nginx)


def measure(cases):
    """What happens in each of the cases: a list of results."""
    results = [first_message(*case) for case in cases]
    # Nothing is timed to less than a tenth of a second here, so all wait at the same time.
    with ThreadPoolExecutor() as pool:
        for (name, _, more), result in zip(cases, results, strict=True):
            if result["delay"]:
                result["silent"] = pool.submit(silence, name, more, 60)
                result["with_signs"] = pool.submit(silence, name, more, READ_TIMEOUT / 2)
        for result in results:
            for key in ("silent", "with_signs"):
                result[key] = result[key].result() if result[key] else ""
    return results


def first_message(name, words, more):
    """What comes of a message by one transport behind nginx with these settings: one result."""
    result = {"kind": "proxy", "name": name, "nginx": words, "version": version(), "problem": ""}
    result |= {"delay": [], "seen": "", "silent": "", "with_signs": ""}
    with Server(contestant(name)) as server, behind_nginx(server.port, more) as port:
        try:
            result["delay"].append(delay(name, port))
        except LoadProblem as problem:
            result["seen"] = briefly(problem)
    return result


def briefly(problem):
    """A problem in a few words, for a cell of a table."""
    if isinstance(problem, Late):
        return f"nothing in {PATIENCE:g} s"
    status = re.search(r"HTTP/1.1 (.*)'", str(problem))
    return status[1] if status else "connection closed"


@contextlib.contextmanager
def connected(name, port, seconds):
    """A client that has heard a message through nginx, on its way in and out."""
    with LOADS[name][1](port, seconds=seconds) as load:
        load.open(1)
        load.join()
        yield load


def delay(name, port, seconds=PATIENCE):
    """The median of the seconds from a POST through nginx to its message at the client."""
    with connected(name, port, seconds) as load:
        return median(load.round(1) for _ in range(MESSAGES))


def silence(name, more, quiet):
    """What happens to a connection without messages if the app says nothing for `quiet` seconds."""
    environ = {"QUART_QUIET": str(quiet), "UVICORN_WS_PING_INTERVAL": str(quiet)}
    with (
        Server(contestant(name, **environ)) as server,
        behind_nginx(server.port, more + IMPATIENT) as port,
    ):
        try:
            return how_it_ends(name, port)
        except LoadProblem as problem:
            return briefly(problem)


def how_it_ends(name, port, seconds=PATIENCE):
    """What happens within some seconds to a connection on which no message travels."""
    with connected(name, port, seconds) as load:
        started = perf_counter()
        try:
            load.wait(lambda: False, "", soon=seconds)
        except Late:
            return f"open after {seconds:g} s"
        except LoadProblem as problem:
            return f"{briefly(problem)} after {perf_counter() - started:.0f} s"
