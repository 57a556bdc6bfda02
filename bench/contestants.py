"""Who is measured: how each is started, and what to say where it cannot be.

A step is served as it is, by Uvicorn; its peers do what their documentation shows.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

from bench.load import logged, plain

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "steps"
PEERS = ROOT / "bench/peers"
SANSIO, BOUNDED = "websockets-sansio", "protocol:BoundedWebSocket"


@dataclass(frozen=True)
class Contestant:
    """A server to be measured."""

    name: str
    folder: Path  # where it runs
    program: list[str]  # its command, which ends with the port, or an ASGI app for Uvicorn
    path: str = "/"
    unpack: Callable = plain
    environ: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()  # packages, "node" or "redis"
    workers: int = 0  # processes of Uvicorn; 0: it is not Uvicorn
    deflates: bool = True

    @property
    def redis(self):
        """Whether it needs a Redis of its own."""
        return "redis" in self.needs

    def command(self, port, deflate):
        """The command that starts it on a port."""
        if not self.workers:
            return [*self.program, str(port)]
        options = {
            "--app-dir": self.folder,
            "--host": "127.0.0.1",
            "--port": port,
            # From step 7 on, a step says itself how it is served.
            "--ws": BOUNDED if (self.folder / "protocol.py").is_file() else SANSIO,
            "--ws-per-message-deflate": str(deflate).lower(),
            "--loop": "asyncio",
            "--workers": self.workers,
            "--lifespan": "auto",
        }
        words = [str(word) for option in options.items() for word in option]
        return [sys.executable, "-m", "uvicorn", *words, "--no-access-log", *self.program]

    def missing(self):
        """One sentence about what is missing to start it; nothing if all is there."""
        if not self.folder.is_dir():
            return f"there is no folder {self.folder.name}"
        for need in self.needs:
            if need == "node":
                return node_missing()
            if need == "redis" and not shutil.which("redis-server"):
                return "redis-server is not installed (on Debian and Ubuntu: apt install redis)"
            if need != "redis" and not importlib.util.find_spec(need):
                return f"the package {need} is not installed"
        return ""


@cache
def node_missing():
    """What is missing for Node's ws."""
    if not shutil.which("node"):
        return "node is not installed"
    found = ["node", "-e", "require.resolve('ws')"]
    if subprocess.run(found, cwd=PEERS, env=node_environ(), capture_output=True).returncode:
        return "Node's package ws is not found: npm install it, and name its folder in NODE_PATH"
    return ""


@cache
def node_environ():
    """The variables with which Node finds packages that are installed for all."""
    paths = [os.environ["NODE_PATH"]] if "NODE_PATH" in os.environ else []
    if npm := shutil.which("npm"):
        root = subprocess.run([npm, "root", "-g"], capture_output=True, text=True)
        paths.append(root.stdout.strip())
    return {**os.environ, "NODE_PATH": os.pathsep.join(paths)}


# Thousands of clients at one address, of whom one says all, would meet the limits of step 7.
NO_LIMITS = {
    "QUART_CONNECTIONS": "10000",
    "QUART_CONNECTIONS_PER_ADDRESS": "10000",
    "QUART_RATE": "1000000000",
}


def step(name, folder, path="/api/v3/ws", unpack=logged, workers=1, **options):
    """A step, served by Uvicorn."""
    environ = {"QUART_TCP_PORT": "", **NO_LIMITS, **options.pop("environ", {})}
    app = ["websocket:app"]
    return Contestant(name, STEPS / folder, app, path, unpack, environ, workers=workers, **options)


def python_peer(name, script, **options):
    """A peer that is a Python script."""
    return Contestant(name, PEERS, [sys.executable, f"{script}.py"], **options)


REDIS = step("step 8, Redis", "08_scale_out", needs=("redis",))
ALL = [
    step("step 5", "05_broadcast", "/api/v2/ws", plain),
    step("step 6", "06_resume"),
    step("step 6, bypass", ROOT / "bench/bypass"),
    step("step 7", "07_harden"),
    step("step 8", "08_scale_out"),
    REDIS,
    replace(REDIS, name="step 8, Redis, 2 workers", workers=2),
    replace(REDIS, name="step 8, Redis, 4 workers", workers=4),
    python_peer("websockets.broadcast", "websockets_broadcast", needs=("websockets",)),
    Contestant("Starlette loop", PEERS, ["starlette_loop:app"], needs=("starlette",), workers=1),
    python_peer("aiohttp loop", "aiohttp_loop", needs=("aiohttp",)),
    Contestant("Node ws", PEERS, ["node", "node_ws.js"], needs=("node",)),
    python_peer("limit", "limit", deflates=False),
]


def named(*names):
    """Contestants by their names, in that order."""
    by_name = {contestant.name: contestant for contestant in ALL}
    return [by_name[name] for name in names]


def present(contestants, say):
    """Those that can be started; says what is missing for each of the others."""
    reasons = {contestant.name: contestant.missing() for contestant in contestants}
    for name, reason in reasons.items():
        if reason:
            say(f"{name} is left out: {reason}.")
    return [contestant for contestant in contestants if not reasons[contestant.name]]
