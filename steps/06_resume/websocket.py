"""A Quart app in which nobody misses a message: one log, and a cursor for each client."""

import asyncio
from contextlib import closing, suppress

from quart import Quart, render_template, request, websocket

from log import Log

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config.from_prefixed_env()  # QUART_TCP_PORT: a port, 0 for any free one, empty for none

log = Log(app.config.get("LOG_SIZE", 1000))
quart_app = app.asgi_app


async def asgi_app(scope, receive, send):
    # Quart's own send takes as long again as the socket, so handlers get the server's.
    await quart_app({**scope, "send": send}, receive, send)


app.asgi_app = asgi_app


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
        if isinstance(data, str):  # JSON has no place for bytes
            log.append(data)


async def sending(cursor, gap):
    send = websocket.scope["send"]
    frame = log.place(cursor, gap)
    with suppress(OSError):  # the client may vanish
        while True:
            await send({"type": "websocket.send", "text": frame})
            frame, cursor = await log.after(cursor)


@app.websocket("/api/v3/ws")
async def ws_v3():
    await websocket.accept()
    async with asyncio.TaskGroup() as tasks:
        place = log.find(websocket.args.get("log"), websocket.args.get("last", 0, int))
        tasks.create_task(sending(*place))
        await receiving()


@app.post("/api/v2/messages")
async def post_message():
    message = ""
    with suppress(UnicodeDecodeError):
        message = (await request.get_data()).decode()
    if not message:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    log.append(message)
    return "", 204


async def tcp_client(reader, writer):
    with closing(writer), suppress(OSError):  # the client may vanish
        try:
            while line := await reader.readline():
                log.append(line.decode().rstrip("\r\n"))
        except ValueError:  # not UTF-8, or longer than the reader's limit
            writer.write(b"Send lines of UTF-8, each at most 64 KiB long.\n")
            writer.write_eof()
            # To close while the client still sends would cut this sentence off.
            async with asyncio.timeout(0.2):
                while await reader.read(65536):
                    pass


@app.while_serving
async def tcp_source():
    port = app.config.get("TCP_PORT", 5001)
    server = None
    try:
        if port != "":
            server = await asyncio.start_server(tcp_client, "127.0.0.1", port)
            print("A line sent to TCP port", server.sockets[0].getsockname()[1], "is a message.")
    except (OSError, OverflowError) as error:
        app.logger.error("No TCP source (%s): set QUART_TCP_PORT to a free port.", error)
    yield
    if server:
        server.close()
