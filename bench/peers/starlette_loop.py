"""Starlette's usual loop: everyone's send is awaited in turn, so a slow client holds up all."""

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

clients = []


async def ws(websocket):
    await websocket.accept()
    clients.append(websocket)
    try:
        while True:
            message = await websocket.receive_text()
            for client in clients:
                await client.send_text(message)
    except WebSocketDisconnect:
        pass
    finally:
        clients.remove(websocket)


app = Starlette(routes=[WebSocketRoute("/", ws)])
