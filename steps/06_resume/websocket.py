"""A Quart app whose clients resume after a disconnect: one log, and a cursor for each client."""

import asyncio
from contextlib import suppress

from quart import Quart, render_template, request, websocket

from log import Log
from tcp import tcp_source

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config.from_prefixed_env()  # the environment's QUART_TCP_PORT becomes TCP_PORT here
log = Log(app.config.get("LOG_SIZE", 1000))


@app.get("/")
async def index():
    return await render_template("index.html")


@app.websocket("/ws")
async def ws():
    while True:
        data = await websocket.receive()
        await websocket.send(f"echo {data}")


async def receiving():
    while True:
        data = await websocket.receive()
        if isinstance(data, str):  # JSON can't contain bytes
            log.append(data)


async def sending(name, last):
    with suppress(OSError):  # servers raise it when the client has disconnected
        async for frame in log.frames(name, last):
            await websocket.send(frame)


@app.websocket("/api/v3/ws")
async def ws_v3():
    await websocket.accept()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(sending(websocket.args.get("log"), websocket.args.get("last", 0, int)))
        await receiving()


@app.post("/api/v2/messages")
async def post_message():
    try:
        message = (await request.get_data()).decode()
    except UnicodeDecodeError:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    log.append(message)
    return "", 204


if port := app.config.get("TCP_PORT"):
    app.while_serving(lambda: tcp_source(port, log.append))
