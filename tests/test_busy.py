"""A verdict is right however busy the machine is; on a quiet one, a silent app is told soon."""

import os
import subprocess
import sys
import threading

import pytest
from repo import STEPS

from harness import patience
from workshop.checking import Checker
from workshop.outcomes import DEADLINE

TIMES = int(os.environ.get("WORKSHOP_TIMES", 1))
ECHO, BROADCAST = STEPS[2], STEPS[4]


@pytest.fixture
def busy():
    """Keep the machine busy: four processes that spin, or more where there are many cores."""
    command = [sys.executable, "-c", "while True: pass"]
    count = max(4, 2 * os.cpu_count())
    # Each in a session of its own: Linux shares out its time by sessions.
    spinning = [subprocess.Popen(command, start_new_session=True) for _ in range(count)]
    yield
    for process in spinning:
        process.kill()
        process.wait()


class Clock:
    """A clock that the test sets: what has passed, and what this process got of a processor."""

    def __init__(self):
        self.now = self.worked = 0

    def monotonic(self):
        return self.now

    def process_time(self):
        return self.worked


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(patience, "time", clock)
    return clock


def seconds_until_over(clock, waiting, turn=0.05, share=0):
    """How long it lasts, with turns of so many seconds, in which so much of each is worked."""
    while not waiting.is_over():
        clock.now += turn
        clock.worked += share * turn
    return clock.now


def test_for_a_silent_app_patience_is_over_on_time(clock):
    assert seconds_until_over(clock, patience.Patience(0.7)) == pytest.approx(0.7, abs=0.06)


def test_for_an_app_that_has_the_machine_for_itself_patience_is_over_on_time(clock):
    seconds = seconds_until_over(clock, patience.Patience(0.7), share=1)
    assert seconds == pytest.approx(0.7, abs=0.06)


def test_an_app_that_gets_a_fifth_of_a_processor_is_waited_for_five_times_as_long(clock):
    seconds = seconds_until_over(clock, patience.Patience(0.7), share=0.2)
    assert seconds == pytest.approx(3.5, abs=0.06)


def test_a_turn_that_the_whole_process_was_kept_waiting_counts_as_one_turn(clock):
    seconds = seconds_until_over(clock, patience.Patience(0.7), turn=10)
    assert seconds == pytest.approx(140, abs=11)


@pytest.mark.parametrize(("slower", "lasts"), [(1, 9), (4, 36), (1000, 90)])
def test_another_process_is_waited_for_as_long_as_work_takes_here(clock, slower, lasts):
    waiting = patience.PatienceWithAnother(9)
    waiting.best, waiting.work = 1, lambda: slower
    seconds = seconds_until_over(clock, waiting, turn=0.25)
    assert seconds == pytest.approx(lasts, abs=0.3)


@pytest.mark.thorough
@pytest.mark.timeout(120 * TIMES)
@pytest.mark.parametrize(
    "step",
    [ECHO, pytest.param(BROADCAST, marks=pytest.mark.exhaustive)],
    ids=lambda step: step.name,
)
def test_a_right_step_is_right_beside_processes_that_spin(step, busy):
    for _ in range(TIMES):
        checks = list(Checker(step, [step / "tests"]).check())
        assert [one for one in checks if one.outcome not in ("passed", "skipped")] == []


HARD_WORKING = f"""
import asyncio
import time

from quart import Quart, websocket

app = Quart(__name__)


def work():
    began = time.thread_time()
    while time.thread_time() - began < {DEADLINE / 2}:
        pass


@app.websocket("/ws")
async def ws():
    while True:
        data = await websocket.receive()
        await asyncio.to_thread(work)
        await websocket.send(f"echo {{data}}")
"""
SILENT = HARD_WORKING.replace("await websocket.send(", "print(")


def checked(code, folder):
    """Whether one message and three come back, as it is told."""
    (folder / "websocket.py").write_text(code, encoding="utf-8", newline="\n")
    tests = ECHO / "tests/test_echo.py"
    one, three = (
        "test_a_message_comes_back_with_echo_in_front",
        "test_every_message_comes_back_in_order",
    )
    yield from Checker(folder, [f"{tests}::{name}" for name in (one, three)]).check()


@pytest.mark.exhaustive
@pytest.mark.thorough
def test_an_app_that_works_for_half_of_the_deadline_is_right_beside_processes_that_spin(
    busy, tmp_path
):
    checks = list(checked(HARD_WORKING, tmp_path))
    assert [one for one in checks if one.outcome != "passed"] == []


def test_a_silent_app_is_told_within_three_seconds_of_a_quiet_machine(tmp_path):
    told = threading.Event()

    def wait_for_the_first():
        first = next(one for one in checked(SILENT, tmp_path) if one.outcome != "passed")
        assert "no message arrived on /ws" in first.reason
        told.set()

    threading.Thread(target=wait_for_the_first, daemon=True).start()
    waiting = patience.PatienceWithAnother(3)
    while not told.wait(patience.TURN):
        assert not waiting.is_over()
