"""What goes wrong in an app while it is tested, remembered so that a failure can tell it."""

import asyncio
import gc
import inspect
import logging
import re
import sys
import warnings
import weakref
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from types import CoroutineType

from quart import got_request_exception, got_websocket_exception

from harness.errors import PROJECTS, describe, place, waiting_places
from harness.mended import is_disconnect

CLIENT = ContextVar("client", default=None)  # the one for which the code runs
TASKS = weakref.WeakKeyDictionary()  # task to the id of its client, which refers to the task
STUCK_TASKS = set()  # kept, because collecting them as garbage would wake them up
FAILED = {}  # the id of a client to what the last of its tasks that has failed ended with


async def remember_error(app, exception):
    if not is_disconnect(exception):
        app.errors.append(exception)


def remember_errors(app):
    """Let `app.errors` have each exception of the app, wherever it is raised."""
    app.errors = []
    for signal in (got_request_exception, got_websocket_exception):
        signal.connect(remember_error, app)
    startup = app.startup  # of whose exceptions a server tells the text alone

    async def start():
        try:
            await startup()
        except Exception as error:
            app.errors.append(error)
            raise

    app.startup = start
    LOGGED.app = weakref.ref(app)


class RememberLogged(logging.Handler):
    """Remembers what nobody awaits, such as the exception of a TCP client's handler."""

    app = staticmethod(lambda: None)  # a weak reference, so that no app is kept alive

    def emit(self, record):
        app = self.app()
        error = record.exc_info[1] if record.exc_info else None
        if app and isinstance(error, Exception) and not is_disconnect(error):
            app.errors.append(error)


LOGGED = RememberLogged(logging.ERROR)
logging.getLogger("asyncio").addHandler(LOGGED)


def remember_never_awaited():
    """A list to which Python's warnings of coroutines that were never awaited will be added."""
    sys.set_coroutine_origin_tracking_depth(1)
    found, show = [], warnings.showwarning

    def remember(message, category, filename, lineno, file=None, line=None):
        first, _, origin = str(message).partition("\n")
        places = [*re.findall(r'File "(.+)", line (\d+)', origin), (filename, lineno)]
        own = [(Path(name), line) for name, line in places if Path(name).parent in PROJECTS]
        if first.endswith("was never awaited") and own:
            found.append(f"{own[0][0].name}, line {own[0][1]}: {first}")
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = remember
    return found


def never_started(folder):
    """The coroutines made by code in a folder that nothing awaits yet, each with its place."""
    found, scheduled = [], set()
    with suppress(RuntimeError):  # no event loop runs
        scheduled = {task.get_coro() for task in asyncio.all_tasks()}
    for one in gc.get_objects():
        # By its type, since isinstance would wake up a proxy.
        is_one = type(one) is CoroutineType and one not in scheduled
        if is_one and inspect.getcoroutinestate(one) == inspect.CORO_CREATED:
            path, line, _ = (one.cr_origin or [("", 0, "")])[0]
            if Path(path).parent == Path(folder):
                found.append(f"{Path(path).name}, line {line}: {one.__qualname__}() is not awaited")
    return found


def remember_tasks(loop):
    """From now on, let TASKS say for which client each new task of an event loop runs."""
    if loop.get_task_factory():
        return

    def create(loop, coroutine, **options):
        task = asyncio.Task(coroutine, loop=loop, **options)
        context = options.get("context")
        TASKS[task] = id(context.get(CLIENT) if context else CLIENT.get())
        if is_of_project(coroutine):
            task.add_done_callback(remember_failure)
        return task

    loop.set_task_factory(create)


def is_of_project(coroutine):
    """Whether the code of a coroutine is in a project."""
    code = getattr(coroutine, "cr_code", None)
    return code is not None and Path(code.co_filename).parent in PROJECTS


def remember_failure(task):
    """Remember the exception that a task of a project has ended with, which nobody may look at."""
    error = None if task.cancelled() else task.exception()
    if error and place(error)[1] and not is_disconnect(error):
        FAILED[TASKS.get(task)] = describe(error)


def failed_tasks(clients):
    """Say what tasks of clients have ended with: a clause, or ""."""
    found = [(one, FAILED[id(one)]) for one in clients if id(one) in FAILED]
    return "".join(
        f"; a task of {one.name or 'this client'} failed: {why}" for one, why in found[:1]
    )


def meanwhile(loop=None, client=None):
    """Say in which lines an app in this process waits, and for which client: a clause, or ""."""
    tasks = asyncio.all_tasks(loop)
    nobody = id(None)
    is_for = {task: TASKS.get(task, nobody) for task in tasks}
    own = {task for task in tasks if is_for[task] == id(client)}
    theirs = {task for task in tasks if is_for[task] not in (id(client), nobody)}
    if client is not None and not own and id(client) in TASKS.values():
        return "; this client's handler has ended, though the client is still connected"
    has_handler = any("handle_websocket" in str(task.get_coro()) for task in own)
    if client is not None and own and not has_handler:
        places = in_words(own)
        return f"; this client's handler returned without waiting for its task in {places}"
    if client is None or not (places := in_words(own)):
        return f"; meanwhile the app waits in {places}" if (places := in_words(tasks)) else ""
    others = in_words(theirs, waiting_places(own))
    also = f", those of other clients in {others}" if others else ""
    rest = in_words(tasks - own - theirs)  # such as the tasks of TCP clients
    beside = f", and other code in {rest}" if rest else ""
    return f"; meanwhile this client's handler waits in {places}{also}{beside}"


def in_words(tasks, without=()):
    """The lines in which tasks wait, three at most, except those that are told elsewhere."""
    waiting = sorted(waiting_places(tasks).items())
    told = [f"{place}: `{code}`" for place, code in waiting if place not in without]
    return " and in ".join(told[:3])


def forget(tasks):
    """Let the event loop not wait for tasks that catch every CancelledError, when it is closed.

    There is no public way: a bare `except` in a loop catches whatever is raised into it.
    """
    for task in tasks:
        asyncio.tasks._unregister_task(task)
    STUCK_TASKS.update(tasks)
