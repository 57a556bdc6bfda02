"""Run what the questions about the steps are about, and keep what comes of it.

Usage: python docs/prove.py [STEP]…

Writes steps/NN/proved.json for these steps, or for all. `prints` has, for each question that asks
what is printed, what its code prints with the step's solution and with each mistake that a wrong
option names. A test runs all of it again.
"""

import ast
import asyncio
import contextlib
import gc
import json
import logging
import os
import sys
import tempfile
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from quart.testing import QuartClient  # noqa: E402

from harness import browser, inprocess, patience  # noqa: E402
from harness.failures import Closed  # noqa: E402
from harness.live_server import LiveServer  # noqa: E402
from workshop.questions import RIGHT, find_mistake, of_step  # noqa: E402
from workshop.steps import all_exercises, find_exercise, write_files  # noqa: E402

SETTINGS = ("QUART_TCP_PORT", "REDIS_URL", "QUART_CLASS_WORD")
WORD = "tulip"  # the class word, from step 9 on
SILENCE = 0.4  # seconds, after which no message is expected any more
PAGE = "https://workshop.example:8443"  # where a page that is looked at seems to come from
SHOW_ADDRESS = "Object.defineProperty(ws, 'url', {value: connectedTo});"


class Client(inprocess.InProcessClient):
    """A client to which a 500 is an answer like any other."""

    open = QuartClient.open


async def run(code, project):
    """What code prints that talks to the app of a project."""
    printed = []

    def say(*words):
        printed.append(" ".join(map(str, words)))

    apps = [inprocess.load(project), inprocess.load(project)]
    for app in apps:
        if hasattr(app, "logger"):
            app.test_client_class = Client
            app.logger.disabled = True
    names = {"app": apps[0], "another_app": apps[1], "json": json, "print": say}
    flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        running = eval(compile(code, "question", "exec", flags), names)
        if running is not None:
            await running
    except Closed as closed:
        printed.append(f"(the connection closes with code {closed.code})")
    except AssertionError as error:
        silent = str(error).startswith("no message arrived")
        printed.append("(no message arrives)" if silent else f"({error})")
    except Exception as error:
        printed.append(f"({type(error).__name__})")
    return "\n".join(printed)


async def run_in_page(code, project, context):
    """What code prints in the console of a project's page, at the address PAGE."""
    server = LiveServer(inprocess.load(project))
    server.start()
    try:
        page = await browser.open_page_at(context, server.url, PAGE)
        printed = []
        page.on("console", lambda message: printed.append(message.text))
        await page.evaluate(SHOW_ADDRESS + code)
        await page.close()
    finally:
        await asyncio.to_thread(server.stop)
    return "\n".join(printed)


def to_run(exercise):
    """The questions of a step to be run, each with the projects to run them with, by name."""
    for question in of_step(exercise):
        if question.kind == "predict":
            projects = {RIGHT: exercise.solution}
            for name in filter(None, (option.mistake for option in question.options)):
                projects[name] = find_mistake(exercise, name).applied_to(exercise.solution)
            yield question, projects


async def predict(exercise, context=None):
    """What is printed, by question and project; those in a page are left out without a browser."""
    found = {}
    for question, projects in to_run(exercise):
        in_page = question.language == "javascript"
        if in_page and context is None:
            continue
        for name, files in projects.items():
            with tempfile.TemporaryDirectory() as folder:
                project = write_files(files, Path(folder) / "websocket")
                with contextlib.chdir(project):
                    if in_page:
                        printed = await run_in_page(question.code, project, context)
                    else:
                        printed = await run(question.code, project)
            found.setdefault(question.name, {})[name] = printed
    return found


@contextlib.contextmanager
def quickly():
    """Wait for a message only for a moment, and leave out what the environment sets."""
    was, patience.DEADLINE = patience.DEADLINE, SILENCE
    kept = {name: os.environ.pop(name) for name in SETTINGS if name in os.environ}
    os.environ["QUART_CLASS_WORD"] = WORD
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the coroutines that a mistake never awaits
            yield
            gc.collect()
    finally:
        logging.disable(logging.NOTSET)
        del os.environ["QUART_CLASS_WORD"]
        os.environ.update(kept)
        patience.DEADLINE = was


async def printed(exercises):
    """What the code of the questions prints, by the step's id."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        chromium = await browser.launch(playwright) or sys.exit(browser.NO_BROWSER)
        context = await browser.new_context(chromium, 9000)
        found = {exercise.id: await predict(exercise, context) for exercise in exercises}
        await chromium.close()
    return found


def main(names):
    """Write what is proved beside the questions of these steps, or of all."""
    exercises = [exercise for exercise in all_exercises() if not exercise.is_challenge]
    if names:
        exercises = [find_exercise(name) for name in names]
    with quickly():
        prints = asyncio.run(printed(exercises))
    for exercise in exercises:
        proved = {"prints": prints[exercise.id]}
        text = json.dumps(proved, indent=2, ensure_ascii=False)
        path = exercise.folder / "proved.json"
        path.write_text(text + "\n", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
