"""A Quart app in which every message reaches everyone connected, and all see how many that is."""

import asyncio

from quart import Quart, render_template, request, websocket

from tcp import tcp_source

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
app.config.from_prefixed_env()  # the environment's QUART_TCP_PORT becomes TCP_PORT here
connected_websockets = set()
watching = set()


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


async def sending(queue):
    while True:
        await websocket.send(await queue.get())


@app.websocket("/api/v2/ws")
async def ws_v2():
    queue = asyncio.Queue()
    connected_websockets.add(queue)
    tell_how_many()
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sending(queue))
            while True:
                # The first receive() also accepts the handshake, which the client is waiting for.
                broadcast(await websocket.receive())
    finally:
        connected_websockets.remove(queue)
        tell_how_many()


@app.websocket("/api/v2/online")
async def online():
    queue = asyncio.Queue()
    watching.add(queue)
    queue.put_nowait(str(len(connected_websockets)))
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sending(queue))
            while True:
                # Accepts the handshake. What a watcher sends reaches nobody.
                await websocket.receive()
    finally:
        watching.remove(queue)


@app.post("/api/v2/messages")
async def post_message():
    try:
        message = (await request.get_data()).decode()
    except UnicodeDecodeError:
        return "Send the message as the body of the POST, in UTF-8.\n", 400
    broadcast(message)
    return "", 204


if port := app.config.get("TCP_PORT"):
    app.while_serving(lambda: tcp_source(port, broadcast))
