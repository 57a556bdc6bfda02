"""Answers that lead to another address."""

REDIRECTS = {301, 302, 303, 307, 308}


class Redirected(AssertionError):
    """The answer to a request leads to another address."""


def redirected(response):
    """Say where a response leads: a clause."""
    address = response.headers.get("Location", "?")
    hint = ": is there a slash at the end of the route?" if address.endswith("/") else ""
    return f"redirected to {address} ({response.status_code}){hint}"
