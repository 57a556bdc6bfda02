"""Memory: what an idle client costs, and what a client costs that never reads.

It is the resident memory of the server's processes; what the system keeps for each socket comes on
top, and is the same for all.
"""

import time
from dataclasses import dataclass
from statistics import median

from bench.contestants import ALL, named, present
from bench.load import Load, LoadProblem, silent_client
from bench.report import COLOURS, Claim, Progress, Table, say
from bench.servers import Server, allow_sockets, load_on_its_own_core

FIRST = 50  # clients that come before it is measured, so that what is loaded late is loaded
IDLE_LIMIT = 50  # KiB
ALT = (
    "Bars for each server: on the left the KiB that an idle client costs, on the right the MiB by "
    "which the server grew beside a client that never reads. The table holds the numbers."
)


@dataclass
class Plan:
    """What is measured."""

    contestants: list
    clients: tuple = (1000, 5000)
    messages: int = 100_000  # that pass a client that never reads
    repetitions: int = 2
    seconds: float = 120  # for one server


def plan(quick):
    """The whole plan, or one that takes less than a minute."""
    if quick:
        contestants = named("step 5", "step 6", "websockets.broadcast", "Starlette loop")
        return Plan(contestants, (500,), repetitions=1, seconds=30)
    several = (one for one in ALL if one.workers < 2 and one.name != "limit")
    return Plan(list(several))


def measure(plan):
    """Measure all that is planned; returns a list of dictionaries, one for each number."""
    contestants = present(plan.contestants, say)
    cases = [("idle", one, count) for count in plan.clients for one in contestants]
    cases += [("silent", one, plan.messages) for one in contestants]
    cases = [case for _ in range(plan.repetitions) for case in cases]
    results = {}
    progress = Progress(len(cases))
    with load_on_its_own_core():
        for kind, contestant, count in cases:
            key = kind, contestant.name, count
            new = dict(zip(("kind", "name", "count"), key, strict=True), bytes=[], problem="")
            result = results.setdefault(key, new)
            try:
                if kind == "idle":
                    found = idle(contestant, count, plan.seconds)
                    said = f"{found / 1024:.1f} KiB for each of {count} idle clients"
                else:
                    found = silent(contestant, count, plan.seconds, result)
                    said = f"{found / 2**20:+.1f} MiB while one of two clients never reads"
                    said += f" ({result['problem']})" if result["problem"] else ""
                result["bytes"].append(found)
            except LoadProblem as problem:
                result["problem"] = said = str(problem)
            progress(f"{contestant.name}: {said}")
    return list(results.values())


def idle(contestant, count, seconds):
    """Bytes that a server holds for a client that says nothing."""
    if (able := allow_sockets(count)) < count:
        raise LoadProblem(f"only {able} sockets may be open here (ulimit -n)")
    with (
        Server(contestant) as server,
        Load(server.port, contestant.path, contestant.unpack, seconds=seconds) as load,
    ):
        load.open(FIRST)
        load.join()
        before = server.memory()
        load.open(count - FIRST)
        load.join()
        return (server.memory() - before) / (count - FIRST)


def silent(contestant, count, seconds, result):
    """Bytes by which a server grows while messages pass a client that never reads."""
    with (
        Server(contestant) as server,
        Load(server.port, contestant.path, contestant.unpack, seconds=seconds) as load,
        silent_client(server.port, contestant.path),
    ):
        load.open(1)
        load.join()
        for _ in range(20):
            load.round(50)
        before = server.memory()
        try:
            for _ in range(count // 50):
                load.ends = time.monotonic() + 3
                load.round(50)
        except LoadProblem:
            result["problem"] = f"everyone was held up after {load.sent:,} messages"
        return server.memory() - before


def claims(results):
    """What the workshop says of its steps."""
    made = []
    for name in ("step 5", "step 6", "step 7", "step 8", "step 8, Redis"):
        found = [one for one in results if (one["kind"], one["name"]) == ("idle", name)]
        sizes = [median(one["bytes"]) / 1024 for one in found if one["bytes"]]
        worst = max(sizes, default=None)
        made.append(Claim(f"{name}, an idle client", worst, IDLE_LIMIT, True, " KiB"))
    return made


def tables(results):
    """One table of both kinds."""
    counts = sorted({one["count"] for one in results if one["kind"] == "idle"})
    rows = {one["name"]: [one["name"]] for one in results}
    for one in results:
        unit = 1024 if one["kind"] == "idle" else 2**20
        value = f"{median(one['bytes']) / unit:.1f}" if one["bytes"] else "–"
        rows[one["name"]].append(value + (" *" if one["problem"] else ""))
    messages = max(one["count"] for one in results if one["kind"] == "silent")
    headings = [f"KiB, {count:,} idle" for count in counts]
    headings.append(f"MiB, {messages:,} messages unread")
    notes = [f"* {one['name']}: {one['problem']}." for one in results if one["problem"]]
    return [Table("Memory for a client", ["", *headings], list(rows.values()), notes)]


def plot(results):
    """A figure: KiB for an idle client, MiB for one that never reads."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    most = max(one["count"] for one in results if one["kind"] == "idle")
    for axes, kind, unit in zip(panels, ("idle", "silent"), (1024, 2**20), strict=True):
        ours = [
            one
            for one in results
            if one["kind"] == kind and one["bytes"] and (kind == "silent" or one["count"] == most)
        ]
        names = [one["name"] for one in ours]
        for place, one in enumerate(ours):
            if one["problem"]:
                axes.text(0, place, f"  {one['problem'].partition(' after')[0]}", va="center")
        axes.barh(names, [median(one["bytes"]) / unit for one in ours], color=COLOURS[0])
        axes.invert_yaxis()
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].set(title=f"An idle client, of {most:,}", xlabel="KiB for each")
    panels[1].set(title="A client that never reads", xlabel="MiB by which the server grew")
    return figure
