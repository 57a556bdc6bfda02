"""A kit, offered to a classroom over HTTP: its pages, the repository and the packages."""

import functools
import html
import http.server
import re
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

from workshop import branches, serving
from workshop.kit import ABOUT, SUMS, KitProblem

EVERYWHERE = "0.0.0.0"
PAGE = """\
<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Quart WebSocket Workshop</title>
    <style>
      :root {{ color-scheme: light dark; }}
      body {{ max-width: 44rem; margin: 2rem auto; padding: 0 1rem; font: 1.1rem/1.5 system-ui; }}
      pre {{ padding: 0.75rem; overflow-x: auto; border: 1px solid GrayText; }}
    </style>
  </head>
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
        raise KitProblem(f"{folder} is no kit: `python3 -m workshop kit {folder}` makes one")
    if not (folder / SUMS).is_file():
        raise KitProblem(f"{folder} isn't complete: make it again")
    _add_clonable(folder)
    host = address_in_the_room() if is_for_all else serving.HOST
    port = serving.chosen_port(port, 8080)
    handler = functools.partial(Handler, directory=folder)
    where = EVERYWHERE if is_for_all else serving.HOST
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


def address_in_the_room():
    """The address at which other machines of the network reach this one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))  # nothing is sent
            return probe.getsockname()[0]
        except OSError:
            return serving.HOST


def _add_clonable(folder):
    """A repository that git can clone over plain HTTP."""
    place = folder / "workshop.git"
    if not place.is_dir():
        branches.git("clone", "--quiet", "--bare", str(folder / "workshop.bundle"), str(place))
    branches.git("--git-dir", str(place), "update-server-info")


class Handler(http.server.SimpleHTTPRequestHandler):
    """The files of a kit, a first page for learners, and an index of packages for pip."""

    def do_GET(self):
        """Answer with a page that is made here, or a file."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._answer(PAGE.format(**self.server.words))
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
