"""A project and its app: loaded from its own files, with what is wrong told in its own terms."""

import os
import re
import runpy
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from contextlib import contextmanager, suppress

from harness.errors import PROJECTS, describe, place
from harness.sources import problem_of_source, why_no_app

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
    path = project / "websocket.py"
    if not path.is_file():
        raise NotLoaded(f"there is no websocket.py yet{other_files(project)}")
    if problem := problem_of_files(project) or problem_of_source(path):
        raise NotLoaded(problem)
    from quart import Quart

    run, Quart.run = Quart.run, lambda *_, **__: None  # for those who call app.run() at the bottom
    try:
        names = run_file(path)
    finally:
        Quart.run = run
    app = names.get("app")
    if type(app).__module__.startswith("flask."):
        raise NotLoaded("websocket.py makes a Flask app: it needs `app = Quart(__name__)`")
    if not isinstance(app, Quart):
        raise NotLoaded(why_no_app(path, names))
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


def require_case(project, app):
    """Raise NotLoaded if a name is found only because this disk ignores upper and lower case.

    So do the disks of macOS and Windows: `Templates` will do there, and not on Linux.
    """
    if not ignores_case(project):
        return
    folders = [project / name for name in (app.template_folder, app.static_folder) if name]
    for path in (project / "websocket.py", project / "Pipfile", *folders):
        if path.name != (name := name_of(path)):
            raise NotLoaded(f"{name} should be called {path.name}: {WHY_CASE}")
    files = [one for folder in folders for one in sorted(folder.rglob("*")) if one.is_file()]
    code = [*project.glob("*.py"), *(one for one in files if one.suffix in WITH_NAMES)]
    text = "\n".join(one.read_text("utf-8", "replace") for one in code)
    for folder in folders:
        for path in (one for one in files if one.is_relative_to(folder)):
            name = path.relative_to(folder).as_posix()
            found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
            if found and name not in text:
                raise NotLoaded(f"{folder.name}/{name} is {found[0]} in the code: {WHY_CASE}")


WITH_NAMES = (".html", ".css", ".js")  # of other files
WHY_CASE = "on Linux, upper and lower case make different names"


def ignores_case(project):
    """Whether a project is on a disk that ignores upper and lower case."""
    path = project / "WebSocket.PY"
    return path.is_file() and name_of(path) != path.name


def name_of(path):
    """The name of a file or a folder as it is written, if there is one but for its case."""
    with suppress(OSError):
        names = os.listdir(path.parent)
        is_same = (name for name in names if name.lower() == path.name.lower())
        return path.name if path.name in names else next(is_same, path.name)
    return path.name


def other_files(project):
    """Say which Python files there are in a project that lacks websocket.py: a clause, or ""."""
    found = sorted(path.relative_to(project).as_posix() for path in project.rglob("*.py*"))
    return f"; there is {', '.join(found)}" if 0 < len(found) < 5 else ""
