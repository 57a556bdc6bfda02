"""Resume: everyone comes back at once, each with messages missed; when does the last have all?

Beside it, in the same run, as many who come back and missed nothing: what the messages cost is the
ratio of the two.
"""

import json
from dataclasses import dataclass
from statistics import median
from time import perf_counter

from bench.contestants import named, present
from bench.load import Load, LoadProblem
from bench.report import COLOURS, Progress, Table, say
from bench.servers import Server, allow_sockets, load_on_its_own_core

ALT = (
    "Bars for each step: the seconds until the last client has all that it missed, and within each "
    "the seconds when nothing was missed. The table holds the numbers."
)
NAMES = ("step 6", "step 7", "step 8", "step 8, Redis")


@dataclass
class Plan:
    """What is measured."""

    contestants: list
    clients: int = 500
    missed: int = 100  # messages, by each
    repetitions: int = 5
    seconds: float = 60  # for one server


def plan(quick):
    """The whole plan, or one that takes less than a minute."""
    contestants = named(*NAMES)
    return Plan(contestants, repetitions=2, seconds=15) if quick else Plan(contestants)


def measure(plan):
    """Measure all that is planned; returns a list of dictionaries, one for each number."""
    contestants = present(plan.contestants, say)
    results = {one.name: {"name": one.name, "seconds": []} for one in contestants}
    for result in results.values():
        result |= {"nothing_missed": [], "problem": ""}
        result |= {"clients": plan.clients, "missed": plan.missed}
    progress = Progress(len(contestants) * plan.repetitions)
    with load_on_its_own_core():
        for contestant in contestants * plan.repetitions:
            result = results[contestant.name]
            try:
                if (able := allow_sockets(plan.clients + 1)) <= plan.clients:
                    raise LoadProblem(f"only {able} sockets may be open here (ulimit -n)")
                missed = come_back(contestant, plan.clients, plan.missed, plan.seconds)
                nothing = come_back(contestant, plan.clients, 0, plan.seconds)
                result["seconds"].append(missed)
                result["nothing_missed"].append(nothing)
                said = f"{missed:.2f} s, with nothing missed {nothing:.2f} s"
            except LoadProblem as problem:
                result["problem"] = said = str(problem)
            progress(f"{contestant.name}: {plan.clients} clients come back: {said}")
    return list(results.values())


def come_back(contestant, clients, missed, seconds):
    """Seconds from the first handshake until the last of `clients` has all that it missed."""
    places = []

    def unpack(text):
        frame = json.loads(text)
        if "log" in frame:
            places.append(frame)
        return frame.get("messages", [])

    with (
        Server(contestant) as server,
        Load(server.port, contestant.path, unpack, seconds=seconds) as load,
    ):
        load.open(1)
        load.join()
        load.round(1)
        place = places[0]  # the name of the log, and the last id when the first client came
        last = place["last"] + load.warm_ups + 1
        if missed:
            load.round(missed)
        load.complete = 0
        path = f"{contestant.path}?log={place['log']}&last={last}"
        started = perf_counter()
        load.open(clients, at_once=clients, path=path, expected=1)
        if missed:
            load.wait(lambda: load.complete == clients, "had what they missed")
        taken = perf_counter() - started
        load.round(1)  # everyone goes on from there, and nothing came twice
        return taken


def claims(results):
    """The workshop says nothing of this but what is measured."""
    return []


def tables(results):
    """One table."""
    rows = []
    for one in results:
        if not one["seconds"]:
            rows.append([one["name"], one["problem"], "–", "–"])
            continue
        late, none = median(one["seconds"]), median(one["nothing_missed"])
        rows.append([one["name"], f"{late:.2f}", f"{none:.2f}", f"{late / none:.2f}"])
    if not results:
        return []
    clients, missed = results[0]["clients"], results[0]["missed"]
    title = f"{clients} clients come back at once, each with {missed} messages missed"
    headings = ["", "seconds until the last has all", "with nothing missed", "ratio"]
    return [Table(title, headings, rows)]


def plot(results):
    """A figure: seconds with messages missed, and with none."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 3.4), layout="constrained")
    ours = [one for one in results if one["seconds"]]
    names = [one["name"] for one in ours]
    late = [median(one["seconds"]) for one in ours]
    none = [median(one["nothing_missed"]) for one in ours]
    axes.barh(names, late, color=COLOURS[1], label="with messages missed")
    axes.barh(names, none, color=COLOURS[0], height=0.4, label="with nothing missed")
    axes.invert_yaxis()
    axes.set(title="Everyone comes back at once", xlabel="seconds until the last has all")
    figure.legend(loc="outside lower center", ncols=2)
    return figure
