"""Boxes: processes that run a project's code, apart from the tests and from each other.

Usage: python -m harness.boxes SOCKET PROJECT USER [FOLDER]

A process of its own starts them, by forking, when it is asked to on a socket. It never runs code of
the project itself. With FOLDER, an empty one, the boxes are isolated: each has its own copy of the
project and its own processes, sees only what Python needs, and has the rights of nobody.
"""

import contextlib
import fcntl
import json
import os
import resource
import runpy
import shutil
import signal
import socket
import sys
import traceback
from pathlib import Path

from harness import namespaces

ROOT = Path(__file__).resolve().parents[1]
INPUT, OUTPUT, ERRORS, CONTROL, LISTENER = range(5)  # the only open files of a box
TEMPORARY = "/tmp"
OWN = "/own"  # the folder that an isolated box can write to, beside the temporary one
PLACE = f"{OWN}/websocket"
MEGABYTES = 64  # of files that a box can write, in each of its two folders
LIMITS = {
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 1024,
    resource.RLIMIT_FSIZE: MEGABYTES << 20,
    resource.RLIMIT_AS: 1 << 30,
    resource.RLIMIT_CPU: 120,  # seconds
}
PROCESSES = 48  # with their threads; only where the user is nobody else's
NEEDED = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
NEEDED += tuple(f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom"))
NEEDED += tuple(
    f"/etc/{name}"
    for name in (
        *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "localtime"),
        *("passwd", "group", "hosts", "nsswitch.conf", "alternatives"),
    )
)


class Boxes:
    """The boxes of one project, in the process that starts them."""

    def __init__(self, asked, project, user, folder):
        self.asked, self.project, self.user, self.folder = asked, project, user, folder
        self.count, self.running = 0, set()
        if folder:
            self.own_processes = os.open("/proc/self/ns/pid", os.O_RDONLY)
            shown = [*NEEDED, *python(), project]
            shown += filter(None, os.environ.get("WORKSHOP_SHOWN", "").split(os.pathsep))
            namespaces.new_root(folder, shown, [TEMPORARY, "/dev/shm", OWN])

    def serve(self):
        """Do what is asked, until nobody asks any more."""
        while True:
            message, files, _, _ = socket.recv_fds(self.asked, 1 << 16, 3)
            if not message:
                break
            ask = json.loads(message)
            answer = self.end(ask["end"]) if "end" in ask else self.start(ask, files)
            self.asked.sendall(json.dumps(answer).encode() + b"\n")
        for child in list(self.running):
            self.end(child)

    def start(self, ask, files):
        """Start a box: its process, by number."""
        self.count += 1
        sys.stdout.flush()
        if self.folder:
            namespaces.call("unshare", namespaces.NEW_PROCESSES)
        child = os.fork()
        if not child:
            try:
                self.become_box(ask, files)
            except BaseException:
                traceback.print_exc()
            finally:
                with contextlib.suppress(Exception):
                    sys.stdout.flush()
                os._exit(1)
        if self.folder:
            namespaces.call("setns", self.own_processes, namespaces.NEW_PROCESSES)
        for file in files:
            os.close(file)
        self.running.add(child)
        return child

    def end(self, child):
        """End a box with all that it started, and say that it is over."""
        self.running.discard(child)
        with contextlib.suppress(OSError):
            os.kill(child, signal.SIGKILL) if self.folder else os.killpg(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)  # if it has processes of its own, they are gone by then
        return child

    def become_box(self, ask, files):
        """Continue as a box: take its place, give up all rights, and run the project's code."""
        os.setsid()
        place = os.path.join(os.environ["TMPDIR"], f"box-{os.getpid()}-{self.count}")
        files = [fcntl.fcntl(file, fcntl.F_DUPFD, 64) for file in files]
        for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), files[1], files[1]]):
            os.dup2(file, number)
        os.dup2(files[0], CONTROL)
        if len(files) > 2:
            os.dup2(files[2], LISTENER)
        os.closerange(CONTROL + len(files) - 1, 4096)
        if self.folder:
            place = PLACE
            namespaces.call("unshare", namespaces.NEW_FILES | namespaces.NEW_IPC)
            namespaces.mount("proc", "/proc", "proc")
            for name in own_folders():
                namespaces.room(name, MEGABYTES, mode="1777")
            with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "wb") as file:
                file.write(b"1000")  # where memory is short, a box ends, and nothing else
            namespaces.drop_rights(self.user)
        os.nice(5)
        limit(PROCESSES if self.folder else None)
        shutil.copytree(self.project, place, dirs_exist_ok=True)
        os.chdir(place)
        os.environ.clear()
        os.environ.update(ask["environ"])
        if self.folder:
            os.environ.update(HOME=own_folders()[0], TMPDIR=own_folders()[0])
        for number, name in ((OUTPUT, "stdout"), (ERRORS, "stderr")):
            stream = open(number, "w", 1, encoding="utf-8", errors="replace", closefd=False)
            setattr(sys, name, stream)
        if "arguments" in ask:
            sys.argv = ask["arguments"]
            sys.path.insert(0, place)
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            from harness import apart_server

            apart_server.serve(CONTROL, LISTENER, Path(place), ask["deadline"])


def own_folders():
    """The folders that an isolated box can write to, none of which hides what it has to read."""
    is_in_the_way = any(Path(path).is_relative_to(TEMPORARY) for path in python())
    return [OWN] if is_in_the_way else [TEMPORARY, OWN]


def limit(processes):
    """Set the limits of this process, and of all that it starts."""
    limits = {**LIMITS, **({resource.RLIMIT_NPROC: processes} if processes else {})}
    for what, most in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def python():
    """The folders that Python and its packages are in, and those of this library."""
    folders = {sys.base_prefix, sys.prefix, *map(os.path.realpath, (sys.prefix, sys.base_prefix))}
    return [*sorted(folders - {"/usr"}), str(ROOT / "harness")]


def preload():
    """Import what every box needs, so that it starts at once."""
    import asyncio.base_events  # noqa: F401
    import encodings.idna  # noqa: F401

    import quart.cli
    import quart.testing  # noqa: F401
    import uvicorn.lifespan.on
    import uvicorn.protocols.http.auto
    import uvicorn.protocols.websockets.websockets_sansio_impl  # noqa: F401

    from harness import apart_server  # noqa: F401


def main(number, project, user, folder=""):
    """Start boxes when asked on a socket, until its other end is closed."""
    preload()
    sys.path[:] = [path for path in sys.path if path]
    Boxes(socket.socket(fileno=int(number)), project, int(user), folder).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
