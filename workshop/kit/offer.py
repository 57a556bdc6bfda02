"""A kit, offered to a classroom over HTTP: its pages, the repository and the packages."""

import functools
import html
import http.server
import re
import threading
from contextlib import contextmanager
from pathlib import Path

from workshop import branches, moving, serving
from workshop.kit import ABOUT, CLONABLE, HERE, SUMS, KitProblem
from workshop.machine import COMMAND

PAGE = """\
  <body>
    <h1>Quart WebSocket Workshop</h1>
    <p><a href="/site/index.html">Read the workshop</a>. This page is at <strong>{url}</strong></p>
    {code}
    <h2>Set up</h2>
    <p>You need Python 3.11 or newer, and git.</p>
    <h3>Linux and macOS</h3>
    <pre><code>git clone {url}/workshop.git
cd workshop
export PIP_INDEX_URL={url}/simple/ PIP_TRUSTED_HOST={host}
python3 -m workshop start 1
python3 -m workshop check</code></pre>
    <h3>Windows, in PowerShell</h3>
    <pre><code>git clone {url}/workshop.git
cd workshop
$env:PIP_INDEX_URL = "{url}/simple/"; $env:PIP_TRUSTED_HOST = "{host}"
py -m workshop start 1
py -m workshop check</code></pre>
    <p>Without git, <a href="/workshop.zip">download the workshop</a> and unpack it instead of
      the first line.</p>
  </body>
</html>
"""


@contextmanager
def offered(folder, port, is_for_all):
    """Offer a kit as long as the block lasts: gives the address for learners to type.

    It listens on this machine alone unless `is_for_all`. Raises KitProblem or serving.PortTaken.
    """
    if not (folder / ABOUT).is_file():
        raise KitProblem(f"{folder} is not a kit: `{COMMAND} kit {folder}` makes one")
    if not (folder / SUMS).is_file():
        raise KitProblem(f"{folder} isn't complete: make it again")
    _add_clonable(folder)
    host = serving.address_in_the_room() if is_for_all else serving.HOST
    port = serving.chosen_port(port, 8080)
    handler = functools.partial(Handler, directory=folder)
    where = serving.EVERYWHERE if is_for_all else serving.HOST
    with http.server.ThreadingHTTPServer((where, port), handler) as server:
        url = f"http://{host}:{port}"
        code = qr_code(url).svg_inline(scale=5, light="white") if is_for_all else ""
        server.words = {"url": url, "host": host, "code": code}
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield url
        finally:
            server.shutdown()


def qr_code(url):
    """A QR code with an address, black on white also where a page or a terminal is dark."""
    import segno

    return segno.make(url, micro=False)


def head():
    """How a page of the kit begins: as the one that is opened from a USB stick does."""
    page = (HERE / "index.html").read_text(encoding="utf-8")
    return page[: page.index("  <body>")]


def _add_clonable(folder):
    """A repository that git can clone over plain HTTP, as the bundle has it now."""
    place = folder / CLONABLE
    moving.remove(place)
    branches.git("clone", "--quiet", "--bare", str(folder / "workshop.bundle"), str(place))
    branches.git("--git-dir", str(place), "update-server-info")


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files of a kit, a first page for learners, and an index of packages for pip."""

    def do_GET(self):
        """Answer with a page that is made here, or a file."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(head() + PAGE.format(**self.server.words))
        elif found := re.fullmatch(r"/simple/([\w.-]+)/", path):
            self._answer(index_of(Path(self.directory) / "packages", found[1]))
        else:
            super().do_GET()

    def _answer(self, page):
        body = page.encode()
        self.send_response(200 if page else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        """Say nothing of each request."""


def index_of(packages, name):
    """The page of pip's simple index for a package; "" if the kit has none of that name."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    names = sorted(path.name for path in packages.glob("*.whl"))
    mine = [one for one in names if re.sub(r"[-_.]+", "-", one.split("-")[0]).lower() == plain]
    links = (f'<a href="/packages/{html.escape(one)}">{html.escape(one)}</a><br>' for one in mine)
    return "\n".join(["<!doctype html>", *links]) if mine else ""
