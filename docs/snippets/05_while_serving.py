"""What runs when an app starts and when it stops."""

import asyncio

from quart import Quart

app = Quart(__name__)


async def bakery(bread):
    print("lighting the oven for", bread)
    yield  # until the app stops
    print("putting out the oven")


app.while_serving(lambda: bakery("rye bread"))


async def main():
    async with app.test_app():  # starts the app, and stops it at the end
        print("the app is serving")


asyncio.run(main())
