"""What the measurements have in common: progress, claims, tables, files."""

import importlib
import json
import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib import metadata, util
from statistics import median

PACKAGES = ("quart", "uvicorn", "websockets", "starlette", "aiohttp", "redis")
# Colours that people who see few colours can tell apart (Okabe and Ito), and black.
COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#000000"]
MARKERS = "os^Dv<>XP*"


@dataclass
class Claim:
    """A ratio of two numbers of one run, beside what it should be."""

    what: str
    measured: float | None  # None: what it is made of was not measured
    wanted: float
    at_most: bool = False
    unit: str = ""

    @property
    def verdict(self):
        """ok, not, or why there is none."""
        if self.measured is None:
            return "not measured"
        return "ok" if (self.measured <= self.wanted) == self.at_most else "not"

    def __str__(self):
        measured = "–" if self.measured is None else f"{self.measured:.2f}{self.unit}"
        limit = "at most" if self.at_most else "at least"
        return (
            f"{self.what}: measured {measured}, wanted {limit} {self.wanted:g}{self.unit}, "
            f"{self.verdict}"
        )


def ratio(above, below):
    """The median of the ratios of two lists, pair by pair: each pair is of one turn."""
    pairs = list(zip(above or [], below or [], strict=False))
    return median(a / b for a, b in pairs) if pairs else None


class Progress:
    """Says on stderr what is measured, and how far it is."""

    def __init__(self, total):
        self.total, self.done = total, 0

    def __call__(self, text):
        self.done += 1
        print(f"[{self.done}/{self.total}] {text}", file=sys.stderr, flush=True)


def say(text):
    """Say something on stderr."""
    print(text, file=sys.stderr, flush=True)


def machine():
    """What the numbers were measured on, without the machine's name."""
    return {
        "python": platform.python_version(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "pinned": hasattr(os, "sched_setaffinity") and (os.cpu_count() or 1) > 1,
        "packages": {name: metadata.version(name) for name in PACKAGES if util.find_spec(name)},
    }


@dataclass
class Table:
    """What a terminal and the docs show; all but the first column are numbers."""

    title: str
    headings: list
    rows: list
    notes: list = field(default_factory=list)  # sentences below it


def show(table):
    """Print a table."""
    from rich import table as rich
    from rich.console import Console

    printed = rich.Table(title=table.title, title_justify="left", box=None, pad_edge=False)
    for number, heading in enumerate(table.headings):
        printed.add_column(heading, justify="right" if number else "left", no_wrap=True)
    for row in table.rows:
        printed.add_row(*map(str, row))
    # On a terminal, it is as wide as that; elsewhere, nothing may be cut off.
    Console(width=None if sys.stdout.isatty() else 160).print(printed, "")
    for note in table.notes:
        print(note)


LONG = 12  # rows of a table, beyond which a page folds it


def as_markdown(name, content):
    """The part of a page with a plot, its tables, what is claimed, and what it was measured on."""
    benchmark = importlib.import_module(f"bench.{name}")
    parts = [
        f"```{{figure}} measured/{name}.svg\n:alt: {benchmark.ALT}\n```\n",
        *map(_table, benchmark.tables(content["results"])),
        _claims(content["claims"]),
        f"The median of {_runs(content['results'])}, on {_on_what(content['machine'])}.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(table):
    """A table, folded if it is long; numbers to the right."""
    rows = [table.headings, ["---", *["--:"] * (len(table.headings) - 1)], *table.rows]
    lines = ["| " + " | ".join(str(cell) or " " for cell in row) + " |" for row in rows]
    notes = [note.replace("*", "\\*") + "\n" for note in table.notes]
    if len(table.rows) > LONG:
        return "\n".join([f"::::{{dropdown}} {table.title}", *lines, "", *notes, "::::"])
    return "\n".join([f"**{table.title}**", "", *lines, "", *notes])


def _claims(claims):
    rows = ["| claim | measured | wanted | holds |", "|---|--:|--:|---|"]
    for claim in claims:
        unit, is_known = claim["unit"], claim["measured"] is not None
        measured = f"{claim['measured']:.2f}{unit}" if is_known else "–"
        limit = f"{'at most' if claim['at_most'] else 'at least'} {claim['wanted']:g}{unit}"
        holds = {"ok": "yes", "not": "no"}.get(claim["verdict"], claim["verdict"])
        rows.append(f"| {claim['what']} | {measured} | {limit} | {holds} |")
    return "\n".join(rows) if claims else ""


def _runs(results):
    most = max(len(value) for one in results for value in one.values() if isinstance(value, list))
    return f"{most} run{'s' if most > 1 else ''}"


def _on_what(machine):
    cores = f"{machine['cores']} cores"
    if machine["pinned"]:
        cores += ", of which servers had one and the load another"
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return f"{machine['system']} with {cores}; Python {machine['python']}, {packages}"


def save(name, folder, results, claims):
    """Write NAME.json, NAME.md and NAME.svg into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    verdicts = [{**asdict(claim), "verdict": claim.verdict} for claim in claims]
    content = {"machine": machine(), "results": results, "claims": verdicts}
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{name}.json").write_text(text, encoding="utf-8", newline="\n")
    page = as_markdown(name, content)
    (folder / f"{name}.md").write_text(page, encoding="utf-8", newline="\n")

    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "the same numbers give the same file"
    figure = importlib.import_module(f"bench.{name}").plot(results)
    path = folder / f"{name}.svg"
    figure.savefig(path, metadata={"Date": None})
    # matplotlib ends lines with spaces.
    lines = [line.rstrip() for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")
