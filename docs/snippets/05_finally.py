"""A task that is cancelled while it waits."""

import asyncio


async def visit(museum):
    print("entering", museum)
    try:
        await asyncio.sleep(3600)
    finally:
        print("leaving", museum)


async def main():
    visiting = asyncio.create_task(visit("the museum"))
    await asyncio.sleep(0)  # lets the task start
    visiting.cancel()
    await asyncio.wait([visiting])


asyncio.run(main())
