"""A Quart app for the public internet: it limits who connects, what they send, and how much."""

import asyncio
import re
from contextlib import suppress

from quart import Quart, abort, has_request_context, render_template, request, websocket

from doors import Goodbye, Origins, Room, TokenBucket
from log import Log
from tcp import tcp_source

MESSAGE_SIZE = 4096  # bytes

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config["MAX_CONTENT_LENGTH"] = MESSAGE_SIZE
app.config.from_prefixed_env()  # the environment's QUART_TCP_PORT becomes TCP_PORT here
log = Log(app.config.get("LOG_SIZE", 1000))
origins = Origins(app.config.get("ORIGINS", ""))
per_address = app.config.get("CONNECTIONS_PER_ADDRESS", 100)
room = Room(app.config.get("CONNECTIONS", 1000), per_address)
rate = app.config.get("RATE", 20)  # messages a second, for each client
posts = TokenBucket(rate)


@app.before_request
@app.before_websocket
async def check():
    asked = request if has_request_context() else websocket
    if not origins.allow(asked.headers.get("Origin"), asked.host):
        abort(403)
    if len(asked.path.encode()) > 255:  # longer than any file name can be
        abort(404)


@app.get("/")
async def index():
    return await render_template("index.html")


async def receiving():
    bucket = TokenBucket(rate)
    while True:
        data = await websocket.receive()
        if not isinstance(data, str):
            raise Goodbye(1003, "Send text, not bytes.")
        if not data:
            raise Goodbye(1008, "Messages must not be empty.")
        if len(data.encode()) > MESSAGE_SIZE:
            raise Goodbye(1009, f"Messages must not be longer than {MESSAGE_SIZE} bytes.")
        if not bucket.take():
            raise Goodbye(1008, f"Send at most {rate} messages a second.")
        log.append(data)


async def sending(name, last):
    with suppress(OSError):  # servers raise it when the client has disconnected
        async for frame in log.frames(name, last):
            await websocket.send(frame)


@app.websocket("/api/v3/ws")
async def ws_v3():
    last = websocket.args.get("last", "0")
    if not re.fullmatch(r"\d{1,15}", last):
        abort(400)
    with room.seat(websocket.remote_addr), suppress(OSError):  # the client may leave at any time
        await websocket.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sending(websocket.args.get("log"), int(last)))
                await receiving()
        except* Goodbye as goodbyes:
            goodbye, *_ = goodbyes.exceptions
        except* Exception:
            app.logger.exception("A client's handler failed.")
            goodbye = Goodbye(1011, "Internal error; not your fault.")
        await websocket.close(goodbye.code, goodbye.reason)


@app.post("/api/v2/messages")
async def post_message():
    if not posts.take():
        return f"Send at most {rate} POSTs a second, all clients together.\n", 429
    try:
        message = (await request.get_data()).decode()
    except UnicodeDecodeError:
        message = ""
    if not message:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    log.append(message)
    return "", 204


if port := app.config.get("TCP_PORT"):
    app.while_serving(lambda: tcp_source(port, log.append, rate, MESSAGE_SIZE, per_address))
