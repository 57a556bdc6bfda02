"""What `python3 -m workshop bench` does: measure, print, write."""

import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from bench import report
from bench.servers import cores

FOLDER = Path(__file__).parent
SCRIPTS = ("environment", "check", "live")  # which print their own ratios


def run(names, quick=False, out=None):
    """Run measurements by their names; returns whether all servers did what they must."""
    for signal_name in ("SIGTERM", "SIGBREAK"):  # end the servers as after Ctrl-C
        if hasattr(signal, signal_name):
            signal.signal(getattr(signal, signal_name), signal.default_int_handler)
    if not cores():
        report.say("Servers and load share their cores here, so take the numbers with care.")
    good = True
    for name in names:
        if name in SCRIPTS:
            command = [sys.executable, FOLDER / f"{name}.py", *(["1"] if quick else [])]
            good = subprocess.run(command).returncode == 0 and good
            continue
        module = import_module(f"bench.{name}")
        good = measure(name, module, module.plan(quick), out) and good
    return good


def measure(name, module, plan, out=None):
    """Run one measurement, print it, and write it into a folder if there is one."""
    results = module.measure(plan)
    claims = module.claims(results)
    for table in module.tables(results):
        report.show(table)
    for claim in claims:
        print(claim)
    if out:
        report.save(name, out, results, claims)
        report.say(f"Written: {out / name}.json, {name}.md and {name}.svg.")
    return not any(one["problem"] and not one.get("bytes") for one in results)
