"""A Quart app in which every message reaches everyone connected, by server-sent events."""

import asyncio
import re

from quart import Quart, request

from log import Log

app = Quart(__name__)
app.config.from_prefixed_env()  # the environment's QUART_QUIET becomes QUIET here
log = Log()
HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # or nginx holds events back
}


@app.post("/messages")
async def post_message():
    log.append((await request.get_data()).decode())
    return "", 204


def event(number, text):
    # Within an event, each line is a field of its own.
    data = "".join(f"data: {line}\n" for line in re.split(r"\r\n|\r|\n", text))
    return f"id: {number}\n{data}\n"


async def events(last):
    while True:
        try:
            async with asyncio.timeout(app.config.get("QUIET", 15)):
                messages = await log.after(last)
        except TimeoutError:
            yield b":\n\n"  # a comment, so that no proxy takes the connection for dead
        else:
            last, _ = messages[-1]
            yield "".join(event(number, text) for number, text in messages).encode()


@app.get("/messages")
async def messages():
    # A browser that reconnects says which event it had last.
    last = request.headers.get("Last-Event-ID", 0, int)
    response = await app.make_response((events(last), HEADERS))
    response.timeout = None  # or Quart ends it after a minute
    return response
