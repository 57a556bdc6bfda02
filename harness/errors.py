"""An exception in terms of the project that raised it: what it is, where, and why it may be."""

import gc
import linecache
import re
import sys
import traceback
from difflib import get_close_matches
from fnmatch import fnmatch
from pathlib import Path
from types import AsyncGeneratorType

PROJECTS = set()  # the folders that an app was loaded from
# What tutorials for other frameworks import.
FRAMEWORKS = {"fastapi", "starlette", "django", "channels", "aiohttp", "sanic", "tornado"}
FRAMEWORKS |= {"flask", "flask_sock", "flask_sockets", "flask_socketio", "socketio"}


def describe(error):
    """Say what an exception is and where in a project it was raised."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    if isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, TemplateSyntaxError):
        return f"templates/{error.name}, line {error.lineno}: {what}{clause(what)}"
    elif isinstance(error, UnicodeDecodeError) and any(
        "jinja2" in frame.filename for frame in traceback.extract_tb(error.__traceback__)
    ):
        return f"a template is not UTF-8: {what}"
    elif isinstance(error, ModuleNotFoundError):
        what += where_modules_are(error.name)
    elif isinstance(error, ImportError) and error.path:
        what = what.removesuffix(f" ({error.path})") + (of_the_app(error) or similar_name(error))
    if isinstance(error, TemplateNotFound):
        what += where_templates_are(error)
    name, line, code = place(error)
    if isinstance(error, NameError) and f"[{error.name}]" in str(code):
        what += ": a key that is a text stands in quotes"
    if not line and "required positional" in what:  # it was Quart that called it
        what += (
            ": Quart passes only the <parts> of a path; `websocket` and `request` are imported "
            "from quart"
        )
    what += clause(what)
    return f"{name}, line {line}: {what}" if line else f"{name}: {what}" if name else what


# What a message of Python, Quart or Jinja leaves open, by a part of it.
CLAUSES = {
    r"'Websocket' object has no attr": "Quart's has receive(), send(), accept() and close()",
    r"'(Body|Request)' object has no attr": "`await request.get_data()` gives the body, as bytes",
    r"UndefinedError: '": "if it is a text, it stands in quotes",
    r"LocalProxy does not have __aiter__": "in a loop, await websocket.receive()",
    r"'function' object has no attr": "does a function have the name of what you import?",
    r"'coroutine' object has no attribute '__a": "does it have a `yield`?",
    r"'async_generator' object is not callable": "while_serving takes a function, such as a lambda "
    "that calls yours",
    r"'StreamReader' object is not iterable": "its loop is `async for`",
    r"'coroutine' object (has no attribute '(?!__)|is not)": "is an `await` missing? It stands "
    "before the call, in parentheses with it: (await …)",
    r"a coroutine was expected, got <function": "the function needs to be called, with ()",
    r"^(?!.*Websocket\.).*argument: 'self'": "is it called on a class? An object is made with (), "
    "as in asyncio.Queue()",
    r"'NoneType' object is not subscr": "is something expected, such as JSON, that was not sent?",
    r"existing endpoint": "each route needs a function with a name of its own",
    r"missing .* 'import_name'": "it is Quart(__name__)",
    r"base 10: 'text/": "the status comes after the text, and after that a dict of headers",
    r"^QueueEmpty": "get_nowait() doesn't wait for a message; `await queue.get()` does",
    r"^QueueFull": "was the queue made with a limit? A client that does not read fills it",
    r"^UnicodeDecodeError": "are these bytes decoded inside a `try`?",
    r"^TimeoutError": "a wait timed out here, but a client may be silent for as long as it likes",
    r"'dict' object has no attribute 'add'": "{} is an empty dict, and set() an empty set",
    r"unhashable type": "a set and a dict's keys take what never changes; a client's queue will do",
    r"\(coroutine\) is not valid": "is there an `await` before what is returned?",
    r"type \(int\) is not valid": 'a status stands after the text: `return "", 204`',
    r"endpoint 'static' with values \['filename'": "the app has no folder for static files: was it "
    "made with static_folder=None?",
    r"url_for\(\) takes 2 positional": "the path of a static file is given as filename=…",
    r"TemplateSyntaxError: unexpected '": "does each quote in this line, and in those before it, "
    "have its pair, and is each {{ closed by }}?",
    r"Websocket\.\w+\(\) missing": "Websocket is a class; `websocket`, in lower case, is the "
    "connection",
    r"NameError: name '(true|false|none|null)'": "Python writes True, False and None",
    r"object (method|function) can't be used in 'await'": "a call needs (), even an empty one",
    r"object NoneType can't be used in 'await'": "what is called here returns at once: no await",
    r"Websocket\.send\(\) takes 2": "send() takes one message, such as an f-string",
    r"not support the context manager": "is it `async with`?",
    r"not support the asynchronous context manager": "is it `with`, without `async`?",
    r"cannot be None": "is there a `return`?",
    r"timedelta seconds": 'SEND_FILE_MAX_AGE_DEFAULT is a number of seconds: 0, and not "0"',
    r"unknown tag": "a value stands in {{ … }}, such as "
    "{{ url_for('static', filename='css/websocket.css') }}",
}


def clause(what):
    """What to add to the message of an exception, so that it says where to look."""
    return "".join(f": {CLAUSES[part]}" for part in CLAUSES if re.search(part, what))


def where_modules_are(name):
    """Say what there is in place of a module that was not found."""
    if name in FRAMEWORKS:
        return ": this app is made with Quart, and needs no other framework"
    return f": there is no {name}.py beside websocket.py, and no such package is installed"


def of_the_app(error):
    """Say why the file of the app is not to be imported; "" if it was another that was."""
    if error.name != "websocket":
        return ""
    return ": websocket.py imports this file, so pass what the file needs as an argument"


def similar_name(error):
    """Say which name of a module was probably meant; "" if that cannot be told."""
    there = {name.lower(): name for name in dir(sys.modules.get(error.name))}
    named = re.search(r"cannot import name '(\w+)'", str(error))
    wanted = named[1].lower() if named else ""
    longer = [name for name in there if name.startswith(wanted) and wanted]
    found = get_close_matches(wanted, there, 1) or longer
    return f": is it {there[found[0]]}?" if found else ""


def place(error):
    """The file of a project where an exception was raised, the number of the line, and the line."""
    if isinstance(error, SyntaxError):
        return Path(error.filename or "websocket.py").name, error.lineno, (error.text or "").strip()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        for folder in path.parents[:2]:  # templates/ is one below
            if folder in PROJECTS and path.suffix in (".py", ".html"):
                return path.relative_to(folder).as_posix(), frame.lineno, frame.line
    return "", None, ""


def waiting_places(tasks):
    """The lines of projects in which tasks wait: a place and the code there."""
    places = {}
    for task in tasks:
        inner, coroutine = None, task.get_coro()
        while coroutine is not None:  # from the outermost call to the innermost
            frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "ag_frame", None)
            if frame and Path(frame.f_code.co_filename).parent in PROJECTS:
                inner = frame
            coroutine = awaited_by(coroutine)
        if inner:
            path, line = Path(inner.f_code.co_filename), inner.f_lineno
            linecache.checkcache(str(path))
            file = "" if path.name == "websocket.py" else f"{path.name}, "
            places[f"{file}line {line}"] = linecache.getline(str(path), line).strip()
    return places


def awaited_by(coroutine):
    """What a coroutine or an asynchronous generator awaits; None if that cannot be told."""
    if type(coroutine).__name__ == "async_generator_asend":  # does not name its generator
        found = gc.get_referents(coroutine)
        return next((one for one in found if isinstance(one, AsyncGeneratorType)), None)
    return getattr(coroutine, "cr_await", None) or getattr(coroutine, "ag_await", None)


def where_templates_are(error):
    """Say where Quart looks for templates, and which are there or elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    folders = [Path(f.filename).parent for f in frames if Path(f.filename).parent in PROJECTS]
    if str(error.name).startswith("templates/"):
        return ": Quart already looks in templates/, so leave it out of the name"
    if not folders:
        return ""
    if (folders[-1] / "templates" / str(error.name)).is_file():
        return ", though it is in templates/: does the app set another template_folder?"
    there = sorted(p.name for p in folders[-1].glob("templates/*") if p.is_file())
    has = f"which has {', '.join(there)}" if there else "where there are none"
    return f": Quart looks in templates/, {has}{found_elsewhere(folders[-1], str(error.name))}"


def found_elsewhere(project, name):
    """Say where in a project a file of that name is: a clause, or "" if it is nowhere."""
    paths = [
        p for p in sorted(project.rglob("*")) if fnmatch(p.name.lower(), Path(name.lower()).name)
    ]
    found = [path.relative_to(project).as_posix() for path in paths]
    return f"; there is {', '.join(found)}" if found else ""
