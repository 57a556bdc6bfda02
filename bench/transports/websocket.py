"""A Quart app in which every message reaches everyone connected, by WebSocket."""

import asyncio
import json

from quart import Quart, request, websocket

from log import Log

app = Quart(__name__)
log = Log()


@app.post("/messages")
async def post_message():
    log.append((await request.get_data()).decode())
    return "", 204


async def receiving():
    while True:
        data = await websocket.receive()
        if isinstance(data, str):  # JSON can't contain bytes
            log.append(data)


async def sending(last):
    while True:
        messages = await log.after(last)
        last, _ = messages[-1]
        await websocket.send(json.dumps(messages))


@app.websocket("/messages")
async def messages():
    await websocket.accept()
    async with asyncio.TaskGroup() as tasks:
        # A browser doesn't reconnect by itself: the page must, and say what it has.
        tasks.create_task(sending(websocket.args.get("after", 0, int)))
        await receiving()
