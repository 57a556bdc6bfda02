"""Python started by a fork of a process that has imported what is slow, which saves half a second.

What is forked is like a new process in all that a command can see: arguments, variables, folder,
standard streams, and modules of the workshop that are imported anew, from whichever clone it runs
in. Where there is no fork, as on Windows, `CAN_FORK` is false, and a real process is to be started;
so it is for tests of how Python itself is started.

Run as a script, `forking.py CLONE [ARGUMENT]…`, it is the command of a clone in a process of its
own, which forks what it would start.
"""

import contextlib
import gc
import importlib
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

CAN_FORK = hasattr(os, "fork")
PRELOADED = ["pytest", "pytest_asyncio.plugin", "quart.testing", "playwright.async_api", "redis"]
PRELOADED += ["uvicorn", "websockets.asyncio.client", "harness.further", "harness.page"]
PRELOADED += ["click", "rich.console", "rich.markdown", "rich.table", "watchfiles"]
FOR_SERVING = ["click", "watchfiles", "uvicorn", "quart.testing", "pytest_asyncio.plugin"]
OURS = {"workshop", "harness", "repo"}  # imported anew, since each clone has its own
COMMAND = "workshop"  # in a clone whose packages are those of the Python that runs it
# What the command starts itself, and is forked, too: as `python -m`, as scripts, and `quart`.
MODULES, SCRIPTS = {"workshop.checking", "pytest"}, {"serving.py"}
QUART = str(Path(sys.executable).with_name("quart"))
DESCRIPTORS = 256  # more files are never open here
FORKS = multiprocessing.get_context("forkserver" if CAN_FORK else "spawn")
if CAN_FORK:
    FORKS.set_forkserver_preload(PRELOADED)


def run(what, arguments, folder, environ, timeout):
    """Run the command of the clone in a folder, or a module: its exit code and its output.

    Raises subprocess.TimeoutExpired after some seconds.
    """
    with tempfile.TemporaryDirectory() as place:
        output = Path(place, "output")
        process = FORKS.Process(target=_run, args=(what, arguments, folder, environ, output))
        process.start()
        process.join(timeout)
        if process.is_alive():
            os.killpg(process.pid, signal.SIGKILL)  # with all that it started
            raise subprocess.TimeoutExpired([what, *arguments], timeout, output.read_bytes())
        return process.exitcode, output.read_text(encoding=_encoding(environ))


def _run(what, arguments, folder, environ, output):
    os.setsid()  # so that nothing it does to its group reaches the tests
    os.chdir(folder)
    out = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    _become_new(environ)
    if what == COMMAND:
        subprocess.Popen, os.execve = Popen, _execve
        _run_to_the_end(lambda: _command(folder, arguments))
    _run_to_the_end(lambda: _module(what, arguments))


def _command(clone, arguments):
    sys.path.insert(0, str(clone))
    sys.argv = [COMMAND, *arguments]
    from workshop import cli, environment

    environment.ensure = lambda *sets: None
    environment.is_ready = lambda *sets: True
    cli.main()


def _module(name, arguments):
    sys.path.insert(0, os.getcwd())
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _script(name, arguments):
    sys.path.insert(0, os.path.dirname(name))
    sys.argv = [name, *arguments]
    runpy.run_path(name, run_name="__main__")


def _encoding(environ):
    return environ.get("PYTHONIOENCODING") or "utf-8"


def _become_new(environ):
    """Forget what a new process would not know."""
    gc.freeze()  # what was imported before is no garbage, and to look at it again takes long
    os.environ.clear()
    os.environ.update(environ)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    encoding = _encoding(environ)
    sys.stdin = open(0, encoding=encoding, closefd=False)
    sys.stdout = _writer(1, encoding, bool(environ.get("PYTHONUNBUFFERED")))
    sys.stderr = _writer(2, encoding, True)
    root = Path(__file__).resolve().parents[1]
    sys.path[:] = [path for path in sys.path if Path(path).resolve() not in (root, root / "tests")]
    for name in list(sys.modules):
        if name.partition(".")[0] in OURS:
            del sys.modules[name]


def _writer(descriptor, encoding, at_once):
    buffering = 1 if at_once else -1
    return open(descriptor, "w", buffering, encoding, errors="replace", closefd=False)


def _run_to_the_end(function):
    """Run a function, then end this process as Python does, but with nothing cleaned up."""
    code = 1
    try:
        function()
        code = 0
    except SystemExit as ending:
        code = ending.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code or 0)


class Popen(subprocess.Popen):
    """Popen that forks where the workshop would start Python with a file of its own, or `quart`."""

    def __init__(self, command, *rest, **options):
        function = _forkable(command)
        if function:
            environ = options.pop("env", None) or dict(os.environ)

            def instead():
                os.closerange(3, DESCRIPTORS)  # also the one by which Popen waits for exec
                _become_new(environ)
                _run_to_the_end(function)

            options["preexec_fn"] = instead
        super().__init__(command, *rest, **options)


def _execve(path, command, environ):
    """What os.execve does, without the start of Python."""
    function = _forkable(command)
    assert function, f"what is {command}?"
    _become_new(environ)
    _run_to_the_end(function)


def _forkable(command):
    """What to call in place of a command; None for one that is to be started."""
    if not CAN_FORK or not isinstance(command, list):
        return None
    first, *words = map(str, command)
    if first == QUART:
        return lambda: _module("quart", words)
    if first == sys.executable and words[0] == "-m" and words[1] in MODULES:
        return lambda: _module(words[1], words[2:])
    if first == sys.executable and os.path.basename(words[0]) in SCRIPTS:
        return lambda: _script(words[0], words[1:])
    return None


if __name__ == "__main__":
    del sys.path[0]
    for module in FOR_SERVING:
        importlib.import_module(module)
    subprocess.Popen = Popen
    _command(sys.argv[1], sys.argv[2:])
