"""What a learner's checks report to a class's board, once they have joined it with `join`.

A check writes its report to a file, and a process of its own sends it, which is this file run as a
script: so a board that is slow or unavailable delays no check. What could not be sent stays there
for the next time. Before `join`, there is no file of the board's address, and nothing is ever sent.
"""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "attempts/.board"  # which git ignores, and `start` leaves alone
DEFAULT_PORT = 5050
ANSWER_SECONDS = 5  # for the board to answer
MOST_SECONDS = 60  # after which the rest waits for the next time
TRIES, PAUSE = 20, 0.5  # how often to ask a board that has too much to do, and seconds in between
LONGEST_NAME = 100  # characters; a board allows fewer
MOST_UNSENT = 100  # reports; older ones are dropped
LONGEST_ANSWER = 10_000  # bytes
BAD_CONTENT = (OSError, ValueError, LookupError, TypeError)  # not what was written here
ONLY_MINE = 0o600  # the token is this learner's alone


class ReportProblem(Exception):
    """The board can't be joined or told of something; the message says why."""


def address_of(text):
    """A board's address as HOST:PORT; raises ReportProblem if it is none."""
    full = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(full)
        host, port = parts.hostname, parts.port or DEFAULT_PORT
    except ValueError:
        host = None
    if not host or parts.scheme != "http" or parts.path.strip("/") or parts.username:
        raise ReportProblem(f"{text} is not the address of a board: type it as the board shows it")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# ---- What a report holds


def made_of(exercise_id, checks):
    """The report of an exercise's checks: all that is ever sent of them.

    A check with several cases counts once, and has failed if one of them has. One that was skipped
    or has not run is left out.
    """
    outcomes = {}
    for check in checks:
        words = check.words.partition(" (")[0]
        if check.outcome == "failed" or (check.outcome == "passed" and words not in outcomes):
            outcomes[words] = check.outcome
    return {
        "id": secrets.token_hex(8),
        "exercise": exercise_id,
        "checks": outcomes,
        "time": int(time.time()),
    }


def what_is_sent(who):
    """What is sent once a board is joined, and what never is, in lines; `who` names a learner."""
    return [
        "- which exercise was checked, and when",
        "- the name of each check that ran, and whether it passed or failed",
        f"Everyone who sees the board sees this beside {who}.",
        "Never sent: your code, what it prints, paths, the name of this machine or account.",
        "It is sent over plain HTTP, so others on this network could read it.",
    ]


def report(exercise_id, checks, folder=FOLDER):
    """Report what was checked, if a board was joined: returns its address then, or else None.

    This only writes a file and starts a process. If either fails, `check` continues all the same.
    """
    joined = read_joined(folder)
    if joined is None:
        return None
    with contextlib.suppress(OSError):
        note(made_of(exercise_id, checks), folder)
        send_in_background(folder)
    return joined["address"]


def note(report, folder=FOLDER):
    """Write a report to a file of its own, to be sent."""
    text = json.dumps(report, indent=2) + "\n"
    unsent = _unsent(folder)
    for path in unsent[: max(0, len(unsent) + 1 - MOST_UNSENT)]:
        path.unlink(missing_ok=True)
    _write(folder / "last.json", text)
    _write(folder / f"unsent-{time.time_ns():020}.json", text)


def last_report(folder=FOLDER):
    """The text of the last report; None if there is none."""
    with contextlib.suppress(OSError):
        return (folder / "last.json").read_text(encoding="utf-8")
    return None


def _unsent(folder):
    """The files of the reports that were not sent yet, the oldest first."""
    return sorted(folder.glob("unsent-*.json"))


def _write(path, text):
    """Write a file, so that a process that reads it sees all of it or nothing."""
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, ONLY_MINE)
    with open(opened, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
    new.replace(path)


# ---- Joining and leaving


def read_joined(folder=FOLDER):
    """The address of the board that was joined, the name there and the token; None if none was."""
    try:
        joined = json.loads((folder / "joined.json").read_text(encoding="utf-8"))
        return {key: str(joined[key]) for key in ("address", "name", "token")}
    except BAD_CONTENT:
        return None


def join(address, code, name=None, folder=FOLDER):
    """Join a board; returns the name that it shows. Raises ReportProblem."""
    status, answer = _ask(address, "join", {"code": code, "name": name})
    if status != 201:
        raise ReportProblem(f"the board at {address} refuses: {_problem(answer)}")
    try:
        joined = {"address": address, **{key: str(answer[key]) for key in ("name", "token")}}
        if not joined["name"].isprintable() or len(joined["name"]) > LONGEST_NAME:
            raise ValueError
        joined["token"].encode("ascii")
    except (LookupError, TypeError, ValueError):
        raise ReportProblem(f"the server at {address} is not a board") from None
    try:
        forget(folder)
        folder.mkdir(parents=True)
        _write(folder / "joined.json", json.dumps(joined, indent=2) + "\n")
    except OSError as error:
        with contextlib.suppress(ReportProblem):
            _ask(address, "leave", {}, joined["token"])
        raise ReportProblem(f"attempts/ cannot be written to: {error.strerror}") from None
    return joined["name"]


def tell(what, content, folder=FOLDER):
    """Tell the board that was joined of something; raises ReportProblem if that fails."""
    joined = read_joined(folder)
    if joined is None:
        from workshop.machine import COMMAND  # here, because the script can't import it

        raise ReportProblem(f"you haven't joined a board: `{COMMAND} join ADDRESS CODE`")
    status, answer = _ask(joined["address"], what, content, joined["token"])
    if status == 401:
        forget(folder)
        raise ReportProblem("the board doesn't know you any more: join again with its new code")
    if status != 204:
        raise ReportProblem(f"the board at {joined['address']} refuses: {_problem(answer)}")


def forget(folder=FOLDER):
    """Remove all that is kept of a board: from now on, nothing is sent."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):  # if there are earlier attempts
        folder.parent.rmdir()


def _ask(address, what, content, token=None):
    """Send a POST to the board: the status and the JSON of its answer. Raises ReportProblem.

    If the board has too much to do, it is asked again a few times.
    """
    for _ in range(TRIES):
        status, answer = _ask_once(address, what, content, token)
        if status != 429:
            break
        time.sleep(PAUSE)
    return status, answer


def _ask_once(address, what, content, token):
    import http.client  # here, because a check that has no board should not wait for it

    headers = {"Content-Type": "application/json"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    # No proxy: the board is in this room.
    connection = http.client.HTTPConnection(address, timeout=ANSWER_SECONDS)
    try:
        connection.request("POST", f"/api/{what}", json.dumps(content), headers)
        response = connection.getresponse()
        answer = response.read(LONGEST_ANSWER)
    except (OSError, http.client.HTTPException, ValueError):
        why = f"no board answers at {address}: is this machine on the same network?"
        raise ReportProblem(why) from None
    finally:
        connection.close()
    try:
        return response.status, json.loads(answer) if answer else {}
    except ValueError:
        return response.status, {}


def _problem(answer):
    """Why the board refuses something, in its own words."""
    words = str(answer.get("problem", "")) if isinstance(answer, dict) else ""
    return words if words and words.isprintable() else "it is not a board"


# ---- Sending in the background


def send_in_background(folder=FOLDER):
    """Start a process that sends what was not sent yet, and don't wait for it."""
    options = {"start_new_session": True}
    if os.name == "nt":
        detached = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
        options = {"creationflags": detached}
    nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    # -I and -S: this file needs Python's own modules only, so it starts fast.
    command = [sys.executable, "-I", "-S", __file__, str(folder)]
    subprocess.Popen(command, **nothing, **options)


def send(folder=FOLDER):
    """Send all reports that were not sent yet, in order; stops at the first that can't be sent.

    Two processes may do so at once, since the board counts a report with the same id once.
    """
    joined, until = read_joined(folder), time.monotonic() + MOST_SECONDS
    for path in _unsent(folder) if joined else ():
        if time.monotonic() > until:
            return
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:  # another process has sent it
            continue
        except BAD_CONTENT:
            path.unlink(missing_ok=True)
            continue
        try:
            status, _ = _ask(joined["address"], "report", content, joined["token"])
        except ReportProblem:
            return
        if status == 401 and read_joined(folder) == joined:  # the board has started anew
            return _end(folder, joined["address"])
        if status == 429 or status >= 500:
            return
        path.unlink(missing_ok=True)


def _end(folder, address):
    """Forget a board that does not know this learner any more, but note that it was so."""
    forget(folder)
    folder.mkdir(parents=True)
    _write(folder / "ended.txt", address)


def ended(folder=FOLDER):
    """The address of a board that has ended since this was asked last; None if none has."""
    with contextlib.suppress(OSError, ValueError):
        address = (folder / "ended.txt").read_text(encoding="utf-8")
        forget(folder)
        return address
    return None


if __name__ == "__main__":
    send(Path(sys.argv[1]))
