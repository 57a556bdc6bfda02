"""What was handed in: found in folders, zips, git clones and branches, and read without a risk.

A project is read into memory, and only plain files: no link is followed, nothing is unpacked on
disk, and nothing of it is run.
"""

import fnmatch
import hashlib
import io
import os
import re
import stat
import subprocess
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

APP = "websocket.py"
MOST_FILES, MOST_BYTES = 2000, 50 << 20  # of one submission
LARGEST_CODE = 1 << 18  # bytes of a file that is parsed
MOST_ENTRIES = 20_000  # that are looked at for them
DEPTH = 3  # zips in zips
# Folders that hold no project of a learner's own: what tools make, and what the workshop brings.
NOT_THEIRS = {"node_modules", "__MACOSX", "__pycache__", "site-packages", "venv", "env"}
NOT_THEIRS |= {"steps", "attempts", "bench", "docs", "solutions"}
SETTINGS = Path(__file__).with_name(
    "gitconfig"
)  # in a file, as a clone's other end needs them, too
GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": str(SETTINGS), "GIT_TERMINAL_PROMPT": "0"}
GIT_SECONDS = 30
CLIMBS = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")


class NoSubmission(Exception):
    """There is no project to grade: the message says why, in a clause."""


@dataclass(frozen=True)
class Source:
    """Where one submission is: a folder, a zip, a part of a zip, or a branch."""

    name: str  # as the platform, the folder or the branch has it
    path: str  # of the folder, the zip or the repository
    inside: str = ""  # the part of a zip, or the full name of a branch
    kind: str = "folder"  # or "zip", "branch", "other"

    def mark(self):
        """A hash that changes when the submission does: by names, sizes and times."""
        found = hashlib.sha256(f"{self.kind} {self.inside}".encode())
        if self.kind == "branch":
            found.update(git(self.path, "rev-parse", self.inside).encode())
            return found.hexdigest()
        for path, about in walk(Path(self.path)):
            found.update(os.fsencode(f"{path} {about.st_size} {about.st_mtime_ns}\n"))
        return found.hexdigest()


@dataclass
class Project:
    """The files of a submission's project, by name, and what was noticed on the way."""

    files: dict
    place: str  # where in the submission it is
    notes: list
    changed: str = ""  # when the newest file was changed, in UTC


# ---- Which submissions there are


def find(place):
    """The submissions in a folder or a zip, by name; raises NoSubmission if it is neither."""
    path = Path(place).absolute()
    if path.is_dir():
        if (path / APP).is_file():
            raise NoSubmission(
                f"{place} is one project: name the folder that contains a folder for each learner"
            )
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
        sources = [source_of(entry) for entry in entries]
    elif zipfile.is_zipfile(path):
        sources = in_zip(path)
    else:
        raise NoSubmission(f"{place} is neither a folder nor a zip")
    if not sources:
        raise NoSubmission(f"there is nothing in {place}")
    return sorted(sources, key=lambda source: source.name)


def source_of(entry):
    """The submission that an entry of a folder is."""
    if entry.is_symlink() or not (entry.is_dir() or entry.suffix.lower() == ".zip"):
        return Source(entry.name, str(entry), kind="other")
    if entry.is_dir():
        return Source(entry.name, str(entry))
    return Source(entry.name, str(entry), kind="zip")


def in_zip(path):
    """The submissions in a zip of a whole class: a folder or a zip for each learner."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not CLIMBS.search(name)]
    prefix = ""
    while True:
        below = {name.removeprefix(prefix) for name in names if name.startswith(prefix)}
        tops = {name.partition("/")[0] for name in below} - {"", "__MACOSX"}
        folders = {top for top in tops if any(name.startswith(f"{top}/") for name in below)}
        if len(tops) != 1 or not folders or {f"{top}/{APP}" for top in tops} & below:
            break
        prefix += f"{tops.pop()}/"
    sources = [Source(top, str(path), f"{prefix}{top}/", "zip") for top in folders]
    for name in tops - folders:
        kind = "zip" if name.lower().endswith(".zip") else "other"
        sources.append(Source(name, str(path), prefix + name, kind))
    return sources


def branches(repository, pattern):
    """The branches of a repository that match a pattern; raises NoSubmission if none does."""
    fields = "%(refname) %(refname:short)"
    try:
        lines = git(
            repository, "for-each-ref", f"--format={fields}", "refs/heads", "refs/remotes"
        ).splitlines()
    except NoSubmission as problem:
        raise NoSubmission(f"{repository} is no git repository: {problem}") from None
    pairs = [line.split(" ", 1) for line in lines]
    chosen = [(full, name) for full, name in pairs if fnmatch.fnmatchcase(name, pattern)]
    if not chosen:
        raise NoSubmission(f"no branch matches {pattern!r}; try it with `git branch --all --list`")
    fixed = re.split(r"[*?\[]", pattern)[0]
    return [
        Source(name.removeprefix(fixed) or name, str(repository), full, "branch")
        for full, name in sorted(chosen)
    ]


# ---- What is in one


def read(source):
    """The project of a submission; raises NoSubmission if there is none."""
    notes = []
    if source.kind == "other":
        raise NoSubmission("it is neither a folder nor a zip")
    if source.kind == "branch":
        files = unpack_tar(git(source.path, "archive", source.inside, text=False), notes)
    elif source.kind == "zip":
        files = unpack_zip(Path(source.path), notes, source.inside)
    elif is_bare(Path(source.path)):
        files = from_bare(source.path, notes)
    else:
        files = from_folder(Path(source.path), notes)
    for _ in range(DEPTH):
        zips = [name for name in files if name.lower().endswith(".zip")]
        if any(PurePosixPath(name).name == APP for name in files) or not zips:
            break
        for name in zips:
            content, _ = files.pop(name)
            inside = unpack_zip(io.BytesIO(content), notes)
            files |= {f"{name[:-4]}/{one}": what for one, what in inside.items()}
            keep_small(files)
    return choose(files, notes)


def choose(files, notes):
    """The project among the files of a submission."""
    folders = [PurePosixPath(name).parent for name in files if name.rpartition("/")[2] == APP]
    folders = [folder for folder in folders if not is_not_theirs(folder.parts)]
    if not folders:
        why = f"there is no {APP} in it" if files else "nothing was handed in"
        raise NoSubmission("; ".join([why, *notes]))
    depth = min(len(folder.parts) for folder in folders)
    nearest = [folder for folder in folders if len(folder.parts) == depth]
    called = [folder for folder in nearest if folder.name == "websocket"]
    if len(nearest) > 1 and len(called) != 1:
        names = ", ".join(sorted(map(str, nearest)))
        raise NoSubmission(f"it has more than one project: {names}")
    place = (called or nearest)[0]
    prefix = "" if place == PurePosixPath(".") else f"{place}/"
    own = {
        name.removeprefix(prefix): what for name, what in files.items() if name.startswith(prefix)
    }
    for name, (content, _) in own.items():
        if len(content) > LARGEST_CODE and name.endswith((".py", "Pipfile")):
            raise NoSubmission(f"{name} has more than {LARGEST_CODE >> 10} KB")
    newest = max((changed for _, changed in own.values()), default=0)
    time = datetime.fromtimestamp(newest, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Project({name: what for name, (what, _) in own.items()}, str(place), notes, time)


def is_not_theirs(parts):
    return any(part in NOT_THEIRS or part.startswith(".") for part in parts)


def keep_small(files):
    """Raise NoSubmission if there are too many files, or too much is in them."""
    if len(files) > MOST_FILES:
        raise NoSubmission(f"it has more than {MOST_FILES:,} files")
    if sum(len(content) for content, _ in files.values()) > MOST_BYTES:
        raise NoSubmission(f"it has more than {MOST_BYTES >> 20} MB")


def walk(top):
    """The files below a folder, or the one that it is, with what lstat says of each."""
    if not top.is_dir() or top.is_symlink():
        yield "", top.lstat()
        return
    count, folders = 0, [top]
    while folders:
        folder = folders.pop()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            count += 1
            if count > MOST_ENTRIES:
                raise NoSubmission(f"it has more than {MOST_ENTRIES:,} files")
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in NOT_THEIRS:
                    folders.append(Path(entry.path))
            else:
                name = Path(entry.path).relative_to(top).as_posix()
                yield name, entry.stat(follow_symlinks=False)


def from_folder(top, notes):
    """The files in a folder: name to content, and when it was changed."""
    files = {}
    for name, about in walk(top):
        if stat.S_ISLNK(about.st_mode):
            notes.append(f"{name} is a link, which isn't followed")
        elif stat.S_ISREG(about.st_mode):
            number = os.open(top / name, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            with open(number, "rb") as file:
                files[name] = (file.read(MOST_BYTES + 1), about.st_mtime)
            keep_small(files)
    return files


def unpack_zip(file, notes, prefix=""):
    """The files in a zip, or in the part of it that a prefix names."""
    try:
        with zipfile.ZipFile(file) as archive:
            if prefix and not prefix.endswith("/"):
                inside = archive.open(prefix).read(MOST_BYTES + 1)
                return unpack_zip(io.BytesIO(inside), notes)
            return dict(members(archive, notes, prefix))
    except NoSubmission:
        raise
    except Exception as error:  # whatever a broken or hostile zip makes of its reader
        raise NoSubmission(f"its zip can't be read: {error or type(error).__name__}") from None


def members(archive, notes, prefix):
    """The files of a zip as long as they are few and small."""
    size = count = 0
    for info in archive.infolist():
        name = info.filename
        if CLIMBS.search(name):
            raise NoSubmission(f"its zip has a path that leads out of it: {name!r:.80}")
        if info.is_dir() or not name.startswith(prefix):
            continue
        name = name.removeprefix(prefix)
        if is_not_theirs(PurePosixPath(name).parts[:-1]):
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            notes.append(f"{name} is a link, which isn't followed")
            continue
        content = archive.open(info).read(MOST_BYTES + 1 - size)
        size, count = size + len(content), count + 1
        if size > MOST_BYTES or count > MOST_FILES:
            raise NoSubmission(f"its zip has more than {MOST_BYTES >> 20} MB or too many files")
        yield name, (content, datetime(*info.date_time, tzinfo=UTC).timestamp())


def unpack_tar(data, notes):
    """The files in a tar that git has made."""
    files = {}
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive:
            if member.issym() or member.islnk():
                notes.append(f"{member.name} is a link, which isn't followed")
            elif member.isfile() and not is_not_theirs(PurePosixPath(member.name).parts[:-1]):
                content = archive.extractfile(member).read(MOST_BYTES + 1)
                files[member.name] = (content, member.mtime)
                keep_small(files)
    return files


def is_bare(path):
    """Whether a folder is a git repository without files of its own."""
    return all((path / name).exists() for name in ("HEAD", "objects", "refs"))


def from_bare(path, notes):
    """The files of a bare repository's default branch, from a copy without its settings."""
    with tempfile.TemporaryDirectory() as place:
        copy = f"{place}/copy"
        options = ["--quiet", "--no-local", "--no-checkout", "--depth=1", "--template="]
        git(place, "clone", *options, "--", Path(path).as_uri(), copy)
        return unpack_tar(git(copy, "archive", "HEAD", text=False), notes)


def git(folder, *arguments, text=True):
    """What a git command prints; raises NoSubmission if it fails."""
    command = ["git", "-c", "core.hooksPath=", "-c", "protocol.ext.allow=never"]
    try:
        result = subprocess.run(
            [*command, *arguments],
            cwd=folder,
            env={**os.environ, **GIT},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoSubmission(f"git doesn't answer ({type(error).__name__})") from None
    if result.returncode:
        said = result.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise NoSubmission(f"git can't read it: {said}")
    return result.stdout.decode() if text else result.stdout
