from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest

from harness.patience import deadline

pytestmark = pytest.mark.asyncio


@pytest.fixture(autouse=True)
def no_rate_limit(monkeypatch):
    monkeypatch.setenv("QUART_RATE", "1000000")  # before the app is loaded; no test is a flood


async def all_hear(clients, *messages):
    for client in clients:
        heard = [await client.receive() for _ in messages]
        assert heard == list(messages), f"expected {list(messages)}, but a client received {heard}"


@asynccontextmanager
async def joined(log_client, *names):
    """Connect a client for each name; one that has received its own name is in."""
    async with AsyncExitStack() as stack:
        clients = []
        for name in names:
            clients.append(await stack.enter_async_context(log_client()))
            await clients[-1].send(name)
            await all_hear(clients, name)
        yield clients


async def test_the_handshake_completes_before_the_first_message(log_client):
    async with log_client():
        pass  # Entering the block is the handshake and the first frame; each has a deadline.


async def test_every_message_reaches_everyone_in_the_same_order(log_client):
    async with joined(log_client, "alice", "bob", "carol") as (alice, bob, carol):
        for number in "12":
            for name, client in (("alice", alice), ("bob", bob), ("carol", carol)):
                await client.send(f"{number} from {name}")
        order = [await alice.receive() for _ in range(6)]
        assert len(set(order)) == 6, f"alice should receive six messages once each, not {order}"
        await all_hear([bob, carol], *order)


async def test_the_other_clients_still_get_messages_when_one_disconnects(log_client):
    async with joined(log_client, "alice", "bob") as (alice, bob):
        async with joined(log_client, "carol"):
            await all_hear([alice, bob], "carol")
        await alice.send("still here?")
        await all_hear([alice, bob], "still here?")


async def test_a_lost_connection_affects_no_other_client(log_client):
    async with joined(log_client, "alice", "bob", "carol") as (alice, bob, carol):
        await carol.disconnect()  # without goodbye
        for message in ("one", "two"):
            await alice.send(message)
            await all_hear([alice, bob], message)


async def test_a_client_that_only_listens_gets_every_message(log_client):
    async with log_client() as bob:
        async with joined(log_client, "alice") as (alice,):
            await alice.send("hello")
            await all_hear([bob], "alice", "hello")


async def test_a_client_may_send_without_reading(log_client):
    messages = [f"message {number}" for number in range(100)]
    async with joined(log_client, "alice", "bob") as (alice, bob):
        for message in messages:
            await alice.send(message)
        await all_hear([bob, alice], *messages)


async def test_a_post_reaches_everyone(app, log_client):
    async with joined(log_client, "alice", "bob", "carol") as clients:
        response = await app.test_client().post("/api/v2/messages", data="from a POST: ½".encode())
        assert response.status_code == 204, f"the POST is answered with {response.status}"
        await all_hear(clients, "from a POST: ½")


async def test_a_tcp_line_reaches_everyone(app, log_client, tcp_connect):
    async with app.test_app(), joined(log_client, "alice", "bob", "carol") as clients:
        _, writer = await tcp_connect()
        writer.write("from TCP: ½\n".encode() + b" spaced \r\n" + b"x" * 4_000 + b"\n")
        await all_hear(clients, "from TCP: ½", " spaced ", "x" * 4_000)


BAD_LINES = {
    "not UTF-8": b"\xff\n",
    "over 4 KiB": b"x" * 5_000 + b"\n",
    "1 MB": b"x" * 1_000_000 + b"\n",
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_an_invalid_tcp_line_disconnects_only_its_sender_who_is_told_why(
    app, log_client, tcp_connect, line
):
    async with app.test_app(), joined(log_client, "alice", "bob", "carol") as clients:
        daves_reader, daves_writer = await tcp_connect()
        _, erins_writer = await tcp_connect()
        answer = b""
        with suppress(OSError):
            async with deadline(2):
                daves_writer.write(line)
                await daves_writer.drain()
                answer = await daves_reader.read()  # until the app ends the connection
        told = answer.decode() or "nothing"
        assert "UTF-8" in told, (
            f"dave sent a line of {len(line):,} bytes over TCP, which is too long or not UTF-8, "
            f"and is told: {told}"
        )
        erins_writer.write(b"hello from erin\n")
        await all_hear(clients, "hello from erin")


async def test_a_tcp_client_that_keeps_sending_after_an_invalid_line_is_disconnected(
    app, tcp_connect
):
    async with app.test_app():
        _, writer = await tcp_connect()
        writer.write(b"\xff\n")
        try:
            async with deadline(2):
                while True:
                    writer.write(b"more\n" * 10_000)
                    await writer.drain()
        except TimeoutError:
            pytest.fail(
                "2 s after its invalid line, a client that keeps sending is still connected"
            )
        except ConnectionError:
            pass


async def test_only_this_machine_can_connect_to_the_tcp_port(app, tcp_connect):
    async with app.test_app():
        await tcp_connect()
        try:
            await tcp_connect(host="127.0.0.2")
        except AssertionError:
            return  # nothing listens there
    pytest.fail(
        "the TCP server can be reached at 127.0.0.2, too: pass 127.0.0.1 to start_server as the "
        "host, after the handler"
    )


async def test_the_tcp_server_starts_and_stops_with_the_app(app, tcp_connect):
    async with app.test_app():
        await tcp_connect()
    try:
        await tcp_connect()
    except AssertionError:
        return  # nothing listens there any more
    pytest.fail("the app has stopped, but its TCP server still listens")
