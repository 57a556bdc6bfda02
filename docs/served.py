"""A folder of files, served on this machine as a plain static host does."""

import contextlib
import functools
import http.server
import threading

# Whatever this machine's registry says.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".wasm": "application/wasm"}


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, and prints nothing."""

    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | TYPES

    def log_message(self, *arguments):
        """Print nothing."""


class Server(http.server.ThreadingHTTPServer):
    """A server that takes it well when a browser leaves."""

    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing: a worker was ended while it loaded a file."""


@contextlib.contextmanager
def served(folder):
    """Serve a folder as long as the block runs: its address, without a slash at the end."""
    handler = functools.partial(Handler, directory=folder)
    with Server(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
