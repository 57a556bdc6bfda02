"""A Quart app in which each message says who wrote it, and only people who sign in take part."""

import asyncio
import json
import re
import secrets
from contextlib import suppress

from quart import Quart, abort, has_request_context, redirect, render_template, request, websocket

from doors import Goodbye, Origins, Room, TokenBucket
from log import LogAway, open_log
from people import People, Sessions
from signing import class_word, signing
from store import open_store
from tcp import tcp_source

MESSAGE_SIZE = 4096  # bytes

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config["MAX_CONTENT_LENGTH"] = MESSAGE_SIZE
app.config["PERMANENT_SESSION_LIFETIME"] = 8 * 60 * 60  # seconds
app.config.from_prefixed_env()  # the environment's QUART_TCP_PORT becomes TCP_PORT here
log = open_log(app.config.get("LOG_SIZE", 1000))
origins = Origins(app.config.get("ORIGINS", ""))
per_address = app.config.get("CONNECTIONS_PER_ADDRESS", 100)
room = Room(app.config.get("CONNECTIONS", 1000), per_address)
rate = app.config.get("RATE", 20)  # messages a second, for each client
posts = TokenBucket(rate)
people = People(open_store(log), app.permanent_session_lifetime.total_seconds())
app.session_interface = Sessions()
app.secret_key = str(app.secret_key or secrets.token_hex())  # a new one signs out everyone
app.register_blueprint(signing(people, class_word(), rate))


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
    if person := await people.asking():
        page = await render_template("index.html", name=person.name)
        return page, {"Cache-Control": "no-store"}  # somebody else may go back to it later
    return redirect("/sign-in")


async def storing(message):
    try:
        await log.append(message)
    except LogAway:
        with suppress(OSError):  # servers raise it when the client has disconnected
            await websocket.send(json.dumps({"refused": message["text"]}))


async def receiving(tasks, name):
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
        # In a task, so that a burst is stored as one; tasks start in the order they are made.
        tasks.create_task(storing({"from": name, "text": data}))


async def sending(name, last):
    with suppress(OSError):  # servers raise it when the client has disconnected
        async for frame in log.frames(name, last):
            await websocket.send(frame)


@app.websocket("/api/v3/ws")
async def ws_v3():
    person = await people.asking() or abort(401)
    last = websocket.args.get("last", "0")
    if not re.fullmatch(r"\d{1,15}", last):
        abort(400)
    if not log.name:
        raise LogAway
    with room.seat(websocket.remote_addr), suppress(OSError):  # the client may leave at any time
        await websocket.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sending(websocket.args.get("log"), int(last)))
                tasks.create_task(people.until_signed_out(person))
                await receiving(tasks, person.name)
        except* Goodbye as goodbyes:
            goodbye, *_ = goodbyes.exceptions
        except* Exception:
            app.logger.exception("A client's handler failed.")
            goodbye = Goodbye(1011, "Internal error; not your fault.")
        await websocket.close(goodbye.code, goodbye.reason)


@app.post("/api/v2/messages")
async def post_message():
    person = await people.asking() or abort(401)
    if not posts.take():
        return f"Send at most {rate} POSTs a second, all clients together.\n", 429
    try:
        message = (await request.get_data()).decode()
    except UnicodeDecodeError:
        message = ""
    if not message:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    await log.append({"from": person.name, "text": message})
    return "", 204


@app.get("/health")
async def health():
    await log.check()
    return "well\n"


@app.errorhandler(LogAway)
async def log_away(_):
    return "The log is away: try again later.\n", 503


async def append_line(line):
    await log.append({"from": "(TCP)", "text": line})  # a name that nobody can sign in with


app.while_serving(log.running)
app.while_serving(people.running)
if port := app.config.get("TCP_PORT"):
    app.while_serving(lambda: tcp_source(port, append_line, rate, MESSAGE_SIZE, per_address))
