"""Set up the workshop from this folder, without a network: python3 start.py [FOLDER]

It copies the workshop into FOLDER (quart-websocket-workshop, where you are, if you name none) and
installs what running and checking need into FOLDER/.venv. Nothing else on this machine is changed.
"""

# This file must still parse on Python 3.8, to tell people there which Python they need.
import hashlib
import json
import os
import platform
import shlex
import shutil
import stat
import subprocess
import sys
import time
import zipfile

KIT = os.path.dirname(os.path.abspath(__file__))
ENSURE = """
import sys
from workshop import environment, language
language.begin([])
try:
    environment.ensure(sys.argv[1])
except environment.EnvironmentFailed as problem:
    words = language._("Could not create the environment: {why}.")
    sys.exit(words.format(why=language.sentence(str(problem))))
"""


def _(text):
    """A text in English, until `speak` has replaced this."""
    return text


def speak():
    """From now on, use the language that the system or a variable asks for, if the kit has it."""
    global _
    sys.dont_write_bytecode = True  # or the kit would change
    try:
        import language

        language.begin([])
    except Exception:  # it isn't there, or not as it was made: require_whole says so
        return
    _ = language._


def main():
    """Check this folder, copy the workshop, and install the packages."""
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    if sys.version_info < (3, 11):
        sys.exit(
            "The workshop needs Python 3.11 or newer, and this is Python %d.%d (%s)."
            % (sys.version_info[0], sys.version_info[1], sys.executable)
        )
    speak()
    with open(os.path.join(KIT, "kit.json"), encoding="utf-8") as file:
        about = json.load(file)
    require_this_machine(about)
    require_whole()
    folder = os.path.abspath(sys.argv[1] if sys.argv[1:] else "quart-websocket-workshop")
    copy_workshop(folder)
    last = "maintenance" if about["everything"] else "develop"
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": os.path.join(KIT, "packages")}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    environ = dict(plain, PIP_CONFIG_FILE=os.devnull, **offline)
    code = subprocess.call([sys.executable, "-c", ENSURE, last], cwd=folder, env=environ)
    if code:
        sys.exit(code)
    python = "py" if os.name == "nt" else "python3"
    print("\n" + _("The workshop is ready. Continue with:") + "\n\n  cd %s" % quoted(folder))
    print("  %s -m workshop start 1\n  %s -m workshop check" % (python, python))


def quoted(path):
    """A path as one types it in a shell."""
    return shlex.quote(path) if os.name != "nt" else '"%s"' % path if " " in path else path


def require_this_machine(about):
    """End with a sentence unless there are packages for this Python."""
    version = "%d.%d" % sys.version_info[:2]
    if version not in about["pythons"]:
        sys.exit(
            _("This kit has packages for Python %s, and this is Python %s (%s): use one of those.")
            % (", ".join(about["pythons"]), version, sys.executable)
        )
    systems = {"win32": "Windows", "darwin": "macOS", "linux": "Linux"}
    system = systems.get(sys.platform, sys.platform)
    if not any(name.startswith(system) for name in about["targets"]):
        sys.exit(
            _("This kit has packages for %s, and this is %s (%s).")
            % (", ".join(about["targets"]), system, platform.machine())
        )


def require_whole():
    """End with a sentence unless every file is there and as it was made."""
    try:
        with open(os.path.join(KIT, "SHA256SUMS"), encoding="utf-8") as file:
            lines = [line.rstrip("\n").split("  ", 1) for line in file]
    except OSError:
        sys.exit(_("This kit isn't complete, because making it was interrupted: make it again."))
    for digest, name in lines:
        path = os.path.join(KIT, *name.split("/"))
        if not os.path.isfile(path):
            sys.exit(_("%s is missing: copy the kit again.") % told(name))
        with open(path, "rb") as file:
            if hashlib.sha256(file.read()).hexdigest() != digest:
                words = _("%s has changed since the kit was made: copy the kit again.")
                sys.exit(words % told(name))


def told(name):
    """A file of the kit in words; of a package, its name, Python and platform."""
    if not name.endswith(".whl"):
        return _("The file %s") % name
    parts = name.rpartition("/")[2][: -len(".whl")].split("-")
    (package, version), python, system = parts[:2], parts[-3], parts[-1]
    is_any = python.startswith("py")
    python = _("any Python") if is_any else "Python %s.%s" % (python[2], python[3:])
    system = _("any system") if system == "any" else system
    return _("The package %s %s (for %s, %s)") % (package, version, python, system)


def copy_workshop(folder):
    """Put the workshop into a folder: as a clone, or without git as plain files."""
    if os.path.isfile(os.path.join(folder, "Pipfile.lock")):
        print(_("The workshop is in %s already.") % folder, flush=True)
        return
    if os.path.exists(folder):
        sys.exit(_("%s contains something else: choose a new folder.") % folder)
    print(_("Copying the workshop to %s …") % folder, flush=True)
    new = folder + ".new"
    remove(new)
    if shutil.which("git"):
        bundle = os.path.join(KIT, "workshop.bundle")
        code = subprocess.call(["git", "clone", "--quiet", bundle, new])
        if code:
            sys.exit(code)
    else:
        with zipfile.ZipFile(os.path.join(KIT, "workshop.zip")) as file:
            file.extractall(new + ".zip")
        os.rename(os.path.join(new + ".zip", "quart-websocket-workshop"), new)
        os.rmdir(new + ".zip")
    rename(new, folder)


def remove(folder):
    """Remove what an interrupted run has left; on Windows, what git wrote is read-only."""
    for parent, _, names in os.walk(folder):
        for name in names:
            os.chmod(os.path.join(parent, name), stat.S_IRWXU)
    shutil.rmtree(folder, ignore_errors=True)


def rename(old, new):
    """Rename a folder; on Windows, a virus scanner may have it open for a moment."""
    for seconds in [0.1] * 20 if os.name == "nt" else []:
        try:
            return os.rename(old, new)
        except PermissionError:
            time.sleep(seconds)
    os.rename(old, new)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # its encoding may lack …
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
