"""The file that `board --save` keeps: the class code, then a row of JSON for each change.

The last row of a learner is the one that counts. A board that starts again reads them, and writes
the file anew with these rows only.
"""

import json
import os

from workshop import environment, moving

KIND = "quart-websocket-workshop board"


class BoardProblem(Exception):
    """A board cannot be started; the message says why and what to do."""


def read(path):
    """The class code and the rows in a file; None and no rows if there is no file yet.

    Raises BoardProblem if it is not the file of a board.
    """
    try:
        first, *lines = path.read_text(encoding="utf-8").split("\n")
        head = json.loads(first)
        if head["kind"] != KIND:
            raise ValueError
        # What follows the last line end was cut off by the end of the board.
        rows = {row["learner"]: row for row in map(json.loads, lines[:-1])}
        return head["code"], list(rows.values())
    except FileNotFoundError:
        return None, []
    except OSError as error:
        raise BoardProblem(f"{path.name} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        raise BoardProblem(
            f"{path.name} is not the file of a board, so it is left alone: choose another one"
        ) from None


class Saved:
    """A file that each change is added to, before anyone is told of it."""

    def __init__(self, path, code, rows):
        lines = [{"kind": KIND, "code": code}, *rows]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        new = path.with_name(f"{path.name}.new")
        try:
            with path.open("a") as file:
                if not environment.is_locked(file):
                    raise BoardProblem(f"another board uses {path.name}: stop that board first")
            # Only for this user: the class code lets people in.
            opened = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with open(opened, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())  # before it takes the place of the class's only copy
            moving.replace(new, path)
            self.file = path.open("a", encoding="utf-8", newline="\n")
            environment.is_locked(self.file)  # until this process ends
        except OSError as error:
            raise BoardProblem(f"{path.name} cannot be written to: {error.strerror}") from None

    def add(self, row):
        """Add a row. When this returns, the system has it, so it outlives this process.

        It may not be on the disk yet: fsync can take seconds on a busy disk, and the whole board
        would wait for it. If the machine loses power, the reports of the last seconds may be lost.
        """
        self.file.write(json.dumps(row) + "\n")
        self.file.flush()

    def close(self):
        """Close the file."""
        self.file.close()
