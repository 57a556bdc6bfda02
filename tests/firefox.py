"""An installed Firefox, driven by WebDriver BiDi.

Playwright drives a Firefox of its own, or one that is newer than Debian's. What a test needs of
Firefox is little: to open a page, to run a script in it, and to be told of errors and requests.
"""

import asyncio
import contextlib
import json
import shutil
import tempfile
from itertools import count
from pathlib import Path

from websockets.asyncio.client import connect

NO_FIREFOX = "no Firefox: install it (on Debian: sudo apt install firefox-esr)"
NAMES = ("firefox-esr", "firefox")
STARTED = "WebDriver BiDi listening on "
START_SECONDS = 60
ANSWER_SECONDS = 300
MOST_BYTES = 2**24  # of a message
# What Firefox says, without a place, when a worker is ended while it is busy; no listener hears it.
OF_AN_END = "uncaught exception: undefined"
# Otherwise Firefox makes requests of its own while a test runs.
PREFERENCES = {
    "app.normandy.enabled": False,
    "app.update.disabledForTesting": True,
    "browser.safebrowsing.malware.enabled": False,
    "browser.safebrowsing.phishing.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "extensions.getAddons.cache.enabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "services.settings.server": "data:,",
    "toolkit.telemetry.server": "data:,",
}


def find():
    """The path of an installed Firefox, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextlib.asynccontextmanager
async def firefox(path):
    """Firefox without a window, with a new profile: a function that opens pages."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});" for k, v in PREFERENCES.items()]
        Path(profile, "user.js").write_text("\n".join(lines), encoding="utf-8")
        options = ["--headless", "--no-remote", "--profile", profile, "--remote-debugging-port=0"]
        process = await asyncio.create_subprocess_exec(
            path,
            *options,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            address = await asyncio.wait_for(address_in(process.stderr), START_SECONDS)
            reading = asyncio.create_task(process.stderr.read())  # so that it never waits to write
            url = f"{address}/session"
            async with connect(url, max_size=MOST_BYTES, proxy=None, ping_interval=None) as socket:
                session = Session(socket)
                await session.ask("session.new", capabilities={})
                await session.ask("session.subscribe", events=list(Page.LISTENERS))
                yield session.open
                await session.ask("browser.close")
            await asyncio.wait_for(process.wait(), START_SECONDS)
            reading.cancel()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def address_in(stream):
    """The address that Firefox prints once it can be driven."""
    async for line in stream:
        if STARTED in (text := line.decode(errors="replace")):
            return text.partition(STARTED)[2].strip()
    raise AssertionError("Firefox ended before it could be driven")


class Session:
    """The commands to a Firefox, and its answers and events."""

    def __init__(self, socket):
        self.socket, self.numbers, self.asked, self.pages = socket, count(1), {}, {}
        self.hearing = asyncio.create_task(self.hear())

    async def hear(self):
        """Give each answer to its command, and each event to its page."""
        async for text in self.socket:
            message = json.loads(text)
            if message["type"] == "event":
                self.tell(message["method"], message["params"])
            elif not (answer := self.asked.pop(message["id"])).done():
                answer.set_result(message)

    def tell(self, event, told):
        """Tell the page of an event; what belongs to no page, such as a worker, tells all."""
        context = told.get("context") or told.get("source", {}).get("context")
        for page in [self.pages[context]] if context in self.pages else self.pages.values():
            page.LISTENERS[event](page, told)

    async def ask(self, method, **params):
        """Send a command, and return its result."""
        number = next(self.numbers)
        self.asked[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "method": method, "params": params}
        await self.socket.send(json.dumps(command))
        answer = await asyncio.wait_for(self.asked[number], ANSWER_SECONDS)
        assert answer["type"] == "success", f"{method}: {answer.get('message')}"
        return answer["result"]

    async def open(self, url):
        """Open an address in a new tab: a Page."""
        context = (await self.ask("browsingContext.create", type="tab"))["context"]
        page = self.pages[context] = Page(self, context)
        await self.ask("browsingContext.navigate", context=context, url=url, wait="complete")
        return page


class Page:
    """A tab of Firefox; `problems` and `requests` list what happened in it."""

    def __init__(self, session, context):
        self.session, self.context, self.problems, self.requests = session, context, [], []

    def on_entry(self, told):
        """Note an error in the console, or one that nothing caught."""
        if told["level"] == "error":
            frames = (told.get("stackTrace") or {}).get("callFrames") or [{}]
            where = f"{frames[0].get('url')}, line {frames[0].get('lineNumber')}"
            if not (told["text"] == OF_AN_END and not told.get("stackTrace")):
                self.problems.append(f"{told['text']} ({where})")

    def on_request(self, told):
        """Note the address of a request."""
        self.requests.append(told["request"]["url"])

    LISTENERS = {"log.entryAdded": on_entry, "network.beforeRequestSent": on_request}  # noqa: RUF012

    async def run(self, function, *values):
        """Call a JavaScript function with values that JSON can hold; return what it returns."""
        script = f"async () => JSON.stringify(await ({function})(...{json.dumps(values)}) ?? null)"
        result = await self.session.ask(
            "script.callFunction",
            functionDeclaration=script,
            target={"context": self.context},
            awaitPromise=True,
        )
        assert result["type"] == "success", result["exceptionDetails"]["text"]
        return json.loads(result["result"]["value"])
