"""A WebSocket route that sends three messages and returns."""

import asyncio

from quart import Quart, websocket
from quart.testing.connections import WebsocketDisconnectError

app = Quart(__name__)


@app.websocket("/countdown")
async def countdown():
    for number in (3, 2, 1):
        await websocket.send(str(number))


async def main():
    async with app.test_client().websocket("/countdown") as client:
        try:
            while True:
                print(await client.receive())
        except WebsocketDisconnectError as closed:
            print("closed with code", closed)


asyncio.run(main())
