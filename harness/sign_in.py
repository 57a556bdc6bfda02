"""Signing in, from step 9 on: a client of a test is somebody, unless the test says otherwise."""

from functools import lru_cache
from itertools import count
from pathlib import Path
from urllib.parse import urlencode

SETTINGS = {"QUART_CLASS_WORD": "open sesame", "QUART_SECRET_KEY": "a key of the tests"}
PATH = "/sign-in"
NUMBERS = count(1)  # so that each app's clients have a name of their own


def asks_who(app):
    """Whether an app has a form to sign in."""
    if rules := getattr(app, "url_map", None):
        return any(rule.rule == PATH for rule in rules.iter_rules())
    # Of an app in another process, its files are known.
    return bool(getattr(app, "root_path", "")) and mentions_the_form(Path(app.root_path))


@lru_cache(8)
def mentions_the_form(project):
    """Whether a Python file of a project mentions the path of the form."""
    files = [*project.glob("*.py"), *project.glob("*/*.py")]
    return any(PATH in file.read_text(encoding="utf-8", errors="replace") for file in files)


def fields(name, word=SETTINGS["QUART_CLASS_WORD"]):
    """What the form sends."""
    return {"name": name, "word": word}


def form(*words):
    """The options of a POST that signs a person in, by a name and maybe another word."""
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Cookie": ""}
    return {"headers": headers, "data": urlencode(fields(*words))}


def cookie_of(response):
    """What a browser sends back of the cookie in a response, or ""."""
    return response.headers.get("Set-Cookie", "").partition(";")[0]


async def as_somebody(holder, app, post, headers):
    """The headers of a request as a dictionary, with a cookie if the app asks who it is.

    `holder` keeps the cookie in its `.cookie`. A test that sets a Cookie itself, even an empty
    one, or that shows a ticket, is whoever it says.
    """
    headers = {name.title(): value for name, value in dict(headers or {}).items()}
    if not {"Cookie", "Authorization"} & set(headers) and asks_who(app):
        if not getattr(holder, "cookie", ""):
            holder.cookie = cookie_of(await post(PATH, **form(f"tester {next(NUMBERS)}")))
        headers["Cookie"] = holder.cookie
    return {name: value for name, value in headers.items() if (name, value) != ("Cookie", "")}


async def in_process(app, headers):
    """The same for an app in this process."""
    # By a client of its own, so that no other one keeps the cookie.
    return await as_somebody(app, app, app.test_client().post, headers)


async def in_scope(app, headers):
    """The same for the headers of an ASGI scope, which are pairs of bytes."""
    given = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    named = await in_process(app, given)
    return [(key.lower().encode(), value.encode("latin-1")) for key, value in named.items()]


class Visitor:
    """A client of an app with a cookie of its own, like another browser: at first, none."""

    def __init__(self, app, scheme="http", headers=None):
        self.app, self.scheme, self.headers, self.cookie = app, scheme, headers or {}, ""

    def test_client(self):
        """What a LogClient asks an app for: `LogClient(visitor)`."""
        return self

    async def sign_in(self, *words):
        """Send the form with a name, and maybe another word; returns the response."""
        return await self.post(PATH, **form(*words))

    async def get(self, path, **options):
        return await self._ask(self.app.test_client().get, path, **options)

    async def post(self, path, **options):
        return await self._ask(self.app.test_client().post, path, **options)

    def websocket(self, path, headers=None):
        return self.app.test_client().websocket(path, headers=self._with(headers))

    async def _ask(self, method, path, headers=None, **options):
        options |= {"scheme": self.scheme} if self.scheme != "http" else {}
        response = await method(path, headers=self._with(headers), **options)
        self.cookie = cookie_of(response) or self.cookie
        return response

    def _with(self, headers):
        return {**self.headers, **(headers or {}), "Cookie": self.cookie}
