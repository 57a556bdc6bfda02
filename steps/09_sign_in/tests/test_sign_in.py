import base64
import json

import pytest
import pytest_asyncio

from harness.log_client import LogClient
from harness.markup import Markup
from harness.sign_in import SETTINGS, Visitor

pytestmark = pytest.mark.asyncio
WORD = SETTINGS["QUART_CLASS_WORD"]
WHEN = " when its person is no longer signed in"


async def signed_in(app, name):
    """A visitor who has signed in with a name."""
    visitor = Visitor(app)
    response = await visitor.sign_in(name)
    assert response.status_code in (302, 303) and visitor.cookie, (
        f"{name} sends the right word, which should lead to the page, with a cookie: "
        f"the answer is {response.status}, the cookie {visitor.cookie!r}"
    )
    return visitor


async def status_of(visitor, path="/api/v3/ws", **options):
    """The status with which a handshake is answered; 101 lets in."""
    try:
        async with visitor.websocket(path, **options):
            return 101
    except AssertionError as refused:
        if getattr(refused, "response", None) is None or refused.response.status_code == 500:
            raise
        return refused.response.status_code


async def say(client, text):
    await client.send(text)
    heard = await client.receive()
    assert heard == text, f"{text!r} was said, but {heard!r} came back"


# ---- Signing in


async def test_nobody_takes_part_without_signing_in(app):
    stranger = Visitor(app)
    status = await status_of(stranger)
    assert status == 401, f"a handshake without a session should get 401, not {status}"
    post = await stranger.post("/api/v2/messages", data="who am I?")
    assert post.status_code == 401, f"a POST without a session should get 401, not {post.status}"
    ticket = await stranger.post("/api/v3/tickets")
    assert ticket.status_code == 401, f"who isn't signed in gets a ticket: {ticket.status}"
    told = ticket.headers.get("WWW-Authenticate", "nothing")
    assert told.startswith("Bearer"), (
        f"a 401 says in WWW-Authenticate how to do it: 'Bearer', a ticket; but it says {told!r}"
    )


async def test_the_page_leads_strangers_to_the_form(app):
    response = await Visitor(app).get("/")
    where = response.headers.get("Location", "nowhere")
    assert response.status_code in (302, 303) and where.endswith("/sign-in"), (
        f"/ should lead a stranger to /sign-in, but is answered with {response.status} to {where}"
    )
    form = await Visitor(app).get("/sign-in")
    assert form.status_code == 200, f"/sign-in should show the form: {form.status}"
    page = Markup(await form.get_data(as_text=True))
    assert any("Step 9: Sign in" in heading for heading in page.headings), (
        f"the form should have the heading 'Step 9: Sign in', not {page.told_headings()}"
    )


async def test_who_signs_in_gets_the_page_with_the_name_on_it(app):
    alice = await signed_in(app, "Alice")
    response = await alice.get("/")
    assert response.status_code == 200, f"Alice is signed in, and / answers {response.status}"
    assert "Alice" in await response.get_data(as_text=True), "the page should say who is signed in"
    status = await status_of(alice)
    assert status == 101, f"Alice is signed in, and her handshake is answered with {status}"


async def test_no_cache_stores_the_page_with_a_name_on_it(app):
    alice = await signed_in(app, "Alice")
    caching = (await alice.get("/")).headers.get("Cache-Control", "")
    assert "no-store" in caching, (
        "Back could show Alice's page after Bob has signed in: the answer to / should have "
        f"Cache-Control: no-store, but it has {caching!r}"
    )


async def test_the_wrong_word_signs_nobody_in(app):
    for word in ("", WORD[:-1], WORD + " ", WORD.upper(), "€"):
        alice = Visitor(app)
        response = await alice.sign_in("Alice", word)
        assert response.status_code == 403, f"the word {word!r} is answered with {response.status}"
        status = await status_of(alice)
        assert status == 401, f"the word was {word!r}, and the handshake gets {status}"
        assert "Alice" in await response.get_data(as_text=True), "the form should keep the name"


async def test_whoever_tries_many_words_is_slowed_down(app):
    alice, visitor = await signed_in(app, "Alice"), Visitor(app)
    statuses = [(await visitor.sign_in("Bob", f"word {n}")).status_code for n in range(60)]
    assert 429 in statuses, "sixty wrong words in a row should soon be answered with 429"
    response = await alice.post("/sign-out")
    assert response.status_code in (302, 303), (
        f"somebody tries many words, and Alice cannot sign out: {response.status}"
    )


STRANGE = ["", "   ", "a" * 31, "<b>Al</b>", "Alice:", "(TCP)", "Al\nice\x00", "‮ecilA", "-"]


@pytest.mark.parametrize("name", STRANGE, ids=ascii)
async def test_a_strange_name_is_refused(app, name):
    visitor = Visitor(app)
    response = await visitor.sign_in(name)
    assert response.status_code == 400, f"the name {name!a} should get 400, not {response.status}"
    status = await status_of(visitor)
    assert status == 401, f"the name {name!a} was refused, but its handshake gets {status}"


async def test_names_of_all_languages_are_accepted(app):
    for name in ("Zoë", "Zoe\u0308 2", "O.-J. Sørensen", "王芳", "أمل", "हिन्दी", "x" * 30):
        await signed_in(app, name)


@pytest.mark.parametrize("name", ["Alice", "ALICE", " alice "])
async def test_a_name_is_given_only_once_at_a_time(app, name):
    await signed_in(app, "Alice")
    mallory = Visitor(app)
    response = await mallory.sign_in(name)
    assert response.status_code == 409, f"Alice is here, and {name!r} gets {response.status}"
    status = await status_of(mallory)
    assert status == 401, f"Alice is here, and the handshake of another one gets {status}"


# ---- The author


async def test_each_message_has_its_author(app):
    async with app.test_app():
        alice, bob = await signed_in(app, "Alice"), await signed_in(app, "Bob")
        async with LogClient(alice) as hers, LogClient(bob) as his:
            for client, name in ((hers, "Alice"), (his, "Bob")):
                await client.send(f"I am {name}")
                for other in (hers, his):
                    heard = await other.receive()
                    assert (other.author, heard) == (name, f"I am {name}"), (
                        f"{name} said who it is, and a client got {heard!r} from {other.author!r}"
                    )
            await alice.post("/api/v2/messages", data="by POST")
            await his.receive()
            assert his.author == "Alice", f"Alice's POST is shown as of {his.author!r}"


async def test_a_client_cannot_say_that_it_is_somebody_else(app):
    async with app.test_app():
        alice, bob = await signed_in(app, "Alice"), await signed_in(app, "Bob")
        async with LogClient(alice) as hers, LogClient(bob) as his:
            forged = json.dumps({"from": "Bob", "text": "I owe Alice 100 euros"})
            await hers.send(forged)
            heard = await his.receive()
            assert (his.author, heard) == ("Alice", forged), (
                f"Alice sent {forged}, and Bob got {heard!r} from {his.author!r}: the author is "
                "who has signed in, whatever the message says"
            )


async def test_a_tcp_line_has_an_author_that_nobody_can_be(app, log_client, tcp_connect):
    async with app.test_app(), log_client() as alice:
        _, writer = await tcp_connect()
        writer.write(b"from another program\n")
        await alice.receive()
        response = await Visitor(app).sign_in(str(alice.author))
        assert response.status_code == 400, (
            f"a TCP line is of {alice.author!r}: with that name, anyone can sign in"
        )


# ---- The cookie


def altered(cookie, old, new):
    """A cookie whose data has another word in it, and still the old signature."""
    name, _, value = cookie.partition("=")
    data, *signature = value.split(".")
    session = base64.urlsafe_b64decode(data + "=" * (-len(data) % 4))
    if old.encode() not in session:  # only a key, or compressed: change any character
        return f"{name}={value[:4]}{'B' if value[4] == 'A' else 'A'}{value[5:]}"
    session = session.replace(old.encode(), new.encode())
    data = base64.urlsafe_b64encode(session).decode().rstrip("=")
    return f"{name}={'.'.join([data, *signature])}"


async def test_a_changed_cookie_is_worth_nothing(app):
    alice, mallory = await signed_in(app, "Alice"), Visitor(app)
    for old, new in (("Alice", "alice"), ("Alice", "Bobby")):
        mallory.cookie = altered(alice.cookie, old, new)
        status = await status_of(mallory)
        assert status == 401, f"Alice's cookie, in which the name is now {new}, gets {status}"


def attributes_of(response):
    """The attributes of the cookie that a response sets, in small letters."""
    cookie = response.headers.get("Set-Cookie", "")
    words = [word.strip().lower() for word in cookie.split(";")[1:]]
    return [word for word in words if not word.startswith("expires=")] + (
        ["expires"] if "expires=" in cookie.lower() else []
    )


async def test_the_cookie_has_its_attributes(app):
    found = attributes_of(await Visitor(app).sign_in("Alice"))
    told = f"the cookie has {', '.join(found) or 'no attributes'}"
    assert "httponly" in found, f"{told}: without HttpOnly, scripts can read it"
    assert {"samesite=lax", "samesite=strict"} & set(found), (
        f"{told}: without SameSite=Lax, it is sent with the forms of other sites"
    )
    assert "secure" not in found, f"{told}: over HTTP, a browser would not keep it with Secure"
    assert any(word.startswith(("expires", "max-age")) for word in found), (
        f"{told}: without Expires, it ends with the browser; see session.permanent"
    )


@pytest.fixture
def proxy(monkeypatch):
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")  # before serve.py is loaded


@pytest.mark.usefixtures("proxy")
async def test_behind_tls_the_cookie_is_secure(app):
    found = attributes_of(await Visitor(app, scheme="https").sign_in("Alice"))
    assert "secure" in found, (
        f"the form came over TLS, and the cookie has {', '.join(found)}: it needs Secure"
    )


async def test_a_form_of_another_site_signs_nobody_in(app):
    visitor = Visitor(app, headers={"Origin": "http://evil.example"})
    response = await visitor.sign_in("Mallory")
    assert response.status_code == 403, f"a page of evil.example signs in with {response.status}"


# ---- The end of it


async def test_signing_out_ends_all_connections_of_this_person_and_of_no_other(app):
    async with app.test_app():
        alice, bob = await signed_in(app, "Alice"), await signed_in(app, "Bob")
        async with LogClient(alice) as one, LogClient(alice) as two, LogClient(bob) as other:
            await alice.post("/sign-out")
            for client in (one, two):
                code, reason = await client.closing(within=1, when=WHEN)
                assert code == 3000, f"Alice has signed out, and is closed with {code} {reason!r}"
            await say(other, "still here")


async def test_after_signing_out_a_copy_of_the_cookie_is_worth_nothing(app):
    alice, thief = await signed_in(app, "Alice"), Visitor(app)
    thief.cookie = alice.cookie
    assert await status_of(thief) == 101, "until then, a copy is as good as the cookie"
    response = await alice.post("/sign-out")
    assert response.status_code in (302, 303), (
        f"/sign-out should lead to the form: {response.status}"
    )
    status = await status_of(thief)
    assert status == 401, f"Alice has signed out, and a copy of her cookie gets {status}"
    await signed_in(app, "Alice")  # the name is free again
    status = await status_of(thief)
    assert status == 401, f"Alice is here again, and a copy of her old cookie gets {status}"


async def test_signing_in_again_ends_the_earlier_session(app):
    async with app.test_app():
        alice = await signed_in(app, "Alice")
        async with LogClient(alice) as client:
            response = await alice.sign_in("alice")
            assert response.status_code in (302, 303), (
                f"Alice signs in again, but her own name is taken: {response.status}"
            )
            code, _ = await client.closing(within=1)
            assert code == 3000, f"her earlier session is over, and is closed with {code}"
        await alice.sign_in("Bob")
        await signed_in(app, "Alice")  # the name is free again


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setenv("QUART_PERMANENT_SESSION_LIFETIME", "1")  # second, before the app is loaded


@pytest.mark.usefixtures("short")
async def test_a_session_that_expires_ends_its_connection(app):
    async with app.test_app():
        alice = await signed_in(app, "Alice")
        async with LogClient(alice) as client:
            code, reason = await client.closing(within=2, when=" when a session expires")
            assert code == 3000, f"the session has expired, and the code is {code} {reason!r}"
        await signed_in(app, "Alice")  # the name is free again


# ---- Tickets


def by(ticket):
    return {"headers": {"Authorization": f"Bearer {ticket}"}}


async def ticket_of(visitor):
    response = await visitor.post("/api/v3/tickets")
    assert response.status_code == 201, f"POST /api/v3/tickets is answered with {response.status}"
    return (await response.get_data(as_text=True)).strip()


async def test_a_ticket_lets_a_program_in_once(app):
    async with app.test_app():
        alice, program = await signed_in(app, "Alice"), Visitor(app)
        ticket = await ticket_of(alice)
        for path in ("/api/v3/tickets", "/api/v2/messages"):
            response = await program.post(path, data="hello", **by(ticket))
            assert response.status_code == 401, (
                f"a ticket is good for a handshake only, but POST {path} gets {response.status}"
            )
        async with LogClient(program, **by(ticket)) as client:
            await say(client, "I am a program")
            assert client.author == "Alice", f"Alice's ticket makes {client.author!r}"
        status = await status_of(program, **by(ticket))
        assert status == 401, f"a ticket is used a second time, and gets {status}"


async def test_an_unknown_ticket_is_refused(app):
    for header in ("Bearer unknown", "Bearer", "Basic QWxpY2U6eA==", "nonsense"):
        visitor = Visitor(app)
        status = await status_of(visitor, headers={"Authorization": header})
        assert status == 401, f"the header Authorization: {header} gets {status}"


async def test_signing_out_ends_what_a_ticket_began(app):
    async with app.test_app():
        alice, program = await signed_in(app, "Alice"), Visitor(app)
        used, unused = await ticket_of(alice), await ticket_of(alice)
        async with LogClient(program, **by(used)) as client:
            await alice.post("/sign-out")
            code, _ = await client.closing(within=1, when=WHEN)
            assert code == 3000, f"Alice has signed out, and her program is closed with {code}"
        status = await status_of(program, **by(unused))
        assert status == 401, f"Alice has signed out, and her ticket gets {status}"


# ---- On every server


@pytest_asyncio.fixture
async def servers(redis_server, serve, monkeypatch, eventually):
    """Two servers that share a room, and have found Redis."""
    monkeypatch.setenv("REDIS_URL", redis_server.url)
    monkeypatch.setenv("QUART_TCP_PORT", "")
    servers = [serve() for _ in range(2)]
    for server in servers:
        async with eventually(LogClient, server):
            pass
    return servers


async def signed_in_at_both(servers, name):
    """A visitor who has signed in at the first server, and the same browser at the second one."""
    here, there = await signed_in(servers[0], name), Visitor(servers[1])
    there.cookie = here.cookie
    status = await status_of(there)
    assert status == 101, (
        f"{name} has signed in on one server, and her handshake on another one gets {status}: "
        "do they share who is signed in?"
    )
    return here, there


async def test_signing_out_on_one_server_ends_the_connections_on_another(servers):
    alice, there = await signed_in_at_both(servers, "Alice")
    async with LogClient(there) as client:
        taken = await Visitor(servers[1]).sign_in("alice")
        assert taken.status_code == 409, f"Alice is here, and 'alice' gets {taken.status}"
        await alice.post("/sign-out")
        code, _ = await client.closing(within=1, when=WHEN)
        assert code == 3000, f"Alice has signed out on another server, and is closed with {code}"
    status = await status_of(there)
    assert status == 401, f"Alice has signed out on another server, and gets {status}"


async def test_a_ticket_works_once_on_all_servers(servers, redis_server):
    alice, _ = await signed_in_at_both(servers, "Alice")
    before = set(redis_server.client.keys())
    ticket = await ticket_of(alice)
    ends = [redis_server.client.pttl(key) for key in set(redis_server.client.keys()) - before]
    assert all(0 < end <= 30_000 for end in ends), (
        f"a ticket should end after 30 seconds, but what Redis keeps of it ends after {ends} ms"
    )
    first = await status_of(Visitor(servers[1]), **by(ticket))
    assert first == 101, f"a ticket is used on another server, and gets {first}"
    again = await status_of(Visitor(servers[0]), **by(ticket))
    assert again == 401, f"a ticket is used a second time, and gets {again}"


async def test_without_redis_nobody_can_sign_in(servers, redis_server, eventually):
    alice, _ = await signed_in_at_both(servers, "Alice")
    redis_server.stop()
    for what, answer in (
        ("signing in", await Visitor(servers[0]).sign_in("Bob")),
        ("the page", await alice.get("/")),
        ("a ticket", await alice.post("/api/v3/tickets")),
    ):
        assert answer.status_code == 503, f"Redis is away, and {what} gets {answer.status}"
    redis_server.start()
    async with eventually(LogClient, alice) as client:
        await say(client, "back again")


async def test_when_redis_has_forgotten_everyone_they_have_to_sign_in_again(servers, redis_server):
    before = set(redis_server.client.keys())
    alice, _ = await signed_in_at_both(servers, "Alice")
    added = set(redis_server.client.keys()) - before
    async with LogClient(alice) as client:
        redis_server.client.delete(*added)
        code, _ = await client.closing(within=1, when=WHEN)
        assert code == 3000, f"nobody knows of Alice any more, and she is closed with {code}"
    await signed_in(servers[1], "Alice")
