"""A WebSocket route that answers one message."""

import asyncio

from quart import Quart, websocket

app = Quart(__name__)


@app.websocket("/shout")
async def shout():
    text = await websocket.receive()
    await websocket.send(text.upper())


async def main():
    async with app.test_client().websocket("/shout") as client:
        await client.send("tea, please")
        print(await client.receive())


asyncio.run(main())
