"""A café's page: a template with a gap, and a route that fills it."""

import asyncio

from quart import Quart, render_template

app = Quart(__name__)


@app.get("/today")
async def today():
    return await render_template("menu.html", soup="tomato")


async def main():
    response = await app.test_client().get("/today")
    print(response.status)
    print(await response.get_data(as_text=True))


asyncio.run(main())
