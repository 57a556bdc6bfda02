"""What a client can meet, each with a sentence: a failure says what was awaited and what came."""

import inspect
import re
from contextlib import suppress

from quart.testing import WebsocketResponseError

from harness import journey, patience
from harness.clues import keeps_websocket, shares_a_queue, sources, way_to, why_it_returned
from harness.errors import describe
from harness.loops import never_reached
from harness.redirects import REDIRECTS, Redirected, redirected
from harness.remembering import failed_tasks, meanwhile, never_started
from harness.sign_in import asks_who

# A handler that waits for its own client's next message, and for nothing else.
ONLY_RECEIVES = re.compile(
    r"(this client's handler waits in [^`;]*`[^`]*\.receive\(\)[^`]*`)(?! and in )"
)


class NoApp:
    """In place of an app that cannot be loaded: whoever uses it is told why."""

    def __init__(self, reason):
        self.reason = reason

    def test_client(self):
        raise AssertionError(self.reason)

    test_app = test_client


def because(app):
    if app.errors:
        error = app.errors[-1]  # of an app in another process, there is only what it says
        return f" after {error if isinstance(error, str) else describe(error)}"
    if app.never_awaited:
        return f": {app.never_awaited[0]}"
    forgotten = never_started(app.root_path) if hasattr(app, "root_path") else ()
    return f": {forgotten[0]}" if forgotten else ""


def no_route(app, decorator):
    """Say that a route seems to be missing, and which there are: a clause."""
    with suppress(AttributeError):  # an app on a real server is elsewhere
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
        if decorator == "websocket":
            paths = sorted(rule.rule for rule in rules if rule.websocket)
        else:
            paths = sorted(f"{r.rule} ({methods(r)})" for r in rules if not r.websocket)
        others = f" The app has {' and '.join(paths)}." if paths else " The app has none yet."
        if any("Blueprint(" in text for text in sources(app)) and not app.blueprints:
            others += " A blueprint's routes count once app.register_blueprint() is called with it."
        return f": is there an @app.{decorator} for it?{others}"
    return f": is there an @app.{decorator} for it?"


def methods(rule):
    """The methods of a route, without those that Quart adds."""
    return ", ".join(sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}))


class Refused(WebsocketResponseError, AssertionError):
    """The server answered the handshake with a response, which stands in `.response`."""

    def __init__(self, app, path, response):
        super().__init__(response)
        if response.status_code in REDIRECTS:
            self.sentence = f"the handshake on {path} is not accepted, but {redirected(response)}"
            return
        hint = no_route(app, "websocket") if response.status_code in (400, 404) else ""
        self.sentence = (
            f"the server answers the handshake on {path} with {response.status}"
            f"{because(app) or hint}"
        )

    def __str__(self):
        return self.sentence


class Closed(AssertionError):
    """The server closed the connection: the close code is in `.code`, and `.reason` says why."""

    def __init__(self, app, path, code, reason="", sent=None):
        hint = why_it_returned(app, path, sent)
        why = because(app) or (f" ({reason})" if reason else hint if code == 1000 else "")
        super().__init__(f"the server closes the connection on {path} with code {code}{why}")
        self.code, self.reason = code, reason


def why_so(received):
    """Say what a client has probably received in place of a message: a clause, or ""."""
    if inspect.isawaitable(received) or "<coroutine object" in str(received):
        return ": is an `await` missing?"
    if isinstance(received, bytes):
        return ": these are bytes: is a .decode() missing, which turns them into text?"
    if not isinstance(received, str):
        return ": a message is a text"
    if received[:1] == received[-1:] == '"':
        return ": it is in quotes, so was it sent as JSON?"
    if re.match(r"b['\"]", received):
        return ": str() doesn't turn bytes into text; .decode() does"
    with suppress(UnicodeError):
        if received.encode("latin-1").decode() != received:
            return ": it was sent as UTF-8, but decoded as something else"
    return ""


def why_other(client, heard, expected):
    """Say why a client may have received other messages than it should: a clause, or ""."""
    pairs = zip(heard, expected, strict=False)
    wrong = [(one, other) for one, other in pairs if one != other and isinstance(one, str)]
    if not wrong or not hasattr(client, "before"):
        return ""
    received, other = wrong[0]
    if sorted(heard) == sorted(expected):
        return ": does every message reach all clients the same way, including its sender?"
    if "\n" in received and "\n" not in other:
        is_more = received.rstrip("\r\n").count("\n")
        if is_more:
            return (
                ": more than one line is in it: readline() returns one, read() whatever has arrived"
            )
        return ": the line ending is still in it"
    if received != other and other and other in received and received[0] in "{[":
        return ": send the text itself, not JSON"
    shared = [found for text in sources(client.app) if (found := shares_a_queue(text))]
    if shared:
        return f": {shared[0]}"
    return why_so(received) or journey.why_again(received, client, client.before)


def no_answer(app, path, client=None):
    never = "".join(f"; {found}" for text in sources(app) if (found := never_reached(text)))
    why = because(app) or (
        ": Quart answers it at the first receive() or send(), or at `await websocket.accept()`, "
        f"but the handler waits for something else first{never}{meanwhile(client=client)}"
    )
    start = f"the handshake on {path} is not answered"
    return AssertionError(f"{start} within {patience.DEADLINE} s{why}")


def no_message(client):
    """Nothing arrived for a client: whom that is, what it had sent, and what the app does."""
    name = getattr(client, "name", "")
    why = because(client.app)
    if not why:
        kept = [found for text in sources(client.app) if (found := keeps_websocket(text))]
        way, places = way_to(client), meanwhile(client=client)
        if "receive()" not in places.partition(", those of other")[0]:  # so it is not that
            way = way.replace(journey.ONCE, "")
        is_told = client.sent is None or way
        sent = "" if is_told else f" after {name or 'the client'} sent {client.sent!r:.40}"
        failed = failed_tasks(getattr(client.app, "clients", []))
        hint = f": {kept[0] if kept else way}" if kept or way else ""
        if " put into" in way and "not put into" not in way:
            places = ONLY_RECEIVES.sub(
                r"\1, so it sends nothing until this client sends a message", places
            )
        why = f"{sent}{hint}{failed}{'' if kept else places}"
    where = f"for {name} on {client.path}" if name else f"on {client.path}"
    return AssertionError(f"no message arrived {where} within {patience.DEADLINE} s{why}")


def still_runs(path):
    return AssertionError(
        f"the client disconnected from {path}, but {patience.DEADLINE} s later its handler still "
        f"runs: does it catch the CancelledError that ends it?{meanwhile()}"
    )


def raised_at_the_end(app, path):
    return AssertionError(f"when a client disconnects from {path}, its handler fails{because(app)}")


def unanswered(path):
    return AssertionError(f"{path} is not answered within {patience.DEADLINE} s")


def explained(app, path, response):
    """The response, unless it is a 500, for whose exception it raises, or leads elsewhere."""
    if response.status_code in REDIRECTS and not asks_who(app):  # which leads to a form
        raise Redirected(f"{path} is {redirected(response)}")
    assert response.status_code != 500 or not app.errors, (
        f"{path} is answered with {response.status}{because(app)}"
    )
    return response
