"""The outcomes of an exercise's tests, wherever they run, each told in a sentence.

`Teller` is a plugin of pytest that writes a line of JSON for each event. It starts no process, so
that the page of a step can use it as `check` does.
"""

import linecache
import re
import sys
from dataclasses import dataclass
from json import dumps
from pathlib import Path

from workshop.steps import find_exercise

# In seconds of a quiet machine: on a busy one they pass more slowly.
DEADLINE = 0.7  # seconds that a test waits for a message
PATIENCE = 1.4  # seconds that a test waits for the browser
BUSY = 2  # seconds that the project's code runs without a break, after which it must be stuck
HASTE = 1.4  # seconds spent on failed checks, after which the rest is left for later
SILENCE = 15  # seconds without a word, after which nothing more is expected
# It may be within parentheses, and have code between backticks.
MEANWHILE = re.compile(r"; meanwhile ((?:`[^`]*`|\([^()]*\)|[^()`])*)")
SHORT = 60  # characters of a sentence, beside which it need not have a line of its own
END_OF_PYTHON = "the code ended Python itself: is there an os._exit()?"


def frames_of(frame, is_of_project):
    """The frames from this one outwards whose files are the project's."""
    frames = []
    while frame:
        if is_of_project(frame.f_code.co_filename):
            frames.append(frame)
        frame = frame.f_back
    return frames


def still_running(frames, before):
    """Those of the frames that were there before, or all if none was.

    A function that has returned since was only called by the code that goes on and on.
    """
    return [frame for frame in frames if frame in before] or frames


def stuck(path, line):
    """Say that code at a line of a file has been busy for too long."""
    before = range(max(1, line - 3), line + 1)
    is_read = any(".read" in linecache.getline(path, number) for number in before)
    why = (
        'does a loop keep reading after the connection has closed, when each read returns b""?'
        if is_read
        else "is there a loop without an end, or a call that blocks, such as time.sleep() or "
        "queue.Queue.get(), instead of the asyncio version?"
    )
    return (
        f"{Path(path).name}, line {line}: after {BUSY} s the code is still busy here: {why} "
        "Meanwhile, nobody else is served."
    )


def no_end():
    """Say that a test was silent for too long."""
    return f"it didn't finish within {SILENCE} s"


@dataclass
class Check:
    """One check, which is a test in words, and its outcome."""

    words: str  # "every message comes back in order"
    outcome: str  # "passed", "failed", "skipped", or "later" when it was not looked at
    reason: str = ""  # what was expected, what arrived, where to look
    printed: str = ""  # what the project's code printed meanwhile
    console: str = ""  # what the browser's console complained of
    test: str = ""  # where the test is: file and line

    @property
    def name(self):
        """The name of the test."""
        return "test_" + self.words.partition(" (")[0].replace(" ", "_")


class Teller:
    """A pytest plugin that writes a line of JSON before and after each test."""

    def __init__(self, output):
        self.output = output
        self.has_one_failed = False
        self.seconds_on_failed = 0
        self.parts, self.failed_part = [], None

    def tell(self, **event):
        """Write one event."""
        print(dumps(event), file=self.output, flush=True)

    def pytest_addoption(self, parser):
        """Know the options that `Checker` gives."""
        parser.addoption("--thorough", action="store_true")
        parser.addoption("--exercise")
        # Only the last line of a traceback is told: to find the source of the others takes long.
        parser.addoption("--tb", dest="tbstyle", default="native")

    def pytest_collection_finish(self, session):
        """Say which checks there are, those of an exercise's parts first."""
        if name := session.config.getoption("exercise"):
            self.parts = find_exercise(name).parts
            project = Path(session.config.getoption("project"))
            begun = {number for number, part in enumerate(self.parts) if part.is_begun(project)}
            begun.add(len(self.parts))
            items = [item for item in session.items if self.part_of(item) in begun]
            session.items[:] = sorted(items, key=self.part_of)
        self.tell(checks=[words_of(item.nodeid) for item in session.items])

    def part_of(self, item):
        """The index of the part that a test belongs to; the number of parts if to none."""
        name = item.name.partition("[")[0]
        parts = enumerate(self.parts)
        return next((index for index, part in parts if name in part.tests), len(self.parts))

    def pytest_runtest_protocol(self, item):
        """Say which check is running, or leave it for later."""
        is_hasty = not item.config.getoption("thorough")
        is_slow = "context" in item.fixturenames or self.seconds_on_failed > HASTE
        number = self.part_of(item)
        is_next = self.failed_part is not None and self.failed_part < number < len(self.parts)
        if is_hasty and self.has_one_failed and (is_slow or is_next):
            self.tell(words=words_of(item.nodeid), outcome="later")
            return True
        self.current_part = number
        self.tell(running=words_of(item.nodeid))

    def pytest_runtest_logreport(self, report):
        """Say the outcome of a check, once its test is over or could not begin."""
        if report.when == "call" or (report.when == "setup" and not report.passed):
            outcome = report.outcome
            if outcome == "failed":
                self.has_one_failed = True
                self.seconds_on_failed += report.duration
                if self.failed_part is None:
                    self.failed_part = self.current_part
            sections = dict(report.sections)
            self.tell(
                words=words_of(report.nodeid),
                outcome=outcome,
                reason=reason(report) if outcome != "passed" else "",
                printed=sections.get("Captured stdout setup", "")
                + sections.get("Captured stdout call", ""),
                console=sections.get("The browser's console", ""),
                test=f"{report.location[0]}, line {report.location[1] + 1}",
            )

    def pytest_sessionfinish(self):
        """Say that no more events follow, so that nobody waits for the process to end."""
        self.tell(done=True)

    def pytest_internalerror(self, excinfo):
        """Say on standard error how pytest itself failed."""
        print(excinfo.exconly(), file=sys.__stderr__, flush=True)

    def pytest_collectreport(self, report):
        """Say that a test file cannot be read, which is a bug in the workshop."""
        if report.failed:
            self.tell(words="the tests can be read", outcome="failed", reason=report.longreprtext)


def words_of(nodeid):
    """A test's name in words: "a client that disconnects is removed (not UTF-8)"."""
    name, _, case = nodeid.rpartition("::")[2].partition("[")
    words = name.removeprefix("test_").replace("_", " ")
    return f"{words} ({case.removesuffix(']')})" if case else words


def reason(report):
    """The sentence of a failure: what was expected and what arrived, without pytest's own words."""
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
    sentence = re.sub(r" at 0x[0-9a-f]+", "", sentence)  # which says nothing to a learner
    sentence = re.sub(r"(.)\1{40,}", r"\1\1\1…", sentence)  # a message of 64 KiB, say
    if sentence.startswith("playwright") and "TimeoutError" in sentence:
        return "the page does not react: is there a loop without an end in its script?"
    if sentence.startswith("SystemExit"):
        return "the code calls exit(), which would end the server for everyone"
    if "reading from stdin" in sentence:
        return "the code waits for input(), but a server has nobody who types"
    sentence = re.sub(r"^([\w.]+\.)?(AssertionError|Failed|Refused|Closed): ", "", sentence)
    return meanwhile_last(sentence)


def meanwhile_last(sentence):
    """The same sentence, with where the app waits meanwhile on a line of its own."""
    found = MEANWHILE.search(sentence)
    if not found or found.start() < SHORT:
        return sentence
    return f"{sentence[: found.start()]}{sentence[found.end() :]}\nMeanwhile {found[1]}"
