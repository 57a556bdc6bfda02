"""A Quart app that any number of processes can serve as one room."""

import asyncio
import json
import os
import re
from contextlib import closing, suppress

from quart import Quart, abort, has_request_context, render_template, request, websocket

from doors import HEADERS, Goodbye, Room, TokenBucket
from log import Log, LogAway

MESSAGE_SIZE = 4096  # bytes
HTTP = re.compile(rb"\S+ \S+ HTTP/")

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config["MAX_CONTENT_LENGTH"] = MESSAGE_SIZE
app.config.from_prefixed_env()  # QUART_TCP_PORT: a port, 0 for any free one, empty for none

log_size = app.config.get("LOG_SIZE", 1000)
if os.environ.get("REDIS_URL"):
    from redis_log import RedisLog  # which needs the package redis

    log = RedisLog(log_size, os.environ["REDIS_URL"])
else:
    log = Log(log_size)
for_each = app.config.get("CONNECTIONS_PER_ADDRESS", 100)
room = Room(app.config.get("CONNECTIONS", 1000), for_each)
tcp_seats = asyncio.Semaphore(for_each)
rate = app.config.get("RATE", 20)  # messages a second, for each client
posts = TokenBucket(rate)
origins = app.config.get("ORIGINS", "").split()  # pages that may connect, besides this machine's
quart_app = app.asgi_app


async def asgi_app(scope, receive, send):
    async def receive_both():
        # Without the key that is None, Quart would fail on an empty b"".
        return {"text": None, "bytes": None, **await receive()}

    # Quart's own send takes as long again as the socket, so handlers get the server's.
    await quart_app({**scope, "send": send}, receive_both, send)


app.asgi_app = asgi_app


@app.before_request
@app.before_websocket
async def check_origin():
    asked = request if has_request_context() else websocket
    origin = asked.headers.get("Origin")
    own = [f"http://{asked.host}", f"https://{asked.host}"]
    # Any name may lead to this machine, so only the machine's own names count by themselves.
    here = own if asked.host.partition(":")[0] in ("127.0.0.1", "localhost") else []
    # A browser always sends it, and no page can change it; other clients may leave it out.
    if origin and origin not in here + origins:
        abort(403)


@app.after_request
async def add_headers(response):
    response.headers.update(HEADERS)
    return response


@app.get("/")
async def index():
    return await render_template("index.html")


async def storing(message):
    try:
        await log.append(message)
    except LogAway:
        frame = json.dumps({"refused": message})
        with suppress(OSError):  # the client may vanish
            await websocket.scope["send"]({"type": "websocket.send", "text": frame})


async def receiving(tasks):
    bucket = TokenBucket(rate)
    while True:
        data = await websocket.receive()
        if not isinstance(data, str):
            raise Goodbye(1003, "Send text, not bytes.")
        if not data:
            raise Goodbye(1008, "An empty message is none.")
        if len(data.encode()) > MESSAGE_SIZE:
            raise Goodbye(1009, f"A message has at most {MESSAGE_SIZE} bytes.")
        if not bucket.take():
            raise Goodbye(1008, f"Send at most {rate} messages a second.")
        # In a task, so that a burst is stored as one; tasks begin in the order they are made.
        tasks.create_task(storing(data))


async def sending(name, cursor, frame):
    send = websocket.scope["send"]
    with suppress(OSError):  # the client may vanish
        while True:
            await send({"type": "websocket.send", "text": frame})
            frame, cursor = await log.after(name, cursor)


@app.websocket("/api/v3/ws")
async def ws_v3():
    last = websocket.args.get("last", "0")
    if not re.fullmatch(r"\d{1,15}", last):
        abort(400)
    try:
        cursor, gap = await log.find(websocket.args.get("log"), int(last))
    except LogAway:
        abort(503)
    # No await in between, so that all of it is of one log.
    name, place = log.name, log.place(cursor, gap)
    with suppress(OSError), room.seat(websocket.remote_addr):  # the client may vanish
        await websocket.accept()
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(sending(name, cursor, place))
                await receiving(tasks)
        except ExceptionGroup as errors:
            goodbye = errors.exceptions[0]
            if not isinstance(goodbye, Goodbye):
                app.logger.exception("A client's handler failed.")
                goodbye = Goodbye(1011, "The server failed, and it is not your fault.")
            await websocket.close(goodbye.code, goodbye.reason)


@app.post("/api/v2/messages")
async def post_message():
    if not posts.take():
        return f"All POSTs together are at most {rate} a second.\n", 429
    message = ""
    with suppress(UnicodeDecodeError):
        message = (await request.get_data()).decode()
    if not message:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    try:
        await log.append(message)
    except LogAway:
        return "The message is not stored: try again later.\n", 503
    return "", 204


@app.get("/health")
async def health():
    return ("well\n", 200) if log.name else ("no log\n", 503)


async def tcp_lines(reader, writer):
    try:
        while line := await asyncio.wait_for(reader.readline(), 60):
            if HTTP.match(line):  # any page can make a browser connect to this port
                raise ValueError(line)
            if message := line.decode().rstrip("\r\n"):
                await log.append(message)
            await asyncio.sleep(1 / rate)  # back-pressure: what it sends has to wait
    except (LogAway, ValueError) as error:  # also if it is not UTF-8, or longer than the limit
        if isinstance(error, LogAway):
            writer.write(b"The line is not stored: try again later.\n")
        else:
            writer.write(b"Send lines of UTF-8, each at most 4 KiB long, and no HTTP.\n")
        writer.write_eof()
        # To close while the client still sends would cut this sentence off.
        async with asyncio.timeout(0.2):
            while await reader.read(65536):
                pass


async def tcp_client(reader, writer):
    # Who finds no seat is ended, and so is who says nothing for a minute, or vanishes.
    with closing(writer), suppress(OSError):
        if not tcp_seats.locked():
            async with tcp_seats:
                await tcp_lines(reader, writer)


@app.while_serving
async def tcp_source():
    port = app.config.get("TCP_PORT", 5001)
    server = None
    try:
        if port != "":
            server = await asyncio.start_server(tcp_client, "127.0.0.1", port, limit=MESSAGE_SIZE)
            print("A line sent to TCP port", server.sockets[0].getsockname()[1], "is a message.")
    except (OSError, OverflowError) as error:
        app.logger.error("No TCP source (%s): set QUART_TCP_PORT to a free port.", error)
    yield
    if server:
        server.close()


@app.while_serving
async def log_jobs():
    tasks = [asyncio.create_task(job) for job in log.jobs()]
    with suppress(TimeoutError):  # without its log, a server starts all the same
        async with asyncio.timeout(3):
            while not log.name:
                await log.news.wait()
    yield
    for task in tasks:
        task.cancel()
