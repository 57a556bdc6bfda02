"""Two coroutines that wait at the same time."""

import asyncio


async def boil(what, seconds):
    print(what, "is on")
    await asyncio.sleep(seconds)
    print(what, "is ready")


async def main():
    await asyncio.gather(boil("the egg", 0.4), boil("the tea", 0.2))


asyncio.run(main())
