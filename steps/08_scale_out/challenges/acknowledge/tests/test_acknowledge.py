import asyncio
import socket
import threading
from contextlib import closing, suppress
from functools import partial

import pytest
import pytest_asyncio

from harness.failures import Closed
from harness.patience import deadline

pytestmark = pytest.mark.asyncio
LOG_SIZE, SENDERS = 10, 3


@pytest.fixture(autouse=True)
def settings(monkeypatch):
    monkeypatch.setenv("QUART_LOG_SIZE", str(LOG_SIZE))  # before the app is loaded
    monkeypatch.setenv("QUART_SENDERS", str(SENDERS))
    monkeypatch.setenv("QUART_RATE", "1000000")  # no test is a flood
    monkeypatch.setenv("QUART_TCP_PORT", "")


class Relay:
    """Between the servers and Redis, in threads of its own; it can break while a text is there."""

    def __init__(self, redis_port):
        self.redis_port, self.loses = redis_port, None
        self.is_there, self.may_break = threading.Event(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}"
        self.start(self.accept)

    def start(self, function, *arguments):
        threading.Thread(target=function, args=arguments, daemon=True).start()

    def accept(self):
        with suppress(OSError):  # it is closed at the end
            while True:
                server, _ = self.listener.accept()
                redis = socket.create_connection(("127.0.0.1", self.redis_port))
                loses_answer = threading.Event()
                self.start(self.commands, server, redis, loses_answer)
                self.start(self.answers, redis, server, loses_answer)

    def commands(self, server, redis, loses_answer):
        with suppress(OSError), closing(server), closing(redis):
            while data := server.recv(65536):
                if not self.loses or self.loses[1] not in data:
                    redis.sendall(data)
                    continue
                what, self.loses = self.loses[0], None
                if what == "answer":
                    loses_answer.set()
                    redis.sendall(data)
                else:
                    self.is_there.set()
                self.may_break.wait(20)
                for one in (server, redis):
                    one.shutdown(socket.SHUT_RDWR)  # which ends the other thread, too
                break

    def answers(self, redis, server, loses_answer):
        with suppress(OSError), closing(server):
            while data := redis.recv(65536):
                if loses_answer.is_set():  # Redis has answered, so it has stored the message
                    return self.is_there.set() or self.may_break.wait(20)
                server.sendall(data)

    def lose(self, what, text):
        """Lose the command with a text ("command"), or its answer ("answer")."""
        self.loses = what, text.encode()

    async def has_text(self):
        async with deadline(2):
            assert await asyncio.to_thread(self.is_there.wait, 20), "Redis is told of no message"


@pytest.fixture
def relay(redis_server):
    relay = Relay(redis_server.port)
    yield relay
    relay.listener.close()


@pytest_asyncio.fixture
async def room(request, redis_server, serve, monkeypatch, connect_to, eventually):
    """Two functions that connect a client, each to one of two servers."""
    between = request.getfixturevalue("relay") if "relay" in request.fixturenames else redis_server
    monkeypatch.setenv("REDIS_URL", between.url)
    room = [partial(connect_to, serve()) for _ in range(2)]
    for connect in room:
        async with eventually(connect):
            pass
    return room


async def awaited(receiving, what):
    """What is received; if nothing arrives, the failure says what was awaited."""
    try:
        return await receiving
    except AssertionError as error:
        raise AssertionError(f"{what}, but {error}") from None


async def is_answered(client, number):
    what = f"message {number} should be answered by {{'stored': {number}}}, new or not"
    told = await awaited(client.answer(), what)
    assert told == number, f"{what}, but the answer was {told!r}"


async def sends(client, *texts, first=1):
    """Send messages; the client is told that each is stored."""
    for number, text in enumerate(texts, first):
        await client.send(text)
        await is_answered(client, number)


async def hears(client, *texts, why):
    for text in texts:
        what = f"{text!r} should come next ({why})"
        heard = await awaited(client.receive(), what)
        assert heard == text, f"{what}, but {heard!r} arrived"


async def close_code(client):
    """Take all frames until the server closes the connection: with which code it does."""
    try:
        while True:
            await client.receive()
    except Closed as closed:
        return closed.code
    except AssertionError:
        raise AssertionError(
            "alice's message was not stored, so her connection should be closed with 1013, "
            "but it is not closed"
        ) from None


# ---- One server, without Redis


async def test_without_redis_a_message_sent_again_is_stored_once(log_client):
    async with log_client() as bob:
        async with log_client(sender="alice") as alice:
            await sends(alice, "one", "two", "two")
        async with log_client(alice.log, alice.last, sender="alice", number=3) as alice:
            await sends(alice, "two", "three", first=3)
        await hears(
            *(bob, "one", "two", "two", "three"),
            why="alice sent message 3 again after her connection broke: is its number one that was "
            "stored?",
        )
        assert not bob.stored, "alice sent it, but bob is told that it is stored"


async def forgets_those_that_sent_first(here, there):
    """Check which senders are remembered: they and their messages have the same names."""
    async with here() as bob:

        async def send_as(connect, *names):
            for name in names:
                async with connect(sender=name) as client:
                    await sends(client, f"from {name}")

        await send_as(here, "carol", "alice", "dave")
        await send_as(there, "alice")  # it is stored already, but it has arrived
        await send_as(here, "erin", "frank")
        await send_as(there, "alice", "carol")
        everyone = ("carol", "alice", "dave", "erin", "frank", "carol")
        await hears(
            *(bob, *(f"from {name}" for name in everyone)),
            why=f"{SENDERS} senders are remembered: alice, since only two others sent anything "
            "before she sent hers again, but not carol, after four others",
        )


async def test_without_redis_only_the_senders_that_sent_last_are_remembered(log_client):
    await forgets_those_that_sent_first(log_client, log_client)


INVALID = {
    "a name that is too long": "sender=" + "x" * 65,
    "a space": "sender=a%20b",
    "a letter that isn't ASCII": "sender=%C3%A9",
    "a newline": "sender=a%0A",
    "number 0": "sender=alice&number=0",
    "a negative number": "sender=alice&number=-1",
    "no number": "sender=alice&number=x",
    "16 digits": "sender=alice&number=" + "1" * 16,
}


@pytest.mark.parametrize("query", INVALID.values(), ids=INVALID)
async def test_an_invalid_sender_or_number_is_answered_with_400(app, query):
    connection = app.test_client().websocket(f"/api/v3/ws?{query}")
    try:
        async with connection:
            status = 101
    except AssertionError as refused:
        if not hasattr(refused, "response"):
            raise
        status = refused.response.status_code
    assert status == 400, f"?{query:.40} should be answered with 400, not {status}"


# ---- Two servers


async def test_a_message_sent_again_to_another_server_is_stored_once(room):
    here, there = room
    async with here() as bob:
        async with here(sender="alice") as alice:
            await sends(alice, "one", "two", "three")
        async with there(sender="alice", number=2) as alice:
            await sends(alice, "two", "three", "four", first=2)
        async with here(sender="alice", number=1) as alice:
            await sends(alice, "one")
        await hears(
            *(bob, "one", "two", "three", "four"),
            why="alice sent two messages again, to another server: all servers should know which "
            "of her numbers are stored",
        )
        assert not bob.stored, "alice sent it, but bob is told that it is stored"


async def test_what_arrives_late_on_the_first_server_is_stored_once(room):
    here, there = room
    async with here() as bob, here(sender="alice") as before:
        await sends(before, "one")
        async with there(sender="alice", number=2) as alice:
            await sends(alice, "two", "three", first=2)
            await sends(before, "two", "three", first=2)
            await sends(alice, "four", first=4)
        await hears(
            *(bob, "one", "two", "three", "four"),
            why="alice has a connection to each of two servers, and the older one is slow",
        )


async def all_wait_for(redis):
    """Wait until each of two servers waits to read and to write, or for a second."""
    with suppress(TimeoutError):
        async with asyncio.timeout(1):
            while redis.info("clients")["blocked_clients"] < 4:
                await asyncio.sleep(0.01)


async def test_a_message_that_two_servers_store_at_once_is_stored_once(room, redis_server):
    here, there = room
    async with here() as bob, here(sender="alice") as before, there(sender="alice") as alice:
        redis_server.client.execute_command("CLIENT PAUSE 2000 WRITE")  # milliseconds
        for client in (before, alice):
            await client.send("one")
        await all_wait_for(redis_server.client)
        redis_server.client.execute_command("CLIENT UNPAUSE")
        for client in (before, alice):
            await is_answered(client, 1)
        await sends(alice, "two", first=2)
        await hears(
            *(bob, "one", "two"),
            why="two servers stored it at the same time: Redis should look up the number and store "
            "the message in one, so that nothing happens in between",
        )


async def test_messages_sent_again_after_they_left_the_log_are_not_stored_again(room):
    here, there = room
    async with here() as bob, here(sender="alice") as alice, there(sender="carol") as carol:
        await sends(alice, "one")
        posts = [f"carol {number}" for number in range(LOG_SIZE + 5)]
        await sends(carol, *posts)
        async with there(sender="alice", number=1) as alice:
            await sends(alice, "one", "two")
        await hears(
            *(bob, "one", *posts, "two"),
            why=f"the log keeps {LOG_SIZE} messages and no longer has alice's first, but her last "
            "number should still be known",
        )


async def test_only_the_senders_that_sent_last_are_remembered(room):
    await forgets_those_that_sent_first(*room)


async def test_messages_without_a_sender_are_stored_as_before(room):
    async with room[0]() as bob, room[1]() as carol:
        for client in (bob, carol, carol):
            await client.send("hello")
            why = "bob and carol both sent it, and their addresses name no sender, as in step 8"
            await hears(bob, "hello", why=why)
            await hears(carol, "hello", why=why)
        for client in (bob, carol):
            assert not client.stored, (
                f"no sender is named, but {client.stored[0]} is said to be stored"
            )


# ---- When Redis fails


async def test_a_message_whose_answer_redis_never_gave_is_stored_once(room, relay, eventually):
    here, there = room
    async with there() as bob:
        async with here(sender="alice") as alice:
            await sends(alice, "one")
            relay.lose("answer", "two")
            await alice.send("two")
            await relay.has_text()
            relay.may_break.set()
            code = await close_code(alice)
            assert code in (1012, 1013), f"alice should be closed with 1013, not {code}"
            told = [f"message {number} is stored" for number in alice.stored]
            told += [f"{text!r} is refused" for text in alice.refused]
            assert not told, (
                "the connection to Redis broke before it answered, so nobody knows whether 'two' "
                f"is stored, but alice is told that {told[0]}"
            )
        async with eventually(partial(here, sender="alice", number=2)) as alice:
            await sends(alice, "two", "three", first=2)
        await hears(
            *(bob, "one", "two", "three"),
            why="Redis had stored 'two', its answer was lost, and alice sent it again",
        )


async def test_what_follows_a_message_that_was_not_stored_is_not_stored_either(
    room, relay, eventually
):
    here, there = room
    async with there() as bob:
        async with here(sender="alice") as alice:
            await sends(alice, "one")
            relay.lose("command", "two")
            await alice.send("two")
            await relay.has_text()
            await alice.send("three")  # which waits for the next batch
            (app,) = here.args
            await app.test_client().get("/")  # by now, "three" has arrived
            relay.may_break.set()
            code = await close_code(alice)
            assert code in (1012, 1013), f"'two' was not stored: close with 1013, not {code}"
        async with eventually(partial(here, sender="alice", number=2)) as alice:
            await sends(alice, "two", "three", first=2)
        await hears(
            *(bob, "one", "two", "three"),
            why="'two' never reached Redis, and alice sent both again: was 'three' stored before "
            "'two', whose number then seemed to be stored?",
        )


async def test_a_sender_whose_message_is_refused_is_told_and_disconnected(room, redis_server):
    here, there = room
    async with there() as bob:
        async with here(sender="alice") as alice:
            await sends(alice, "one")
            redis_server.client.config_set("maxmemory", 1)  # so that it stores nothing more
            await alice.send("no room for this")
            refused = await alice.refusal()
            assert refused == "no room for this", f"alice should be told, but is told {refused!r}"
            assert not alice.stored, "alice is told that it is stored, and that it is not"
            code = await close_code(alice)
            assert code == 1013, f"her connection should be closed with 1013, not {code}"
        async with there(sender="alice", number=1) as alice:
            await sends(alice, "one")  # which is stored, whatever room there is
            redis_server.client.config_set("maxmemory", 0)
        async with here(sender="alice", number=3) as alice:  # her page never uses 2 again
            await sends(alice, "room again", first=3)
        await hears(bob, "one", "room again", why="the message between them was refused")
