"""How long the first and the second `python3 -m workshop run` take, beside plain tools.

Usage: python bench/environment.py [ROUNDS]

Cold: from a copy of the repository without .venv to the first page served, beside `python -m venv`
and `pip install` of the same locked packages. Warm: to the first page, beside `quart run` in the
same environment. Each round does both, one after the other; the medians are compared.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
BASE = sys._base_executable  # the Python that .venv was made with
SCRIPTS = "Scripts" if os.name == "nt" else "bin"
DEADLINE = 300  # seconds
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1

sys.path.insert(0, str(ROOT))
from workshop.serving import free_port  # noqa: E402


def seconds(command, cwd, port=None):
    """Seconds until a command ends or, with a port, until it serves its first page."""
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)
    try:
        while port and time.perf_counter() < started + DEADLINE:
            try:
                HTTP.open(f"http://127.0.0.1:{port}/").read()
                break
            except OSError:
                time.sleep(0.01)
        else:
            if process.wait(DEADLINE):
                sys.exit(f"this failed: {' '.join(map(str, command))}")
        return time.perf_counter() - started
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(10)


def one_round(folder):
    """Seconds for one cold and one warm start, each beside what it is compared with."""
    ignored = shutil.ignore_patterns(".venv*", ".git", "websocket")
    clone = Path(shutil.copytree(ROOT, folder / "clone", ignore=ignored))
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))["default"]
    always = "python_version > '3'"
    pins = [
        f"{name}{entry['version']} ; {entry.get('markers', always)}\n"
        for name, entry in lock.items()
    ]
    (folder / "requirements.txt").write_text("".join(pins), encoding="utf-8")

    plain = seconds([BASE, "-m", "venv", "plain"], folder)
    python = folder / "plain" / SCRIPTS / "python"
    plain += seconds([python, "-m", "pip", "install", "-q", "-r", "requirements.txt"], folder)
    port = free_port(5000)
    run = [BASE, "-m", "workshop", "run", "--port", str(port)]
    cold = seconds(run, clone, port)
    warm = seconds(run, clone, port)
    quart = shutil.which("quart", path=clone / ".venv" / SCRIPTS)
    command = [quart, "--app", "websocket", "run", "--port", str(port)]
    return plain, cold, seconds(command, clone / "steps/05_broadcast", port), warm


def main():
    rounds = []
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(one_round(Path(folder)))
        print(f"round {number + 1}: {', '.join(f'{value:.1f} s' for value in rounds[-1])}")
    plain, cold, quart, warm = map(median, zip(*rounds, strict=True))
    print(f"cold: {cold:.1f} s, venv and pip: {plain:.1f} s, ratio {cold / plain:.2f}")
    print(f"warm: {warm:.2f} s, quart run: {quart:.2f} s, {warm - quart:+.2f} s")


if __name__ == "__main__":
    main()
