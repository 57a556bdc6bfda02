"""What tests run beside an app: nginx, and what else may be installed on this machine."""

import shutil
import socket
import time

from bench.transport_proxy import SETTINGS
from harness.missing import missing


def find(command):
    """The path of a command, also where only administrators look, or None."""
    return shutil.which(command) or shutil.which(command, path="/usr/sbin")


def require(command, package):
    """The path of a command; without it, the test is skipped, or fails where all is required."""
    return find(command) or missing(
        f"no {command}: install it (on Debian: sudo apt install {package})"
    )


def make_certificate(start, folder):
    """Make a certificate for localhost that nobody has signed: its file and its key's."""
    openssl = require("openssl", "openssl")
    certificate, key = folder / "cert.pem", folder / "key.pem"
    made = start(openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1",
        "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost")  # fmt: skip
    assert made.end()[0] == 0
    return certificate, key


def replaced(text, pairs):
    """A text with other words in the place of some, each of which must be there."""
    for documented, own in pairs.items():
        assert documented in text, documented
        text = text.replace(documented, str(own))
    return text


def nginx_settings(server, folder):
    """Write the settings of an nginx whose files are in a folder: what is said, and no more."""
    path = folder / "nginx.conf"
    settings = SETTINGS.replace("SERVER", server).replace("FOLDER", str(folder))
    path.write_text(settings, encoding="utf-8")
    return path


def wait_until_listening(port, seconds=20):
    """Wait until something listens on a port."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < deadline, f"nothing listens on port {port}"
            time.sleep(0.05)
