"""Transports: the same broadcast as WebSocket, as server-sent events, and as long polling.

Three apps in `bench/transports/` have the same log and the same way in, a POST. What differs is the
way out, so that is what is measured: bytes, delay and CPU time for a delivery with many clients,
what nginx does with it, and what a browser does by itself.
"""

import asyncio
from dataclasses import dataclass
from statistics import median

from bench import transport_browser, transport_proxy
from bench.fanout import rounds
from bench.load import SIZE, LoadProblem
from bench.report import COLOURS, Claim, Progress, Table, ratio, say
from bench.servers import Server, allow_sockets, load_on_its_own_core
from bench.transport_load import LOADS, contestant
from harness.browser import NO_BROWSER

ALT = (
    "Bars for each transport: the bytes that a message takes on the wire, without and with the "
    "headers of a browser, the CPU time of the server for a delivery, and the milliseconds until "
    "the last client has a message. The tables hold the numbers."
)
BYTES = "bytes for a message"
CPU = "CPU time for a delivery"
LAST = "time until the last client has a message"


@dataclass
class Plan:
    """What is measured."""

    names: tuple = tuple(LOADS)
    clients: int = 500
    deliveries: int = 50_000  # for each number that is measured
    rounds: int = 30  # at least
    repetitions: int = 5
    seconds: float = 180  # for one server
    proxy: bool = True
    browser: bool = True


def plan(quick):
    """The whole plan, or one that takes about a minute."""
    return Plan(deliveries=5_000, rounds=10, repetitions=2, seconds=60) if quick else Plan()


def measure(plan):
    """Measure all that is planned; returns a list of dictionaries, one for each row of a table."""
    results = {name: new_result(name, plan.clients) for name in plan.names}
    progress = Progress(len(plan.names) * plan.repetitions)
    with load_on_its_own_core():
        for name in plan.names * plan.repetitions:  # in turn, as in `fanout`
            result = results[name]
            try:
                for key, value in many_clients(name, plan).items():
                    result[key].append(value)
                said = f"{result['rate'][-1]:,.0f} deliveries a second"
            except LoadProblem as problem:
                result["problem"] = said = str(problem)
            progress(f"{name}, {plan.clients} clients: {said}")
    return [*results.values(), *behind_nginx(plan), *in_a_browser(plan)]


def new_result(name, clients):
    """A result with no number so far; each list gets one for each repetition."""
    numbers = ("rate", "p50", "p99", "cpu", "busy", "received", "asked")
    return {"kind": "load", "name": name, "clients": clients, "problem": ""} | {
        number: [] for number in numbers
    }


def many_clients(name, plan):
    """The numbers of one transport, with one message at a time."""
    if (able := allow_sockets(plan.clients + 1)) <= plan.clients:
        raise LoadProblem(f"only {able} sockets may be open here (ulimit -n)")
    _, load_of = LOADS[name]
    with Server(contestant(name)) as server, load_of(server.port, plan.seconds) as load:
        load.open(plan.clients)
        load.join()
        load.round(1)  # everyone has all that came before
        received, asked, sent = load.received, load.asked, load.sent
        measured = rounds(server, load, (1,), plan)
        number = next(measured)
        deliveries = (load.sent - sent) * plan.clients
        number["received"] = (load.received - received) / deliveries
        number["asked"] = (load.asked - asked) / deliveries
        next(measured, None)  # one more message, which comes after all that were sent
        return number


def behind_nginx(plan):
    """What nginx does with each transport."""
    if not plan.proxy:
        return []
    if not transport_proxy.program():
        say("nginx is left out: it is not installed (on Debian and Ubuntu: apt install nginx).")
        return []
    cases = [case for case in transport_proxy.CASES if case[0] in plan.names]
    found = transport_proxy.measure(cases)
    for one in found:
        say(f"{one['name']}, nginx {one['nginx']}: {first_message(one)}")
    return found


def in_a_browser(plan):
    """What a browser does with each transport."""
    if not plan.browser:
        return []
    found = asyncio.run(transport_browser.measure(plan.names))
    if not found:
        say(f"A browser is left out: {NO_BROWSER}.")
    for one in found:
        said = one["problem"] or f"resumes after a cut: {one['resumes']}"
        say(f"{one['name']}, in a browser: {said}")
    return found


def first_message(one):
    """What came of a message behind nginx."""
    return one["seen"] or f"{median(one['delay']) * 1000:.1f} ms"


def claims(results):
    """What the workshop says of transports, each as a ratio of this run."""

    def values(kind, name, *keys):
        for one in results:
            if (one["kind"], one["name"]) == (kind, name):
                return [sum(numbers) for numbers in zip(*(one[key] for key in keys), strict=True)]
        return []

    def claim(what, other, wanted, kind, *keys, at_most=False):
        measured = ratio(values(kind, other, *keys), values(kind, "WebSocket", *keys))
        return Claim(f"{other} / WebSocket, {what}", measured, wanted, at_most)

    events, polling = "server-sent events", "long polling"
    return [
        claim(BYTES, events, 1.25, "load", "received", "asked", at_most=True),
        claim(BYTES, polling, 3, "load", "received", "asked"),
        claim(f"{BYTES} in a browser", polling, 8, "browser", "received", "asked"),
        claim(CPU, events, 2.5, "load", "cpu", at_most=True),
        claim(CPU, polling, 5, "load", "cpu"),
        claim(LAST, polling, 5, "load", "p50"),
    ]


def tables(results):
    """A table of what many clients cost, one of nginx, and one of a browser."""
    kinds = {kind: [one for one in results if one["kind"] == kind] for kind in MADE}
    return [MADE[kind](ours) for kind, ours in kinds.items() if ours]


def table_of_load(results):
    """What a delivery costs."""
    rows = []
    for one in results:
        if not one["rate"]:
            rows.append([one["name"], one["problem"], *["–"] * 6])
            continue
        number = {key: median(one[key]) for key in one if isinstance(one[key], list)}
        rows.append(
            [
                one["name"],
                f"{number['received']:.0f}",
                f"{number['asked']:.0f}",
                f"{number['cpu'] * 1e6:.0f}",
                f"{number['p50'] * 1000:.0f}",
                f"{number['p99'] * 1000:.0f}",
                f"{number['rate']:,.0f}",
                f"{number['busy']:.0%}",
            ]
        )
    title = f"A message of {SIZE} bytes to {results[0]['clients']:,} clients, one at a time"
    sent = ["bytes to a client", "bytes from it", "CPU µs each"]
    return Table(title, ["", *sent, "last p50 ms", "p99 ms", "deliveries/s", "load"], rows)


def table_of_proxy(results):
    """What nginx does."""
    rows = [
        [
            one["name"],
            one["nginx"],
            first_message(one),
            one["silent"] or "–",
            one["with_signs"] or "–",
        ]
        for one in results
    ]
    title = f"Behind nginx {results[0]['version']}"
    seconds = transport_proxy.READ_TIMEOUT
    notes = [f"In the last two columns, no message is sent, and proxy_read_timeout is {seconds} s."]
    headings = ["", "nginx", "a message", "the app is silent", "the app sends keep-alives"]
    return Table(title, headings, rows, notes)


def table_of_browser(results):
    """What a browser does."""
    rows = [
        [
            one["name"],
            f"{median(one['received']):.0f}" if one["received"] else one["problem"],
            f"{median(one['asked']):.0f}" if one["asked"] else "–",
            one["tabs"],
            one["resumes"],
        ]
        for one in results
    ]
    title = f"In Chromium {results[0]['browser']}"
    headings = ["", "bytes to a client", "bytes from it"]
    headings += [f"tabs that load, of {transport_browser.TABS}", "resumes after a cut"]
    return Table(title, headings, rows)


MADE = {"load": table_of_load, "proxy": table_of_proxy, "browser": table_of_browser}


def plot(results):
    """A figure: bytes, CPU time and delay for each transport."""
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, 3, figsize=(10, 3.4), sharey=True, layout="constrained")
    ours = [one for one in results if one["kind"] == "load" and one["rate"]]
    names = [one["name"] for one in ours]
    browser = {one["name"]: one for one in results if one["kind"] == "browser" and one["asked"]}
    bare = [median(one["received"]) + median(one["asked"]) for one in ours]
    full = [
        sum(median(browser[name][key]) for key in ("received", "asked")) if name in browser else 0
        for name in names
    ]
    panels[0].barh(names, full, color=COLOURS[1], label="with the headers of a browser")
    panels[0].barh(names, bare, color=COLOURS[0], height=0.4, label="without")
    panels[1].barh(names, [median(one["cpu"]) * 1e6 for one in ours], color=COLOURS[0])
    panels[2].barh(names, [median(one["p50"]) * 1000 for one in ours], color=COLOURS[0])
    panels[0].set(title="Bytes for a message", xlabel="bytes, both ways")
    panels[1].set(title="CPU time for a delivery", xlabel="µs of the server")
    panels[2].set(title="Delay of the last client", xlabel="ms")
    for axes in panels:
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure
