"""How long a page takes to run an app and to check it, beside the command line.

Usage: python bench/live.py [ROUNDS]

In each round, a new browser opens a page with the app of step 5, from the click to the first
message that came back; runs it again; checks step 3 and step 5, the latter without the checks that
drive a page; and checks again. Beside it, the commands `run` and `check` do the same. Medians are
printed, in seconds, each next to the one that is wanted; and the processor time of the browser.
"""

import asyncio
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import psutil
from playwright.async_api import async_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]
from docs import live_page  # noqa: E402
from docs.served import served  # noqa: E402
from harness.browser import NO_BROWSER, launch  # noqa: E402
from workshop.serving import free_port  # noqa: E402
from workshop.steps import find_exercise, write_files  # noqa: E402

DEADLINE = 120  # seconds
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy to 127.0.0.1
COMPRESSED = {".js", ".mjs", ".wasm", ".json", ".css"}  # what hosts compress on the way
# What is measured, and how much of it is wanted at most.
WANTED = {
    "click to the first message, nothing loaded": 3.0,
    "run again": 0.5,
    "step 3: first check": 1.0,
    "step 3: next check": 0.6,
    "step 5: first check": 2.0,
    "step 5: next check": 1.5,
}
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>live</title><link rel="icon" href="data:,">
<script src="_static/live.js" defer></script>{place}</html>
"""
CHECK = """
([id, files]) => document.querySelector("[data-live]").panel.python.check(id, files)
"""
SEND = """
async () => {
  const { panel } = document.querySelector("[data-live]");
  const until = async (condition) => {
    while (!condition()) await new Promise((done) => setTimeout(done, 5));
  };
  await until(() => panel.frames && panel.isRunning);
  const { doc } = panel.tabs[0];
  await until(() => !doc.querySelector("#send").disabled);
  doc.querySelector("#message").value = "hello";
  doc.querySelector("#send").click();
  await until(() => doc.querySelector("#messages li"));
}
"""


def write_site(folder):
    """Write a site with two pages: of step 5, running at once, and to be edited."""
    live_page.write(folder / "_static/live")
    shutil.copy(ROOT / "docs/_static/live.js", folder / "_static")
    for name, is_demo in (("demo", True), ("edit", False)):
        place = live_page.place_for(find_exercise("5"), is_demo)
        (folder / f"{name}.html").write_text(PAGE.format(place=place), encoding="utf-8")


def download(folder):
    """Bytes that a browser loads, compressed as hosts do it."""
    paths = [path for path in (folder / "_static/live").rglob("*") if path.is_file()]
    loaded = [path for path in paths if path.parent.name != "exercises" and path.suffix != ".txt"]
    return sum(
        len(gzip.compress(path.read_bytes(), 6))
        if path.suffix in COMPRESSED
        else path.stat().st_size
        for path in loaded
    )


def renderers():
    """The processes of the browser that hold pages."""
    for process in psutil.Process().children(recursive=True):
        try:
            if "--type=renderer" in process.cmdline():
                yield process
        except psutil.Error:
            continue


def processor_time():
    """Seconds that the pages have worked."""
    return sum(sum(process.cpu_times()[:2]) for process in renderers())


def memory():
    """Bytes that the largest page has for itself."""
    return max(process.memory_full_info().uss for process in renderers())


async def timed(results, name, awaitable):
    """Await something, and note how long it took."""
    began = time.perf_counter()
    await awaitable
    results[name] = time.perf_counter() - began


async def in_pages(playwright, address):
    """One round in a new browser: name to seconds or bytes."""
    names, results = list(WANTED), {}
    browser = await launch(playwright)
    if browser is None:
        sys.exit(NO_BROWSER)
    page = await browser.new_page()
    page.set_default_timeout(DEADLINE * 1000)

    async def first_message():
        await page.get_by_role("button").first.click()
        await page.wait_for_function("document.querySelector('[data-live]').panel?.isRunning")
        await page.evaluate(SEND)

    async def again():
        await page.evaluate("document.querySelector('[data-live]').panel.onRun()")
        await page.evaluate(SEND)

    await page.goto(f"{address}/demo.html")
    before = processor_time()
    await timed(results, names[0], first_message())
    results["processor time until then"] = processor_time() - before
    await timed(results, names[1], again())
    for number, (first, following) in (("3", names[2:4]), ("5", names[4:6])):
        exercise = find_exercise(number)
        page = await browser.new_page()
        page.set_default_timeout(DEADLINE * 1000)
        await page.goto(f"{address}/edit.html")
        await page.evaluate("document.querySelector('[data-live]').dataset.options = '?jspi=0'")
        await page.get_by_role("button").first.click()
        await page.get_by_role("tab").first.wait_for()
        await page.evaluate("document.querySelector('[data-live]').panel.onRun()")
        await page.wait_for_timeout(2000)  # a learner looks, and meanwhile pytest is imported
        files = {name: content.decode() for name, content in exercise.solution.items()}
        for name in (first, following):
            await timed(results, name, page.evaluate(CHECK, [exercise.id, files]))
    results["memory"] = memory()
    await browser.close()
    return results


def on_the_command_line(clone):
    """One round with the command: name to seconds."""
    script = (
        "from workshop import environment, cli; environment.ensure = lambda *sets: None; cli.main()"
    )
    results = {}
    port = free_port(5000)
    began = time.perf_counter()
    run = [sys.executable, "-c", script, "run", "5", "--port", str(port)]
    process = subprocess.Popen(run, cwd=clone, stdout=subprocess.DEVNULL)
    while time.perf_counter() < began + DEADLINE:
        try:
            HTTP.open(f"http://127.0.0.1:{port}/").read()
            break
        except OSError:
            time.sleep(0.01)
    results["run, to the first page"] = time.perf_counter() - began
    process.terminate()
    process.wait(10)
    for number in ("3", "5"):
        shutil.rmtree(clone / "websocket", ignore_errors=True)
        write_files(find_exercise(number).solution, clone / "websocket")
        began = time.perf_counter()
        check = [sys.executable, "-c", script, "check", number]
        subprocess.run(check, cwd=clone, stdout=subprocess.DEVNULL)
        results[f"check {number}"] = time.perf_counter() - began
    return results


async def rounds(count, site, clone):
    """The results of some rounds, in pages and on the command line."""
    pages, commands = [], []
    async with async_playwright() as playwright:
        with served(site) as address:
            for _ in range(count):
                pages.append(await in_pages(playwright, address))
                commands.append(on_the_command_line(clone))
    return pages, commands


def main():
    with tempfile.TemporaryDirectory() as folder:
        site, clone = Path(folder, "site"), Path(folder, "clone")
        ignored = shutil.ignore_patterns(".venv*", ".git", "websocket", "attempts", "_build")
        shutil.copytree(ROOT, clone, ignore=ignored)
        write_site(site)
        os.environ["PYTHONPATH"] = str(clone)
        count = int(sys.argv[1]) if len(sys.argv) > 1 else 5
        pages, commands = asyncio.run(rounds(count, site, clone))
        size = download(site)
    print("in a page")
    for name, most in WANTED.items():
        print(f"  {name}: {median(one[name] for one in pages):.2f} s, wanted at most {most} s")
    used = median(one["processor time until then"] for one in pages)
    print(f"  processor time until the first message: {used:.2f} s")
    print(f"  download, compressed: {size / 1e6:.1f} MB, wanted at most 10.5 MB")
    most = median(one["memory"] for one in pages) / 2**20
    print(f"  memory of a page that has checked: {most:.0f} MiB, wanted at most 220 MiB")
    print("on the command line")
    for name in commands[0]:
        print(f"  {name}: {median(one[name] for one in commands):.2f} s")


if __name__ == "__main__":
    main()
