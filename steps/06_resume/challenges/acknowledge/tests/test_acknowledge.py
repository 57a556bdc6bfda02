import pytest

pytestmark = pytest.mark.asyncio
LOG_SIZE, SENDERS = 10, 3


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setenv("QUART_LOG_SIZE", str(LOG_SIZE))  # before the app is loaded
    monkeypatch.setenv("QUART_SENDERS", str(SENDERS))


async def awaited(receiving, what):
    """What is received; if nothing arrives, the failure says what was awaited."""
    try:
        return await receiving
    except AssertionError as error:
        raise AssertionError(f"{what}, but {error}") from None


async def sends(client, *texts, first=1):
    """Send messages; the client is told that each is stored."""
    for number, text in enumerate(texts, first):
        await client.send(text)
        what = f"message {number} should be answered by {{'stored': {number}}}, new or not"
        told = await awaited(client.answer(), what)
        assert told == number, f"{what}, but the answer was {told!r}"


async def hears(client, *texts, why):
    for text in texts:
        what = f"{text!r} should come next ({why})"
        heard = await awaited(client.receive(), what)
        assert heard == text, f"{what}, but {heard!r} arrived"


async def test_messages_of_a_sender_reach_everyone_and_are_answered(log_client):
    async with log_client(sender="alice") as alice, log_client() as bob:
        texts = ("hello", "", "1 two", "hello again")
        await sends(alice, *texts)
        for client in (alice, bob):
            await hears(client, *texts, why="alice sent it")
        assert not bob.stored, "alice sent it, but bob is told that it is stored"


async def test_a_message_sent_again_is_answered_again_and_stored_once(log_client):
    async with log_client() as bob:
        async with log_client(sender="alice") as alice:
            await sends(alice, "one", "two")
        async with log_client(alice.log, alice.last, sender="alice", number=2) as alice:
            await sends(alice, "two", "three", first=2)
        await hears(
            *(bob, "one", "two", "three"),
            why="alice sent 'two' again after her connection broke: is its number one that was "
            "stored?",
        )


async def test_what_arrives_late_on_a_broken_connection_is_stored_once(log_client):
    async with log_client() as bob, log_client(sender="alice") as before:
        await sends(before, "one")
        async with log_client(sender="alice", number=2) as alice:
            await sends(alice, "two", "three", first=2)
            await sends(before, "two", "three", first=2)
            await sends(alice, "four", first=4)
        await hears(
            *(bob, "one", "two", "three", "four"),
            why="alice has two connections, and the older one is slow; numbers belong to a sender, "
            "not to a connection",
        )


async def test_a_message_sent_again_after_it_left_the_log_is_not_stored_again(app, log_client):
    async with log_client() as bob:
        async with log_client(sender="alice") as alice:
            await sends(alice, "one")
        await hears(bob, "one", why="alice sent it")
        for number in range(LOG_SIZE):
            await app.test_client().post("/api/v2/messages", data=f"POST {number}")
            await hears(bob, f"POST {number}", why="it was posted")
        async with log_client(sender="alice", number=1) as alice:
            await sends(alice, "one", "two")
        await hears(
            *(bob, "two"),
            why=f"the log keeps {LOG_SIZE} messages and no longer has alice's first, but the "
            "server should still know her last number",
        )


async def test_the_same_text_twice_is_two_messages(log_client):
    async with log_client() as bob, log_client(sender="alice") as alice:
        await sends(alice, "ping", "ping", "pong")
        await hears(
            *(bob, "ping", "ping", "pong"),
            why="alice sent it twice, with two numbers: only the same number is the same message",
        )


async def test_each_sender_has_its_own_numbers(log_client):
    async with log_client() as carol:
        async with log_client(sender="alice") as alice, log_client(sender="bob") as bob:
            await sends(alice, "from alice", "from alice")
            await sends(bob, "from bob")
        await hears(
            *(carol, "from alice", "from alice", "from bob"),
            why="alice and bob both have a message 1",
        )


async def test_only_the_senders_that_sent_last_are_remembered(log_client):
    async with log_client() as bob:

        async def send_as(*names):
            for name in names:
                async with log_client(sender=name) as client:
                    await sends(client, f"from {name}")

        await send_as("carol", "alice", "dave")
        await send_as("alice")  # it is stored already, but it has arrived
        await send_as("erin", "frank")
        await send_as("alice", "carol")
        everyone = ("carol", "alice", "dave", "erin", "frank", "carol")
        await hears(
            *(bob, *(f"from {name}" for name in everyone)),
            why=f"{SENDERS} senders are remembered: alice, since only two others sent anything "
            "before she sent hers again, but not carol, after four others",
        )


async def test_bytes_are_ignored_and_have_no_number(log_client):
    async with log_client(sender="alice") as alice:
        await alice.send(b"\x00\xff")
        await sends(alice, "text")


async def test_messages_without_a_sender_are_stored_as_before(log_client):
    async with log_client() as bob, log_client() as carol:
        for client in (bob, carol):
            await client.send("hello")
            why = "bob and carol both sent it, and their addresses name no sender, as in step 6"
            await hears(bob, "hello", why=why)
            await hears(carol, "hello", why=why)
        for client in (bob, carol):
            assert not client.stored, (
                f"no sender is named, but {client.stored[0]} is said to be stored"
            )
