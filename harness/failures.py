"""What a client can meet, each with a sentence: a failure says what was awaited and what came."""

import inspect
from contextlib import suppress

from quart.testing import WebsocketResponseError

from harness import patience
from harness.loading import describe

REDIRECTS = {301, 302, 303, 307, 308}


class NoApp:
    """In place of an app that cannot be loaded: whoever uses it is told why."""

    def __init__(self, reason):
        self.reason = reason

    def test_client(self):
        raise AssertionError(self.reason)

    test_app = test_client


def because(app):
    if app.errors:
        return f" after {describe(app.errors[-1])}"
    return f": {app.never_awaited[0]}" if app.never_awaited else ""


class Refused(WebsocketResponseError, AssertionError):
    """The server answered the handshake with a response, which stands in `.response`."""

    def __init__(self, app, path, response):
        super().__init__(response)
        if response.status_code in REDIRECTS:
            self.sentence = f"the handshake on {path} is not accepted, but {redirected(response)}"
            return
        hint = ": is there an @app.websocket for it?" if response.status_code in (400, 404) else ""
        self.sentence = (
            f"the server answers the handshake on {path} with {response.status}"
            f"{because(app) or hint}"
        )

    def __str__(self):
        return self.sentence


def redirected(response):
    address = response.headers.get("Location", "?")
    hint = ": is there a slash at the end of the route?" if address.endswith("/") else ""
    return f"redirected to {address} ({response.status_code}){hint}"


def why_it_returned(app, path, sent):
    """Say why a handler may have returned: it has no loop, or something ended its loop."""
    with suppress(Exception):  # whatever there is no source of
        endpoint, _ = app.url_map.bind("localhost").match(path, websocket=True)
        if "while " in inspect.getsource(app.view_functions[endpoint]):
            after = " after an empty message: does `while` test the message" if sent == "" else ""
            return f": the handler returned{after or ', though it has a loop: what ends it'}?"
    return ": a handler that returns ends its connection, so is there a loop?"


class Closed(AssertionError):
    """The server closed the connection: the close code is in `.code`, and `.reason` says why."""

    def __init__(self, app, path, code, reason="", sent=None):
        hint = why_it_returned(app, path, sent)
        why = because(app) or (f" ({reason})" if reason else hint if code == 1000 else "")
        super().__init__(f"the server closes the connection on {path} with code {code}{why}")
        self.code, self.reason = code, reason


def no_answer(app, path):
    hint = (
        ": a handler that waits for something else than its client must "
        "`await websocket.accept()` first"
    )
    return AssertionError(
        f"the handshake on {path} is not answered within {patience.DEADLINE} s"
        f"{because(app) or hint}"
    )


def nothing_came(app, path, sent):
    why = because(app)
    if not why and sent is not None:
        why = f" after {sent!r:.40} was sent"
    return AssertionError(f"nothing came on {path} within {patience.DEADLINE} s{why}")


def still_runs(path):
    return AssertionError(
        f"the client left {path}, but {patience.DEADLINE} s later its handler still runs: does it "
        "catch the CancelledError that ends it?"
    )


def unanswered(path):
    return AssertionError(f"{path} is not answered within {patience.DEADLINE} s")


def explained(app, path, response):
    """The response, unless it is a 500: then the exception behind it."""
    assert response.status_code not in REDIRECTS, f"{path} is {redirected(response)}"
    assert response.status_code != 500 or not app.errors, (
        f"{path} is answered with {response.status}{because(app)}"
    )
    return response
