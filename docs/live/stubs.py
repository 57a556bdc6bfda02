"""What stands in a page for modules that it does without.

Quart imports Hypercorn, a server, for `app.run()` and for names in annotations; pytest imports
Pygments to color what it prints. Both would take a second to import, and nobody would see them. The
serve.py of step 7 imports Uvicorn, and Flask a server of Werkzeug, which could not serve here.
"""

import importlib.abc
import importlib.machinery
import os
import socket
import sys
import time

from docs.live.network import network
from workshop.language import N_

NAMES = ("hypercorn", "pygments", "uvicorn", "websockets", "werkzeug.serving")


class Anything(Exception):
    """What any name of a stub is: a class that may be caught, called, or subclassed."""

    def __init__(self, *arguments, **options):
        super().__init__(N_("a page has no server of its own: press Run"))


class Stubs(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules in NAMES, and those below them; such a module has every name."""

    def find_spec(self, name, path=None, target=None):
        """One of these modules, whatever those below them are called."""
        if name.startswith(tuple(f"{one}." for one in NAMES)) or name in NAMES:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        """Python's own kind of module will do."""

    def exec_module(self, module):
        """Give it every name but those that Python itself asks for."""

        def named(name):
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (Anything,), {})

        module.__getattr__ = named


def install():
    """Put the stubs in place; a listening socket is one in memory from then on."""
    sys.meta_path.insert(0, Stubs())
    # Tests remember for which ports a socket was bound.
    socket.socket.bind = lambda self, address: None
    network.on_listen = lambda address: socket.socket.bind(None, address)

    def create_server(address, **_):
        return network.listen(None, None, *address)

    socket.create_server = create_server


def end_instead(of_exit, of_sleep):
    """Call `of_exit()` in place of `os._exit`, and `of_sleep(seconds)` before `time.sleep`."""
    sleep = time.sleep

    def sleep_or_tell(seconds):
        of_sleep(seconds)
        sleep(seconds)

    time.sleep = sleep_or_tell
    os._exit = lambda status: of_exit()
