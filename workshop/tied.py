"""Run a module as `python -m` does, and end with the process that started this one.

Usage: python tied.py MODULE [ARGUMENT]…, with a pipe for standard input.
"""

import contextlib
import os
import runpy
import signal
import sys
import threading

# For Windows: of a job's limits, and where they are in JOBOBJECT_EXTENDED_LIMIT_INFORMATION.
ENDS_WITH_ITS_HANDLE, MAY_BREAK_AWAY = 0x2000, 0x800
EXTENDED_LIMITS, FLAGS = 9, 4  # the kind of limits, and the index of their 32 bits
LENGTH = 36 if sys.maxsize > 2**32 else 28  # times 32 bits


def end_with_parent():
    """From now on, this process and all that it starts end with the one that started it.

    Its end is that of the pipe which is standard input now; afterwards, there is nothing to read.
    """
    parent, nothing = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    # On Windows, a pipe that one thread reads can't even be asked what it is. A Python that
    # inherits it doesn't start, and pytest, which asks, doesn't either.
    os.dup2(nothing, 0)
    os.close(nothing)
    if os.name == "nt":
        stay_together()
    threading.Thread(target=_end_with, args=[parent], daemon=True).start()


def _end_with(parent):
    """End this process, and all that it started, when the other end of a pipe is closed."""
    while os.read(parent, 1024):
        pass
    if os.name != "nt" and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def stay_together():
    """On Windows, let all that this process starts end with it, however it ends: a job does so."""
    import ctypes

    kernel, handle = ctypes.WinDLL("kernel32"), ctypes.c_void_p
    kernel.CreateJobObjectW.restype = kernel.GetCurrentProcess.restype = handle
    job = handle(kernel.CreateJobObjectW(None, None))  # open until this process ends
    limits = (ctypes.c_uint32 * LENGTH)()
    limits[FLAGS] = ENDS_WITH_ITS_HANDLE | MAY_BREAK_AWAY
    kernel.SetInformationJobObject(job, EXTENDED_LIMITS, limits, ctypes.sizeof(limits))
    kernel.AssignProcessToJobObject(job, handle(kernel.GetCurrentProcess()))


def end(child):
    """End a process that leads a session of its own or, on Windows, a job; with all it started."""
    with contextlib.suppress(OSError):  # it may have ended by itself
        if os.name == "nt":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


if __name__ == "__main__":
    end_with_parent()
    del sys.path[0]  # this folder, whose modules nobody else means
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
