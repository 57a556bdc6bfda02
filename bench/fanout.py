"""Fan-out: one says something, all hear it; how many deliveries a second, and how late the last.

One at a time, the next message is sent when all clients have the one before; a burst is sent at
once, and the next when all have it. Everyone's delivery is checked: exactly once, in order.
"""

from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter, process_time

from bench.contestants import ALL, named, present
from bench.load import Load, LoadProblem
from bench.report import COLOURS, MARKERS, Claim, Progress, Table, ratio, say
from bench.servers import Server, allow_sockets, load_on_its_own_core

HOW = {1: "one at a time", 10: "bursts of 10"}
WORKERS = ("step 8, Redis, 2 workers", "step 8, Redis, 4 workers")


@dataclass
class Plan:
    """What is measured."""

    contestants: list
    clients: tuple = (100, 500, 2000)
    bursts: tuple = (1, 10, 50)
    compressed: tuple = (500,)  # clients, once more with compression
    deliveries: int = 20_000  # for each number that is measured
    rounds: int = 30  # at least, with bursts of up to 10
    repetitions: int = 3
    seconds: float = 180  # for one server with one number of clients


ALT = (
    "Deliveries a second by the number of clients, a line for each server, both axes logarithmic, "
    "a panel for each size of burst. The tables hold the numbers."
)
QUICK_NAMES = ("step 5", "step 6", "step 7", "websockets.broadcast", "Starlette loop", "limit")


def plan(quick):
    """The whole plan, or one that takes less than a minute."""
    if quick:
        contestants = named(*QUICK_NAMES)
        return Plan(contestants, (500,), (1, 10), (), 15_000, repetitions=2, seconds=15)
    return Plan(ALL)


def measure(plan):
    """Measure all that is planned; returns a list of dictionaries, one for each number."""
    cases = []
    contestants = present(plan.contestants, say)
    for deflate, counts in ((False, plan.clients), (True, plan.compressed)):
        for count in counts:
            names = [
                one
                for one in contestants
                if (one.deflates or not deflate)
                and (one.name not in WORKERS or (count >= 500 and not deflate))
            ]
            # In turn, so that a noisy moment hits all alike.
            cases += [(one, count, deflate) for _ in range(plan.repetitions) for one in names]
    results = {}
    progress = Progress(len(cases))
    with load_on_its_own_core():
        for contestant, count, deflate in cases:
            able = allow_sockets(count)
            what = f"{contestant.name}, {count} clients{', compressed' if deflate else ''}"
            bursts = [burst for burst in plan.bursts if not deflate or burst < 50]
            numbers, problem = [], ""
            try:
                if able < count:
                    raise LoadProblem(f"only {able} sockets may be open here (ulimit -n)")
                for one in one_server(contestant, count, bursts, deflate, plan):
                    numbers.append(one)
            except LoadProblem as found:
                problem = str(found)
            for burst, number in zip(bursts, [*numbers, *[{}] * len(bursts)], strict=False):
                key = contestant.name, count, burst, deflate
                result = results.setdefault(key, new_result(*key))
                for name, value in number.items():
                    result[name].append(value)
                if not number:
                    result["problem"] = problem
            rates = " · ".join(f"{number['rate']:,.0f}" for number in numbers)
            progress(f"{what}: {problem or rates + ' deliveries a second'}")
    return list(results.values())


def new_result(name, count, burst, deflate):
    """A result with no number so far; each list gets one for each repetition."""
    return {
        "name": name,
        "clients": count,
        "burst": burst,
        "compressed": deflate,
        "rate": [],  # deliveries a second
        "p50": [],  # seconds until the last client has all of a burst
        "p99": [],
        "cpu": [],  # seconds of the server's processes for a delivery
        "busy": [],  # share of the time for which the load was at work
        "problem": "",
    }


def one_server(contestant, count, bursts, deflate, plan):
    """Start a server and its clients; yields the numbers for each burst."""
    with (
        Server(contestant, deflate) as server,
        Load(
            server.port, contestant.path, contestant.unpack, deflate, seconds=plan.seconds
        ) as load,
    ):
        load.open(count)
        load.join()
        yield from rounds(server, load, bursts, plan)


def rounds(server, load, bursts, plan):
    """Send and wait until all have it, again and again; yields the numbers for each burst."""
    count = len(load.clients)
    for burst in bursts:
        for _ in range(3):
            load.round(burst)
        rounds = max(10 if burst > 10 else plan.rounds, plan.deliveries // (count * burst))
        cpu, own, started = server.cpu_seconds(), process_time(), perf_counter()
        delays = [load.round(burst) for _ in range(rounds)]
        seconds = perf_counter() - started
        deliveries = count * burst * rounds
        yield {
            "rate": deliveries / seconds,
            "p50": median(delays),
            "p99": quantiles(delays, n=100, method="inclusive")[98],
            "cpu": (server.cpu_seconds() - cpu) / deliveries,
            "busy": (process_time() - own) / seconds,
        }
    load.round(1)  # a message that came twice at the end would come before this one


def claims(results):
    """What the workshop says of its steps, each as a ratio of this run."""

    def values(name, burst, clients=500, what="rate"):
        wanted = (name, clients, burst, False)
        for one in results:
            if (one["name"], one["clients"], one["burst"], one["compressed"]) == wanted:
                return one[what]
        return []

    def faster(name, other, burst, wanted):
        what = f"{name} / {other}, deliveries a second, {HOW[burst]}, 500 clients"
        return Claim(what, ratio(values(name, burst), values(other, burst)), wanted)

    made = [
        faster("step 6", "websockets.broadcast", 10, 3),
        faster("step 6", "limit", 10, 1),
        faster("step 6", "Starlette loop", 1, 0.6),
        faster("step 6", "step 5", 1, 1),
        *(faster("step 7", "step 6", burst, 0.9) for burst in (1, 10)),
        *(faster("step 8, Redis", "step 6", burst, 0.7) for burst in (1, 10)),
    ]
    for workers in WORKERS:
        for burst, how in HOW.items():
            for clients in (500, 2000):
                pair = (values(name, burst, clients, "cpu") for name in (workers, "step 8, Redis"))
                what = f"{workers} / 1 worker, CPU time for a delivery, {how}, {clients:,} clients"
                made.append(Claim(what, ratio(*pair), 1.3, at_most=True))
    growth = {
        (name, burst): ratio(values(name, burst, 2000, "cpu"), values(name, burst, 100, "cpu"))
        for name in ("step 6", "limit")
        for burst in HOW
    }
    for burst, how in HOW.items():
        what = f"step 6, 2,000 clients / 100 clients, CPU time for a delivery, {how}"
        made.append(Claim(what, growth["step 6", burst], 1.2, at_most=True))
    if all(growth.values()):
        what = "step 6 / limit, how much that grows from 100 to 2,000 clients, one at a time"
        made.append(Claim(what, growth["step 6", 1] / growth["limit", 1], 1.2, at_most=True))
    return made


def tables(results):
    """A table for each number of clients."""
    kinds = dict.fromkeys((one["compressed"], one["clients"]) for one in results)
    for compressed, clients in kinds:
        rows = []
        for one in results:
            if (one["compressed"], one["clients"]) != (compressed, clients):
                continue
            if not one["rate"]:
                rows.append([one["name"], one["burst"], one["problem"], *["–"] * 4])
                continue
            rate, p50, p99, cpu, busy = (
                median(one[key]) for key in ("rate", "p50", "p99", "cpu", "busy")
            )
            rows.append(
                [
                    one["name"],
                    one["burst"],
                    f"{rate:,.0f}",
                    f"{p50 * 1000:.1f}",
                    f"{p99 * 1000:.1f}",
                    f"{cpu * 1e6:.1f}",
                    f"{busy:.0%}",
                ]
            )
        title = f"Fan-out to {clients:,} clients{', compressed' if compressed else ''}"
        rows.sort(key=lambda row: row[1])
        headings = ["", "burst", "deliveries/s", "last p50 ms", "p99 ms", "CPU µs each", "load"]
        yield Table(title, headings, rows)


def plot(results):
    """A figure: deliveries a second by clients, one panel for each size of burst."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import ScalarFormatter

    results = [one for one in results if not one["compressed"] and one["rate"]]
    bursts = sorted({one["burst"] for one in results})
    names = [name for name in dict.fromkeys(one["name"] for one in results) if name not in WORKERS]
    figure, panels = plt.subplots(
        1, max(1, len(bursts)), figsize=(10, 4.5), sharey=True, squeeze=False, layout="constrained"
    )
    for axes, burst in zip(panels[0], bursts, strict=False):
        for number, name in enumerate(names):
            ours = [one for one in results if (one["name"], one["burst"]) == (name, burst)]
            axes.plot(
                [one["clients"] for one in ours],
                [median(one["rate"]) for one in ours],
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                linestyle="-" if name.startswith("step") else ":",
                label=name,
            )
        axes.set(xscale="log", yscale="log", xlabel="clients")
        axes.set_title("one at a time" if burst == 1 else f"bursts of {burst}")
        axes.set_xticks(sorted({one["clients"] for one in results}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.set_xticks([], minor=True)
        axes.grid(alpha=0.3)
    panels[0][0].set_ylabel("deliveries a second")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    return figure
