import asyncio
import time
from urllib.parse import quote

import pytest
from quart.wrappers import Websocket

from harness.patience import deadline

pytestmark = pytest.mark.asyncio
RATE = 30  # messages a second
CONNECTIONS = 4
CONNECTIONS_PER_ADDRESS = 3
PAGES = "https://chat.example https://www.chat.example:8443"


@pytest.fixture(autouse=True)
def settings(monkeypatch, request):
    """What the app is told by its environment, before it is loaded."""
    monkeypatch.setenv("QUART_RATE", str(RATE))
    monkeypatch.setenv("QUART_ORIGINS", PAGES)
    for name, value in getattr(request, "param", {}).items():
        monkeypatch.setenv(name, str(value))


async def is_closed_with(client, code):
    got, reason = await client.closing()
    hint = ": a TaskGroup raises an ExceptionGroup: catch it with `except*`" if got == 1011 else ""
    assert got == code, (
        f"the close code should be {code}, but is {got} ({reason or 'no reason'}){hint}"
    )
    assert reason, f"the close code is {code}, but there is no reason with it"


async def say(client, message):
    await client.send(message)
    heard = await client.receive()
    assert heard == message, f"{message!r:.40} was said, but {heard!r:.40} came back"


async def status_of(connection):
    """The status with which a handshake is answered; 101 lets in."""
    try:
        async with connection:
            return 101
    except AssertionError as refused:
        if not hasattr(refused, "response"):
            raise
        return refused.response.status_code


# ---- Pages

FOREIGN = ["http://evil.example", "null", "http://HOST.evil.example", "http://evil.example/HOST"]
FOREIGN += ["http://HOST@evil.example", "http://HOST1", "HOST", "file://", "http://["]
HOST = "127.0.0.1:5000"
OWN = [None, "http://HOST", "https://HOST", *PAGES.split()]


@pytest.mark.parametrize("origin", FOREIGN)
async def test_a_page_of_another_origin_is_refused(app, origin):
    headers = {"Host": HOST, "Origin": origin.replace("HOST", HOST)}
    status = await status_of(app.test_client().websocket("/api/v3/ws", headers=headers))
    assert status == 403, f"a page of {headers['Origin']} may connect: {status}"
    post = await app.test_client().post("/api/v2/messages", headers=headers, data="evil")
    assert post.status_code == 403, f"a page of {headers['Origin']} may POST: {post.status}"


@pytest.mark.parametrize("origin", OWN)
async def test_our_own_origin_and_a_missing_origin_are_accepted(app, origin):
    headers = {"Host": HOST}
    if origin:
        headers["Origin"] = origin.replace("HOST", HOST)
    status = await status_of(app.test_client().websocket("/api/v3/ws", headers=headers))
    assert status == 101, f"a client with the Origin {origin} should be let in, not {status}"
    post = await app.test_client().post("/api/v2/messages", headers=headers, data="hello")
    assert post.status_code == 204, f"a client with the Origin {origin} gets {post.status}"


@pytest.mark.parametrize("name", ["evil", "localhost.evil", "127.0.0.1.evil"])
async def test_a_page_that_uses_dns_rebinding_is_refused(app, name):
    headers = {"Host": f"{name}.example:5000", "Origin": f"http://{name}.example:5000"}
    status = await status_of(app.test_client().websocket("/api/v3/ws", headers=headers))
    assert status == 403, (
        f"{name}.example may tell browsers to be 127.0.0.1 (DNS rebinding), and gets {status}: "
        "that Origin and Host are the same is enough for this machine's own names only"
    )


async def test_a_refused_origin_is_logged_once_with_the_expected_one(app, caplog):
    headers = {"Host": HOST, "Origin": "http://evil.example"}
    for _ in range(3):
        await status_of(app.test_client().websocket("/api/v3/ws", headers=headers))
    logged = [text for text in caplog.messages if "http://evil.example" in text]
    assert len(logged) == 1, f"a page was refused three times: one entry should say so: {logged}"
    for expected in (f"http://{HOST}", *PAGES.split()):
        assert expected in logged[0], f"the entry should say that {expected} may: {logged[0]}"


async def test_a_flood_of_origins_does_not_fill_the_log(app, caplog):
    for number in range(300):
        headers = {"Host": HOST, "Origin": f"http://{number}.example"}
        await app.test_client().get("/", headers=headers)
    assert len(caplog.messages) <= 200, f"300 origins made {len(caplog.messages)} entries"


AS_PEOPLE_WRITE_THEM = {
    "a slash": "https://chat.example/",
    "capitals": "HTTPS://Chat.Example",
    "the default port": "https://chat.example:443",
    "commas": "https://other.example, https://chat.example",
}


@pytest.mark.parametrize(
    "settings",
    [{"QUART_ORIGINS": value} for value in AS_PEOPLE_WRITE_THEM.values()],
    ids=AS_PEOPLE_WRITE_THEM,
    indirect=True,
)
async def test_an_allowed_origin_is_accepted_however_it_is_written(app):
    headers = {"Host": HOST, "Origin": "https://chat.example"}
    status = await status_of(app.test_client().websocket("/api/v3/ws", headers=headers))
    assert status == 101, f"QUART_ORIGINS lists https://chat.example, but its page gets {status}"


@pytest.mark.parametrize(
    "settings",
    [
        {"QUART_ORIGINS": value}
        for value in ("chat.example", "https://chat.example/path", "*", "8000", "https://[1")
    ],
    ids=lambda value: value["QUART_ORIGINS"],
    indirect=True,
)
async def test_an_invalid_allowed_origin_is_reported_at_startup(app):
    reason = getattr(app, "reason", "the app starts")
    assert "QUART_ORIGINS" in reason, f"QUART_ORIGINS holds what is no origin, but: {reason}"


@pytest.mark.parametrize("name", ["x" * 300, "€" * 100], ids=["characters", "bytes"])
async def test_a_path_too_long_for_a_file_name_is_a_404(app, name):
    response = await app.test_client().get(f"/static/{quote(name)}")
    assert response.status_code == 404, (
        f"a path of {len(name.encode())} bytes is answered with {response.status}"
    )


@pytest.mark.parametrize("path", ["/ws", "/api/v2/ws"])
async def test_unused_routes_are_removed(app, path):
    status = await status_of(app.test_client().websocket(path))
    assert status in (403, 404), f"{path} should be gone, but answers with {status}"


@pytest.mark.parametrize("last", ["-7", "nonsense", "1e9", "9" * 5000])
async def test_a_last_id_that_is_not_a_number_is_answered_with_400(app, last):
    path = f"/api/v3/ws?log=x&last={last}"
    status = await status_of(app.test_client().websocket(path))
    assert status == 400, f"{path:.60} should be answered with 400, not {status}"


# ---- Messages


@pytest.mark.parametrize("message", ["x" * 4096, "€" * 1365], ids=["bytes", "characters"])
async def test_a_message_of_4_kib_is_accepted(log_client, message):
    async with log_client() as alice:
        await say(alice, message)


BAD_MESSAGES = {
    "over 4 KiB": ("x" * 4097, 1009),
    "over 4 KiB in UTF-8": ("€" * 1366, 1009),
    "bytes": (b"bytes", 1003),
    "no bytes": (b"", 1003),
    "empty": ("", 1008),
}


@pytest.mark.parametrize(("message", "code"), BAD_MESSAGES.values(), ids=BAD_MESSAGES)
async def test_an_invalid_message_closes_only_its_own_connection_with_the_right_code(
    log_client, message, code
):
    async with log_client() as alice, log_client() as bob:
        await alice.send(message)
        await is_closed_with(alice, code)
        await say(bob, "still here")


async def test_a_flood_is_closed_with_1008_and_affects_no_other_client(log_client):
    async with log_client() as alice, log_client() as bob:
        for number in range(RATE):
            await say(alice, f"message {number}")
        for _ in range(2 * RATE):
            await alice.send("flood")
        await is_closed_with(alice, 1008)
        for _ in range(RATE):
            await bob.receive()
        heard = "flood"
        await bob.send("still here")
        while heard == "flood":
            heard = await bob.receive()
        assert heard == "still here", f"bob sent 'still here', but received {heard!r}"


async def test_a_flood_of_posts_is_answered_with_429(app):
    statuses = []
    while len(statuses) < 2 * RATE or (429 not in statuses and len(statuses) < 10 * RATE):
        response = await app.test_client().post("/api/v2/messages", data="hello")
        statuses.append(response.status_code)
    assert statuses[:RATE] == [204] * RATE, f"{RATE} a second should pass: {statuses}"
    assert 429 in statuses, f"{len(statuses)} POSTs at once should not all pass"
    for _ in range(200):
        response = await app.test_client().post("/api/v2/messages", data="hello")
        if response.status_code == 204:
            return
        await asyncio.sleep(0.01)
    pytest.fail("2 s after a flood, POSTs are still answered with 429")


@pytest.mark.parametrize("body", [b"", b"\xff\xfe"], ids=["empty", "not UTF-8"])
async def test_an_invalid_post_is_answered_with_400(app, body):
    response = await app.test_client().post("/api/v2/messages", data=body)
    assert response.status_code == 400, f"the POST is answered with {response.status}"
    told = await response.get_data(as_text=True)
    assert "utf-8" in told.lower(), f"the answer should mention UTF-8, but is {told!r:.200}"


async def test_a_post_over_4_kib_is_answered_with_413(app):
    response = await app.test_client().post("/api/v2/messages", data="x" * 4097)
    assert response.status_code == 413, f"a POST of 4097 bytes is answered with {response.status}"


@pytest.mark.parametrize("debug", [False, True], ids=["", "debug"])
async def test_an_exception_closes_with_1011_and_is_logged_once(
    app, log_client, caplog, monkeypatch, debug
):
    app.debug = debug

    def fail(*_, **__):
        raise RuntimeError("broken on purpose")

    async with log_client() as alice:
        await say(alice, "all is well")
        monkeypatch.setattr(Websocket, "send", fail)  # by which whatever is sent goes out
        await alice.send("and now it is not")
        await is_closed_with(alice, 1011)
    logged = [record for record in caplog.records if record.levelname == "ERROR"]
    assert len(logged) == 1, f"one entry should be in the log, with the exception: {logged}"
    assert "broken on purpose" in caplog.text, "the log should show the exception itself"


# ---- Connections

TOO_MANY = {
    "for an address": ({"QUART_CONNECTIONS_PER_ADDRESS": 2}, 429),
    "in all": ({"QUART_CONNECTIONS": 2}, 503),
}


@pytest.mark.parametrize(
    ("settings", "status"), TOO_MANY.values(), ids=TOO_MANY, indirect=["settings"]
)
async def test_one_client_too_many_is_refused_until_another_disconnects(app, log_client, status):
    async with log_client():
        async with log_client():
            got = await status_of(app.test_client().websocket("/api/v3/ws"))
            assert got == status, f"two may connect, and the third is answered with {got}"
        got = await status_of(app.test_client().websocket("/api/v3/ws"))
        assert got == 101, (
            f"one of two clients has disconnected, but the next one is answered with {got}: is the "
            "seat released however the handler ends?"
        )
        async with log_client() as alice:
            await say(alice, "let in, because another has left")


@pytest.mark.parametrize("method", ["POST", "OPTIONS"])
async def test_an_http_request_on_the_tcp_port_is_not_a_message(
    app, log_client, tcp_connect, method
):
    async with app.test_app(), log_client() as alice:
        reader, writer = await tcp_connect()
        writer.write(f"{method} / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nevil\r\n".encode())
        try:
            async with deadline(2):
                await reader.read()  # until the app ends the connection
        except TimeoutError:
            pytest.fail("2 s later, a client that speaks HTTP by TCP is still connected")
        await say(alice, "nothing came before this")


@pytest.mark.parametrize("settings", [{"QUART_CONNECTIONS_PER_ADDRESS": 2}], indirect=True)
async def test_one_tcp_client_too_many_is_disconnected(app, log_client, tcp_connect):
    async with app.test_app(), log_client() as alice:
        for _ in range(2):
            _, writer = await tcp_connect()
            writer.write(b"hello\n")
            await alice.receive()
        reader, writer = await tcp_connect()
        writer.write(b"one too many\n")
        try:
            async with deadline(2):
                await reader.read()  # until the app ends the connection
        except TimeoutError:
            pytest.fail("two may connect by TCP, and 2 s later the third is still connected")
        except ConnectionError:
            pass  # as good
        await say(alice, "nothing came before this")


async def test_a_flood_of_tcp_lines_is_slowed_down(app, log_client, tcp_connect):
    async with app.test_app(), log_client() as alice:
        _, writer = await tcp_connect()
        writer.write(b"flood\n" * 500)
        await alice.receive()
        started = time.monotonic()
        for _ in range(RATE // 3):
            await alice.receive()
        seconds = time.monotonic() - started
        assert seconds > 0.2, (
            f"{RATE // 3} lines of a flood by TCP come within {seconds:.2f} s, "
            f"but there should be {RATE} a second"
        )
