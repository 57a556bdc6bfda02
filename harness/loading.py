"""A project and its app: loaded from its own files, with what is wrong told in its own terms."""

import ast
import re
import runpy
import sys
import traceback
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import contextmanager, suppress
from pathlib import Path

PROJECTS = set()  # the folders that an app was loaded from
# The modules that an app and its server are made of.
PACKAGES = {
    *("quart", "aiofiles", "blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe"),
    *("werkzeug", "hypercorn", "h11", "h2", "hpack", "hyperframe", "priority", "wsproto"),
    *("uvicorn", "websockets", "watchfiles", "anyio", "colorama", "typing_extensions", "redis"),
}


class NotLoaded(Exception):
    """A project gives no app: the message says why, and `.code` is the line of it, if known."""

    def __init__(self, message, code=""):
        super().__init__(message)
        self.code = code


def load(project):
    """The app of a project's websocket.py, run afresh; raises NotLoaded."""
    if not (project / "websocket.py").is_file():
        raise NotLoaded("there is no websocket.py yet")
    if problem := problem_of_files(project) or imports_wrongly(project / "websocket.py"):
        raise NotLoaded(problem)
    from quart import Quart

    run, Quart.run = Quart.run, lambda *_, **__: None  # for those who call app.run() at the bottom
    try:
        app = run_file(project / "websocket.py").get("app")
    finally:
        Quart.run = run
    if type(app).__module__.startswith("flask."):
        raise NotLoaded("websocket.py makes a Flask app: it needs `app = Quart(__name__)`")
    if not isinstance(app, Quart):
        raise NotLoaded("websocket.py has no app: it needs a line `app = Quart(__name__)`")
    return app


def settings(project):
    """How to serve a project for real: the SETTINGS of its serve.py, from step 7 on."""
    path = project / "serve.py"
    return run_file(path).get("SETTINGS", {}) if path.is_file() else {}


def run_file(path):
    """The names in a file of a project, once it has run; raises NotLoaded."""
    PROJECTS.add(path.parent)
    try:
        return runpy.run_path(str(path), run_name=path.stem)
    except (Exception, SystemExit) as error:
        reason, (*_, code) = describe(error), place(error)
        if not re.match(r"\w+\.py", reason):
            reason = f"{path.name}: {reason}"
        raise NotLoaded(reason, code) from error


@contextmanager
def modules_beside(project):
    """Let a project import the modules beside its websocket.py; after that, they are forgotten."""
    before = set(sys.modules)
    sys.path.insert(0, str(project))
    try:
        yield
    finally:
        sys.path.remove(str(project))
        for name in set(sys.modules) - before:
            if str(getattr(sys.modules[name], "__file__", "")).startswith(str(project)):
                del sys.modules[name]  # so that it is loaded afresh, too


# ---- Where an error is, in the project's own terms


def describe(error):
    """Say what an exception is and where in a project it was raised."""
    from jinja2 import TemplateNotFound, TemplateSyntaxError

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    what = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError):
        what = f"{type(error).__name__}: {error.msg}"
    elif isinstance(error, TemplateSyntaxError):
        return f"templates/{error.name}, line {error.lineno}: {what}"
    elif isinstance(error, UnicodeDecodeError) and any(
        "jinja2" in frame.filename for frame in traceback.extract_tb(error.__traceback__)
    ):
        return f"a template is not UTF-8: {what}"
    if isinstance(error, TemplateNotFound):
        what += where_templates_are(error)
    elif "unhashable type" in what:
        what += ": a set and a dict's keys take what never changes; a client's queue will do"
    if "(coroutine)" in what:
        what += ": is there an `await` before what is returned?"
    name, line, _ = place(error)
    return f"{name}, line {line}: {what}" if line else f"{name}: {what}" if name else what


def place(error):
    """The file of a project where an exception was raised, the number of the line, and the line."""
    if isinstance(error, SyntaxError):
        return Path(error.filename or "websocket.py").name, error.lineno, (error.text or "").strip()
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).parent in PROJECTS:
            return Path(frame.filename).name, frame.lineno, frame.line
    return "", None, ""


# ---- What no traceback says so that it helps


def problem_of_files(project):
    """What is wrong with the files of a project, whatever stands in them: a sentence, or ""."""
    return saved_as_utf_16(project) or hides_a_module(project)


def saved_as_utf_16(project):
    """Say which file is saved as UTF-16, as Windows PowerShell does it; "" if none is."""
    files = [*sorted(project.glob("*.py")), *sorted(project.glob("templates/**/*.*"))]
    for path in [*files, project / "Pipfile"]:
        with suppress(OSError), path.open("rb") as file:
            if file.read(2) in (BOM_UTF16_LE, BOM_UTF16_BE):
                name = path.relative_to(project).as_posix()
                return f"{name} is saved as UTF-16: save it as UTF-8"
    return ""


def hides_a_module(project):
    """Say what beside the app has the name of a module that is needed; "" if nothing has."""
    files = {path.stem: path.name for path in project.glob("*.py")}
    files |= {path.parent.name: path.parent.name for path in project.glob("*/__init__.py")}
    for name in sorted(files):
        if name in sys.stdlib_module_names:
            return f"{files[name]} beside your app hides Python's own module {name}: rename it"
        if name in PACKAGES:
            return f"{files[name]} beside your app hides the package {name}: rename it"
    return ""


def imports_wrongly(path):
    """Say which import of an app's file gives something other than it is meant to; "" if none."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        return ""  # running it says where
    nodes = list(ast.walk(tree))
    modules = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    modules |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    for node in nodes:
        names = [name.name for name in getattr(node, "names", []) if isinstance(name, ast.alias)]
        module = getattr(node, "module", None)
        where = f"{path.name}, line {getattr(node, 'lineno', '')}"
        if path.stem in ([module] if isinstance(node, ast.ImportFrom) else names):
            return (
                f"{where}: this imports {path.name} itself, not a package; for Quart's websocket, "
                "it is `from quart import websocket`"
            )
        if module == "flask" and names and "quart.flask_patch" not in modules:
            return f"{where}: {', '.join(names)} should be imported from quart, not from flask"
    return ""


def where_templates_are(error):
    """Say where Quart looks for templates, and which are there or elsewhere."""
    frames = traceback.extract_tb(error.__traceback__)
    folders = [Path(f.filename).parent for f in frames if Path(f.filename).parent in PROJECTS]
    if not folders:
        return ""
    there = sorted(p.name for p in folders[-1].glob("templates/*") if p.is_file())
    has = f"which has {', '.join(there)}" if there else "where there are none"
    return f": Quart looks in templates/, {has}{found_elsewhere(folders[-1], str(error.name))}"


def found_elsewhere(project, name):
    """Say where in a project a file of that name is: a clause, or "" if it is nowhere."""
    found = [path.relative_to(project).as_posix() for path in sorted(project.rglob(name))]
    return f"; there is {', '.join(found)}" if found else ""
