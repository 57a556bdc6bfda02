"""A project and its app: loaded from its own files, with what is wrong told in its own terms."""

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


def other_files(project):
    """Say which Python files there are in a project that lacks websocket.py: a clause, or ""."""
    found = sorted(path.relative_to(project).as_posix() for path in project.rglob("*.py*"))
    return f"; there is {', '.join(found)}" if 0 < len(found) < 5 else ""
