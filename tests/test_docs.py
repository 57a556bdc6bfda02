"""The docs site shows what the code does, reaches nobody else, and can be used by everyone."""

import ast
import asyncio
import functools
import html.parser
import http.server
import importlib
import io
import itertools
import json
import re
import shutil
import sys
import threading
from urllib.parse import unquote, urldefrag, urlsplit

import click
import pytest
import quart
from axe_playwright_python.async_playwright import Axe
from markdown_it import MarkdownIt
from mdit_py_plugins.colon_fence import colon_fence_plugin
from playwright.async_api import async_playwright, expect
from repo import (
    COMMAND,
    IS_EXHAUSTIVE,
    ROOT,
    RUNS_ALL,
    STEPS,
    build_site,
    copy_repository,
    free_port,
    get_when_served,
    load_script,
    run_pytest,
)

from harness import inprocess
from harness.browser import NO_BROWSER, launch, sign_in
from harness.live_server import LiveServer
from harness.missing import missing
from harness.sign_in import SETTINGS, asks_who
from workshop import language
from workshop import site as site_module
from workshop.steps import all_exercises

DOCS = ROOT / "docs"
BROWSER_SECONDS = 200
PAGES = sorted(DOCS.glob("*.md"))
pytestmark = pytest.mark.timeout(BROWSER_SECONDS + 40)
# A page may show these short commands as they are typed, because these tests run them or, where a
# terminal or another system would be needed, what they stand for.
RUN_BY = {
    "git clone ADDRESS quart-workshop": "tests/test_branches.py::test_the_same_sources_give_the_",
    "cd quart-workshop": "tests/test_branches.py::test_the_same_sources_give_the_same_commits",
    "python3 -m workshop run": "tests/test_serving.py::test_run_serves_a_step_and_ctrl_c_ends_it",
    "py -m workshop run": "tests/test_serving.py::test_run_serves_a_step_and_ctrl_c_ends_it",
    "python3 -m workshop test": "tests/test_command.py::test_without_a_browser_its_tests_are",
    "python3 -m workshop test steps/01_structure": "tests/test_layout.py::test_the_steps_own_tests",
    "python3 -m workshop start 1": "tests/test_learner.py::test_start_1_starts_from_a_skeleton",
    "python3 -m workshop start 2": "tests/test_learner.py::test_a_finished_exercise_is_noted",
    "python3 -m workshop start 3": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop start 4": "tests/test_learner.py::test_an_earlier_attempt_is_kept",
    "python3 -m workshop start 5": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop start 6": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop start 7": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop start 8": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop start 9": "tests/test_learner.py::test_start_shows_the_task",
    "python3 -m workshop run 6": "tests/test_serving.py::test_run_serves_a_step_and_ctrl_c_ends_it",
    "python3 -m workshop bench": "tests/test_bench.py::test_ctrl_c_stops_at_once_and_leaves_no_pro",
    "python3 -m workshop bench transports": "tests/test_transports.py::test_the_benchmark_gives_ta",
    "redis-server": "tests/test_going_further.py::test_four_workers_are_one_room_even_if_one_is_",
    "python serve.py": "tests/test_signed_in.py::test_no_log_contains_a_ticket_",
    "REDIS_URL=redis://127.0.0.1 python serve.py --workers 4": (
        "tests/test_going_further.py::test_four_workers_are_one_room_even_if_one_is_killed"
    ),
    "QUART_ORIGINS=https://chat.example FORWARDED_ALLOW_IPS=127.0.0.1 python serve.py": (
        "tests/test_going_further.py::test_behind_nginx_with_tls_as_the_docs_have_it"
    ),
    "cp deploy/* websocket/": (
        "tests/test_deploy.py::test_metrics_count_connections_deliveries_refusals_and_closes"
    ),
    "docker build --file Containerfile --tag websocket .": (
        "tests/test_deploy.py::test_a_container_engine_builds_the_image"
    ),
    "python3 -m workshop check": "tests/test_learner.py::test_check_tells_every_check",
    "python3 -m workshop docs --build site": "tests/test_docs.py::test_the_command_builds_the",
    "python3 -m workshop notebooks": "tests/test_notebooks.py::test_the_command_serves_the_note",
    "source .venv/bin/activate": "tests/test_pipenv.py::test_pipenv_installs_step_2_elsewhere",
    ".venv\\Scripts\\Activate.ps1": "tests/test_pipenv.py::test_pipenv_installs_step_2_elsewhere",
    "pipenv sync --dev": "tests/test_lock.py::test_pipenv_finds_the_lock_up_to_date",
    "python3 -m workshop kit class-kit": "tests/test_kit.py::test_without_a_network_start_is_all",
    "python3 class-kit/start.py": "tests/test_kit.py::test_without_a_network_start_is_all",
    "python3 -m workshop kit class-kit --serve --lan": "tests/test_kit.py::test_what_is_offered",
    "pipenv shell": "tests/test_pipenv.py::test_pipenv_installs_step_2_elsewhere",
    "pipenv install quart": "tests/test_pipenv.py::test_pipenv_installs_step_2_elsewhere",
    "pipenv install --dev pytest pytest-asyncio": "tests/test_pipenv.py::test_pipenv_installs_step",
    "QUART_APP=websocket:app quart run": "tests/test_serving.py::test_the_originals_command_serves",
    '$env:QUART_APP = "websocket:app"; quart run': (
        "tests/test_serving.py::test_the_originals_command_serves"
    ),
    "curl --data hello http://127.0.0.1:5000/api/v2/messages": (
        "steps/05_broadcast/tests/test_broadcast.py::test_a_post_reaches_everyone"
    ),
    "curl.exe --data hello http://127.0.0.1:5000/api/v2/messages": (
        "steps/05_broadcast/tests/test_broadcast.py::test_a_post_reaches_everyone"
    ),
}
SHARE_OF_PIXELS = 0.005  # that may differ
SHARE_WITH_OTHER_FONTS = 0.08


class Page(html.parser.HTMLParser):
    """What a page of the site links to, what can be linked to in it, and its pictures."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors, self.pictures = [], {""}, []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.anchors.add(attributes.get("id", ""))
        self.links += [attributes[key] for key in ("href", "src") if attributes.get(key)]
        if tag == "img":
            self.pictures.append(attributes)


def test_every_link_and_anchor_within_the_site_resolves(site):
    pages = {path: Page(path) for path in site.rglob("*.html")}
    assert len(pages) >= len(PAGES)
    linked = set()
    for path, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if urlsplit(link).scheme:
                continue
            target = (path.parent / unquote(urlsplit(address).path)) if address else path
            assert target.is_file(), f"{path.name} links to {link}"
            if target.resolve() in pages and target != path:
                linked.add(target.resolve())
            if anchor and target.suffix == ".html":
                there = unquote(anchor) in pages[target.resolve()].anchors
                assert there, f"{path.name} links to {link}, and there is no such place"
    assert {site / f"{page.stem}.html" for page in PAGES} <= linked


def test_next_leads_to_the_page_that_is_next_in_the_contents():
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    trees = re.findall(r"```\{toctree\}\n(.*?)```", index, re.DOTALL)
    order = [line for tree in trees for line in tree.splitlines() if line and line[0] != ":"]
    following = dict(itertools.pairwise(order))
    links = {
        page.stem: re.findall(r"^Next: \[.*\]\((\w+)\.md\)", page.read_text("utf-8"), re.MULTILINE)
        for page in PAGES
    }
    wrong = {
        page: links for page, links in links.items() if links not in ([], [following.get(page)])
    }
    assert wrong == {}
    assert all(links[page] for page in order[: order.index("conclusion")])


def test_every_picture_has_a_text_in_its_place(site):
    for path in site.rglob("*.html"):
        for picture in Page(path).pictures:
            alt = picture.get("alt", "")
            assert len(alt) > 20 and not alt.endswith(".png"), (path.name, picture["src"])
        for drawing in re.findall("<svg class=.drawing.*?</svg>", path.read_text(encoding="utf-8")):
            assert "<title" in drawing and len(re.search("<desc.*?>(.*?)<", drawing)[1]) > 20


def test_the_text_in_place_of_a_picture_says_what_the_picture_shows():
    from PIL import Image

    found = []
    for page in (*PAGES, ROOT / "README.md"):
        text = page.read_text(encoding="utf-8")
        found += re.findall(r"pictures/(\w+\.png)\n:alt: (.*)", text)
        found += [
            (name, alt) for alt, name in re.findall(r"!\[(.*?)\]\(.*?(\w+\.png)\)", text, re.S)
        ]
    assert {name for name, _ in found} == {path.name for path in (DOCS / "pictures").iterdir()}
    for name, alt in found:
        shown = Image.open(DOCS / "pictures" / name).text["shows"]
        alt = " ".join(alt.split())
        assert [line for line in shown.splitlines() if line not in alt] == [], name
        assert [words for words in re.findall('"(.*?)"', alt) if words not in shown] == [], name


def test_what_happens_at_a_lifeline_is_written_beside_it(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))
    from drawings import WIDTH, beside

    assert beside(120, [120, 320], "renders it") > 120 + 5 * len("renders it") / 2
    assert beside(320, [120, 320], "renders it") < 320 - 5 * len("renders it") / 2
    assert beside(80, [80, 220, 360], "m" * 40) < WIDTH / 2  # where there is no room, within


def test_every_command_option_and_exercise_is_documented(site):
    from workshop.cli import main_group

    commands = (site / "command.html").read_text(encoding="utf-8")
    for name, command in main_group.commands.items():
        if not command.hidden:
            assert f'id="python3-m-workshop-{name}"' in commands
            for param in command.params:
                if isinstance(param, click.Option):
                    option = f'id="cmdoption-python3-m-workshop-{name}{param.opts[0][1:]}"'
                    assert param.help and option in commands, f"{name} {param.opts[0]}"
    exercises = (site / "exercises.html").read_text(encoding="utf-8")
    for exercise in all_exercises():
        where = exercises if exercise.is_challenge else exercises.partition("The challenges")[0]
        assert exercise.title in where
        if not exercise.is_challenge:
            assert (site / f"{exercise.id}.html").is_file()


def test_what_was_measured_is_shown_as_it_was_measured(site):
    shown = {**dict.fromkeys(("fanout", "memory", "resume"), "how_far"), "transports": "transports"}
    files = sorted((DOCS / "measured").iterdir())
    assert {file.name for file in files} == {
        f"{name}.{kind}" for name in shown for kind in ("json", "md", "svg")
    }
    for file in (DOCS / "measured").glob("*.json"):
        page = (site / f"{shown[file.stem]}.html").read_text(encoding="utf-8")
        found = json.loads(file.read_text(encoding="utf-8"))
        benchmark = importlib.import_module(f"bench.{file.stem}")
        drawn = file.with_suffix(".svg").read_text(encoding="utf-8")
        assert f"_images/{file.stem}.svg" in page
        assert f"Python {found['machine']['python']}" in page
        for table in benchmark.tables(found["results"]):
            assert html.escape(table.title, quote=False) in page
            for row in table.rows:
                cells = "".join(rf"<td[^>]*><p>{re.escape(str(cell))}</p></td>\s*" for cell in row)
                assert re.search(cells, page), f"{file.stem}: {row} is not on the page"
                # Those with several workers are in the table only.
                if row[-1] != "–" and "workers" not in row[0]:
                    assert f"<!-- {row[0]} -->" in drawn, f"{file.stem}.svg is of another run"
        for claim in found["claims"]:
            measured = claim["measured"]
            told = "–" if measured is None else f"{measured:.2f}{claim['unit']}"
            row = rf"{re.escape(claim['what'])}</p></td>\s*<td[^>]*><p>{re.escape(told)}</p>"
            assert re.search(row, page), f"{file.stem}: {claim} is not on the page"


def test_performance_opens_with_a_drawing_and_folds_its_tables(site):
    page = (site / "how_far.html").read_text(encoding="utf-8").partition("<h1>")[2]
    assert page.index('<svg class="drawing"') < page.index("<p>")
    depth = 0
    for tag in re.findall(r"</?details|<table", page):
        depth += {"<details": 1, "</details": -1}.get(tag, 0)
        assert tag != "<table" or depth, "a table that is not folded"


def test_every_step_says_how_far_one_is(site):
    for number, step in enumerate(STEPS[:5], 1):
        page = (site / f"{step.name}.html").read_text(encoding="utf-8")
        assert f"Step {number} of 5" in page
        assert page.count('<i class="done">') == number


def test_the_first_page_has_two_ways_in_before_all_else(site):
    page = (site / "index.html").read_text(encoding="utf-8").partition("<h1>")[2]
    opening = page.partition("<h2>")[0]
    for way in ("setup", "instructors"):
        assert re.search(rf'<a class="sd-[^>]*sd-btn[^>]*href="{way}.html"', opening)


# What a page may hold: directives that show what stands elsewhere, and what arranges words.
ALLOWED = {
    *("about", "challenges", "change", "files", "folders", "hints"),
    *(
        "literalinclude",
        "include",
        "lab",
        "symptoms",
        "eval-rst",
        "mistakes",
        "proofs",
        "task",
        "timetable",
        "what-goes-wrong",
        "figure",
        "live",
        "quiz",
        "sequence",
        "deliveries",
        "button-ref",
    ),
    *("dropdown", "glossary", "grid", "grid-item-card", "tab-item", "tab-set", "tip", "toctree"),
}
BY_LINE_NUMBER = re.compile(r"^:(lines|emphasize-lines|lineno\S*):", re.MULTILINE)


def blocks(text):
    """Each block of a page, also those within others: its kind, its name, and its content."""
    for token in MarkdownIt("commonmark").use(colon_fence_plugin).parse(text):
        if token.type in ("fence", "colon_fence", "code_block", "html_block"):
            yield token.type, token.info.strip(), token.content
            if token.info.strip().startswith("{"):
                yield from blocks(token.content)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_code_and_no_output_on_a_page_was_typed(page):
    for kind, what, content in blocks(page.read_text(encoding="utf-8")):
        if what.startswith("{"):
            name = what.partition("}")[0][1:]
            assert name in ALLOWED, f"{{{name}}} may hold what was typed: include or capture it"
            assert not BY_LINE_NUMBER.search(content), f"by object, not by line number: {content}"
            continue
        assert (kind, what) == ("fence", "console"), f"a typed block: {content}"
        for line in content.splitlines():
            assert line.startswith("$ "), f"typed output, which docs/capture.py can make: {line}"
            assert line[2:] in RUN_BY, f"no test is known to run {line[2:]!r}: see RUN_BY"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_commands_that_a_page_names_are_there(page):
    from workshop.cli import main_group

    for name in re.findall(r"python3 -m workshop ([a-z]\S*?)\b", page.read_text(encoding="utf-8")):
        assert name in main_group.commands, f"there is no command {name}"


def test_everything_that_was_captured_is_shown():
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in (DOCS / "captured").rglob("*.txt"):
        name = path.relative_to(DOCS).as_posix()
        if path.parent.name in language.known():  # see docs/translated.py
            name = f"captured/{path.name}"
        # Of a snippet, what it prints or the snippet itself.
        snippet = name.replace("captured/", "").replace(".txt", ".")
        assert f"{name}\n" in shown or f" {snippet}" in shown, f"no page shows {name}"


def test_the_tests_that_run_what_a_page_shows_are_there():
    for test in RUN_BY.values():
        file, _, name = test.partition("::")
        assert f"def {name}" in (ROOT / file).read_text(encoding="utf-8"), test
    shown = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [line for line in RUN_BY if f"$ {line}" not in shown] == []


# Other tests run what most acts show, too, so these are compared with --all, or once a week.
MARKS = {"command": (), **dict.fromkeys(("tests", "faults", "labs"), pytest.mark.exhaustive)}
ACTS = [
    pytest.param(act, marks=MARKS.get(act, pytest.mark.thorough))
    for act in load_script("capture").ACTS
    if act not in ("mistakes", "snippets")  # see below, and test_snippets.py
]


def test_as_many_tests_pass_on_a_page_as_the_step_has():
    _, collected = run_pytest(ROOT, "--collect-only", "-q", *STEPS)
    for step in STEPS:
        captured = ROOT / f"docs/captured/pytest_{step.name[:2]}.txt"
        text = captured.read_text(encoding="utf-8")
        file, number = re.search(r"^\$ pytest -q (\S+)$.*^(\d+) passed", text, re.M | re.S).groups()
        has = collected.count(f"steps/{step.name}/{file}::")
        assert int(number) == has, f"{captured.name}: `python docs/capture.py tests` makes it again"


@pytest.mark.long
@pytest.mark.parametrize("act", ACTS)
def test_what_a_command_is_said_to_print_is_what_it_prints(act, tmp_path):
    capture = load_script("capture")
    if act in ("tests", "scaled_out") and not shutil.which("redis-server"):
        missing("no Redis server: install it (on Debian: apt install redis-server)")
    if act == "labs" and not shutil.which("ss"):
        missing("no ss: install it (on Debian: apt install iproute2)")
    made = dict(capture.perform(act, copy_repository(tmp_path / "clone")))
    if any("no browser: " in text for text in made.values()):
        missing(NO_BROWSER)  # which is a failure where all is required
    for name, text in made.items():
        kept = (capture.CAPTURED / f"{name}.txt").read_text(encoding="utf-8")
        same = capture.is_same(text, kept)
        assert same or text == kept, f"{name}: `python docs/capture.py {act}` captures it again"


def test_what_check_says_of_each_mistake_was_captured():
    # That `check` says it is tested with the mistakes, in test_exercises.py.
    told = json.loads((DOCS / "captured/mistakes.json").read_text(encoding="utf-8"))
    exercises = all_exercises()
    assert set(told) == {exercise.id for exercise in exercises}
    for exercise in exercises:
        assert set(told[exercise.id]) == {mistake.name for mistake in exercise.mistakes}
        for mistake in exercise.mistakes:
            text = " ".join(told[exercise.id][mistake.name].split())
            again = "`python docs/capture.py mistakes` captures it again"
            assert " ".join(mistake.says.split()) in text, f"{mistake.name}: {again}"


@pytest.mark.parametrize(
    ("name", "was", "becomes"),
    [
        ("fault_foreign_7", "HTTP 403", "HTTP 204"),
        ("fault_huge_7", "closed with 1009", "closed with 1008"),
        ("fault_flood_7", "closed with 1008", "still connected"),
    ],
)
def test_a_fault_that_ends_otherwise_is_told_from_one_that_takes_longer(name, was, becomes):
    capture = load_script("capture")
    text = (capture.CAPTURED / f"{name}.txt").read_text(encoding="utf-8")
    assert was in text and not capture.is_same(text, text.replace(was, becomes))
    slower = re.sub(r"\d+ ms", "2.5 s", text)
    assert slower != text and capture.is_same(text, slower)


# What a page explains before it asks a learner to write it


# Those of steps 4 and 5 are to be added once they are written in this order.
EXPLAINED = ["01_structure", "02_install", "03_echo", "04_javascript", "05_broadcast"]
ENTRY = ("websocket.py", "tcp.py")
SCRIPT = "static/js/websocket.js"


def names_of_libraries():
    """Every name that Quart or asyncio offers: in the module, and in its classes."""
    values = [value for module in (quart, asyncio) for value in vars(module).values()]
    classes = [value for value in values if issubclass(type(value), type)]
    names = {name for each in (quart, asyncio, *classes) for name in dir(each)}
    return {name for name in names - set(dir(str)) if name[0] != "_"}


def names_in_python(code):
    """Each line's names of Quart and asyncio: what is imported, and attributes."""
    found = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute):
            found.add((node.end_lineno, node.attr))
        elif isinstance(node, ast.ImportFrom) and node.module in ("quart", "asyncio"):
            found |= {(node.lineno, alias.name) for alias in node.names}
    known = names_of_libraries()
    return {(line, name) for line, name in found if name in known}


def names_in_javascript(code):
    """Each line's names of the browser's API: what has a dot before it, events, classes."""
    names = re.compile(
        r"(?<=[a-z)]\.)[A-Za-z]\w+|(?<=\bnew )\w+|(?<=Listener\(\")\w+|\b(?:location|document)\b"
    )
    return {
        (number, name)
        for number, line in enumerate(code.splitlines(), 1)
        if not line.strip().startswith("//")
        for name in names.findall(line)
    }


def new_names(exercise):
    """The names of libraries that a solution uses, and its start does not."""
    new = set()
    for files, find in ((ENTRY, names_in_python), ((SCRIPT,), names_in_javascript)):
        used, known = set(), set()
        for file in files:
            old = exercise.start.get(file, b"").decode()
            code = exercise.solution.get(file, b"").decode()
            lines, old_lines = code.splitlines(), set(old.splitlines())
            used |= {name for line, name in find(code) if lines[line - 1] not in old_lines}
            known |= {name for _, name in find(old)}
        new |= used - known
    return new


@pytest.mark.parametrize("step", EXPLAINED)
def test_all_that_a_solution_newly_uses_is_explained_before_your_turn(step, site):
    page = (site / f"{step}.html").read_text(encoding="utf-8")
    before, turn, _ = page.partition('id="your-turn"')
    assert turn
    code = re.findall(r"<(pre|code)\b[^>]*>(.*?)</\1>", before, re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]*>", "", " ".join(content for _, content in code)))
    (exercise,) = (each for each in all_exercises() if each.id == step)
    unexplained = {name for name in new_names(exercise) if not re.search(rf"\b{name}\b", text)}
    assert unexplained == set(), "the solution uses them, and no code before Your turn does"


def test_names_that_a_solution_newly_uses_are_found():
    steps = {each.id: new_names(each) for each in all_exercises()}
    assert steps["01_structure"] == {"config", "get"}
    assert steps["03_echo"] == {"websocket", "receive", "send"}
    assert {"WebSocket", "addEventListener", "location", "submit"} <= steps["04_javascript"]
    assert {"TaskGroup", "put_nowait", "start_server", "post"} <= steps["05_broadcast"]


# In a browser


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def address(site):
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=site)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def in_browser():
    """Run a coroutine function with a browser."""

    async def run(function, *arguments):
        # Before pytest's own deadline, after which Playwright would wait for ever.
        async with asyncio.timeout(BROWSER_SECONDS), async_playwright() as playwright:
            browser = await launch(playwright)
            if browser is None:
                missing(NO_BROWSER)
            await function(browser, *arguments)
            await browser.close()

    return lambda function, *arguments: asyncio.run(run(function, *arguments))


OVERFLOW = """
Math.max(...[...document.querySelectorAll("html, .main, .content")].map(
  (element) => element.scrollWidth - element.clientWidth))
"""
# axe-core does not look at the words of an SVG, and takes long for the contrast of all others.
# There are few kinds of words; see WCAG 2.2, "contrast ratio".
CONTRAST = """
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {  // the colour of what is behind, through all that is translucent
    if (!element) return [255, 255, 255];
    const [red, green, blue, alpha = 1] = numbers(getComputedStyle(element).backgroundColor);
    const below = alpha < 1 ? behind(element.parentElement) : [0, 0, 0];
    return mix([red, green, blue], alpha, below);
  };
  const mix = (front, alpha, back) => front.map((part, i) => part * alpha + back[i] * (1 - alpha));
  const opacity = (element) =>
    element ? getComputedStyle(element).opacity * opacity(element.parentElement) : 1;
  const luminance = (colour) => {
    const [red, green, blue] = colour.map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const kinds = new Map();
  const name = (element) => `${element?.tagName} ${element?.getAttribute("class")}`;
  for (const words of document.body.querySelectorAll("*")) {
    const hasText = [...words.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!hasText || !words.checkVisibility({visibilityProperty: true})) continue;
    const block = words.closest(".drawing, [class*=highlight-], [class*=admonition], aside, nav");
    kinds.set(`${name(words)} in ${name(words.parentElement)} in ${name(block)}`, words);
  }
  let worst = [21, ""];
  for (const [kind, words] of kinds) {
    const style = getComputedStyle(words);
    const [red, green, blue, alpha = 1] = numbers(words.ownerSVGElement ? style.fill : style.color);
    const background = behind(words.ownerSVGElement ? document.body : words);
    const seen = alpha * opacity(words);
    if (!seen) continue;  // until the mouse is there
    const front = luminance(mix([red, green, blue], seen, background));
    const back = luminance(background);
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    if (ratio < worst[0]) worst = [ratio, kind];
  }
  return worst;
})()
"""


# Highlighted code as one text, once its colours were looked at.
WITHOUT_COLOURS = """
for (const code of document.querySelectorAll(".highlight pre")) code.textContent = code.textContent;
"""
ALL_BUT_CONTRAST = {"rules": {"color-contrast": {"enabled": False}}}
# What is dark differs from what is light by its colours only.
LIGHT_AND_DARK = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


async def findings(page, schemes):
    """What axe-core finds serious or critical in a page, in light or dark, by these rules."""
    found = []
    await page.evaluate(Axe().axe_script)
    for scheme, rules in schemes.items():
        await page.emulate_media(color_scheme=scheme)
        # Or it tells at length what is well.
        options = {"resultTypes": ["violations"], **rules}
        run = "async (options) => (await axe.run(document, options)).violations"
        found += [
            f"{scheme}: {violation['help']}: {violation['nodes'][0]['html'][:200]}"
            for violation in await page.evaluate(run, options)
            if violation["impact"] in ("serious", "critical")
        ]
    return found


# Pages that have between them all that a page may have. Their colours are looked at, and axe-core,
# which takes two seconds for a page, looks at two of them. With --all, every page is opened, and
# axe-core looks at all of these and those of the steps; at every page, if it is exhaustive.
ONE_OF_A_KIND = {"index", "05_broadcast", "before", "exercises", "command"}
CLOSELY = ONE_OF_A_KIND | ({step.name for step in STEPS} if RUNS_ALL else set())
BY_AXE = CLOSELY if RUNS_ALL else {"05_broadcast", "before"}


@pytest.mark.long
@pytest.mark.timeout(240)
def test_every_page_works_in_a_browser_and_asks_nobody_else(site, address, in_browser):
    async def look(browser):
        page = await browser.new_page(viewport={"width": 1280, "height": 900})
        problems, requests = [], []
        page.on("console", lambda m: m.type in ("error", "warning") and problems.append(m.text))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        for path in sorted(site.rglob("*.html")):
            name = path.relative_to(site).as_posix()
            if not RUNS_ALL and path.stem not in CLOSELY:
                continue
            await page.goto(f"{address}/{name}")
            # What is folded is shown, and what is in a tab, so that it is looked at, too.
            await page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            await page.add_style_tag(content=".sd-tab-content { display: block !important; }")
            for width in (1280, 360):
                await page.set_viewport_size({"width": width, "height": 900})
                overflow = await page.evaluate(OVERFLOW)
                assert overflow <= 0, f"{name} scrolls sideways at {width} pixels"
            if IS_EXHAUSTIVE or path.stem in CLOSELY:
                await page.set_viewport_size({"width": 1280, "height": 900})
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme=scheme)
                    ratio, kind = await page.evaluate(CONTRAST)
                    assert ratio >= 4.5, f"{name}, {scheme}: hard to read ({ratio:.1f}): {kind}"
            is_again = path.parent.name == "de" and path.stem != "03_echo"
            if IS_EXHAUSTIVE or (path.stem in BY_AXE and not is_again):
                await page.evaluate(WITHOUT_COLOURS)
                found = await findings(page, {"light": ALL_BUT_CONTRAST})
                assert found == [], (name, found)
            assert problems == [], (name, problems)
        foreign = [url for url in requests if not url.startswith((address, "data:"))]
        assert foreign == []

    in_browser(look)


@pytest.mark.thorough
def test_copying_a_change_copies_the_new_code(address, in_browser):
    async def look(browser):
        context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        await page.goto(f"{address}/03_echo.html")
        await page.get_by_text("Show the solution").click()
        change = page.locator(".change").first
        await change.hover()
        await change.get_by_role("button").click()
        await expect(change.locator(".success")).to_be_visible()
        button = await page.evaluate("navigator.clipboard.readText()")
        await change.locator("pre").evaluate("pre => getSelection().selectAllChildren(pre)")
        selected = await page.evaluate("getSelection().toString()")
        code = (STEPS[2] / "websocket.py").read_text(encoding="utf-8")
        assert (button, selected) == (code.rstrip(), code.rstrip())

    in_browser(look)


def test_the_contents_are_beside_a_page_and_search_finds_a_word(address, in_browser):
    async def look(browser):  # one browser, since to start it takes long
        await the_contents_of_a_page_are_beside_it_where_there_is_room(browser, address)
        await search_finds_a_word(browser, address)

    in_browser(look)


async def the_contents_of_a_page_are_beside_it_where_there_is_room(browser, address):
    page = await browser.new_page(viewport={"width": 1280, "height": 900})
    await page.goto(f"{address}/03_echo.html")
    await expect(page.get_by_text("On this page", exact=True)).to_be_in_viewport()
    right = "element => element.getBoundingClientRect().right"
    assert await page.locator(".toc-drawer").evaluate(right) <= 1280


async def search_finds_a_word(browser, address):
    page = await browser.new_page()
    await page.goto(f"{address}/index.html")
    await page.get_by_role("textbox", name="Search").fill("back-pressure")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("link", name="Glossary").last).to_be_visible()
    await expect(page.locator("#search-results li").first).to_contain_text("Glossary")


def test_every_steps_page_is_accessible(in_browser, monkeypatch):
    for name, value in SETTINGS.items():  # so that a test can sign in
        monkeypatch.setenv(name, value)

    async def look(browser):
        for step in STEPS if RUNS_ALL else (STEPS[0], STEPS[3], STEPS[-1]):
            server = LiveServer(inprocess.load(step))
            server.start()
            context = await browser.new_context()
            page = await context.new_page()
            await page.goto(server.url)
            if asks_who(server.app):
                assert await findings(page, LIGHT_AND_DARK) == [], f"{step.name}: the form"
                await sign_in(context, server)
                await page.goto(server.url)
            if await page.get_by_role("button").count():
                await expect(page.get_by_role("status")).to_have_text("Connected")
            found = await findings(page, LIGHT_AND_DARK)
            assert found == [], (step.name, found)
            await context.close()
            await asyncio.to_thread(server.stop)

    in_browser(look)


@pytest.mark.thorough
def test_the_pictures_show_the_present_steps(in_browser):
    pictures = load_script("pictures")
    from PIL import Image

    async def look(browser):
        made = [one async for one in pictures.make(browser)]
        kept = {path.stem: path.read_bytes() for path in pictures.PICTURES.glob("*.png")}
        assert {name for name, *_ in made} == set(kept)
        for name, png, text, font in made:
            again = "python docs/pictures.py makes it again"
            picture = Image.open(io.BytesIO(kept[name]))
            assert picture.text["shows"] == text, f"{name} shows something else: {again}"
            share = pictures.share_that_differs(png, kept[name])
            most = SHARE_OF_PIXELS if picture.text["font"] == font else SHARE_WITH_OTHER_FONTS
            assert share <= most, f"{name}: {share:.1%} of the pixels differ: {again}"

    in_browser(look)


# The command


def test_the_command_builds_the_site_only_where_nothing_else_is(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine", encoding="utf-8")
    for place, told in (
        (file, "is a file"),
        (file / "site", "cannot be written to"),
        (tmp_path, "contains something else"),
        (DOCS, "contains something else"),
    ):
        result = build_site(place)
        assert result.returncode == 2, place
        assert told in result.stdout
        assert "Traceback" not in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert file.read_text(encoding="utf-8") == "mine"


def small_site(docs, text):
    """In place of the docs, one page."""
    (docs / "conf.py").write_text("root_doc = 'page'\n", encoding="utf-8")
    (docs / "page.rst").write_text(f"Title\n=====\n\n{text}\n", encoding="utf-8")


@pytest.mark.parametrize("has_site", [False, True])
def test_a_build_that_fails_says_why_and_changes_nothing(has_site, learner, tmp_path):
    site = tmp_path / "site"
    small_site(learner.clone / "docs", "to nowhere_")
    if has_site:
        site.mkdir()
        (site / site_module.SITE).touch()
        (site / "index.html").write_text("an earlier one", encoding="utf-8")
    code, output = learner.start("docs", "--build", site)
    assert code != 0
    assert 'Unknown target name: "nowhere"' in output and "The site was not built" in output
    assert site.exists() == has_site
    assert not has_site or (site / "index.html").read_text(encoding="utf-8") == "an earlier one"
    assert list((learner.clone / "docs/_build").glob("site-*")) == []


def test_the_site_is_built_again_if_a_source_changed(clone, monkeypatch):
    docs = clone / "docs"
    for name, value in (("ROOT", clone), ("DOCS", docs), ("MADE", docs / "_build")):
        monkeypatch.setattr(f"workshop.site.{name}", value)
    before = site_module._sources()
    (docs / "_build").mkdir()
    (docs / "_build/served").write_text("8000", encoding="utf-8")
    assert site_module._sources() == before
    with (clone / "steps/03_echo/websocket.py").open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert site_module._sources() != before


@pytest.mark.thorough
def test_the_command_serves_the_site_and_ctrl_c_ends_it(clone, start):
    small_site(clone / "docs", "A page")
    port = free_port()
    process = start(sys.executable, "-c", COMMAND, "docs", "--port", port, cwd=clone)
    process.wait_for("is served at", 100)
    assert "A page" in get_when_served(f"http://127.0.0.1:{port}/page.html")
    process.interrupt()
    code, output = process.end(10)
    assert code == 0, output
    assert "Traceback" not in output
