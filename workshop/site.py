"""What there is to read: the docs site, built and served, and the notebooks."""

import contextlib
import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from workshop import language, machine, serving
from workshop.environment import hand_over
from workshop.language import N_, _
from workshop.venv import ROOT

DOCS = ROOT / "docs"
MADE = DOCS / "_build"
SERVED = MADE / "served"  # the port that the site was last served on; it may have ended since
BUILT = MADE / "built"  # the digest of the sources that docs/_build/html was made from
ANSWER_SECONDS = 0.5  # for a server on this machine that has a file to send
SITE = ".quart-websocket-workshop"  # an empty file in a folder that holds the docs site
NOT_BUILT = N_("The site was not built, and {folder} is as it was. Sphinx says why, above.")
WATCHED = ("steps", "workshop", "notebooks")
# Without these, JupyterLab would ask whether Ctrl-C was meant, and others for news and extensions.
JUPYTER = (
    "--ServerApp.port_retries=0",
    "--ServerApp.answer_yes=True",
    "--LabApp.extension_manager=readonly",
    "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    "--LabApp.news_url=",
    "--LanguageServerManager.autodetect=False",
)


class NoPlace(Exception):
    """The site cannot be written to a folder; the message says why."""


def require_place(folder):
    """Raises NoPlace unless a folder is new, empty, or holds the site already."""
    if folder.exists() and not folder.is_dir():
        raise NoPlace(f"{folder} is a file: name a folder for the site")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SITE).is_file():
        raise NoPlace(f"{folder} contains something else: choose a new folder for the site")
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise NoPlace(f"{folder} cannot be written to")


def build(folder, languages=None):
    """Build the site, and only if nothing is wrong, put it into a folder; returns an exit code.

    It is built in all languages, or in these, the first of which is English. The others are in
    folders of it.

    A warning is an error. Raises NoPlace if the folder cannot be written to.
    """
    languages = languages or language.known()
    print(_("Building the site, which can take a minute …"), flush=True)
    MADE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", dir=MADE) as made:
        html = Path(made, "html")
        # Everything is built again, or a warning about an unchanged page would not be repeated.
        strict = ["-q", "-W", "--keep-going", "-E"]
        strict += ["-D", f"languages={','.join(languages)}"]
        for code in languages:
            options, into = [], html
            if code != language.ENGLISH:
                options = [
                    "-b",
                    "translated",
                    "-D",
                    f"language={code}",
                    "-D",
                    f"translating={code}",
                ]
                into = html / code
            options += ["-d", Path(made, f"doctrees-{code}"), DOCS, into]
            sphinx = [sys.executable, "-m", "sphinx", *strict, *options]
            code = subprocess.run(sphinx, env=machine.network_environ()).returncode
            if code:
                print(_(NOT_BUILT).format(folder=folder))
                return code
        (html / SITE).touch()
        try:
            _put(html, folder)
        except OSError as error:
            raise NoPlace(f"{folder} cannot be written to: {error.strerror or error}") from None
    words = _("The site is built: open {page} in a browser.")
    print(words.format(page=folder / "index.html"))
    return 0


def _put(html, folder):
    """Put a site into a folder, in place of the one that is there."""
    for old in folder.iterdir() if folder.is_dir() else ():
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    shutil.copytree(html, folder, dirs_exist_ok=True)


def serve(port):
    """Build the site if need be, and serve it in place of this process; returns an exit code.

    Raises PortTaken.
    """
    port = serving.chosen_port(port, 8000)
    html, sources = MADE / "html", _sources()
    if not ((html / "index.html").is_file() and _text(BUILT) == sources):
        print(_("Building the site, which takes longer the first time …"), flush=True)
        sphinx = [sys.executable, "-m", "sphinx", "-q", DOCS, html]
        code = subprocess.run(sphinx, env=machine.network_environ()).returncode
        if code:  # what cannot be built is not served
            return code
        BUILT.write_text(sources, encoding="utf-8")
    words = _("The site is served at {address} (Ctrl-C stops it).")
    print(words.format(address=f"http://{serving.HOST}:{port}/"), flush=True)
    with contextlib.suppress(OSError):
        SERVED.write_text(str(port), encoding="utf-8")
    options = ["-q", "--no-initial", f"--port={port}", f"--ignore={MADE}"]
    options += [f"--watch={ROOT / name}" for name in WATCHED]
    autobuild = [sys.executable, "-m", "sphinx_autobuild", *options, DOCS, html]
    return hand_over(autobuild, machine.network_environ())


def _sources():
    """A digest that changes when a file that the site may be made from does, or its time."""
    files = [ROOT / "Pipfile.lock"]
    for name in ("docs", *WATCHED, "harness", "bench", "labs", "tests"):
        files += sorted(path for path in (ROOT / name).rglob("*") if path.is_file())
    generated = {MADE, DOCS / "notebooks"}
    digest = hashlib.sha256(sys.version.encode())
    for path in files:
        is_made = path.parent.name == "__pycache__" or path.suffix == ".mo"
        if not is_made and not generated & set(path.parents):
            about = path.stat()
            what = (path.relative_to(ROOT).as_posix(), about.st_size, about.st_mtime_ns)
            digest.update(repr(what).encode())
    return digest.hexdigest()


def _text(path):
    """The text of a file; None if it cannot be read."""
    with contextlib.suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8")


def page_of(exercise):
    """The address of an exercise's page if the site is served, or else its file if it is built.

    The file's path is relative to the workshop. Returns None if there is neither.
    """
    name, place = f"{exercise.id}.html", ""
    if exercise.is_challenge:
        name, place = "exercises.html", f"#challenge-{exercise.id.replace('_', '-')}"
    file = MADE / "html" / name
    if not file.is_file():
        return None
    if port := _port_that_serves(f"/{name}"):
        return f"http://{serving.HOST}:{port}/{name}{place}"
    return str(file.relative_to(ROOT))


def _port_that_serves(path):
    """The port that the site is served on at this moment; None if it is not."""
    with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
        port = int(SERVED.read_text(encoding="utf-8"))
        connection = http.client.HTTPConnection(serving.HOST, port, timeout=ANSWER_SECONDS)
        with contextlib.closing(connection):
            connection.request("HEAD", path)
            if connection.getresponse().status == 200:
                return port


def open_notebooks(port, has_browser):
    """Open the notebooks in JupyterLab, in place of this process; raises PortTaken."""
    options = [
        *JUPYTER,
        f"--ServerApp.root_dir={ROOT / 'notebooks'}",
        f"--ServerApp.port={serving.chosen_port(port, 8888)}",
        *([] if has_browser else ["--no-browser"]),
        *(["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []),
    ]
    hand_over([sys.executable, "-m", "jupyterlab", *options], machine.environ())
