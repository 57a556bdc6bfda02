"""The branches for a classroom: exercise/ID and solution/ID, made from the steps.

Each exercise's commit stands on the solution before it, each solution's on its exercise; those of a
challenge stand on its step's solution. Once a branch is released, a correction is a commit on top
of what was released, so that learners can pull it. The same sources and the same released commits
give the same commits on any machine. Only refs and objects are written: the work tree, the index
and the current branch stay as they are.
"""

import os
import re
import subprocess
from dataclasses import dataclass

from workshop import machine
from workshop.installing import requirement
from workshop.steps import STEPS, all_exercises
from workshop.venv import ROOT, locked

NAME = "Quart WebSocket Workshop"
EMAIL = "workshop@example.invalid"  # a commit of this committer is one of ours
FIRST_SECOND = 1767225600  # 2026-01-01; each commit is a minute after the one before
RELEASED = "refs/workshop/released/"  # what this clone has pushed, also to a remote without a name
PIPENV = "2026.7.1"  # older ones fail on a Pipfile.lock that names no package index
PYPROJECT = """\
[tool.pytest.ini_options]
testpaths = ["tests"]
pythonpath = ["."]  # for harness/
addopts = ["--import-mode=importlib", "--project=websocket", "-rfE", "-p", "no:anyio"]
asyncio_default_fixture_loop_scope = "function"
timeout = 60
"""
# What git itself sets for a hook, and would lead to another repository.
ELSEWHERE = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "LANGUAGE")
# What a server's hook or ssh says comes before git's own words, and is the reason.
REASONS = ("remote: ", "ssh: ", "Permission denied", "fatal: ")
README = """\
# {title}

About {minutes} minutes. When it is done, you can:

{objectives}

## Your task

Your project is the folder `websocket/`.

{task}
## Set up

Create an environment in the folder `.venv`, activate it, and install the packages into it. On
Windows, type `py` instead of `python3`, and `.venv\\Scripts\\activate` instead of the second line.

```console
python3 -m venv .venv
source .venv/bin/activate
pip install -r requirements.txt
```

If you have pipenv {pipenv} or newer, `pipenv sync --dev` and `pipenv shell` do the same.

## Run it

```console
quart --app websocket/websocket.py run
```

Then open <http://127.0.0.1:5000>. If port 5000 is taken, add `--port 5001`.

## Check it

```console
pytest
```

It fails now; when everything passes, you are done.

## Afterwards

Commit your work to a branch of your own, for example `mine`:

```console
git switch -c mine
git add websocket
git commit -m "My solution"
```

Once the solution is released, compare it with yours. Don't merge it: both changed the same lines.

```console
git fetch
git diff mine origin/solution/{id} -- websocket
```

To continue with the next exercise and your own work, switch to that exercise's branch, then copy
your folder into it:

```console
git switch exercise/NEXT
git restore --source=mine websocket
```
"""


class BranchProblem(Exception):
    """The branches cannot be made, pushed or deleted; the message says why and what to do."""


@dataclass(frozen=True)
class Released:
    """A branch's commit as it was released: what a correction of it stands on."""

    commit: str
    tree: str
    seconds: int  # since 1970, when it was committed


def make(force=False):
    """Make all branches; returns a branch and what was done for each, in order.

    That is "made", "corrected" (on top of what was released), "moved" or "unchanged".

    Where a branch with somebody's commits is moved, the words say which commit it was at.

    Raises BranchProblem, with nothing moved, if a branch is somebody else's (unless forced) or
    checked out.
    """
    require_repository()
    new = _commit_all()
    old, released = _present(), _released()
    updates, results = [], []
    for branch, commit in new.items():
        is_there = branch in old
        if is_there and old[branch]["commit"] != commit:
            _require_movable(branch, old[branch], force)
        if is_there and old[branch]["commit"] == commit:
            results.append((branch, "unchanged"))
            continue
        moved = "corrected" if branch in released else "moved"
        results.append((branch, f"{moved}{_dropped(old[branch])}" if is_there else "made"))
        updates.append(f"update refs/heads/{branch} {commit}\n")
    git("update-ref", "--stdin", stdin="".join(updates).encode())
    return results


def present():
    """The branches of the workshop that there are: name, and whether it is as it was made."""
    require_repository()
    return [(branch, state["email"] == EMAIL) for branch, state in _present().items()]


def delete(force=False):
    """Delete the workshop's branches; returns (branch, "deleted") for each, in order.

    Raises BranchProblem, with nothing deleted, if one has other commits (unless forced) or is
    checked out.
    """
    require_repository()
    old = _present()
    for branch, state in old.items():
        _require_movable(branch, state, force)
    deletions = "".join(f"delete refs/heads/{branch}\n" for branch in old)
    git("update-ref", "--stdin", stdin=deletions.encode())
    return [(branch, f"deleted{_dropped(state)}") for branch, state in old.items()]


def _dropped(state):
    """Words that say how to get somebody's commits back, after a branch is moved or deleted."""
    if state["email"] == EMAIL:
        return ""
    return f"; to have its commits back: git branch NAME {state['commit'][:12]}"


def push(remote, branches, force=False):
    """Push branches to a remote, and return those that were not there already, as they are now.

    Raises BranchProblem with git's own reason if the remote refuses.
    """
    require_repository()
    if remote.startswith("-"):
        raise BranchProblem(f"{remote!r} is no remote: name one, such as origin, or an address")
    present, made = _present(), _commit_all()
    for branch in branches:
        if branch not in present:
            raise BranchProblem(f"there is no branch {branch} yet: `{machine.COMMAND} branches`")
        if present[branch]["commit"] != made[branch] and not force:
            raise BranchProblem(
                f"{branch} is not what the steps make now: `{machine.COMMAND} branches` makes it "
                "anew, and --force pushes it as it is"
            )
    refs = [f"refs/heads/{branch}:refs/heads/{branch}" for branch in branches]
    answer = git("push", "--porcelain", *(["--force"] if force else []), remote, *refs)
    updates = [f"update {RELEASED}{one} {present[one]['commit']}\n" for one in branches]
    git("update-ref", "--stdin", stdin="".join(updates).encode())
    there = {line.split("\t")[1] for line in answer.splitlines() if line.startswith("=\t")}
    return [branch for branch, ref in zip(branches, refs, strict=True) if ref not in there]


def has_default_branch(remote):
    """Whether a clone of a remote checks out a branch without being told which one."""
    return bool(git("ls-remote", remote, "HEAD").strip())


def exercise_branches():
    """The names of all exercise branches, in order."""
    return [f"exercise/{exercise.id}" for exercise in all_exercises()]


def require_repository():
    """Raise BranchProblem unless the workshop is a git repository that may be used."""
    try:
        top = git("rev-parse", "--show-cdup").strip()
    except FileNotFoundError:
        raise BranchProblem("git is not installed, and branches need it") from None
    except BranchProblem as problem:
        if "dubious ownership" in str(problem):
            trust = machine.as_typed("git", "config", "--global", "--add", "safe.directory", ROOT)
            raise BranchProblem(
                f"this clone belongs to another user, so git refuses to use it: {trust}"
            ) from None
        if "not a git repository" not in str(problem):
            raise
        raise BranchProblem("this is not a git repository: clone the workshop with git") from None
    if top:
        raise BranchProblem("this folder is inside another git repository: clone the workshop")


def _require_movable(branch, state, force):
    if state["worktree"]:
        raise BranchProblem(
            f"{branch} is checked out in {state['worktree']}: switch to another branch there first"
        )
    if state["email"] != EMAIL and not force:
        raise BranchProblem(f"{branch} has commits that are not ours: keep them, or use --force")


def _present():
    fields = "%(refname:short)%00%(objectname)%00%(committeremail:trim)%00%(worktreepath)"
    lines = git("for-each-ref", f"--format={fields}", "refs/heads/exercise", "refs/heads/solution")
    rows = [line.split("\0") for line in lines.splitlines()]
    for branch, *_ in rows:
        if branch in ("exercise", "solution"):
            raise BranchProblem(
                f"git cannot keep {branch}/… beside a branch called {branch}: rename that one"
            )
    return {
        branch: {"commit": commit, "email": email, "worktree": worktree}
        for branch, commit, email, worktree in rows
        if branch in _names()
    }


def _names():
    return {
        f"{kind}/{exercise.id}" for exercise in all_exercises() for kind in ("exercise", "solution")
    }


def _released():
    """The branches that were pushed from here or fetched from a remote, as Released."""
    fields = "%(refname) %(objectname) %(tree) %(committerdate:unix) %(committeremail:trim)"
    known, found = _names(), {}
    for line in git("for-each-ref", f"--format={fields}", RELEASED, "refs/remotes").splitlines():
        ref, commit, tree, seconds, email = line.split(" ", 4)
        branch = re.sub(rf"^(?:{RELEASED}|refs/remotes/[^/]+/)", "", ref)
        one = Released(commit, tree, int(seconds))
        # A correction is later than what it stands on.
        if branch in known and email == EMAIL:
            found[branch] = max(one, found.get(branch, one), key=lambda each: each.seconds)
    return found


def _commit_all():
    """Write the commits of all branches, and return their ids."""
    ids, released = _write_commits({}), _released()
    if not released:
        return ids
    trees = git("rev-parse", *(f"{commit}^{{tree}}" for commit in ids.values())).split()
    current = {
        branch
        for branch, tree in zip(ids, trees, strict=True)
        if branch in released and released[branch].tree == tree
    }
    return _write_commits(released, current)


def _write_commits(released, current=()):
    """Write commits for all branches but those whose released ones are current; return all ids."""
    stream, commits, mark = [b"reset refs/workshop/made\n\n"], {}, 0
    for exercise in all_exercises():
        parent = commits[f"solution/{exercise.previous.id}"] if exercise.previous else None
        around = _around(exercise)
        for kind, project in (("exercise", exercise.start), ("solution", exercise.solution)):
            branch, mark = f"{kind}/{exercise.id}", mark + 1
            seconds = FIRST_SECOND + 60 * mark
            message = f"{exercise.heading}: {'the task' if kind == 'exercise' else 'a solution'}"
            if branch in released:
                parent, seconds = released[branch].commit, released[branch].seconds + 60
                message += ", corrected"
            if branch not in current:
                files = {**around, **{f"websocket/{name}": project[name] for name in project}}
                stream.append(_commit(mark, parent, seconds, f"{message}\n", files))
                parent = f":{mark}"
            commits[branch] = parent
    stream.append(b"done\n")
    ids = git("fast-import", "--quiet", "--done", "--force", stdin=b"".join(stream)).split()
    if ids:
        git("update-ref", "-d", "refs/workshop/made")
    written = iter(ids)
    return {
        branch: next(written) if commit.startswith(":") else commit
        for branch, commit in commits.items()
    }


def _commit(mark, parent, seconds, message, files):
    """A commit in the language of git fast-import, which then answers with the commit's id."""
    who = f"{NAME} <{EMAIL}> {seconds} +0000"
    lines = [
        b"commit refs/workshop/made\nmark :%d\n" % mark,
        f"author {who}\ncommitter {who}\n".encode(),
        b"data %d\n%s" % (len(message.encode()), message.encode()),
        f"from {parent}\n".encode() if parent else b"",
        b"deleteall\n",
    ]
    for name in sorted(files):
        lines.append(
            b"M 100644 inline %s\ndata %d\n%s\n" % (name.encode(), len(files[name]), files[name])
        )
    return b"".join([*lines, b"\nget-mark :%d\n" % mark])


def _around(exercise):
    """What a branch holds beside the project: the task, the tests, and what they need."""
    readme = README.format(
        title=exercise.heading,
        id=exercise.id,
        pipenv=PIPENV,
        minutes=exercise.minutes,
        objectives="".join(f"- {objective}\n" for objective in exercise.objectives),
        task=exercise.task,
    )
    pipfile = (ROOT / "Pipfile").read_text(encoding="utf-8").partition("\n[scripts]")[0]
    files = {
        "README.md": readme.encode(),
        "Pipfile": pipfile.encode(),
        "Pipfile.lock": (ROOT / "Pipfile.lock").read_bytes(),
        "requirements.txt": "".join(
            requirement(name, entry)
            for name, entry in sorted({**locked("default"), **locked("develop")}.items())
        ).encode(),
        "pyproject.toml": PYPROJECT.encode(),
        "conftest.py": (STEPS / "conftest.py").read_bytes(),
        ".gitignore": b".venv*/\n__pycache__/\n.pytest_cache/\n",
    }
    for path in (ROOT / "harness").glob("*.py"):
        files[f"harness/{path.name}"] = path.read_bytes()
    for folder in exercise.tests:
        files |= {f"tests/{path.name}": path.read_bytes() for path in folder.glob("test_*.py")}
    return files


def git(*arguments, stdin=None, text=True):
    """What git prints; raises BranchProblem with the reason that git gives."""
    environ = {name: value for name, value in os.environ.items() if name not in ELSEWHERE}
    result = subprocess.run(
        ["git", *arguments],
        cwd=ROOT,
        env={**environ, "LC_ALL": "C"},  # its words are read below, so they must be English
        input=stdin,
        capture_output=True,
    )
    if result.returncode:
        lines = (result.stdout + result.stderr).decode(errors="replace").strip().splitlines()
        reasons = [line for line in lines if line.startswith(REASONS)]
        rejected = [line.rpartition("\t")[2] for line in lines if line.startswith("!")]
        if any("non-fast-forward" in line or "fetch first" in line for line in rejected):
            rejected[0] += "; --force replaces what is there"
        reason = " ".join([*reasons[:1], *rejected[:1]] or lines[:1] or ["no reason given"])
        raise BranchProblem(f"git {arguments[0]} failed: {reason.removeprefix('fatal: ')}")
    return result.stdout.decode() if text else result.stdout
