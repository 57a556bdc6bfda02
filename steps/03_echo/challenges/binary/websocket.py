"""A Quart app that echoes text with a word before it, and bytes as they came."""

from quart import Quart, render_template, websocket

app = Quart(__name__)
# Without this, browsers keep style sheets and scripts for 12 hours and miss your changes.
app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0


@app.get("/")
async def index():
    return await render_template("index.html")


@app.websocket("/ws")
async def ws():
    while True:
        data = await websocket.receive()
        if isinstance(data, str):
            await websocket.send(f"echo {data}")
        else:
            # Under `quart run`, Quart gives an empty binary message as None.
            await websocket.send(data or b"")
