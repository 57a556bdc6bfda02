"""A Quart app in which every message reaches everyone who asks, by long polling."""

import asyncio

from quart import Quart, request

from log import Log

app = Quart(__name__)
app.config.from_prefixed_env()  # the environment's QUART_QUIET becomes QUIET here
log = Log()


@app.post("/messages")
async def post_message():
    log.append((await request.get_data()).decode())
    return "", 204


@app.get("/messages")
async def messages():
    messages = []
    try:
        # Answers before a proxy loses patience; the client then asks again.
        async with asyncio.timeout(app.config.get("QUIET", 15)):
            messages = await log.after(request.args.get("after", 0, int))
    except TimeoutError:
        pass
    return messages, {"Cache-Control": "no-store"}
