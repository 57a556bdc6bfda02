"""How long the first `run` and `check` and the second `run` take, beside plain tools.

Usage: python bench/environment.py [ROUNDS]

Cold: from a copy of the repository without .venv to the first page served, or to the end of a check
of step 3, beside `python -m venv` and `pip install` of the same locked packages. Warm: to the first
page, beside `quart run` in the same environment. Each round does all of it in turn; the
medians are compared.
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


def plain_install(folder, *sets):
    """Seconds that `venv` and `pip install` take for the packages of these sets."""
    lock = json.loads((ROOT / "Pipfile.lock").read_text(encoding="utf-8"))
    packages = {name: entry for group in sets for name, entry in lock[group].items()}
    always = "python_version > '3'"
    pins = [
        f"{name}{entry['version']} ; {entry.get('markers', always)}\n"
        for name, entry in packages.items()
    ]
    (folder / "requirements.txt").write_text("".join(pins), encoding="utf-8")
    made = seconds([BASE, "-m", "venv", "--clear", "plain"], folder)
    python = folder / "plain" / SCRIPTS / "python"
    return made + seconds([python, "-m", "pip", "install", "-q", "-r", "requirements.txt"], folder)


def one_round(folder):
    """Seconds for one cold run, warm run, and cold check, each after what it is compared with."""
    ignored = shutil.ignore_patterns(".venv*", ".git", "websocket", "attempts")
    clone = Path(shutil.copytree(ROOT, folder / "clone", ignore=ignored))
    plain = plain_install(folder, "default")
    port = free_port(5000)
    run = [BASE, "-m", "workshop", "run", "--port", str(port)]
    cold = seconds(run, clone, port)
    warm = seconds(run, clone, port)
    quart = shutil.which("quart", path=clone / ".venv" / SCRIPTS)
    command = [quart, "--app", "websocket", "run", "--port", str(port)]
    served = seconds(command, clone / "steps/05_broadcast", port)
    shutil.rmtree(clone / ".venv")
    only_project = shutil.ignore_patterns("tests", "challenges", "README.md", "exercise.toml")
    shutil.copytree(ROOT / "steps/03_echo", clone / "websocket", ignore=only_project)
    plain_check = plain_install(folder, "default", "develop")
    check = seconds([BASE, "-m", "workshop", "check", "3"], clone)
    return plain, cold, served, warm, plain_check, check


def main():
    rounds = []
    for number in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(one_round(Path(folder)))
        print(f"round {number + 1}: {', '.join(f'{value:.1f} s' for value in rounds[-1])}")
    plain, cold, quart, warm, plain_check, check = map(median, zip(*rounds, strict=True))
    print(f"cold: {cold:.1f} s, venv and pip: {plain:.1f} s, ratio {cold / plain:.2f}")
    print(f"warm: {warm:.2f} s, quart run: {quart:.2f} s, {warm - quart:+.2f} s")
    ratio = check / plain_check
    print(f"first check: {check:.1f} s, venv and pip: {plain_check:.1f} s, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
