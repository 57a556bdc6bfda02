"""The exercise's own tests, run in the page: pytest as it is, on a PageLoop.

What they tell is told by workshop.outcomes and workshop.verdict, as `check` does it.
"""

import asyncio
import os
import sys
import time
import types
from pathlib import Path

from docs.live import loop, network
from harness import patience as harness_patience
from harness import sign_in
from workshop.language import N_, _, named, sentence
from workshop.outcomes import DEADLINE, END_OF_PYTHON, PATIENCE, Check, Teller, no_end, words_of
from workshop.reporting import made_of
from workshop.steps import ROOT, find_exercise
from workshop.verdict import Verdict

ELSEWHERE = N_("`python3 -m workshop check` runs this check.")
# What a fixture needs that a page does not have.
CANNOT = {
    "quart_run": N_("A page can't start the `quart` command"),
    "redis_server": N_("A page has no Redis server"),
    "serve": N_("A page can't start real servers"),
}
NO_SERVER = N_("A page has no real server")
NO_TABS = N_("This browser can't drive a page while Python waits (it has no JSPI)")


def install():
    """Let modules that start processes and servers be what a page has in their place."""
    from docs.live import tabs

    processes = types.ModuleType("harness.processes")
    processes.QuartRun = processes.RedisServer = None
    sys.modules["harness.processes"] = processes
    sys.modules["harness.page"] = sys.modules["harness.live_server"] = tabs
    harness_patience.time = loop.clock
    time.monotonic = loop.clock.monotonic  # for what an app itself measures


def why_not(fixtures, has_tabs):
    """Why a page cannot run a test with these fixtures, or ""."""
    for name, why in CANNOT.items():
        if name in fixtures:
            return why
    if "context" in fixtures:
        return "" if has_tabs else NO_TABS
    return NO_SERVER if "server" in fixtures else ""


class PageTeller(Teller):
    """Tells the outcome of each check to the page, with the verdict's words."""

    def __init__(self, exercise, project, post, watch, has_tabs):
        super().__init__(None)
        self.project = project
        self.post, self.watch, self.has_tabs = post, watch, has_tabs
        self.verdict = Verdict(exercise, Path(project))
        self.waiting, self.current, self.left_out, self.heard = [], "", [], []
        self.is_ended = False

    def pytest_collection_modifyitems(self, items):
        """Leave out what a page cannot do, before anything is started for it."""
        for item in list(items):
            if reason := why_not(item.fixturenames, self.has_tabs):
                items.remove(item)
                self.left_out.append((item, f"{reason}: {ELSEWHERE}"))

    @property
    def begun(self):
        """The numbers of the parts that are looked at."""
        project = Path(self.project)
        begun = {number for number, part in enumerate(self.parts) if part.is_begun(project)}
        return {*begun, len(self.parts)}

    def pytest_runtest_setup(self):
        """A test begins, so the code that ran before has finished."""
        self.watch.free()

    def tell(self, **event):
        """Take an event, as the process of a check would write it."""
        if "checks" in event:
            self.waiting = event["checks"]
            self.post(kind="checks", number=len(self.waiting))
        elif "running" in event:
            self.current = event["running"]
            # What is said if Python never comes back from it.
            lines = self.ending(self.current, no_end())
            self.post(kind="running", words=self.current, otherwise=lines)
        elif "words" in event:
            self.current = ""
            if event["words"] in self.waiting:
                self.waiting.remove(event["words"])
            self.hear(Check(**event))

    def hear(self, check):
        """Tell the outcome of a check."""
        self.heard.append(check)
        self.post(kind="outcome", words=check.words, outcome=check.outcome)
        self.post(kind="lines", lines=self.verdict.hear(check))

    def ending(self, words, why):
        """The sentence of a check that doesn't finish."""
        heading = _("Fix this first: {check}").format(check=named(words))
        return [heading, sentence(why)] if not self.verdict.failed else []

    def end(self, why=""):
        """Tell the rest; `why` says what ended the check that is running, if anything did."""
        if self.is_ended:
            return
        self.is_ended = True
        if self.current:
            self.waiting.remove(self.current)
            self.hear(Check(self.current, "failed", why))
        elif why or not self.verdict.counts:
            self.hear(Check("the tests run to their end", "failed", why or "they ended early"))
        for words in self.waiting:
            self.hear(Check(words, "later"))
        for item, reason in self.left_out:
            if self.part_of(item) in self.begun:
                self.hear(Check(words_of(item.nodeid), "skipped", reason))
        verdict = self.verdict
        heading, lines = verdict.to_fix()
        self.post(kind="lines", lines=verdict.rest())
        self.post(
            kind="verdict",
            headline=verdict.headline(),
            heading=heading,
            lines=lines,
            test=sentence(verdict.first.test) if verdict.first else "",
            printed=verdict.of_printed(),
            skipped=list(map(sentence, dict.fromkeys(verdict.skipped))),
            is_done=verdict.is_done and not verdict.failed,
        )
        # The page sends it only if the learner has joined a board there.
        self.post(kind="report", report=made_of(verdict.exercise.id, self.heard))


class Policy(getattr(asyncio.events, "_BaseDefaultEventLoopPolicy", object)):
    """asyncio's own policy, but for the loops that it makes."""

    _loop_factory = loop.PageLoop


def check(id, project, post, watch, has_tabs=False, thorough=False):
    """Check a project against an exercise, telling the page as it goes."""
    import pytest
    import pytest_asyncio.plugin

    exercise = find_exercise(id)
    teller = PageTeller(exercise, project, post, watch, has_tabs)
    watch.on_stuck = teller.end
    watch.watch(project)
    sign_in.mentions_the_form.cache_clear()  # the files of this folder have changed
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    options = [
        *("-c", str(ROOT / "pyproject.toml"), f"--rootdir={ROOT}"),
        *("-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:faulthandler"),
        *("--assert=plain", "--capture=sys"),
        *("-o", "addopts=--import-mode=importlib", "-o", "timeout=0"),
        *(f"--project={project}", f"--deadline={DEADLINE}", f"--patience={PATIENCE}"),
        *(["--thorough"] if thorough else []),
        *([f"--exercise={exercise.id}"] if exercise.parts else []),
        *(str(folder.relative_to(ROOT)) for folder in exercise.tests),
    ]
    with alone():
        pytest.main(options, plugins=[teller, pytest_asyncio.plugin])
    teller.end("" if not teller.current else END_OF_PYTHON)


class alone:
    """Within the block, the browser's own loop and the app that it runs are out of the way."""

    def __enter__(self):
        self.loop = asyncio._get_running_loop()
        self.policy = asyncio.events._get_event_loop_policy()
        self.task = self.loop and asyncio.tasks.current_task(self.loop)
        if self.task:
            asyncio.tasks._leave_task(self.loop, self.task)
        asyncio._set_running_loop(None)
        asyncio.events._set_event_loop_policy(Policy())
        self.servers, network.network.servers = network.network.servers, {}
        self.streams, self.folder = (sys.stdout, sys.stderr), os.getcwd()
        os.chdir(ROOT)

    def __exit__(self, *_):
        os.chdir(self.folder)
        sys.stdout, sys.stderr = self.streams
        network.network.servers = self.servers
        asyncio.events._set_event_loop_policy(self.policy)
        asyncio._set_running_loop(self.loop)
        if self.task:
            asyncio.tasks._enter_task(self.loop, self.task)
