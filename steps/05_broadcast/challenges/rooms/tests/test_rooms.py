import gc
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def joined(app, room, *names):
    """Connect a client for each name to a room; one that has received its own name is in."""
    async with AsyncExitStack() as stack:
        clients = []
        for name in names:
            connection = app.test_client().websocket(f"/api/v2/rooms/{room}/ws")
            clients.append(await stack.enter_async_context(connection))
            clients[-1].name = name
            await clients[-1].send(name)
            await all_hear(clients, name)
        yield clients


async def all_hear(clients, message):
    for client in clients:
        heard = await client.receive()
        assert heard == message, (
            f"expected {message!r}, but {client.name or 'a client'} received {heard!r}"
        )


async def test_a_message_reaches_everyone_in_the_room(app):
    async with joined(app, "kitchen", "alice", "bob", "carol") as (alice, bob, carol):
        await bob.send("tea?")
        await all_hear([alice, bob, carol], "tea?")


async def test_a_message_reaches_only_its_own_room(app):
    async with joined(app, "kitchen", "alice") as (alice,), joined(app, "garden", "bob") as (bob,):
        await alice.send("tea?")
        await all_hear([alice], "tea?")
        await bob.send("roses!")
        await all_hear([bob], "roses!")


async def test_a_room_and_the_broadcast_are_separate(app):
    async with joined(app, "kitchen", "alice") as (alice,):
        async with app.test_client().websocket("/api/v2/ws") as bob:
            await alice.send("tea?")
            await all_hear([alice], "tea?")
            await bob.send("hello, everyone")
            await all_hear([bob], "hello, everyone")
        await alice.send("still only me")
        await all_hear([alice], "still only me")


async def test_the_other_clients_still_get_messages_when_one_disconnects(app):
    async with joined(app, "kitchen", "alice", "bob") as (alice, bob):
        async with joined(app, "kitchen", "carol"):
            await all_hear([alice, bob], "carol")
        await alice.send("still here?")
        await all_hear([alice, bob], "still here?")


async def test_a_room_that_was_left_can_be_joined_again(app):
    for _ in range(2):
        async with joined(app, "kitchen", "alice", "bob"):
            pass


async def kept_of_what_is_sent(client):
    """How many bytes of memory more are in use once a client has sent and received 3 MB."""
    tracemalloc.start()
    for number in range(30):
        await client.send(f"{number:0100000}")
        await client.receive()
    gc.collect()  # what is only waiting for that is not kept
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return kept


async def test_a_client_that_leaves_a_room_is_removed_from_it(app):
    async with joined(app, "kitchen", "alice") as (alice,):
        before = await kept_of_what_is_sent(alice)
        async with joined(app, "kitchen", "bob"):
            await all_hear([alice], "bob")
        # Twice, since whatever else this process does at the moment is counted, too.
        kept = min([await kept_of_what_is_sent(alice) for _ in range(2)]) - before
    assert kept < 1_500_000, (
        f"bob left the room, and {kept:,} bytes of what alice sent since are still kept for him: "
        "is his queue removed from the room?"
    )
