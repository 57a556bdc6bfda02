import asyncio
import gc
import tracemalloc
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from harness.failures import no_route, why_other, why_so
from harness.patience import deadline

pytestmark = pytest.mark.asyncio


def short(messages):
    """Messages as a failure shows them: of many or long ones, only the beginning."""
    shown = [repr(message) for message in messages[:6]]
    shown = [text if len(text) < 60 else f"{text[:30]}…" for text in shown]
    more = f", … {len(messages) - 6} more" if len(messages) > 6 else ""
    return f"[{', '.join(shown)}{more}]"


async def heard_by(client, count, expected=()):
    """So many messages that a client receives, or fewer, and why no more."""
    heard = []
    try:
        while len(heard) < count:
            # What a failure tells of: how far this message got in the app.
            client.expects = expected[len(heard)] if expected else None
            heard.append(await client.receive())
    except AssertionError as error:
        return heard, f" ({error})"
    return heard, ""


async def all_hear(clients, *messages):
    # All listen at once, so that each can be told of, and not just the first that hears nothing.
    results = await asyncio.gather(
        *(heard_by(client, len(messages), messages) for client in clients)
    )
    by_heard = {}
    for client, (heard, _) in zip(clients, results, strict=True):
        by_heard.setdefault(short(heard), []).append(client.name)
    each = [f"{' and '.join(names)} received {heard}" for heard, names in by_heard.items()]
    for client, (heard, why) in zip(clients, results, strict=True):
        hint = why_other(client, heard, messages) or "".join(dict.fromkeys(map(why_so, heard)))
        assert heard == list(messages), (
            f"{client.name} should receive {short(messages)}, but {', '.join(each)}{hint}{why}"
        )


def is_told_of_utf_8(text):
    return "utf-8" in text.lower().replace("utf8", "utf-8")


@asynccontextmanager
async def joined(app, *names):
    """Connect a client for each name; one that has received its own name is in."""
    async with AsyncExitStack() as stack:
        clients = []
        for name in names:
            connection = app.test_client().websocket("/api/v2/ws")
            clients.append(await stack.enter_async_context(connection))
            clients[-1].name = name
            await clients[-1].send(name)
            await all_hear(clients, name)
        yield clients


async def test_the_handshake_completes_before_the_first_message(app):
    async with app.test_client().websocket("/api/v2/ws"):
        pass  # Entering the block is the handshake; it has a deadline.


async def test_every_message_reaches_everyone_in_the_same_order(app):
    async with joined(app, "alice", "bob", "carol") as (alice, bob, carol):
        for number in "12":
            for name, client in (("alice", alice), ("bob", bob), ("carol", carol)):
                await client.send(f" {number} from {name}  ")
        order, why = await heard_by(alice, 6)
        assert len(set(order)) == 6, (
            f"all three sent two messages each, and alice received {short(order)}{why}"
        )
        sent = {f" {number} from {name}  " for number in "12" for name in ("alice", "bob", "carol")}
        assert set(order) == sent, f"sent was {short(sorted(sent))}, but received {short(order)}"
        await all_hear([bob, carol], *order)


async def test_the_other_clients_still_get_messages_when_one_disconnects(app):
    async with joined(app, "alice", "bob") as (alice, bob):
        async with joined(app, "carol"):
            await all_hear([alice, bob], "carol")
        await alice.send("still here?")
        await all_hear([alice, bob], "still here?")


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


def unfinished_tasks():
    tasks = [one for one in gc.get_objects() if issubclass(type(one), asyncio.Task)]
    return sum(not task.done() for task in tasks)


async def test_a_client_that_disconnects_is_removed(app):
    async with joined(app, "alice") as (alice,):
        before = await kept_of_what_is_sent(alice)  # an app may keep its messages for all
        async with joined(app, "bob"):
            await all_hear([alice], "bob")
        # Twice, since whatever else this process does at the moment is counted, too.
        kept = min([await kept_of_what_is_sent(alice) for _ in range(2)]) - before
    assert kept < 1_500_000, (
        f"bob disconnected, and {kept:,} bytes of what alice sent since are still kept for him: "
        "is his queue removed when his handler ends, however it ends?"
    )
    async with joined(app, "alice") as (alice,):
        before = unfinished_tasks()
        for _ in range(3):
            async with joined(app, "bob"):
                await all_hear([alice], "bob")
        for _ in range(20):  # it may take a moment
            await alice.send("still here")
            await all_hear([alice], "still here")
            if (more := unfinished_tasks() - before) < 3:
                break
        assert more < 3, (
            f"bob connected and disconnected three times, and {more} tasks still run for him: "
            "does the handler end the tasks that it has created?"
        )


async def test_a_client_that_does_not_read_delays_nobody(app):
    async with joined(app, "alice", "bob") as (alice, bob):
        bob.stop_reading()
        for number in range(300):
            message = f"{number:05000}"
            await alice.send(message)
            heard, why = await heard_by(alice, 1, [message])
            assert heard == [message], (
                "bob reads nothing, and alice should still receive all that she sends, but only "
                f"{number} messages arrived{why or why_other(alice, heard, [message])}: does a "
                "broadcast wait for bob, or for room in "
                "his queue?"
            )
        bob.read_again()


async def test_a_lost_connection_affects_no_other_client(app):
    async with joined(app, "alice", "bob", "carol") as (alice, bob, carol):
        await carol.disconnect()  # without goodbye
        for message in ("one", "two"):
            await alice.send(message)
            await all_hear([alice, bob], message)


async def test_a_client_that_only_listens_gets_every_message(app):
    async with app.test_client().websocket("/api/v2/ws") as bob:
        bob.name = "bob"
        async with joined(app, "alice") as (alice,):
            await alice.send("hello")
            await all_hear([bob], "alice", "hello")


async def test_a_client_may_send_without_reading(app):
    messages = [f"{number}" for number in range(100)]
    async with joined(app, "alice", "bob") as (alice, bob):
        for message in messages:
            await alice.send(message)
        await all_hear([bob, alice], *messages)


def why_not_204(app, status):
    if status in (404, 405):
        return no_route(app, "post")
    if status < 300:
        return ", not with 204: a status stands after the text that is returned"
    return ": its body is the message itself, and no form and no JSON"


async def test_a_post_reaches_everyone(app):
    async with joined(app, "alice", "bob", "carol") as clients:
        data = " from a POST: ½ ".encode()
        response = await app.test_client().post("/api/v2/messages", data=data)
        assert response.status_code == 204, (
            f"the POST is answered with {response.status}{why_not_204(app, response.status_code)}"
        )
        await all_hear(clients, " from a POST: ½ ")


async def test_a_post_that_is_not_utf_8_is_refused_and_told_why(app):
    response = await app.test_client().post("/api/v2/messages", data=b"caf\xe9")
    assert response.status_code == 400, (
        f"the POST is answered with {response.status}, though its body is not UTF-8"
    )
    told = await response.get_data(as_text=True)
    assert is_told_of_utf_8(told), f"the answer should mention UTF-8, but is {told!r:.200}"


async def test_the_echo_route_still_works(app):
    async with joined(app, "alice") as (alice,):
        async with app.test_client().websocket("/ws") as bob:
            await bob.send("hello")
            reply = await bob.receive()
            assert reply == "echo hello", f"/ws should answer 'echo hello', but answers {reply!r}"
        await alice.send("only me")
        await all_hear([alice], "only me")


async def test_a_tcp_line_reaches_everyone(app, tcp_connect):
    async with app.test_app(), joined(app, "alice", "bob", "carol") as clients:
        _, writer = await tcp_connect()
        writer.write("from TCP: ½\n".encode() + b" spaced \r\n" + b"x" * 65_000 + b"\n")
        await all_hear(clients, "from TCP: ½", " spaced ", "x" * 65_000)


async def test_a_tcp_client_that_disconnects_sends_nothing_more(app, tcp_connect):
    async with app.test_app(), joined(app, "alice") as (alice,):
        _, writer = await tcp_connect()
        writer.write(b"hello\n")
        await all_hear([alice], "hello")
        writer.close()
        _, other = await tcp_connect()
        other.write(b"after it\n")
        await all_hear([alice], "after it")


BAD_LINES = {
    "not UTF-8": b"caf\xe9\n",
    "over 64 KiB": b"x" * 66_000 + b"\n",
    "1 MB": b"x" * 1_000_000 + b"\n",
}


READS_LINES = " readline() raises a ValueError if a line is too long; read() doesn't."


def too_long_or_not(line):
    return f"too long, with {len(line):,} bytes" if line.startswith(b"x") else "not UTF-8"


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
async def test_an_invalid_tcp_line_disconnects_only_its_sender(app, tcp_connect, line):
    async with app.test_app(), joined(app, "alice", "bob", "carol") as clients:
        daves_reader, daves_writer = await tcp_connect()
        _, erins_writer = await tcp_connect()
        daves_writer.write(line)
        try:
            async with deadline(2):
                await daves_reader.read()  # until the app ends the connection
        except TimeoutError:
            pytest.fail(
                f"dave sent a TCP line that is {too_long_or_not(line)}, and is still connected: "
                "does its handler end at such a line, and close its writer?"
                f"{READS_LINES if line.startswith(b'x') else ''}"
            )
        except ConnectionError:
            pass  # it was ended while he was still sending
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
