"""What goes wrong in an app while it is tested, remembered so that a failure can tell it."""

import asyncio
import gc
import inspect
import logging
import re
import sys
import warnings
import weakref
from contextvars import ContextVar
from pathlib import Path
from types import CoroutineType

from quart import got_request_exception, got_websocket_exception

from harness.errors import PROJECTS, waiting_places

CLIENT = ContextVar("client", default=None)  # whom the code that runs is for
TASKS = weakref.WeakKeyDictionary()  # task to the client that it runs for


async def remember_error(app, exception):
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
        if app and record.exc_info and isinstance(record.exc_info[1], Exception):
            app.errors.append(record.exc_info[1])


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
    """The coroutines that code in a folder has made and nobody awaits yet, each with its place."""
    found = []
    for one in gc.get_objects():
        is_one = type(one) is CoroutineType  # and no proxy, which isinstance would wake up
        if is_one and inspect.getcoroutinestate(one) == inspect.CORO_CREATED:
            path, line, _ = (one.cr_origin or [("", 0, "")])[0]
            if Path(path).parent == Path(folder):
                found.append(f"{Path(path).name}, line {line}: {one.__qualname__}() is not awaited")
    return found


def remember_tasks(loop):
    """Let TASKS tell for which client each task of an event loop runs that is created from now."""
    if loop.get_task_factory():
        return

    def create(loop, coroutine, **options):
        task = asyncio.Task(coroutine, loop=loop, **options)
        context = options.get("context")
        TASKS[task] = context.get(CLIENT) if context else CLIENT.get()
        return task

    loop.set_task_factory(create)


def meanwhile(loop=None, client=None):
    """Say in which lines of its code an app in this process waits, for a client: a clause."""
    tasks = asyncio.all_tasks(loop)
    is_for = {task: TASKS.get(task) for task in tasks}
    own = {task for task in tasks if is_for[task] is client}
    theirs = {task for task in tasks if is_for[task] not in (client, None)}
    nobodys = tasks - own - theirs  # such as those of TCP clients
    if client is None or client not in TASKS.values():
        return f"; meanwhile the app waits in {places}" if (places := in_words(tasks)) else ""
    places, others = in_words(own), in_words(theirs, waiting_places(own))
    if not places:
        return "; the handler of this client has ended, though the client is still connected"
    also = f", and only for other clients in {others}" if others else ""
    beside = f", and other code in {places_of_it}" if (places_of_it := in_words(nobodys)) else ""
    return f"; meanwhile the handler of this client waits in {places}{also}{beside}"


def in_words(tasks, without=()):
    """The lines in which tasks wait, three at most, except those that are told elsewhere."""
    waiting = sorted(waiting_places(tasks).items())
    told = [f"{place}: `{code}`" for place, code in waiting if place not in without]
    return " and in ".join(told[:3])
