"""Files in static/ are served as they are, and browsers may keep them."""

import asyncio

from quart import Quart

app = Quart(__name__)


async def main():
    client = app.test_client()
    for path in ("/static/colors/menu.css", "/static/menu.css"):
        response = await client.get(path)
        print(path, response.status_code, response.headers.get("Cache-Control"))


asyncio.run(main())
