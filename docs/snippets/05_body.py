"""A route for POST that looks at the body of the request."""

import asyncio

from quart import Quart, request

app = Quart(__name__)


@app.post("/telegrams")
async def telegram():
    body = await request.get_data()  # bytes
    if len(body) > 20:
        return "A telegram has at most 20 bytes.\n", 413
    return f"{len(body)} bytes, at one euro each\n", 200


async def main():
    client = app.test_client()
    for body in (b"ARRIVING MONDAY", b"ARRIVING ON MONDAY AT NOON"):
        response = await client.post("/telegrams", data=body)
        print(response.status_code, await response.get_data(as_text=True), end="")


asyncio.run(main())
