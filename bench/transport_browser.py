"""What a browser does by itself with each transport, seen between it and the server.

A page runs the client in `bench/transports/`, which is as short as it can be. How many bytes does a
message take with the headers that a browser sends, how many tabs can be open at a time, and is a
message missed that was posted while the connection was cut?
"""

import asyncio
import contextlib

from playwright.async_api import Error, async_playwright

from bench.load import HOST, LoadProblem, text_of
from bench.servers import Server
from bench.transport_load import FOLDER, LOADS, contestant, post
from harness.browser import launch

MESSAGES = 20
TABS = 10
SECONDS = 6  # in which what can happen does: Chromium waits for 3 before it reconnects
DEADLINE = 20
START = """(client) => {
  window.shown = [];
  (0, eval)(client + "; receive((text) => shown.push(text))");
}"""


class Relay:
    """TCP between a browser and a server, which counts bytes and can be cut."""

    def __init__(self, backend):
        self.backend, self.port = backend, 0
        self.asked = self.received = 0  # bytes from the browser, and to it
        self.last_asked = b""  # the last that the browser sent
        self.writers = set()  # of each connection

    async def __aenter__(self):
        await self.let_in()
        return self

    async def __aexit__(self, *_):
        await self.cut()

    async def let_in(self):
        """Let connections in, at the same address as before."""
        self.server = await asyncio.start_server(self.connected, HOST, self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def cut(self):
        """Reset all connections, and let none in."""
        self.server.close()
        for writer in list(self.writers):
            writer.transport.abort()

    async def connected(self, reader, writer):
        """Copy what comes until either side ends."""
        self.writers.add(writer)
        try:
            backend_reader, backend_writer = await asyncio.open_connection(HOST, self.backend)
            copies = [
                asyncio.create_task(self.copy_request(reader, backend_writer)),
                asyncio.create_task(self.copy_answer(backend_reader, writer)),
            ]
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
            for copy in copies:
                copy.cancel()
            backend_writer.close()
        finally:
            writer.transport.abort()
            self.writers.remove(writer)

    async def copy_request(self, reader, writer):
        """Copy what the browser sends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.asked += len(data)
                self.last_asked = data
                writer.write(data)

    async def copy_answer(self, reader, writer):
        """Copy what the server sends."""
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                self.received += len(data)
                writer.write(data)


async def say(port, text):
    """Post a message, past the relay."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(post(text))
    answer = await reader.readline()
    if b" 204 " not in answer:
        raise LoadProblem(f"the server answered {answer!r}")
    writer.close()


async def start(context, relay, name):
    """A page that receives, with what it was shown in `shown`."""
    page = await context.new_page()
    await page.goto(f"http://{HOST}:{relay.port}/")  # any answer of this origin will do
    module, _ = LOADS[name]
    await page.evaluate(START, (FOLDER / f"{module}.js").read_text(encoding="utf-8"))
    return page


async def shows(page, text, seconds=DEADLINE):
    """Whether a page shows a text before the deadline."""
    wait = "(text) => shown.includes(text)"
    try:
        await page.wait_for_function(wait, arg=text, timeout=1000 * seconds)
    except Error:
        return False
    return True


async def must_show(page, text):
    """Raise LoadProblem if a page doesn't show a text."""
    if not await shows(page, text):
        raise LoadProblem(f"the page does not show {text!r}")


async def measure(names):
    """What a browser does with each transport: a list of results, empty if there is no browser."""
    async with async_playwright() as playwright:
        browser = await launch(playwright)
        if not browser:
            return []
        # Nothing is timed here, so all wait at the same time.
        results = await asyncio.gather(*(measure_one(browser, name) for name in names))
        await browser.close()
        return results


async def measure_one(browser, name):
    """What a browser does with one transport: one result."""
    result = {"kind": "browser", "name": name, "browser": browser.version, "problem": ""}
    result |= {"asked": [], "received": [], "tabs": "–", "resumes": "–"}
    try:
        with Server(contestant(name)) as server:
            for look in (bytes_for_a_message, tabs_that_load, what_a_cut_does):
                context = await browser.new_context()
                async with Relay(server.port) as relay:
                    result |= await look(context, relay, server.port, name)
                await context.close()
    except LoadProblem as problem:
        result["problem"] = str(problem)
    return result


async def bytes_for_a_message(context, relay, port, name):
    """Bytes each way for a message of 64 bytes, and those before the first message."""
    page = await start(context, relay, name)
    await say(port, "first")
    await must_show(page, "first")
    asked, received = relay.asked, relay.received
    for number in range(MESSAGES):
        await say(port, text_of(number))
        await must_show(page, text_of(number))
    return {
        "asked": [(relay.asked - asked) / MESSAGES],
        "received": [(relay.received - received) / MESSAGES],
    }


async def tabs_that_load(context, relay, port, name):
    """How many of ten tabs load, each of which then receives."""
    context.set_default_timeout(1000 * SECONDS)
    for number in range(TABS):
        try:
            await start(context, relay, name)
        except Error:
            return {"tabs": number}
    return {"tabs": TABS}


async def what_a_cut_does(context, relay, port, name):
    """Whether a message that is posted while the connection is cut arrives, with no code for it."""
    page = await start(context, relay, name)
    await say(port, "before the cut")
    await must_show(page, "before the cut")
    await relay.cut()
    await say(port, "during the cut")
    await relay.let_in()
    resumes = await shows(page, "during the cut", SECONDS)
    shown = await page.evaluate("shown.slice(shown.indexOf('before the cut'))")
    if resumes and shown != ["before the cut", "during the cut"]:
        return {"resumes": f"with duplicates: {shown}"}
    says = "with Last-Event-ID" if b"\r\nlast-event-id:" in relay.last_asked.lower() else ""
    return {"resumes": f"yes, {says}".rstrip(", ") if resumes else "no"}
