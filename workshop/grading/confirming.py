"""Messages with random content, to an app that passes: nobody can know beforehand what they say."""

import json
import secrets
import tracemalloc
from contextlib import AsyncExitStack

from harness import outside
from harness.log_client import LogClient
from harness.ports import connect_tcp
from harness.sign_in import Visitor


def random_text():
    """A text that was never sent before."""
    return f"{secrets.token_hex(8)} ½ {secrets.token_urlsafe(8)}"


async def heard_by_all(clients, text):
    """Check that each client receives a text next."""
    for client in clients:
        heard = await client.receive()
        assert heard == text, f"{text!r} was sent, but {heard!r} arrived"


async def echo(app):
    """random messages come back with echo before them"""
    async with app.test_client().websocket("/ws") as alice:
        for _ in range(5):
            text = random_text()
            await alice.send(text)
            heard = await alice.receive()
            assert heard == f"echo {text}", f"{text!r} was sent, but {heard!r} arrived"


async def echo_of_bytes(app):
    """random bytes come back"""
    async with app.test_client().websocket("/ws") as alice:
        data = secrets.token_bytes(100)
        await alice.send(data)
        heard = await alice.receive()
        assert heard == data, f"{data!r:.40} was sent, but {heard!r:.40} arrived"


async def broadcast(app, path="/api/v2/ws"):
    """random messages reach everyone connected"""
    async with AsyncExitStack() as stack:
        clients = []
        for _ in range(3):
            connection = app.test_client().websocket(path)
            clients.append(await stack.enter_async_context(connection))
            text = random_text()
            await clients[-1].send(text)
            await heard_by_all(clients, text)
        for client in clients:
            text = random_text()
            await client.send(text)
            await heard_by_all(clients, text)


async def forgets(app):
    """messages are not kept for clients that have disconnected"""
    if not outside.can_see_memory():
        return
    async with app.test_client().websocket("/api/v2/ws") as alice:

        async def kept():
            tracemalloc.start()  # which tells of the other process, see harness/apart.py
            for _ in range(30):
                text = secrets.token_hex(50_000)
                await alice.send(text)
                await heard_by_all([alice], text)
            more, _ = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            return more

        before = await kept()  # an app may keep messages for clients that connect later
        async with app.test_client().websocket("/api/v2/ws") as bob:
            text = random_text()
            await alice.send(text)
            await heard_by_all([bob, alice], text)
        more = min([await kept() for _ in range(2)]) - before
        assert more < 1_500_000, f"a client has disconnected, and {more:,} bytes are kept for it"


async def post(app):
    """a POST with random content reaches everyone"""
    async with app.test_client().websocket("/api/v2/ws") as alice:
        text = random_text()
        await alice.send(text)
        await heard_by_all([alice], text)
        text = random_text()
        await app.test_client().post("/api/v2/messages", data=text.encode())
        await heard_by_all([alice], text)


async def tcp_line(app, port):
    """a TCP line with random content reaches everyone"""
    async with app.test_app(), app.test_client().websocket("/api/v2/ws") as alice:
        text = random_text()
        await alice.send(text)
        await heard_by_all([alice], text)
        _, writer = await connect_tcp(port)
        text = random_text()
        writer.write(f"{text}\n".encode())
        await heard_by_all([alice], text)
        writer.close()


async def rooms(app):
    """random messages reach those in a random room, and nobody else"""
    kitchen, garden = (f"/api/v2/rooms/{secrets.token_hex(6)}/ws" for _ in range(2))
    async with app.test_client().websocket(garden) as bob:
        await broadcast(app, kitchen)
        text = random_text()
        await bob.send(text)
        await heard_by_all([bob], text)


async def online(app):
    """a random number of clients is counted"""
    async with AsyncExitStack() as stack:
        watching = app.test_client().websocket("/api/v2/online")
        alice = await stack.enter_async_context(watching)
        for count in range(2 + secrets.randbelow(5)):
            heard = await alice.receive()
            assert json.loads(heard) == count, f"{count} are connected, but {heard!r} arrived"
            await stack.enter_async_context(app.test_client().websocket("/api/v2/ws"))


async def log(app):
    """random messages reach everyone, and a client that reconnects gets what it missed"""
    async with LogClient(app) as alice:
        async with LogClient(app) as bob:
            text = random_text()
            await alice.send(text)
            await heard_by_all([alice, bob], text)
        missed = [random_text() for _ in range(3)]
        for text in missed:
            await alice.send(text)
            await heard_by_all([alice], text)
        async with LogClient(app, bob.log, bob.last) as bob:
            for text in missed:
                await heard_by_all([bob], text)


async def once(app):
    """a random message that is sent again after a disconnect is stored once"""
    name, texts = secrets.token_hex(6), [random_text() for _ in range(3)]
    async with LogClient(app) as bob:
        for first, last in ((1, 2), (2, 3)):
            async with LogClient(app, sender=name, number=first) as alice:
                for number, text in enumerate(texts[first - 1 : last], first):
                    await alice.send(text)
                    told = await alice.answer()
                    assert told == number, f"message {number} was sent, but {told!r} is stored"
        for text in texts:
            await heard_by_all([bob], text)


async def author(app):
    """random messages have their author, by a session and by a ticket"""
    alice, bob = Visitor(app), Visitor(app)
    for visitor in (alice, bob):
        visitor.name = f"Name {secrets.token_hex(6)}"
        await visitor.sign_in(visitor.name)
    ticket = await (await bob.post("/api/v3/tickets")).get_data(as_text=True)
    program = {"headers": {"Authorization": f"Bearer {ticket.strip()}"}}
    async with LogClient(alice) as hers, LogClient(Visitor(app), **program) as his:
        for sender, name in ((hers, alice.name), (his, bob.name)):
            text = random_text()
            await sender.send(text)
            await heard_by_all([hers, his], text)
            for heard in (hers, his):
                assert heard.author == name, f"{name} wrote {text!r}, not {heard.author!r}"


# What is confirmed of which exercise.
OF_EXERCISE = {
    "03_echo": [echo],
    "03_binary": [echo, echo_of_bytes],
    "04_javascript": [echo],
    "04_round_trip": [echo],
    "05_broadcast": [echo, broadcast, forgets, post],
    "05_rooms": [echo, broadcast, forgets, post, rooms],
    "05_whos_online": [echo, broadcast, forgets, post, online],
    "06_resume": [log],
    "06_acknowledge": [log, once],
    "07_harden": [log],
    "08_scale_out": [log],
    "08_acknowledge": [log, once],
    "09_sign_in": [log, author],
}
WITH_TCP = {"05_broadcast", "05_rooms", "05_whos_online"}  # if that part is begun
