"""The learner's own folder, websocket/: where one is, earlier attempts, hints, and the diff."""

import contextlib
import difflib
import json
import queue
import shutil
import threading
import time
from pathlib import Path

from workshop.environment import ROOT
from workshop.steps import UnknownTarget, all_exercises, find_exercise

FOLDER = ROOT / "websocket"
ATTEMPTS = ROOT / "attempts"
PROGRESS = FOLDER / "progress.json"
BAD_CONTENT = (ValueError, TypeError, AttributeError)  # JSON, but not what we wrote


class LearnerProblem(Exception):
    """Something is in the way in the learner's folder; the message says what to do."""


class Progress:
    """What is done, what was started, and how many hints were shown; kept in progress.json.

    A file that is damaged is set aside as progress.damaged.json; `noticed` says so then.
    """

    def __init__(self):
        self.started, self.done, self.hints, self.noticed = None, [], {}, ""
        try:
            content = json.loads(PROGRESS.read_text(encoding="utf-8"))
            self.started = find_exercise(content["started"]).id if content["started"] else None
            self.done = [find_exercise(name).id for name in content["done"]]
            self.hints = {name: max(0, int(count)) for name, count in content["hints"].items()}
        except (FileNotFoundError, NotADirectoryError):
            if FOLDER.is_dir() and any(FOLDER.iterdir()):
                self.noticed = (
                    "websocket/progress.json is not there, so what was done is not known."
                )
        except (OSError, ArithmeticError, LookupError, *BAD_CONTENT, UnknownTarget):
            self.started, self.done, self.hints = None, [], {}
            self.noticed = (
                "websocket/progress.json could not be read, so what was done is not known; "
                "it is kept as progress.damaged.json."
            )
            try:
                PROGRESS.replace(PROGRESS.with_name("progress.damaged.json"))
            except OSError:
                raise LearnerProblem(
                    "websocket/progress.json is not a file that can be read: move it away"
                ) from None

    def save(self):
        """Write it to the learner's folder; raises LearnerProblem where that is not possible."""
        content = {"started": self.started, "done": self.done, "hints": self.hints}
        text = json.dumps(content, indent=2) + "\n"
        try:
            FOLDER.mkdir(exist_ok=True)
            new = PROGRESS.with_name("progress.new.json")
            new.write_text(text, encoding="utf-8", newline="\n")
            new.replace(PROGRESS)
        except OSError as error:
            raise LearnerProblem(f"websocket/ cannot be written to: {error.strerror}") from None

    def next_exercise(self, after=None):
        """The first step that is not done, if possible after another; None when all are done."""
        steps = [exercise for exercise in all_exercises() if not exercise.is_challenge]
        to_do = [step for step in steps if step.id not in self.done]
        later = [step for step in to_do if after and step.number > after.number]
        return next(iter(later or to_do), None)

    def current_exercise(self):
        """The exercise that was started; raises LearnerProblem if none is known."""
        require_folder()
        if self.started is None:
            raise LearnerProblem(
                "it is not known which exercise websocket/ belongs to: name its number, "
                "as in `python3 -m workshop check 3`"
            )
        return find_exercise(self.started)

    def is_done(self, exercise):
        """Note that an exercise is done."""
        if exercise.id not in self.done:
            self.done.append(exercise.id)
        self.save()


class Saves:
    """The saves in the learner's folder, watched by a thread from now on."""

    def __init__(self, on_save):
        self.on_save = on_save  # called in that thread
        self.names = queue.SimpleQueue()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        from watchfiles import watch

        options = {"step": 20, "debounce": 200, "rust_timeout": 200, "yield_on_timeout": True}
        while True:
            watched = _identity(FOLDER)
            for changes in watch(FOLDER, **options) if watched else ():
                # Not our own file, and not those that editors write first and then rename.
                names = {Path(path).name for _, path in changes if Path(path).exists()}
                self._tell({name for name in names if not name.startswith("progress.")})
                if _identity(FOLDER) != watched:
                    break  # `start` has put another folder in its place, which must be watched
            while _identity(FOLDER) is None:
                time.sleep(0.2)
            self._tell({"websocket/"})

    def _tell(self, names):
        if names:
            self.names.put(sorted(names))
            self.on_save()

    def wait(self):
        """Wait for a save, and return the names of the files."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self.names.get(timeout=0.2)  # so that Ctrl-C is heard on Windows, too


def _identity(folder):
    """What tells a folder from another of the same name; None if it is not there."""
    try:
        return folder.stat().st_ino
    except OSError:
        return None


def require_folder():
    """Raise LearnerProblem unless the learner's folder is there."""
    if FOLDER.exists() and not FOLDER.is_dir():
        raise LearnerProblem("websocket is a file here, and should be your folder: rename the file")
    if not FOLDER.is_dir():
        raise LearnerProblem("there is no websocket/ yet: `python3 -m workshop start` makes it")


def start(exercise):
    """Put the start of an exercise into websocket/; returns where the earlier attempt is now.

    Returns None if there was none. Raises LearnerProblem, with everything left as it was.
    """
    progress = Progress()
    kept = _keep(progress)
    FOLDER.mkdir(exist_ok=True)
    for name, content in exercise.start.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    progress.started = exercise.id
    progress.save()
    return kept


def attempts():
    """The folders of earlier attempts, the newest first."""
    return sorted((path for path in ATTEMPTS.glob("*") if path.is_dir()), reverse=True)


def bring_back(name):
    """Make an earlier attempt the learner's folder again; returns where the present one is now.

    Raises LearnerProblem if there is no such attempt.
    """
    folder = ATTEMPTS / name
    if not name or folder.parent != ATTEMPTS or not folder.is_dir():
        raise LearnerProblem(f"there is no attempt {name!r}: `start --back` lists those there are")
    progress = Progress()
    kept = _keep(progress)
    FOLDER.mkdir(exist_ok=True)
    shutil.copytree(folder, FOLDER, dirs_exist_ok=True)
    progress.started = name.partition("_")[2].partition(".")[0] or None
    progress.save()
    shutil.rmtree(folder)
    return kept


def _keep(progress):
    """Move what is in the learner's folder to attempts/, all but the progress."""
    if FOLDER.exists():
        require_folder()
    else:
        return None
    if not any(path != PROGRESS for path in FOLDER.iterdir()):
        return None
    name = f"{time.strftime('%Y-%m-%dT%H-%M-%S')}_{progress.started or 'unknown'}"
    target, number = ATTEMPTS / name, 1
    while target.exists():
        number += 1
        target = ATTEMPTS / f"{name}.{number}"
    try:
        ATTEMPTS.mkdir(exist_ok=True)
        FOLDER.rename(target)
    except OSError as error:
        raise LearnerProblem(
            f"websocket/ cannot be moved to attempts/ ({error.strerror}): close what uses it"
        ) from None
    (target / PROGRESS.name).unlink(missing_ok=True)
    progress.save()
    return target


def hint(exercise):
    """The next hint for an exercise, and how many are left after it; the last stays the last."""
    progress = Progress()
    hints = exercise.about["hints"]
    shown = min(progress.hints.get(exercise.id, 0) + 1, len(hints))
    progress.hints[exercise.id] = shown
    if FOLDER.is_dir():
        progress.save()
    return hints[shown - 1], len(hints) - shown


def diff(exercise):
    """The lines of a unified diff from the learner's files to the solution's."""
    require_folder()
    for name, content in exercise.solution.items():
        path = FOLDER / name
        mine = path.read_bytes() if path.is_file() else b""
        old, new = (text.decode(errors="replace").splitlines() for text in (mine, content))
        yield from difflib.unified_diff(
            old, new, f"websocket/{name} (yours)", f"{name} (solution)", lineterm=""
        )
