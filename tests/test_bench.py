"""The benchmarks measure what they say, notice a server that lies, and leave nothing behind."""

import json
import sys
import time

import psutil
import pytest

from bench import fanout, memory, resume, running
from bench.contestants import PEERS, Contestant, named
from bench.report import Claim, ratio
from bench.servers import Server, cores, load_on_its_own_core

COMPARED = ("step 5", "Starlette loop")
# What a server does with the message 7, and what is said of it.
BROKEN = {
    "loses it": ('b""', "message 8 came where 7 was due"),
    "doubles it": ("frame * 2", "message 7 came where 8 was due"),
    "sends 6 again": ("frame.replace(b'7', b'6', 1)", "message 6 came where 7 was due"),
}


@pytest.mark.thorough
def test_fan_out_gives_a_table_claims_and_files(capsys, tmp_path):
    plan = fanout.Plan(named(*COMPARED), (5,), (1, 4), (5,), 100, repetitions=2, seconds=20)
    assert running.measure("fanout", fanout, plan, tmp_path), capsys.readouterr()
    printed = capsys.readouterr().out
    results = json.loads((tmp_path / "fanout.json").read_text(encoding="utf-8"))["results"]
    for name in COMPARED:
        assert name in printed
        ours = [one for one in results if one["name"] == name]
        assert {(one["burst"], one["compressed"]) for one in ours} == {
            (burst, compressed) for burst in (1, 4) for compressed in (False, True)
        }
        for one in ours:
            assert len(one["rate"]) == 2
            assert min(one["rate"] + one["p50"] + one["cpu"]) > 0
    assert "step 6 / step 5, deliveries a second, one at a time, 500 clients: measured –" in printed
    assert "<svg" in (tmp_path / "fanout.svg").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_memory_gives_a_table_claims_and_files(capsys, tmp_path):
    plan = memory.Plan(named(*COMPARED), (150,), 500, repetitions=1, seconds=20)
    assert running.measure("memory", memory, plan, tmp_path), capsys.readouterr()
    printed = capsys.readouterr().out
    assert "step 5, an idle client: measured" in printed
    assert "KiB, 150 idle" in printed
    assert (tmp_path / "memory.svg").is_file()


def test_everyone_comes_back_and_has_what_was_missed(capsys, tmp_path):
    plan = resume.Plan(named("step 6"), clients=10, missed=20, repetitions=1, seconds=20)
    assert running.measure("resume", resume, plan, tmp_path), capsys.readouterr()
    assert "10 clients come back at once, each with 20 messages missed" in capsys.readouterr().out


@pytest.mark.skipif(cores() is None, reason="needs two cores that can be told apart")
def test_a_server_and_its_load_are_on_different_cores():
    (limit,) = named("limit")
    with load_on_its_own_core(), Server(limit) as server:
        (core,) = psutil.Process().cpu_affinity()
        for process in server.processes:
            assert core not in process.cpu_affinity(), "server and load take turns on one core"


@pytest.mark.parametrize(("sent", "said"), BROKEN.values(), ids=BROKEN)
def test_a_server_that_is_wrong_once_is_noticed(sent, said, tmp_path, capsys):
    code = (PEERS / "limit.py").read_text(encoding="utf-8")
    right = "transport.write(frame)"
    assert code.count(right) == 1
    wrong = f"transport.write({sent} if b' 7 ' in frame else frame)"
    (tmp_path / "broken.py").write_text(code.replace(right, wrong), encoding="utf-8")
    contestant = Contestant("broken", tmp_path, [sys.executable, "broken.py"])
    plan = fanout.Plan([contestant], (5,), (5,), (), 100, repetitions=1, seconds=10)
    assert not running.measure("fanout", fanout, plan)
    assert said in capsys.readouterr().err


def test_what_is_missing_is_said_and_left_out(capsys, tmp_path):
    nowhere = Contestant("nobody", tmp_path / "nowhere", ["python"])
    needy = Contestant("needy", tmp_path, ["python"], needs=("no_such_package",))
    plan = fanout.Plan([nowhere, needy], (5,), (1,), (), 100)
    assert fanout.measure(plan) == []
    assert capsys.readouterr().err.splitlines() == [
        "nobody is left out: there is no folder nowhere.",
        "needy is left out: the package no_such_package is not installed.",
    ]


def test_a_server_that_does_not_start_is_told_from_one_that_does(capsys, tmp_path):
    (tmp_path / "broken.py").write_text("raise SystemExit('no, thanks')", encoding="utf-8")
    contestant = Contestant("broken", tmp_path, [sys.executable, "broken.py"])
    plan = fanout.Plan([contestant], (5,), (1,), (), 100, repetitions=1)
    assert not running.measure("fanout", fanout, plan)
    assert "it does not start: no, thanks" in capsys.readouterr().out


def test_a_claim_is_a_ratio_of_what_was_measured_back_to_back():
    assert ratio([10, 20, 90], [10, 10, 30]) == 2
    assert str(Claim("a / b", 2.0, 1)) == "a / b: measured 2.00, wanted at least 1, ok"
    assert Claim("a / b", 0.9, 1).verdict == "not"
    assert Claim("a / b", 1.4, 1.3, at_most=True).verdict == "not"
    assert Claim("a / b", ratio([], [1]), 1).verdict == "not measured"


def is_uvicorn(process):
    try:
        return "uvicorn" in process.cmdline()
    except psutil.NoSuchProcess:
        return False


def test_ctrl_c_stops_at_once_and_leaves_no_process(workshop):
    process = workshop("bench", "fanout", "--quick")
    deadline = time.monotonic() + 20
    servers = []
    while not any(map(is_uvicorn, servers)):
        assert time.monotonic() < deadline, process.output
        servers = psutil.Process(process.process.pid).children(recursive=True)
        time.sleep(0.05)
    process.interrupt()
    code, output = process.end(seconds=10)
    assert (code, "Stopped." in output) == (130, True), output
    assert "Traceback" not in output
    assert psutil.wait_procs(servers, timeout=5)[1] == []


def test_an_unknown_name_gets_one_sentence(workshop):
    code, output = workshop("bench", "fan").end()
    assert code == 2
    assert "'fan' is none of fanout, memory, resume, transports, environment, check" in output


def test_help_says_what_there_is(workshop):
    code, output = workshop("bench", "--help").end()
    assert code == 0
    for word in (
        "fanout",
        "memory",
        "resume",
        "transports",
        "environment",
        "check",
        "live",
        "--quick",
        "--out",
    ):
        assert word in output
