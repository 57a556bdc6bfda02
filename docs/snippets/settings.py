"""A setting of an app: how large a request may be."""

import asyncio

from quart import Quart, request

app = Quart(__name__)
app.config["MAX_CONTENT_LENGTH"] = 10  # bytes


@app.post("/order")
async def order():
    return await request.get_data()


async def main():
    client = app.test_client()
    for words in ("soup", "soup, bread and a very large salad"):
        response = await client.post("/order", data=words)
        print(words, "→", response.status)


asyncio.run(main())
