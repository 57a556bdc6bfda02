"""A loop without an end, which waits for the next order."""

import asyncio
from contextlib import suppress


async def waiter(orders):
    while True:
        order = await orders.get()
        print(order, "is coming")


async def main():
    orders = asyncio.Queue()
    task = asyncio.create_task(waiter(orders))
    for order in ("soup", "bread", "tea"):
        await orders.put(order)
    await asyncio.sleep(0.1)  # the waiter serves all three, and waits again
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    print("cancelled:", task.cancelled())


asyncio.run(main())
