"""How long one `python3 -m workshop check` takes, beside starting Python and its imports.

Usage: python bench/check.py [ROUNDS]

Checks the solution of step 3 in a copy of the repository, beside a Python that imports quart,
pytest and pytest-asyncio and ends. Each round does both; the medians are compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]


def seconds(command, folder):
    started = time.perf_counter()
    result = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    if result.returncode:
        sys.exit(result.stdout)
    return time.perf_counter() - started


def main():
    with tempfile.TemporaryDirectory() as parent:
        ignored = shutil.ignore_patterns(".venv*", ".git", "websocket", "attempts")
        clone = Path(shutil.copytree(ROOT, Path(parent) / "clone", ignore=ignored))
        project = shutil.copytree(clone / "steps/03_echo", clone / "websocket")
        shutil.rmtree(project / "tests")
        script = (
            "from workshop import environment, cli; "
            "environment.ensure = lambda *sets: None; cli.main()"
        )
        check = [sys.executable, "-c", script, "check", "3"]
        imports = [sys.executable, "-c", "import quart, pytest, pytest_asyncio"]
        os.environ["PYTHONPATH"] = str(clone)
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # as a learner has it
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
        pairs = [(seconds(imports, clone), seconds(check, clone)) for _ in range(count + 1)][1:]
    plain, checked = map(median, zip(*pairs, strict=True))
    print(f"check: {checked:.2f} s, imports: {plain:.2f} s, ratio {checked / plain:.2f}")


if __name__ == "__main__":
    main()
