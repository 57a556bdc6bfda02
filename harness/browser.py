"""A real browser: an installed Chromium, Chrome or Edge, and the project's page in it."""

import re
import shutil
import time
from contextlib import suppress
from functools import partial
from urllib.parse import urlsplit

from harness import sign_in as signing
from harness.patience import within
from harness.scripts import WATCH_LISTENERS, WATCH_SOCKET, WATCH_STATE

NEVER_LOADS = "the page does not finish loading: is there a loop without an end in its script?"
NO_BROWSER = "no browser: install Chromium, Chrome or Edge (on Debian: sudo apt install chromium)"


async def launch(playwright):
    """An installed Chromium, Chrome or Edge, without a window; None if there is none."""
    from playwright.async_api import Error

    # The first is made for this, and takes a third of the others' time.
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    found = filter(None, map(shutil.which, names))
    ways = [{"executable_path": path} for path in found]
    for way in [*ways, {"channel": "chrome"}, {"channel": "msedge"}, {}]:
        try:
            return await playwright.chromium.launch(**way)
        except Error:
            continue


async def new_context(browser, milliseconds):
    """A new browser's profile whose pages are waited for that long; `.problems` lists errors."""
    context = await browser.new_context()
    wait_up_to(context, milliseconds)
    context.problems = []
    context.on("console", lambda m: m.type == "error" and context.problems.append(describe_line(m)))
    context.on("weberror", lambda problem: context.problems.append(describe(problem.error)))
    return context


def wait_up_to(context, milliseconds):
    """For how long the pages of a context are waited for from now on."""
    from playwright.async_api import expect

    context.patience = milliseconds
    context.set_default_timeout(milliseconds)
    expect.set_options(timeout=milliseconds)


def describe_line(message):
    """Say what a line of the console is: a file that was not loaded is named."""
    path = urlsplit(message.location.get("url", "")).path
    is_of_file = message.text.startswith("Failed to load resource")
    return f"{message.text}: {path}" if is_of_file else message.text


def describe(error):
    """Say what an exception in a page is, and where in its script."""
    if not error.stack:  # a syntax error; which line it is in, the browser alone knows
        return f"a script cannot be read: {error.message}"
    where = re.search(r"/(static/[^?:]+):(\d+):\d+", error.stack)
    message = error.message
    if re.search("of null|is null", message):
        message += (
            ": no element was found, so is the selector right (getElementById takes no #), and is "
            "the script loaded with defer?"
        )
    if re.search(r"undefined \(reading '(preventDefault|data|target)'\)", message):
        message += ": pass the listener by name, without ()"
    elif "of undefined" in message:
        message += (
            ": in a method that is passed as a listener, `this` is no longer its object; pass "
            "(event) => this.method(event)"
        )
    return f"{where[1]}, line {where[2]}: {message}" if where else message


async def sign_in(context, server):
    """Sign somebody in, in the pages of a context, if the app on a server asks who it is."""
    if signing.asks_who(server.app):
        url = server.url.rstrip("/") + signing.PATH
        await context.request.post(url, form=signing.fields("tester"))


async def open_page(context, url):
    """A project's page, open in a browser; `states` in it is what its state has said."""
    page = await context.new_page()
    page.sent, page.received, page.sockets, page.loads = [], [], [], 0
    page.on("websocket", partial(note_socket, page))
    page.on("load", count_load)
    await page.add_init_script(WATCH_STATE)
    await page.add_init_script(WATCH_LISTENERS)
    await load(page, url)
    return page


def note_socket(page, socket):
    """Note that a page has opened a socket, and what goes over it."""
    page.sockets.append(socket)
    socket.on("framesent", lambda data: page.sent.append(data))
    socket.on("framereceived", lambda data: page.received.append(data))


def connection_of(page, says):
    """Say what became of the WebSocket of a page whose state says something: a clause."""
    if not page.sockets:
        return ": its script has opened no WebSocket"
    socket = page.sockets[-1]
    if socket.is_closed():
        return f": its connection to {socket.url} has failed{problem_of_address(socket, page)}"
    still = says.startswith("Connecting")
    hint = ': does a listener of its "open" event say so?' if still else ""
    return f" (its connection to {socket.url} is open){hint}"


def problem_of_address(socket, page):
    """Say what is wrong with the address of a WebSocket: a clause, or ""."""
    if "$%7B" in socket.url:
        return ": ${…} is replaced only in a text between backticks"
    if urlsplit(socket.url).netloc != (host := urlsplit(page.url).netloc):
        return f", but the page came from {host}, which is location.host"
    return ""


def count_load(page):
    """One more time, the page was loaded: `.loads` of the page says how often it was."""
    page.loads += 1


async def open_page_at(context, url, address):
    """The page at a URL as if it lived at another address: `connectedTo` is in it."""
    from playwright.async_api import Error

    page = await context.new_page()
    await page.clock.install()  # so that a test can let time pass in the page
    await page.add_init_script(WATCH_SOCKET)
    await page.add_init_script(WATCH_LISTENERS)

    async def from_server(route):
        path = route.request.url.removeprefix(address)
        with suppress(Error):  # the page may be closed by now
            await route.fulfill(response=await route.fetch(url=url + path))

    await page.route("**/*", from_server)
    await load(page, address)
    return page


async def load(page, address):
    """Open an address in a page, and wait for what follows as long as this needs."""
    began, context = time.monotonic(), page.context
    try:
        await within(2 + context.patience / 1000, page.goto(address, timeout=0))
    except TimeoutError:
        raise AssertionError(NEVER_LOADS) from None
    # Where this took long, what follows may take long, too: the machine is slow or busy.
    wait_up_to(context, max(context.patience, 10_000 * (time.monotonic() - began)))
