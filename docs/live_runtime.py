"""What a page needs to run Python: Pyodide, the packages, and the workshop's own files.

Pyodide comes from a wheel that is pinned by its hash in live/runtime.txt, and is fetched by pip
when the site is built; the packages are those of this environment. Pyodide itself compiles both to
bytecode, in a headless browser. What was made is kept in `CACHE`, in a folder named by a hash of
all that went into it.
"""

import asyncio
import base64
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

from docs.served import served
from harness.browser import NO_BROWSER, launch
from workshop import language, machine
from workshop.language import N_
from workshop.reporting import what_is_sent
from workshop.steps import ROOT, all_exercises, find_exercise

DOCS = ROOT / "docs"
LIVE = DOCS / "live"
PIN = LIVE / "runtime.txt"
CACHE = DOCS / "_build/live"
WHEEL_FOLDER = "flet_web/web/pyodide/"
PYODIDE = ["pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip"]
LOCK = "pyodide-lock.json"
PACKAGES = ("quart", "pytest", "pytest-asyncio")  # with all that they need
LEFT_OUT = {"hypercorn", "pygments"}  # live/stubs.py stands for them
# As markers of requirements see the page's Python.
PAGE = {"python_version": "3.14", "python_full_version": "3.14.2", "sys_platform": "emscripten"}
DATE = (2020, 1, 1, 0, 0, 0)  # of every file in a zip, so that the same files give the same bytes


class NoRuntime(Exception):
    """Pyodide cannot be had; the message says why."""


def make(folder, log):
    """Write all that a page loads into a folder; `log` is told what is missing.

    The folder then holds files.json: the size of each file in bytes, or why there are none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        source = compiled(log)
        workshop = compiled_workshop(source, zipped(workshop_files()))
    except NoRuntime as problem:
        log(f"The pages cannot run Python: {problem}")
        write_json(folder / "files.json", {"missing": str(problem)})
        return
    names = [path.name for path in sorted(source.iterdir())]
    for name in names:
        shutil.copyfile(source / name, folder / name)
    (folder / "workshop.zip").write_bytes(workshop)
    for code in language.known()[1:]:
        (folder / f"{code}.zip").write_bytes(zipped(catalogues(code)))
    loaded = [*PYODIDE, "site.zip", "workshop.zip"]
    sizes = {name: (folder / name).stat().st_size for name in loaded}
    write_json(folder / "files.json", {"sizes": sizes})


def write_json(path, content):
    """Write a file of JSON."""
    path.write_text(json.dumps(content) + "\n", encoding="utf-8", newline="\n")


# ---- Where the files come from


def pyodide():
    """A folder with Pyodide's files, from the wheel that is pinned; raises NoRuntime."""
    made = CACHE / f"pyodide-{digest(PIN.read_bytes())}"
    if not made.is_dir():
        with new_folder(made) as folder, zipfile.ZipFile(fetched(Path(folder))) as wheel:
            for name in (*PYODIDE, LOCK):
                (Path(folder) / name).write_bytes(wheel.read(WHEEL_FOLDER + name))
    return made


def fetched(folder):
    """The wheel, fetched by pip into a folder; raises NoRuntime."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--require-hashes"]
    # pip's own settings say where packages come from.
    environ = machine.network_environ(PIP_RETRIES="1", PIP_DISABLE_PIP_VERSION_CHECK="1")
    command = [*pip, "-r", PIN, "-d", folder]
    result = subprocess.run(command, env=environ, capture_output=True, encoding="utf-8")
    wheels = list(folder.glob("*.whl"))
    if result.returncode or not wheels:
        lines = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise NoRuntime((lines or ["pip could not fetch it"])[-1].removeprefix("ERROR: "))
    return wheels[0]


def package_files():
    """The files of the packages that a page imports: name to content."""
    files, waiting, seen = {}, [*PACKAGES], set(LEFT_OUT)
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        distribution = metadata.distribution(name)
        for needed in map(Requirement, distribution.requires or []):
            if not needed.marker or needed.marker.evaluate({"extra": "", **PAGE}):
                waiting.append(needed.name.lower())
        for path in distribution.files:
            if is_wanted(path):
                files[path.as_posix()] = Path(path.locate()).read_bytes()
    return dict(sorted(files.items()))


def is_wanted(path):
    """Whether a page may need a file of a package: code, what is said of it, and its licence."""
    if ".." in path.parts or "__pycache__" in path.parts:
        return False
    if path.parts[0].endswith(".dist-info"):
        is_licence = "licen" in path.as_posix().lower()
        return is_licence or path.name in ("METADATA", "entry_points.txt")
    return path.suffix == ".py"


def workshop_files():
    """The workshop's own files for checking in a page: tests, harness, exercises."""
    patterns = [
        *("pyproject.toml", "steps/conftest.py", "steps/*/tests/*.py", "steps/*/exercise.toml"),
        *("steps/*/challenges/*/tests/*.py", "steps/*/challenges/*/exercise.toml"),
        *("harness/*.py", "docs/live/*.py"),
        *(f"workshop/{name}.py" for name in ("comparing", "language", "outcomes", "reporting")),
        *(f"workshop/{name}.py" for name in ("reading/*", "steps", "venv", "verdict")),
    ]
    paths = sorted(path for pattern in patterns for path in ROOT.glob(pattern))
    # And the solutions, to compare with.
    for exercise in all_exercises():
        folder = exercise.folder
        paths += [path for name in exercise.solution if (path := folder / name).is_file()]
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


def catalogues(code):
    """The files that a page in another language also loads, for what its checks say."""
    paths = sorted((language.LOCALE / code).glob("*.po"))
    return {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in paths}


def texts(files):
    """The files of a project as text."""
    return {name: content.decode() for name, content in files.items()}


# Before it is told what is sent to a board.
IN_PAGE = N_("If your instructor shows a board, each check on this page can send it:")
IN_PLACE_OF_A_NAME = N_("the name that you type here, or a number")


def sent():
    """What a page says about the board before one is joined, in lines."""
    return [IN_PAGE, *what_is_sent(IN_PLACE_OF_A_NAME)]


def exercise_of(exercise):
    """What the page of an exercise loads: its files, what to do, and where its tests are."""

    return {
        "id": exercise.id,
        "start": texts(exercise.start),
        "solution": texts(exercise.solution),
        "tests": [folder.relative_to(ROOT).as_posix() for folder in exercise.tests],
        "sent": sent(),
    }


def write_exercises(folder):
    """Write a file for each exercise."""
    folder.mkdir(parents=True, exist_ok=True)
    for exercise in all_exercises():
        write_json(folder / f"{exercise.id}.json", exercise_of(exercise))


# ---- Zips and bytecode


def zipped(files):
    """A zip of files, by name and content; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def compiled(log):
    """A folder with Pyodide and the packages as bytecode; raises NoRuntime.

    As source if there is no browser, which `log` is told.
    """
    source, packages = pyodide(), zipped(package_files())
    key = digest(PIN.read_bytes(), packages, Path(__file__).read_bytes(), COMPILE.encode())
    made = CACHE / f"made-{key}"
    if made.is_dir():
        return made
    with new_folder(CACHE / f"source-{key}") as folder:
        folder = Path(folder)
        for name in PYODIDE:
            shutil.copyfile(source / name, folder / name)
        lock = json.loads((source / LOCK).read_text(encoding="utf-8"))
        write_json(folder / LOCK, {**lock, "packages": {}})
        (folder / "site.zip").write_bytes(packages)
        licence = LIVE / "licences/Pyodide.txt"
        shutil.copyfile(licence, folder / "LICENCE-Pyodide.txt")
    plain = CACHE / f"source-{key}"
    try:
        with new_folder(made) as folder:
            shutil.copytree(plain, folder, dirs_exist_ok=True)
            (Path(folder) / "workshop.zip").write_bytes(zipped(workshop_files()))
            compile_in_browser(Path(folder), ["python_stdlib.zip", "site.zip"])
    except NoBrowser as problem:
        log(f"The pages load Python's source, which takes twice as long: {problem}")
        return plain
    shutil.rmtree(plain)
    return made


def compiled_workshop(source, workshop):
    """The workshop's own files with bytecode in place of its modules: a zip.

    `source` is a folder with Pyodide. Without a browser, the files stay as they are.
    """
    made = CACHE / f"workshop-{digest(workshop, source.name.encode())}"
    if not made.is_dir():
        with suppress(NoBrowser), new_folder(made) as folder:
            for name in (*PYODIDE, LOCK):
                shutil.copyfile(source / name, Path(folder) / name)
            (Path(folder) / "workshop.zip").write_bytes(workshop)
            compile_in_browser(Path(folder), ["workshop.zip"])
            for name in (*PYODIDE, LOCK):
                (Path(folder) / name).unlink()
    return (made / "workshop.zip").read_bytes() if made.is_dir() else workshop


class NoBrowser(Exception):
    """There is no browser to compile in; the message says why."""


# Run in a page by Pyodide: bytecode in place of the source files of a zip, of those that are used.
COMPILE = """
import importlib._bootstrap_external as bootstrap, io, sys, zipfile

def compiled(data, place, used):
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as made:
        for info in source.infolist():
            name, content = info.filename, source.read(info)
            if name.endswith(".py") and (place + name in used or is_module(name) and not used):
                code = compile(content, place + name, "exec", dont_inherit=True, optimize=0)
                name, content = name + "c", bootstrap._code_to_hash_pyc(code, bytes(8), False)
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            made.writestr(info, bytes(content), zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()

def is_module(name):
    # pytest reads the tests itself.
    return name.startswith(("harness/", "workshop/", "docs/"))

def used_by_check(exercise, files):
    # The files that a check imports, as it runs in the worker of a page.
    from pathlib import Path
    for name, text in files.items():
        path = Path("/w/websocket", name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    sys.path[:0] = ["/w", "/site.zip"]
    from docs.live.main import Worker
    worker = Worker(lambda **message: None)
    worker.start()
    worker.check(exercise, "/w/websocket")
    return [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
"""
START = """
async ([code, exercise, files]) => {
  const { loadPyodide } = await import("/pyodide.mjs");
  const py = await loadPyodide({ indexURL: "/" });
  const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
  py.runPython(code);
  let used = py.toPy([]);
  if (exercise) {
    py.FS.writeFile("/site.zip", await bytes("site.zip"));
    py.unpackArchive(await bytes("workshop.zip"), "zip", { extractDir: "/w" });
    used = py.globals.get("used_by_check")(exercise, py.toPy(files));
  }
  window.compiled = async (name, place) => {
    const data = py.toPy(await bytes(name)).tobytes();
    const made = py.globals.get("compiled")(data, place, used).toJs();
    return new Promise((done) => {
      const reader = new FileReader();
      reader.addEventListener("load", () => done(reader.result.split(",")[1]));
      reader.readAsDataURL(new Blob([made]));
    });
  };
}
"""
PLACES = {
    "python_stdlib.zip": "/lib/python314.zip/",
    "site.zip": "/site.zip/",
    "workshop.zip": "/w/",
}
COMPILE_SECONDS = 150  # that it may take at most
MEASURE = "05_broadcast"  # the exercise whose check shows which files are used


def compile_in_browser(folder, names):
    """Replace source in zips of a folder by bytecode, where it is used; raises NoBrowser."""
    try:
        from playwright.async_api import async_playwright
    except ImportError:
        raise NoBrowser("Playwright is not installed") from None

    async def run():
        async with asyncio.timeout(COMPILE_SECONDS), async_playwright() as playwright:
            browser = await launch(playwright)
            if browser is None:
                raise NoBrowser(NO_BROWSER)
            page = await browser.new_page()
            with served(folder) as address:
                await page.goto(f"{address}/{LOCK}")
                exercise = find_exercise(MEASURE)
                files = texts(exercise.solution)
                has_packages = "site.zip" in names
                await page.evaluate(START, [COMPILE, has_packages and exercise.id, files])
                for name in names:
                    made = await page.evaluate("([n, p]) => compiled(n, p)", [name, PLACES[name]])
                    (folder / name).write_bytes(base64.b64decode(made))
            await browser.close()

    try:
        asyncio.run(run())
    except TimeoutError:
        raise NoBrowser(f"the browser takes longer than {COMPILE_SECONDS} s") from None


def digest(*contents):
    """A short name for contents."""
    found = hashlib.sha256()
    for content in contents:
        found.update(hashlib.sha256(content).digest())
    return found.hexdigest()[:16]


class new_folder:
    """A folder that has its name only once it is complete: `with new_folder(path) as folder`."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.folder = tempfile.mkdtemp(prefix=".new-", dir=self.path.parent)
        return self.folder

    def __exit__(self, kind, *_):
        if kind is None:
            for wheel in Path(self.folder).glob("*.whl"):
                wheel.unlink()
            with suppress(OSError):  # another build was faster
                Path(self.folder).chmod(0o755)
                Path(self.folder).rename(self.path)
        shutil.rmtree(self.folder, ignore_errors=True)
