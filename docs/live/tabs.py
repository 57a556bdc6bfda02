"""A page's tabs (iframes) as the tests see them: as much of Playwright's surface as these use.

This module stands for `harness.page` and `harness.live_server` in a page. The browser is the one
that shows the page, so a test waits for what happens outside Python: by JavaScript Promise
Integration, `Outside.wait` lets the browser continue while Python's stack stays where it is.
"""

import asyncio
import re
import time
from functools import partial
from itertools import count
from types import SimpleNamespace
from urllib.parse import urlencode, urlsplit

import pytest
import pytest_asyncio

from docs.live.bridge import LOST, Bridge
from harness import failures, patience
from harness.browser import describe, sign_in
from harness.expecting import Expectation
from harness.hurry import A_TEST_FAILED
from harness.inprocess import NEVER_YIELDS
from harness.scripts import WATCH_SOCKET, WATCH_STATE

ORIGIN = "http://page/"  # stands for the tab's address, which is that of the page around it


class Outside:
    """What happens outside Python while tabs are open: a PageLoop waits for it."""

    def __init__(self):
        self.tabs, self.calls, self.numbers = {}, {}, count(1)
        self.server = self.bridge = None

    def connect(self, post, next_messages, loop):
        """Set how to speak to the page, how to wait for messages, and the browser's own loop."""
        self.post, self.next_messages, self.browsers_loop = post, next_messages, loop

    def is_expected(self):
        """Whether something may come."""
        return bool(self.tabs or self.calls)

    def wait(self, timeout):
        """Wait some seconds, or for messages; None is for ever."""
        from pyodide.ffi import run_sync

        loop = asyncio._get_running_loop()
        # run_sync makes a future on the running loop, which must be the browser's meanwhile.
        asyncio._set_running_loop(self.browsers_loop)
        try:
            milliseconds = -1 if timeout is None else timeout * 1000
            messages = run_sync(self.next_messages(milliseconds)).to_py()
        finally:
            asyncio._set_running_loop(loop)
        for message in messages:
            self.take(message)

    def take(self, message):
        """Take a message of the page."""
        kind = message["kind"]
        if kind == "done":
            future = self.calls.pop(message["call"], None)
            if future and not future.done():
                if "error" in message:
                    future.set_exception(AssertionError(message["error"]))
                else:
                    future.set_result(message.get("value"))
        elif kind == "tab":
            if page := self.tabs.get(message["tab"]):
                page.hear(message)
        elif self.bridge:
            self.bridge.handle(message)

    async def call(self, method, *arguments):
        """Let the page do something; returns what that gives."""
        number = next(self.numbers)
        self.calls[number] = asyncio.get_running_loop().create_future()
        self.post(kind="do", call=number, method=method, arguments=list(arguments))
        return await self.calls[number]


outside = Outside()


# ---- In place of harness.live_server


class LiveServer:
    """The app behind the tabs: it starts when the first of them is opened."""

    url = ORIGIN

    def __init__(self, app, load_again=None):
        assert not isinstance(app, failures.NoApp), app.reason
        self.app, self.load_again = app, load_again
        self.bridge = outside.bridge = Bridge(outside.post)
        outside.server = self
        self.is_started, self.restarting = False, None

    def start(self):
        """Wait for a tab, as nothing can be started without a loop."""

    async def started(self):
        """Start the app, unless it runs or is about to."""
        if self.restarting:
            await self.restarting
        if not self.is_started:
            self.is_started = True
            starting = self.bridge.spawn(self.bridge.start(self.app))
            await patience.wait({starting}, 2 * patience.DEADLINE)
            if not starting.done():
                # Asked before it is cancelled, when it waits nowhere anymore.
                why = failures.because(self.app) or failures.meanwhile() or NEVER_YIELDS
                starting.cancel()
                raise AssertionError(f"the app does not start{why}")
            await starting

    def stop(self, wait=True):
        """Stop; returns the task that does."""
        was_started, self.is_started = self.is_started, False
        if was_started and asyncio._get_running_loop():
            return self.bridge.spawn(self.bridge.stop())
        return None

    def start_again(self):
        """Stop, load the app afresh, and serve it at the same address."""

        async def again(stopping):
            if stopping:
                await stopping
            self.app, self.restarting = self.load_again(), None
            await self.started()

        self.restarting = self.bridge.spawn(again(self.stop()))

    def leave(self):
        """Cut all connections, and let no WebSocket in; the app runs on."""
        self.bridge.is_away = True
        self.bridge.hang_up(LOST)

    def come_back(self):
        """Let WebSockets in again."""
        self.bridge.is_away = False


class LiveApp:
    """Stands for what a page does not have; tests that use it are left out."""


# ---- In place of Playwright


def as_json(value):
    """A value for the page: a regular expression as what it consists of."""
    if isinstance(value, re.Pattern):
        flags = "".join(letter for letter, flag in (("i", re.I), ("s", re.S)) if value.flags & flag)
        return {"source": value.pattern, "flags": flags}
    return [as_json(one) for one in value] if isinstance(value, (list, tuple)) else value


class Locator:
    """Elements of a page, looked for when they are needed."""

    def __init__(self, page, *steps):
        self.page, self.steps = page, list(steps)

    def __str__(self):
        role = next((step for step in self.steps if "role" in step), {})
        name = f'[name="{role["name"]}"i]' if isinstance(role.get("name"), str) else ""
        return f"internal:role={role.get('role')}{name}"

    def and_then(self, **step):
        """A locator that goes one step further."""
        return Locator(self.page, *self.steps, step)

    def get_by_role(self, role, *, name=None, **_):
        """Elements with a role, and a name that contains this one."""
        return self.and_then(role=role, name=as_json(name))

    def filter(self, *, has_text=None):
        """Those that contain a text."""
        return self.and_then(has_text=as_json(has_text))

    def nth(self, index):
        """The one at an index, from the end if it is negative."""
        return self.and_then(nth=index)

    @property
    def first(self):
        """The first one."""
        return self.nth(0)

    @property
    def last(self):
        """The last one."""
        return self.nth(-1)

    async def _act(self, what, *arguments):
        page = self.page
        return await page.call("act", self.steps, what, list(arguments), page.context.patience)

    async def fill(self, text, **_):
        """Set the value of the box."""
        await self._act("fill", text)

    async def click(self, **_):
        """Click it."""
        await self._act("click")

    async def press(self, key, **_):
        """Press a key in it."""
        await self._act("press", key)

    async def focus(self, **_):
        """Give it the focus."""
        await self._act("focus")

    async def scroll_into_view_if_needed(self, **_):
        """Scroll until it can be seen."""
        await self._act("scroll")

    async def text_content(self, **_):
        """Its text."""
        return await self._act("text")

    async def evaluate(self, code, argument=None, **_):
        """What a function of JavaScript returns for it."""
        return await self._act("evaluate", code, argument)

    async def count(self):
        """How many there are."""
        return len(await self.all_text_contents())

    async def all_text_contents(self):
        """The text of each."""
        return await self.page.call("texts", self.steps)


class Keyboard:
    """The keys, as the element with the focus gets them."""

    def __init__(self, page):
        self.page = page

    async def press(self, key):
        """Press a key."""
        await self.page.call("press", key)

    async def type(self, text):
        """Press a key for each character."""
        await self.page.call("type", text)

    async def insert_text(self, text):
        """Put in a text at once."""
        await self.page.call("insert", text)


class Requests:
    """Requests of a context, with its cookies, but by no page of it."""

    def __init__(self, context):
        self.context = context

    async def post(self, url, data="", form=None):
        """Send a POST: a text, or the fields of a form; returns what has its `.status`."""
        server = outside.server
        await server.started()
        content = data if form is None else urlencode(form)
        headers = [] if form is None else [("content-type", "application/x-www-form-urlencoded")]
        message = {"path": path_of(url), "method": "POST", "headers": headers}
        message |= {"body": content.encode(), "jar": self.context.jar}
        return SimpleNamespace(**await server.bridge.spawn(server.bridge.respond(message)))


def path_of(url):
    """The path in a URL, with its query."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


class Route:
    """A request that a test answers itself."""

    body = None

    async def fulfill(self, body="", **_):
        """Answer with this text."""
        self.body = body


class Time:
    """The time in a page that was opened at another address."""

    def __init__(self, page):
        self.page = page

    async def run_for(self, milliseconds):
        """Let time pass in the page."""
        await self.page.call("run_for", milliseconds)


class Socket:
    """A WebSocket of a page."""

    def __init__(self, number, url):
        self.number, self.url, self.has_closed = number, url, False

    def is_closed(self):
        """Whether its connection has ended, or never was."""
        return self.has_closed


class Page:
    """A tab."""

    numbers = count(1)

    def __init__(self, context, address=None):
        self.context, self.address, self.router = context, address, None
        self.tab = f"check-{next(self.numbers)}"
        self.origin = address or ORIGIN
        self.url, self.sent, self.received = self.origin, [], []
        self.sockets, self.loads = [], 0
        self.keyboard, self.request, self.clock = Keyboard(self), context.request, Time(self)
        self.scripts = [WATCH_STATE, *([WATCH_SOCKET] if address else [])]
        outside.tabs[self.tab] = self
        context.pages.append(self)

    def hear(self, message):
        """Note what happened in the tab."""
        if message["what"] == "problem":
            error = message.get("error")
            text = describe(SimpleNamespace(**error)) if error else message["text"]
            self.context.problems.append(text)
        elif message["what"] == "socket":
            self.sockets.append(Socket(message["number"], message["url"]))
        elif message["what"] == "socket closed":
            for socket in self.sockets:
                socket.has_closed |= socket.number == message["number"]
        elif message["what"] == "received":
            self.received.append(message["data"])
        elif message["what"] == "sent":
            self.sent.append(message["data"])
        elif message["what"] == "load":
            self.loads += 1

    def call(self, method, *arguments):
        """Let the browser do something in this tab."""
        return outside.call(method, self.tab, *arguments)

    async def goto(self, url, **_):
        """Open an address."""
        await outside.server.started()
        options = {"address": self.address, "scripts": self.scripts}
        if not url.startswith(self.origin):
            route = Route()
            if self.router:
                await self.router(route)
            assert route.body is not None, f"no page of {url} can be opened here"
            options |= {"address": url, "html": route.body}
        await self.call("open", path_of(url), self.context.jar, options)

    async def reload(self):
        """Open it again."""
        await self.goto(self.url)

    async def route(self, pattern, handler):
        """Let a function answer for other sites: whatever is asked for, so `pattern` is **/*."""
        self.router = handler

    async def add_init_script(self, script):
        """Run a script before those of the page, from the next load on."""
        self.scripts.append(script)

    async def close(self):
        """Close the tab."""
        outside.tabs.pop(self.tab, None)
        await self.call("close")

    def get_by_role(self, role, *, name=None, **_):
        """Elements with a role, and a name that contains this one."""
        return Locator(self).get_by_role(role, name=name)

    def get_by_label(self, name, **_):
        """The boxes with a label that contains this name."""
        return Locator(self).and_then(label=as_json(name))

    def get_by_text(self, text, **_):
        """The innermost elements that contain a text."""
        return Locator(self).and_then(text=as_json(text))

    def locator(self, selector):
        """The whole page, of which only the roles are asked for."""
        return self

    async def aria_snapshot(self):
        """The elements with a role, each in a line."""
        return await self.call("roles")

    async def evaluate(self, code, argument=None):
        """What JavaScript gives, a function or an expression."""
        return await self.call("evaluate", code, argument)

    async def set_viewport_size(self, size):
        """Set how large the tab is, in pixels."""
        await self.call("size", size["width"], size["height"])


class Context:
    """A browser's profile: its tabs, their cookies, and what their consoles complained of."""

    numbers = count(1)

    def __init__(self, patience):
        self.patience, self.pages, self.problems = patience, [], []
        self.jar, self.request = f"check-{next(self.numbers)}", Requests(self)

    async def new_page(self):
        """Another tab of the same app."""
        return Page(self)

    async def close(self):
        """Close all tabs."""
        for page in self.pages:
            await page.close()


class Assertions:
    """Playwright's assertions, which wait until they hold."""

    def __init__(self, locator):
        self.locator = locator

    def __getattr__(self, name):
        is_not, what = name.startswith("not_"), name.removeprefix("not_")

        async def hold(expected=None, timeout=None):
            page = self.locator.page
            wanted = as_json(expected)
            patience = page.context.patience if timeout is None else timeout
            result = await page.call("expect", self.locator.steps, what, wanted, is_not, patience)
            if not result["holds"]:
                raise AssertionError(f"Actual value: {result['received']}")

        return hold


class PageExpectation(Expectation):
    """The harness's own, which tells a failure in one sentence, on these assertions."""

    def __init__(self, locator, sentence="", why=lambda says: ""):
        self.locator, self.sentence, self.why = locator, sentence, why
        self.expected = Assertions(locator)


# ---- The fixtures of harness.page


@pytest.fixture
def browser():
    """The browser that shows this page."""


@pytest_asyncio.fixture(loop_scope="session")
async def context(request):
    """A new profile, whose tabs are closed after the test."""
    seconds = request.config.getoption("patience")
    has_failed = request.config.stash.get(A_TEST_FAILED, False)
    context = Context(seconds * (500 if has_failed else 1000))
    yield context
    await context.close()
    if outside.bridge:
        await outside.bridge.stop()


async def open_page(context, address=None):
    """The project's page in a new tab, which is waited for as long as it needs."""
    page, began = Page(context, address), time.monotonic()
    await page.goto(page.url)
    context.patience = max(context.patience, 10_000 * (time.monotonic() - began))
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def page(context, server):
    """The project's page; `states` in it is what its state has said."""
    await sign_in(context, server)
    return await open_page(context)


@pytest_asyncio.fixture(loop_scope="session")
async def page_at(context, server):
    """Open the project's page as if it lived at another address: `connectedTo` is in it."""
    await sign_in(context, server)
    return partial(open_page, context)


@pytest.fixture
def console_errors(context):
    """What the browser's console has complained of so far."""
    return context.problems


@pytest.fixture
def expect(context):
    """Assertions that wait until they hold, and fail with one sentence."""
    return PageExpectation
