"""Two queues, and what waits in each."""

import asyncio


async def main():
    kitchen, bar = asyncio.Queue(), asyncio.Queue()
    kitchen.put_nowait("soup")
    bar.put_nowait("tea")
    kitchen.put_nowait("rice")
    print("kitchen:", await kitchen.get(), "and", await kitchen.get())
    print("bar:", await bar.get())


asyncio.run(main())
