"""aiohttp's usual loop: everyone's send is awaited in turn, so a slow client holds up all."""

import os
import sys

from aiohttp import WSMsgType, web

COMPRESS = "DEFLATE" in os.environ
clients = []


async def ws(request):
    websocket = web.WebSocketResponse(compress=COMPRESS)
    await websocket.prepare(request)
    clients.append(websocket)
    try:
        async for message in websocket:
            if message.type == WSMsgType.TEXT:
                for client in clients:
                    await client.send_str(message.data)
    finally:
        clients.remove(websocket)
    return websocket


app = web.Application()
app.router.add_get("/", ws)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, backlog=2048)
