"""What a question calls right is right because it was run, and whoever answers is told why."""

import ast
import asyncio
import itertools
import json
import re
import tomllib

import pytest
from click.testing import CliRunner
from markdown_it import MarkdownIt
from playwright.async_api import async_playwright, expect
from repo import ROOT, STEPS, load_script
from test_exercises import DEADLINE, QUART_RUN, Checker, test_files

from harness.browser import NO_BROWSER, launch, new_context
from harness.missing import missing
from workshop import answers, questions
from workshop.cli import main_group
from workshop.commands import quiz
from workshop.steps import all_exercises, write_files

EXERCISES = [exercise for exercise in all_exercises() if not exercise.is_challenge]
BY_STEP = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
KINDS = {"predict", "order", "why"}
BROWSER_SECONDS = 60
AGAIN = "python docs/prove.py proves it again"


# ---- What the files say


def test_every_step_asks_to_predict_to_order_and_why_on_its_page():
    for exercise in EXERCISES:
        assert {question.kind for question in questions.of_step(exercise)} == KINDS, exercise.id
        page = (ROOT / f"docs/{exercise.id}.md").read_text(encoding="utf-8")
        assert f"```{{quiz}} {exercise.id}\n```" in page


def test_a_wrong_answer_names_a_mistake_of_the_step_or_says_why():
    for exercise in EXERCISES:
        text = (exercise.folder / "questions.toml").read_text(encoding="utf-8")
        names = {mistake.name for mistake in exercise.mistakes}
        for table in tomllib.loads(text)["questions"]:
            wrong = table.get("wrong") or table["rules"]
            where = exercise.id, table["name"]
            assert {one["mistake"] for one in wrong if "mistake" in one} <= names, where
            assert all({"mistake", "why"} & set(one) for one in wrong), where
            assert any("mistake" in one for one in wrong) or table["kind"] == "order", where


def test_a_line_that_is_not_there_is_named():
    table = {"file": "websocket.py", "first": "@app.websocket('/w')", "last": "while True:"}
    with pytest.raises(ValueError, match=r"no lines from \"@app.websocket\('/w'\)\" to"):
        questions.block(EXERCISES[2], table)


def test_a_mistake_that_is_not_there_is_noticed():
    with pytest.raises(LookupError, match="no mistake named 'flies'"):
        questions.find_mistake(EXERCISES[2], "flies")


def test_what_check_says_of_a_mistake_is_why_an_answer_is_wrong():
    _, order, _ = questions.of_step(EXERCISES[2])
    said = [rule.why for rule in order.rules if "forgets the loop" in rule.why]
    (mistake,) = (one for one in EXERCISES[2].mistakes if one.name == "forgets the loop")
    assert len(said) == 1 and f"on /ws with code 1000: {mistake.says}" in said[0]


def test_a_sentence_with_signs_of_markdown_or_html_is_shown_as_it_is():
    sentence = "it takes <script src>: ['a_b_c', *x*], is there an `await`?"
    shown = MarkdownIt("commonmark").renderInline(f"*{questions.escaped(sentence)}*")
    as_it_is = "it takes &lt;script src&gt;: ['a_b_c', *x*], is there an <code>await</code>?"
    assert shown == f"<em>{as_it_is}</em>"


def test_options_differ_and_the_right_one_is_not_always_in_the_same_place():
    places = set()
    for _, before, after in questions.eight():
        places |= {before.shown.index(0), after.shown.index(0)}
    for exercise in EXERCISES:
        for question in questions.of_step(exercise):
            texts = [option.text for option in question.options] or question.lines
            assert len({text.strip() for text in texts}) == len(texts) >= 3, question.name
            assert all(texts), f"{exercise.id}: {question.name}: {AGAIN}"
            assert [option.is_right for option in question.options].count(True) <= 1
            if question.options:
                places.add(question.shown.index(0))
    assert places == {0, 1, 2, 3}


def test_questions_are_no_part_of_a_learners_project():
    for exercise in all_exercises():
        assert not {"questions.toml", "proved.json"} & set(exercise.solution)


def test_the_eight_ask_twice_in_other_words_with_the_same_number_of_options():
    rows = questions.eight()
    assert len(rows) == len({topic for topic, *_ in rows}) == 8
    for topic, before, after in rows:
        assert before.name == after.name and before.ask != after.ask, topic
        assert len(before.options) == len(after.options) == 4, topic
        pairs = zip(before.options, after.options, strict=True)
        assert all(one.text != other.text and one.why == other.why for one, other in pairs), topic


# ---- What was run


def test_what_is_to_be_predicted_is_what_the_code_prints():
    prove = load_script("prove")

    async def everything():
        return {exercise.id: await prove.predict(exercise) for exercise in EXERCISES}

    with prove.quickly():
        printed = asyncio.run(everything())
    for exercise in EXERCISES:
        if exercise.id != "04_javascript":  # which is run in a browser, below
            path = exercise.folder / "proved.json"
            kept = json.loads(path.read_text(encoding="utf-8"))["prints"]
            assert printed[exercise.id] == kept, f"{exercise.id}: {AGAIN}"


def bare(text, name):
    """A file without comments and empty lines: what a computer makes of it."""
    if name.endswith(".py"):
        return ast.dump(ast.parse(text))
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith(("#", "//"))]


def lines_of(exercise):
    """The question of a step whose lines are put in order."""
    (question,) = (one for one in questions.of_step(exercise) if one.kind == "order")
    return question


@BY_STEP
def test_the_right_order_is_the_solution_and_the_one_shown_is_refused(exercise):
    question = lines_of(exercise)
    right = list(range(len(question.lines)))
    made = questions.reassembled(exercise, question, right)
    assert bare(made, question.file) == bare(
        exercise.solution[question.file].decode(), question.file
    )
    assert question.broken_rule(right) is None
    assert question.broken_rule(question.shown) is not None
    accepted = list(questions.right_orders(question))
    assert right in accepted and len(accepted) <= 4
    assert all(question.broken_rule(order) is None for order in accepted)


def neighbours(question):
    """The orders that differ from a right one by two neighbours, and that break a rule."""
    for order in questions.right_orders(question):
        for at in range(len(order) - 1):
            swapped = [*order[:at], order[at + 1], order[at], *order[at + 2 :]]
            if question.broken_rule(swapped):
                yield swapped


def passes(exercise, question, order, folder):
    """Whether the step's own tests pass with the lines in this order."""
    made = questions.reassembled(exercise, question, order)
    if question.file.endswith(".py"):
        try:
            ast.parse(made)
        except SyntaxError:
            return False
    project = write_files({**exercise.solution, question.file: made.encode()}, folder)
    chosen = [] if question.file.endswith(".js") else ["-m", "not browser"]
    # The `quart` command has nothing to do with the order of these lines, and is slow to start.
    tests = [*test_files(exercise.tests[0]), *chosen, "-k", f"not {QUART_RUN}"]
    checker = Checker(project, tests, deadline=DEADLINE, patience=3 * DEADLINE)
    outcomes = set()
    for one in checker.check():
        outcomes.add(one.outcome)
        if one.outcome == "skipped":
            pytest.skip(one.reason)
        if one.outcome == "failed":  # which is enough
            break
    checker.close()
    return outcomes == {"passed"}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "exercise",
    [
        # Step 4 is looked at in a browser.
        pytest.param(one, marks=pytest.mark.exhaustive if one.number == 4 else pytest.mark.thorough)
        for one in EXERCISES
    ],
    ids=lambda one: one.id,
)
def test_every_right_order_passes_the_steps_tests_and_its_neighbours_fail(exercise, tmp_path):
    question, number = lines_of(exercise), itertools.count()
    for order in questions.right_orders(question):
        if order == sorted(order):
            continue  # that is the solution itself
        assert passes(exercise, question, order, tmp_path / f"{next(number)}/websocket"), order
    for order in neighbours(question):
        assert not passes(exercise, question, order, tmp_path / f"{next(number)}/websocket"), [
            question.lines[line] for line in order
        ]


# ---- On the command line


def run(*arguments, **options):
    result = CliRunner().invoke(main_group, [str(word) for word in arguments], **options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, result.output


def typed(exercise, right=True):
    """What somebody types who knows everything, or nothing."""
    for question in questions.of_step(exercise):
        if question.lines:
            wanted = range(len(question.lines)) if right else question.shown
            yield " ".join(str(question.shown.index(line) + 1) for line in wanted)
        else:
            yield str(question.shown.index(0 if right else 1) + 1)


@BY_STEP
def test_quiz_says_at_once_what_is_right_and_counts_it(exercise):
    code, output = run("quiz", exercise.number, input="\n".join(typed(exercise)) + "\n")
    assert (code, output.count("Right.\n")) == (0, 3), output
    assert "3 of 3 right." in output and "Not quite." not in output


def test_quiz_says_why_a_wrong_answer_is_wrong_and_what_is_right():
    code, output = run("quiz", 3, input="\n".join(typed(EXERCISES[2], right=False)) + "\n")
    words = " ".join(output.split())
    assert (code, output.count("Not quite.\n")) == (0, 3)
    assert "a handler that returns ends its connection, so is there a loop?" in words
    assert "In the right order: @app.websocket(" in words
    assert "0 of 3 right." in output


def test_quiz_asks_again_for_what_is_no_answer_and_stops_when_input_ends():
    first, *_ = typed(EXERCISES[2])
    code, output = run("quiz", 3, input=f"9\ntea\n{first}\n1 1 2 3 4\n")
    assert code == 0
    assert "type each of the numbers 1 to 5 once" in output
    assert "Stopped after 1 of 3 questions." in output
    assert output.endswith("1 of 1 right.\n")


@pytest.mark.parametrize(
    ("started", "asked"),
    [(None, "1 Structure"), ("04_javascript", "4 JavaScript"), ("05_rooms", "5 Broadcasting")],
)
def test_quiz_is_about_the_step_that_one_is_at(started, asked, monkeypatch):
    progress = type("Progress", (), {"started": started})
    monkeypatch.setattr(quiz, "read_progress", progress)
    assert f"{asked}: 3 questions" in run("quiz")[1]


@pytest.mark.parametrize("words", [["19"], ["nothing"], ["1", "2"], ["--no"]])
def test_quiz_says_what_there_is_when_it_is_asked_for_something_else(words):
    code, output = run("quiz", *words)
    assert code == 2
    assert "Error: " in output


# ---- Saved answers


def saved(folder, name, **chosen):
    path = folder / name
    path.write_text(json.dumps({"questions": "eight", **chosen}), encoding="utf-8")
    return path


def test_answers_counts_each_option_before_and_after(tmp_path):
    one = saved(tmp_path, "one.json", before={"wss": 1}, after={"wss": 0, "text": 2})
    two = saved(tmp_path, "two.json", before={"wss": 1}, after={"wss": 0})
    code, output = run("answers", one, two)
    assert code == 0
    assert "2 files counted." in output
    assert re.search(r"^ +0 +2  wss is encrypted, as https is. \(right\)$", output, re.MULTILINE)
    assert re.search(r"^ +2 +0  wss is for text", output, re.MULTILINE)
    assert re.search(r"^ +0 +1  As HTML: a browser doesn't run", output, re.MULTILINE)


BAD = {
    "is not JSON": b'{"questions": "eight", ',
    "not text in UTF-8": b'{"questions": "\xff"}',
    "larger than 1 MB": b" " * (answers.LARGEST + 1),
    "does not hold answers": b'["eight"]',
    "an unknown question": b'{"questions": "eight", "before": {"\\u001b[31mred": 0}}',
    "an unknown option": b'{"questions": "eight", "after": {"wss": 4}}',
    "unknown option": b'{"questions": "eight", "after": {"wss": true}}',
    "not JSON": b"[" * 100_000,
}


@pytest.mark.parametrize("told", BAD)
def test_a_bad_file_gets_one_sentence_and_the_others_count(told, tmp_path):
    good = saved(tmp_path, "good.json", before={"end": 0}, after={})
    bad = tmp_path / "bad.json"
    bad.write_bytes(BAD[told])
    code, output = run("answers", bad, good)
    assert code == 1
    (line,) = (line for line in output.splitlines() if line.startswith("Skipped "))
    assert f"Skipped {bad}: " in line and told in line
    assert "1 file counted." in output and "\x1b" not in output
    assert re.search(r"^ +1 +0  For as long as the connection is open", output, re.MULTILINE)


def test_a_name_that_would_move_the_cursor_is_printed_harmlessly(tmp_path):
    code, output = run("answers", tmp_path / "\x1b[2Janswers.json", tmp_path)
    assert code == 1
    assert "\x1b" not in output and "?[2Janswers.json: it cannot be read" in output
    assert "it is not a file" in output


# ---- In the page


@pytest.fixture
def in_browser():
    """Run a coroutine function with a browser's context, which has to see no error."""

    async def run(function):
        async with asyncio.timeout(BROWSER_SECONDS), async_playwright() as playwright:
            browser = await launch(playwright) or missing(NO_BROWSER)
            context = await new_context(browser, 5000)
            await function(context)
            assert context.problems == []
            await browser.close()

    return lambda function: asyncio.run(run(function))


async def tab_to(page, wanted):
    """Press Tab until that has the focus."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await wanted.evaluate("element => element === document.activeElement"):
            return
    raise AssertionError(f"Tab does not lead to {wanted}")


async def put_in_order(page, question):
    """Move the lines into the right order by keyboard; the focus stays where it is."""
    lines = question.locator("[data-line]")
    for place in range(await lines.count()):
        line = question.locator(f'[data-line="{place}"]')
        up = line.get_by_role("button", name="Move up line")
        await up.focus()
        while await line.evaluate("line => [...line.parentElement.children].indexOf(line)") > place:
            await page.keyboard.press("Enter")
            assert await up.evaluate("button => button === document.activeElement")


@pytest.mark.thorough
def test_the_questions_work_by_keyboard_and_without_a_server_and_survive_a_reload(site, in_browser):
    async def look(context):
        page = await context.new_page()
        await page.goto(f"{(site / '03_echo.html').as_uri()}#check-yourself")
        predict, order, _ = (page.locator(".question").nth(number) for number in range(3))
        await expect(predict).to_have_role("group")
        await expect(predict).to_have_accessible_name(re.compile("Two clients talk to /ws"))
        await tab_to(page, predict.get_by_role("radio").first)
        await page.keyboard.press("Space")
        wrong = predict.locator("input[value='1']")
        while not await wrong.is_checked():
            await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        verdict = predict.get_by_role("status")
        await expect(verdict).to_have_attribute("aria-live", "polite")
        await expect(verdict).to_contain_text("so is there a loop?")

        await put_in_order(page, order)
        await tab_to(page, order.get_by_role("button", name="Check"))
        await page.keyboard.press("Space")
        await expect(order.get_by_role("status")).to_contain_text("Right.")
        await expect(page.locator(".score")).to_have_text("1 of 3 right.")

        await page.reload()
        await expect(wrong).to_be_checked()
        await expect(verdict).to_contain_text("Not quite.")
        await expect(order.get_by_role("status")).to_contain_text("Right.")
        await page.get_by_role("button", name="Start over").press("Enter")
        await expect(wrong).not_to_be_checked()
        await expect(verdict).to_be_empty()
        await expect(page.locator(".score")).to_have_text("0 of 3 right.")
        first = order.locator("[data-line]").first
        await expect(first.get_by_role("button", name="Move up")).to_have_attribute(
            "aria-disabled", "true"
        )

    in_browser(look)


@pytest.mark.thorough
def test_the_page_after_says_what_moved_and_saves_what_the_command_counts(
    site, tmp_path, in_browser
):
    async def look(context):
        page = await context.new_page()
        await page.goto((site / "before.html").as_uri())
        for name, value in (("handshake", 0), ("wss", 2), ("text", 0)):
            await page.locator(f'[data-name="{name}"] input[value="{value}"]').check()
        await expect(page.get_by_text("3 of 8 answered.")).to_be_visible()
        await expect(page.get_by_role("button", name="Check")).to_have_count(0)
        await page.goto((site / "after.html").as_uri())
        for name, value in (("handshake", 0), ("wss", 0), ("text", 3), ("text", 0)):
            question = page.locator(f'[data-name="{name}"]')
            await question.locator(f'input[value="{value}"]').check()
            await question.get_by_role("button", name="Check").click()
        score = page.locator(".score")
        await expect(score).to_contain_text("2 of 8 before, 2 of 8 now.")
        await expect(score).to_contain_text("Right now, and not before: ws and wss.")
        await expect(score).to_contain_text("text from strangers.")  # the first choice counts
        async with page.expect_download() as download:
            await page.get_by_role("button", name="Save my answers").click()
        await (await download.value).save_as(tmp_path / "answers.json")
        # What is kept may have been damaged.
        await page.evaluate("localStorage.setItem(KEY + 'after', '{\"wss\": 7, \"text\": null}')")
        await page.reload()
        await expect(score).to_contain_text("2 of 8 before, 0 of 8 now.")

    in_browser(look)
    found = answers.read(tmp_path / "answers.json")
    assert found["before"] == {"handshake": 0, "wss": 2, "text": 0}
    assert found["after"] == {"handshake": 0, "wss": 0, "text": 3}


@pytest.mark.thorough
def test_what_a_page_prints_in_its_console_is_what_a_question_says_it_prints(in_browser):
    prove, javascript = load_script("prove"), EXERCISES[3]

    async def look(context):
        kept = json.loads((javascript.folder / "proved.json").read_text(encoding="utf-8"))
        assert await prove.predict(javascript, context) == kept["prints"]

    in_browser(look)


def test_without_a_script_every_question_has_its_answer_folded(site):
    for step in STEPS:
        page = (site / f"{step.name}.html").read_text(encoding="utf-8")
        assert page.count('<details class="answer">') == page.count('<fieldset class="question"')
        assert page.count("_static/quiz.js") == 1
    assert "_static/quiz.js" not in (site / "index.html").read_text(encoding="utf-8")
