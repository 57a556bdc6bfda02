"""The acceptance tests of an exercise, run on a project, told as promises kept or broken.

The tests run in a process of their own, which is this file run as a script: it imports what is
slow, waits for a line, runs pytest, and writes a line of JSON for each promise.
"""

import json
import os
import re
import subprocess
import sys
import threading
from dataclasses import dataclass

from workshop.environment import ROOT, end

SILENCE = 10  # seconds without a word after which the project's code must be stuck
DEADLINE = 0.7  # seconds that a test waits for a message, on a machine with little else to do


@dataclass
class Promise:
    """One test's promise and what became of it."""

    words: str  # "every message comes back in order"
    outcome: str  # "kept", "broken" or "skipped"
    reason: str = ""  # what was expected, what came, where to look
    printed: str = ""  # what the project's code printed meanwhile
    console: str = ""  # what the browser's console complained of
    test: str = ""  # where the test stands: file and line


class Checker:
    """Checks a project; keeps a process warm for the next check, so that it starts at once."""

    def __init__(self, project, tests, live=False, deadline=DEADLINE):
        options = [f"--project={project}", f"--deadline={deadline}", *(["--live"] if live else [])]
        self.command = [sys.executable, "-m", "workshop.checking", *options, *map(str, tests)]
        self._warm_up()

    def _warm_up(self):
        self.child = subprocess.Popen(
            self.command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            start_new_session=True,  # so that it is ended with all that it started
        )

    def check(self, warm_up_again=False):
        """Run the tests once, yielding a Promise for each as it is known."""
        child = self.child
        child.stdin.write("go\n")
        child.stdin.flush()
        if warm_up_again:
            self._warm_up()
        current, is_done = "", False
        was_stuck = threading.Event()

        def give_up():
            was_stuck.set()
            end(child)

        watchdog = threading.Timer(SILENCE, give_up)
        try:
            watchdog.start()
            for line in child.stdout:
                watchdog.cancel()
                watchdog = threading.Timer(SILENCE, give_up)
                watchdog.start()
                event = json.loads(line)
                if "done" in event:
                    is_done = True
                    break
                if "running" in event:
                    current = event["running"]
                else:
                    current = ""
                    yield Promise(**event)
            if not is_done and current and not was_stuck.is_set():
                why = "the code ended Python itself: is there an os._exit()?"
                yield Promise(current, "broken", why)
            elif not is_done and not current:
                why = "they did not: `python3 -m workshop test steps` shows why"
                yield Promise("the tests run to their end", "broken", why)
            elif not is_done:
                yield Promise(
                    current,
                    "broken",
                    f"after {SILENCE} s the code was still busy: is there a loop that never awaits "
                    "something that takes time, or one without an end?",
                )
        finally:
            watchdog.cancel()
            end(child)
            child.stdin.close()
            child.stdout.close()

    def close(self):
        """End the process that waits for the next check."""
        end(self.child)


class Teller:
    """A pytest plugin that writes a line of JSON before and after each test."""

    def __init__(self, output):
        self.output = output

    def tell(self, **event):
        """Write one event."""
        print(json.dumps(event), file=self.output, flush=True)

    def pytest_runtest_logstart(self, nodeid):
        """Say which promise is being tested, should the project's code never come back."""
        self.tell(running=promise(nodeid))

    def pytest_runtest_logreport(self, report):
        """Say what became of a promise, once its test is over or could not begin."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            outcome = {"passed": "kept", "failed": "broken", "skipped": "skipped"}[report.outcome]
            sections = dict(report.sections)
            self.tell(
                words=promise(report.nodeid),
                outcome=outcome,
                reason=reason(report) if outcome != "kept" else "",
                printed=sections.get("Captured stdout call", ""),
                console=sections.get("The browser's console", ""),
                test=f"{report.location[0]}, line {report.location[1] + 1}",
            )

    def pytest_sessionfinish(self):
        """Say that there is no more to come, so that nobody waits for the process to end."""
        self.tell(done=True)

    def pytest_collectreport(self, report):
        """Say that a test file cannot be read, which is a defect of the workshop."""
        if report.failed:
            self.tell(words="the tests can be read", outcome="broken", reason=report.longreprtext)


def promise(nodeid):
    """A test's name in words: "a client that leaves is forgotten (not UTF-8)"."""
    name, _, case = nodeid.rpartition("::")[2].partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words} ({case.removesuffix(']')})" if case else words


def reason(report):
    """The sentence of a failure: what was expected and what came, without pytest's own words."""
    if isinstance(report.longrepr, tuple):  # a skipped test: file, line, reason
        return report.longrepr[2].removeprefix("Skipped: ")
    crash = getattr(report.longrepr, "reprcrash", None)
    message = crash.message if crash else report.longreprtext
    lines = message.splitlines()
    kept = []
    for line in lines:
        if re.match(r"\s*(assert |\+ |Call log:|Aria snapshot:|Error: element)", line):
            break
        kept.append(line)
    sentence = "\n".join(kept or lines[:1]).strip()
    if "reading from stdin" in sentence:
        return "the code waits for input(), but a server has nobody who types"
    return re.sub(r"^([\w.]+\.)?(AssertionError|Failed|Refused|Closed): ", "", sentence)


def main(arguments):
    """Run pytest once a line has come; what was imported before makes it fast."""
    import pytest
    import pytest_asyncio.plugin
    import quart  # noqa: F401

    if not sys.stdin.readline():
        return
    output = os.fdopen(os.dup(1), "w", encoding="utf-8")
    options = [
        *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
        *("-p", "no:terminal", "-p", "no:cacheprovider"),
        *("-o", "addopts=--import-mode=importlib", "-o", "timeout=0"),
    ]
    pytest.main([*options, *arguments], plugins=[Teller(output), pytest_asyncio.plugin])


if __name__ == "__main__":
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    main(sys.argv[1:])
