"""The learner's own folder, websocket/: where one is, earlier attempts, hints, and the diff.

What takes its place is made whole under another name first; then two renames put it there. Until
all is done, the file MOVING has the name in attempts/ of what was there. So if a command is ended
between the two renames, the next one puts that back.
"""

import contextlib
import difflib
import json
import os
import queue
import shutil
import tempfile
import threading
import time
from pathlib import Path

from workshop import moving, watching
from workshop.machine import COMMAND
from workshop.steps import (
    UnknownTarget,
    all_exercises,
    find_exercise,
    is_left_by_tools,
    write_files,
)
from workshop.venv import ROOT

FOLDER = ROOT / "websocket"
ATTEMPTS = ROOT / "attempts"
PROGRESS = FOLDER / "progress.json"
MOVING = ATTEMPTS / ".moving"
NEW = ".new-"  # how a folder in attempts/ begins that will be websocket/
STALE_SECONDS = 600  # after which such a folder must be of a command that was killed
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "node_modules", "venv", "progress.*")
LONGEST_PROGRESS = 100_000  # characters
BAD_CONTENT = (ValueError, TypeError, AttributeError, RecursionError)  # not what we wrote


class LearnerProblem(Exception):
    """Something is in the way in the learner's folder; the message says what to do."""


class Progress:
    """What is done, what was started, and how many hints were shown; kept in progress.json.

    A file that is damaged is set aside as progress.damaged.json; `noticed` says so then.
    """

    def __init__(self):
        self.started, self.done, self.hints, self.noticed = None, [], {}, ""
        _put_back()
        try:
            content = json.loads(_read(PROGRESS))
            self.started = _known(content["started"])
            self.done = [name for name in map(_known, content["done"]) if name]
            self.hints = {name: max(0, int(count)) for name, count in content["hints"].items()}
        except (FileNotFoundError, NotADirectoryError):
            if FOLDER.is_dir() and any(FOLDER.iterdir()):
                self.noticed = (
                    "websocket/progress.json is not there, so what was done is not known."
                )
        except (OSError, ArithmeticError, LookupError, *BAD_CONTENT):
            self.started, self.done, self.hints = None, [], {}
            self.noticed = (
                "websocket/progress.json could not be read, so what was done is not known; "
                "it is kept as progress.damaged.json."
            )
            try:
                moving.rename(PROGRESS, moving.free(PROGRESS.with_name("progress.damaged.json")))
            except OSError:
                raise LearnerProblem(
                    "websocket/progress.json is not a file that can be read: move it away"
                ) from None

    def save(self, folder=None):
        """Write it to the learner's folder; raises LearnerProblem where that is not possible."""
        content = {"started": self.started, "done": self.done, "hints": self.hints}
        text = json.dumps(content, indent=2) + "\n"
        folder = folder or FOLDER
        if not folder.is_dir():  # it was taken away meanwhile, and is not made again for this
            return
        try:
            new = folder / "progress.new.json"
            new.write_text(text, encoding="utf-8", newline="\n")
            moving.replace(new, folder / PROGRESS.name)
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
                f"as in `{COMMAND} check 3`"
            )
        return find_exercise(self.started)

    def note_done(self, exercise):
        """Note that an exercise is done."""
        if exercise.id not in self.done:
            self.done.append(exercise.id)
        self.save()


class Saves:
    """The saves in the learner's folder, watched by a thread from now on.

    To start another exercise counts as a save, also if it changes no file of the project.
    """

    def __init__(self, on_save):
        self.on_save = on_save  # called in that thread
        self.names, self.started = queue.SimpleQueue(), _started()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self):
        for names in watching.saves(FOLDER):
            if (started := _started()) != self.started:
                names = names or [f"{FOLDER.name}/"]
            self.started = started
            if names:
                self.names.put(names)
                self.on_save()

    def wait(self):
        """Wait for a save, and return the names of the files."""
        while True:
            with contextlib.suppress(queue.Empty):
                return self.names.get(timeout=0.2)  # so that Ctrl-C is heard on Windows, too


def _started():
    """The name of the exercise that was started, as progress.json has it; None if it is damaged."""
    with contextlib.suppress(OSError, LookupError, *BAD_CONTENT):
        return json.loads(_read(PROGRESS))["started"]


def _read(path):
    """The text of a file that should be short; raises OSError or ValueError if it is not that."""
    if path.exists() and not path.is_file():
        raise ValueError(f"{path.name} is not a file")
    with path.open(encoding="utf-8") as file:
        text = file.read(LONGEST_PROGRESS + 1)
    if len(text) > LONGEST_PROGRESS:
        raise ValueError(f"{path.name} is too long")
    return text


def require_folder():
    """Raise LearnerProblem unless the learner's folder is there."""
    _put_back()
    if FOLDER.is_symlink() and not FOLDER.is_dir():
        raise LearnerProblem("websocket is a link that leads to no folder: remove it")
    if FOLDER.exists() and not FOLDER.is_dir():
        raise LearnerProblem("websocket is a file here, and should be your folder: rename the file")
    if not FOLDER.is_dir():
        raise LearnerProblem(f"there is no websocket/ yet: `{COMMAND} start` makes it")


def start(exercise, files=None):
    """Put the start of an exercise into websocket/; returns where the earlier attempt is now.

    With `files`, put them there in place of the start. Returns None if there was no attempt. Raises
    LearnerProblem, with everything left as it was.
    """
    _require_replaceable()
    progress = Progress()
    try:
        folder = write_files(exercise.start if files is None else files, _new_folder())
    except OSError as error:
        raise LearnerProblem(f"attempts/ cannot be written to: {error.strerror}") from None
    return _replace(folder, progress, exercise.id)


def work_before(exercise):
    """The exercise right before this one that websocket/ holds a learner's own work on, if any.

    A folder that is still as `start` made it holds none.
    """
    started = Progress().started
    if started is None or not FOLDER.is_dir() or exercise.previous is None:
        return None
    before = find_exercise(started)
    is_right_before = before.id != exercise.id and before.number == exercise.previous.number
    return before if is_right_before and _differs_from(before.start) else None


def _differs_from(start):
    """Whether websocket/ holds files, and not just those of a start as they were."""
    paths = [path for path in FOLDER.rglob("*") if path.is_file()]
    names = {path.relative_to(FOLDER) for path in paths if not path.match("progress.*")}
    names = {name.as_posix() for name in names if not is_left_by_tools(name)}
    if names != set(start):
        return bool(names)
    return any((FOLDER / name).read_bytes() != start[name] for name in names)


def go_on(exercise):
    """Begin an exercise with what is in websocket/, and with the files of its start that it lacks.

    Returns where a copy of what was there is now, and the names of the files that were added. The
    copy leaves out environments and what tools have made. Raises LearnerProblem.
    """
    require_folder()
    progress = Progress()
    attempts()
    folder = None
    try:
        folder = _new_folder()
        shutil.copytree(FOLDER, folder, symlinks=True, ignore=NOT_COPIED, dirs_exist_ok=True)
        kept = moving.rename(folder, _place_for(progress.started))
    except (OSError, shutil.Error) as error:
        if folder:
            moving.remove(folder)
        why = getattr(error, "strerror", None) or "a file cannot be read"
        raise LearnerProblem(f"websocket/ cannot be copied to attempts/: {why}") from None
    added = _add_missing(exercise.start)
    progress.started = exercise.id
    progress.save()
    return kept, added


def _add_missing(files):
    """Add those files to websocket/ that are not there; returns their names."""
    missing = [name for name in files if not os.path.lexists(FOLDER / name)]
    try:
        write_files({name: files[name] for name in missing}, FOLDER)
    except OSError as error:
        raise LearnerProblem(f"websocket/ cannot be written to: {error.strerror}") from None
    return missing


def _new_folder():
    """An empty folder in attempts/ for this command alone, since two may start at once."""
    ATTEMPTS.mkdir(exist_ok=True)
    _remove_stale()
    folder = Path(tempfile.mkdtemp(prefix=NEW, dir=ATTEMPTS))
    folder.chmod(0o755)  # mkdtemp's is for its owner only
    return folder


def _remove_stale():
    for folder in ATTEMPTS.glob(f"{NEW}*"):
        if time.time() - folder.stat().st_mtime > STALE_SECONDS:
            moving.remove(folder)


def attempts():
    """The folders of earlier attempts, the newest first."""
    if ATTEMPTS.is_symlink():
        raise LearnerProblem("attempts is a link, and should be a folder here: move it away")
    found = [path for path in ATTEMPTS.glob("[!.]*") if path.is_dir() and not path.is_symlink()]
    return sorted(found, reverse=True)


def bring_back(name):
    """Make an earlier attempt the learner's folder again; returns where the present one is now.

    Raises LearnerProblem if there is no such attempt.
    """
    _require_replaceable()
    folder = next((attempt for attempt in attempts() if attempt.name == name), None)
    if folder is None:
        raise LearnerProblem(f"there is no attempt {name!r}: `start --back` lists those there are")
    return _replace(folder, Progress(), _known(name.partition("_")[2].partition(".")[0]))


def _require_replaceable():
    if FOLDER.is_symlink():
        raise LearnerProblem(
            "websocket is a link to another folder, which is left alone: remove the link first"
        )
    if FOLDER.exists():
        require_folder()
    if ATTEMPTS.exists() and not ATTEMPTS.is_dir():
        raise LearnerProblem("attempts is a file here, and should be a folder: rename the file")
    attempts()


def _replace(folder, progress, exercise_id):
    """Make a folder the learner's own; what was in that goes to attempts/, and where is returned.

    Returns None if there was nothing. Raises LearnerProblem, with everything left as it was.
    """
    was_started, progress.started = progress.started, exercise_id
    progress.save(folder)
    kept = None
    try:
        if FOLDER.exists():
            kept = _place_for(was_started)
            MOVING.write_text(kept.name, encoding="utf-8")
            moving.rename(FOLDER, kept)
        moving.rename(folder, FOLDER)
    except OSError as error:
        if kept and kept.exists() and not FOLDER.exists():
            moving.rename(kept, FOLDER)
        raise LearnerProblem(
            f"websocket/ cannot be moved to attempts/ ({error.strerror}): close what uses it"
        ) from None
    return _clean_up(kept)


def _clean_up(kept):
    """Take away what helped to replace the folder; returns the attempt, None if it is empty."""
    with contextlib.suppress(OSError):  # what is left of it harms nobody
        if kept:
            (kept / PROGRESS.name).unlink(missing_ok=True)
            if not any(kept.iterdir()):
                kept.rmdir()
                kept = None
        MOVING.unlink(missing_ok=True)
        if not any(ATTEMPTS.iterdir()):
            ATTEMPTS.rmdir()
    return kept


def _place_for(started):
    """Where in attempts/ the work on an exercise that was started goes; there is nothing yet."""
    return moving.free(ATTEMPTS / f"{time.strftime('%Y-%m-%dT%H-%M-%S')}_{started or 'unknown'}")


def _put_back():
    """Undo or finish what a command has left that was ended in the middle."""
    if ATTEMPTS.is_symlink() or not MOVING.is_file():
        return
    name = _read(MOVING)
    kept = next((attempt for attempt in attempts() if attempt.name == name), None)
    if kept and FOLDER.exists():
        _clean_up(kept)
    elif kept and not FOLDER.is_symlink():
        with contextlib.suppress(OSError):
            moving.rename(kept, FOLDER)
            MOVING.unlink()


def _known(name):
    """The id of an exercise; None for none, and for one that there is not any more."""
    try:
        return find_exercise(name).id if name else None
    except UnknownTarget:
        return None


def hint(exercise):
    """The next hint for an exercise, and how many are left after it; the last stays the last."""
    progress = Progress()
    hints = exercise.hints
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
        yield from _compared(mine, content, f"websocket/{name} (yours)", f"{name} (solution)")


def diff_other(exercise):
    """The lines of a unified diff from the solution to another way to write it.

    Raises LearnerProblem if none is shown for this exercise.
    """
    variant = exercise.other_way
    if variant is None:
        having = ", ".join(other.id for other in all_exercises() if other.other_way)
        raise LearnerProblem(
            f"there is no other way to show for {exercise.id}; there is one for {having}"
        )
    name, solution = variant.file, exercise.solution
    other = variant.applied_to(solution)[name]
    return _compared(solution[name], other, f"{name} (solution)", f"{name} (another way)")


def _compared(old, new, old_name, new_name):
    old, new = (content.decode(errors="replace").splitlines() for content in (old, new))
    return difflib.unified_diff(old, new, old_name, new_name, lineterm="")
