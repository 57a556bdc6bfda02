import pytest

pytestmark = pytest.mark.asyncio


async def hears(watcher, count):
    heard = await watcher.receive()
    assert heard == str(count), f"{count} are connected now, but the watcher is told {heard!r}"


async def test_a_watcher_is_told_at_once_how_many_are_connected(app):
    async with app.test_client().websocket("/api/v2/online") as alice:
        await hears(alice, 0)
        async with app.test_client().websocket("/api/v2/ws"):
            await hears(alice, 1)
            async with app.test_client().websocket("/api/v2/online") as bob:
                await hears(bob, 1)


async def test_watchers_are_told_when_a_client_connects_or_disconnects(app):
    client = app.test_client()
    async with (
        client.websocket("/api/v2/online") as alice,
        client.websocket("/api/v2/online") as bob,
    ):
        for watcher in (alice, bob):
            await hears(watcher, 0)
        async with client.websocket("/api/v2/ws"):
            for watcher in (alice, bob):
                await hears(watcher, 1)
            async with client.websocket("/api/v2/ws"):
                for watcher in (alice, bob):
                    await hears(watcher, 2)
            for watcher in (alice, bob):
                await hears(watcher, 1)
        for watcher in (alice, bob):
            await hears(watcher, 0)


async def test_a_lost_connection_is_no_longer_counted(app):
    client = app.test_client()
    async with client.websocket("/api/v2/online") as alice, client.websocket("/api/v2/ws") as bob:
        await hears(alice, 0)
        await hears(alice, 1)
        await bob.disconnect()  # without goodbye
        await hears(alice, 0)
