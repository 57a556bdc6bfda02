import asyncio
import gc
import tracemalloc

import pytest

pytestmark = pytest.mark.asyncio
LOG_SIZE = 100  # messages


@pytest.fixture(autouse=True)
def log_size(monkeypatch):
    monkeypatch.setenv("QUART_LOG_SIZE", str(LOG_SIZE))  # before the app is loaded
    monkeypatch.setenv("QUART_RATE", "1000000")  # no test is a flood


async def say(client, *messages):
    """Send messages one by one, each when the one before has come back."""
    for message in messages:
        await client.send(message)
        heard = await client.receive()
        assert heard == message, f"{message!r} was sent, but {heard!r} came back"


async def all_of(client, count):
    return [await client.receive() for _ in range(count)]


def numbered(count):
    return [f"message {number}" for number in range(1, count + 1)]


def long(count):
    return [f"{number:04000}" for number in range(1, count + 1)]


async def test_the_first_frame_contains_the_newest_id(log_client):
    async with log_client() as alice:
        assert alice.gaps == [], f"alice is new and misses nothing, but is told {alice.gaps}"
        await say(alice, *numbered(3))
        async with log_client() as bob:
            assert (bob.log, bob.last) == (alice.log, alice.last), (
                f"bob connects when the last message has the id {alice.last}, "
                f"but the first frame says {bob.last}"
            )


async def test_a_client_that_reconnects_gets_what_it_missed_in_order_and_once(log_client):
    async with log_client() as alice:
        async with log_client() as bob:
            await say(alice, "before")
            await bob.receive()
        await say(alice, *numbered(5))
        async with log_client(bob.log, bob.last) as bob:
            assert bob.gaps == [], f"bob has missed nothing that is gone: {bob.gaps}"
            missed = await all_of(bob, 5)
            assert missed == numbered(5), (
                f"bob, who had received 'before', reconnected and received {missed}: `last` is the "
                "id of the last message he received, so start with the one after it"
            )
            await say(alice, "after")
            heard = await bob.receive()
            assert heard == "after", f"bob had everything, and then got {heard!r}"


async def test_pending_messages_are_sent_in_few_frames(log_client):
    async with log_client() as alice, log_client() as bob:
        bob.stop_reading()
        await say(alice, *long(LOG_SIZE))
        bob.read_again()
        frames = bob.frames
        await all_of(bob, LOG_SIZE)
        assert bob.frames - frames <= LOG_SIZE / 2, (
            f"{LOG_SIZE} messages waited for bob, and arrived in {bob.frames - frames} frames: "
            "all that he has not had should go out in one"
        )
        assert bob.longest < 50_000, (
            f"bob got a frame of {bob.longest:,} bytes, which had to wait until he read: if many "
            "do not read, such frames fill the memory"
        )


async def test_a_client_that_missed_the_whole_log_gets_it_in_one_frame(log_client):
    async with log_client() as alice:
        messages = numbered(LOG_SIZE)
        await say(alice, *messages)
        async with log_client(alice.log, alice.last - LOG_SIZE) as bob:
            assert bob.gaps == [], f"all that bob misses is still there, but he is told {bob.gaps}"
            missed = await all_of(bob, LOG_SIZE)
            assert missed == messages, f"bob reconnected and received {missed}"
            assert bob.frames == 2, f"it should be one frame after the first, not {bob.frames - 1}"


async def test_a_client_that_was_away_too_long_is_told_and_gets_what_is_left(log_client):
    async with log_client() as alice:
        async with log_client() as bob:
            await say(alice, "before")
            await bob.receive()
        messages = numbered(LOG_SIZE + 5)
        await say(alice, *messages)
        async with log_client(bob.log, bob.last) as bob:
            assert bob.gaps == ["too old"], f"what bob misses is gone, but he is told {bob.gaps}"
            kept = await all_of(bob, LOG_SIZE)
            assert kept == messages[-LOG_SIZE:], f"the log keeps {LOG_SIZE}, but bob got {kept}"


async def test_a_client_that_resumes_after_a_restart_is_told_and_gets_what_is_left(log_client):
    async with log_client() as alice:
        await say(alice, *numbered(3))
        async with log_client("another", 2) as bob:
            assert bob.gaps == ["new log"], f"bob's log is another, but he is told {bob.gaps}"
            kept = await all_of(bob, 3)
            assert kept == numbered(3), f"bob should get all that there is, but got {kept}"


async def test_a_client_that_reads_too_slowly_is_closed_with_1013_and_resumes(log_client):
    async with log_client() as alice:
        async with log_client() as bob:
            bob.stop_reading()
            messages = long(10 * LOG_SIZE)
            await say(alice, *messages)
            bob.read_again()
            code, reason = await bob.closing()
            assert (code, bool(reason)) == (1013, True), f"bob is closed with {code} {reason!r}"
        async with log_client(bob.log, bob.last) as bob:
            assert bob.gaps == ["too old"], f"what bob misses is gone, but he is told {bob.gaps}"
            kept = await all_of(bob, LOG_SIZE)
            assert kept == messages[-LOG_SIZE:], "bob should get what the log keeps"


async def test_clients_that_do_not_read_cost_no_memory(log_client):
    async with log_client() as alice, log_client() as bob:
        bob.stop_reading()
        await say(alice, *long(LOG_SIZE))
        tracemalloc.start()
        for number in range(10 * LOG_SIZE):
            await say(alice, f"{number:04000}")
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        bob.read_again()
    # A table of Python's own may grow meanwhile, by 2 MB.
    assert kept < 3_000_000, (
        f"bob does not read, and of 4 MB said since {kept:,} bytes are kept: "
        f"the log should keep {LOG_SIZE} messages, for whoever comes back"
    )


def unfinished_tasks():
    tasks = [one for one in gc.get_objects() if issubclass(type(one), asyncio.Task)]
    return sum(not task.done() for task in tasks)


async def test_nothing_keeps_running_for_a_client_that_disconnected(log_client):
    async def five_come_and_leave(alice, most):
        for _ in range(5):
            async with log_client() as bob:
                await bob.close()
        for number in range(20):  # a real server may take a moment to notice
            await say(alice, f"{number}")
            if (tasks := unfinished_tasks()) <= most:
                break
        return tasks

    async with log_client() as alice:
        await say(alice, "before")
        # The first five may begin what then goes on for all, but five more may not.
        before = await five_come_and_leave(alice, most=unfinished_tasks())
        more = await five_come_and_leave(alice, most=before) - before
    assert more <= 0, (
        f"five clients connected and disconnected, and there are {more} more tasks than before: "
        "a client's tasks should end when its handler ends, however it ends"
    )


@pytest.mark.parametrize("last", ["7", "999999999999999"])
async def test_an_unknown_last_id_breaks_nothing(log_client, last):
    async with log_client() as alice:
        await say(alice, "before")
        async with log_client(alice.log, last) as bob:
            await say(alice, "after")
            heard = ""
            try:
                while heard != "after":
                    heard = await bob.receive()
            except AssertionError as error:
                pytest.fail(f"{error}\nThe newest id is {alice.last}, and bob said last={last}.")


async def test_posts_and_tcp_lines_are_in_the_log_too(app, log_client, tcp_connect):
    async with app.test_app(), log_client() as alice:
        async with log_client() as bob:
            pass
        await app.test_client().post("/api/v2/messages", data="by POST")
        _, writer = await tcp_connect()
        writer.write(b"by TCP\n")
        await all_of(alice, 2)
        async with log_client(bob.log, bob.last) as bob:
            missed = await all_of(bob, 2)
        assert sorted(missed) == ["by POST", "by TCP"], f"bob reconnected and received {missed}"
