"""Two things that wait at the same time."""

import asyncio


async def boiling():
    await asyncio.sleep(0.2)
    print("the water boils")


async def main():
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(boiling())
        for vegetable in ("onions", "carrots"):
            print("chopping", vegetable)
            await asyncio.sleep(0.05)
    print("both are done")


asyncio.run(main())
