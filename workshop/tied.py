"""Run a module as `python -m` does, and end with the process that started this one.

Usage: python tied.py MODULE [ARGUMENT]…, with a pipe for standard input.
"""

import contextlib
import os
import runpy
import signal
import sys
import threading


def end_with(parent):
    """End this process, and all that it started, when the other end of a pipe is closed."""
    while os.read(parent, 1024):
        pass
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def end(child):
    """End a process that leads a session of its own and, but on Windows, all that it started."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        if os.name == "nt":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    threading.Thread(target=end_with, args=[os.dup(0)], daemon=True).start()
    del sys.path[0]  # this folder, whose modules nobody else means
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
