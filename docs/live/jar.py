"""The cookies of a page's tabs, as the browser that they stand in would keep them."""

from email.message import Message
from http.cookiejar import CookieJar
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import Request


class Jar(CookieJar):
    """Python's own jar: it knows which cookies have ended, and which ones TLS is needed for."""

    def header(self, url, origin):
        """The header Cookie of a request to a URL by a page of an origin, or ""."""
        # A site has no port. Other sites get a cookie only with SameSite=None, which needs TLS.
        if urlsplit(url).hostname != urlsplit(origin).hostname:
            return ""
        request = Request(url)
        self.add_cookie_header(request)
        return request.get_header("Cookie", "")

    def take(self, url, headers):
        """Keep, replace and remove cookies as the headers of an answer say: pairs of bytes."""
        told = Message()
        for name, value in headers:
            if name.lower() == b"set-cookie":
                told["Set-Cookie"] = value.decode("latin1")
        self.extract_cookies(SimpleNamespace(info=lambda: told), Request(url))
