"""A Quart app in which everyone receives what anyone says, and sees how many there are."""

import asyncio
from contextlib import closing, suppress
from functools import wraps

from quart import Quart, render_template, request, websocket

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config.from_prefixed_env()  # QUART_TCP_PORT: a port, 0 for any free one, empty for none

connected_websockets = set()
watching = set()


def collect_websocket(func):
    @wraps(func)
    async def wrapper(*args, **kwargs):
        queue = asyncio.Queue()
        connected_websockets.add(queue)
        tell_how_many()
        try:
            return await func(queue, *args, **kwargs)
        finally:
            connected_websockets.remove(queue)
            tell_how_many()

    return wrapper


def tell_how_many():
    for queue in watching:
        queue.put_nowait(str(len(connected_websockets)))


def broadcast(message):
    # No await here, so nobody can join or leave mid-loop.
    for queue in connected_websockets:
        queue.put_nowait(message)


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
        broadcast(await websocket.receive())


@app.websocket("/api/v2/ws")
@collect_websocket
async def ws_v2(queue):
    async with asyncio.TaskGroup() as tasks:
        # Its first receive() also accepts the handshake, which the client is waiting for.
        tasks.create_task(receiving())
        while True:
            await websocket.send(await queue.get())


async def listening():
    while True:
        await websocket.receive()


@app.websocket("/api/v2/online")
async def online():
    queue = asyncio.Queue()
    watching.add(queue)
    queue.put_nowait(str(len(connected_websockets)))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(listening())
            while True:
                await websocket.send(await queue.get())
    finally:
        watching.remove(queue)


@app.post("/api/v2/messages")
async def post_message():
    message = ""
    with suppress(UnicodeDecodeError):
        message = (await request.get_data()).decode()
    if not message:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    broadcast(message)
    return "", 204


async def tcp_client(reader, writer):
    with closing(writer), suppress(OSError):  # the client may vanish
        try:
            while line := await reader.readline():
                broadcast(line.decode().rstrip("\r\n"))
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
