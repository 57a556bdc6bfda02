"""The board as a Quart app: learners send reports, and pages receive each change.

Every message in the log is a learner's new row, and the checks that most learners fail now. So a
page that has missed too many of them asks for the whole state, and continues from there.
"""

import asyncio
import json
import re
import secrets
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from quart import Quart, abort, has_request_context, render_template, request, websocket

from workshop import language
from workshop.board import exercises
from workshop.board.learners import Learners, Refused, shown
from workshop.board.lessons import Log, doors
from workshop.language import _, named, sentence

LOCALE = Path(__file__).with_name("locale")  # what the page says, in other languages
REPORT_SIZE = 16_384  # bytes; the longest report takes less than half
# A page of the docs may send these, wherever it comes from: each needs the code or a token.
FROM_ANYWHERE = {f"/api/{what}" for what in ("join", "report", "hand", "leave")}
CROSS_ORIGIN = {
    "Access-Control-Allow-Origin": "*",  # no cookie is used, so no page acts for somebody else
    "Access-Control-Allow-Methods": "POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}
ATTEMPTS = 5  # wrong codes a second from each address
REQUESTS = 100  # a second from each address
PAGES, PAGES_PER_ADDRESS = 100, 20
LOG_SIZE = 1000  # changes that a page may miss before it needs the whole state again
# That of step 7's page behind nginx, where docs/nginx.conf sets it.
POLICY = (
    "default-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


class Board:
    """A class: its code, its learners, and the log of what has changed."""

    def __init__(self, code, rows=(), save=lambda row: None, address=""):
        self.code, self.save, self.address = code, save, address
        self.log = Log(LOG_SIZE)
        self.learners = Learners(rows, self.changed)

    def changed(self, row):
        """Keep a row that has changed, and tell all pages."""
        self.save(row)
        self.log.append(json.dumps({"row": told(row), "most": self.most_failed()}))

    def most_failed(self):
        """The checks that most learners have to fix first, with common mistakes, for a page."""
        return [
            {
                **one,
                "check": named(one["check"]),
                "mistake": _(one["mistake"]).replace("`", ""),
            }
            for one in self.learners.most_failed()
        ]

    def state(self):
        """All that a page shows, and where it continues from there."""
        return {
            **{"log": self.log.name, "last": self.log.last},
            "join": f"python3 -m workshop join {self.address} {self.code}",
            "exercises": exercises.described(),
            "rows": [told(row) for row in self.learners.rows.values()],
            "most": self.most_failed(),
        }


def told(row):
    """A row as a page shows it, with its checks in the language that is used."""
    found = row.get("exercises", {}).items()
    in_words = {name: {**one, "first": one["first"] and named(one["first"])} for name, one in found}
    return shown(row) if row.get("left") else {**shown(row), "exercises": in_words}


def texts():
    """What the page says: English texts, with their translations or plural forms."""
    known = language.of(language.code, LOCALE)
    return {**known.texts, **known.plurals}


def create_app(board, origins=""):
    """The app of a board; pages of these origins may use it, and those of this machine."""
    words, code = texts(), language.code
    app = Quart(__name__)
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = 0
    app.config["MAX_CONTENT_LENGTH"] = REPORT_SIZE
    allowed = doors.Origins(origins)
    room = doors.Room(PAGES, PAGES_PER_ADDRESS)
    requests = lru_cache(1000)(lambda address: doors.TokenBucket(REQUESTS))
    attempts = lru_cache(1000)(lambda address: doors.TokenBucket(ATTEMPTS))

    @app.before_request
    @app.before_websocket
    async def check():
        asked = request if has_request_context() else websocket
        is_open = has_request_context() and asked.path in FROM_ANYWHERE
        if not is_open and not allowed.allow(asked.headers.get("Origin"), asked.host):
            abort(403)
        if len(asked.path.encode()) > 255:
            abort(404)
        if not requests(asked.remote_addr).take():
            abort(429)

    @app.after_request
    async def add_policy(response):
        response.headers["Content-Security-Policy"] = POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        if request.path in FROM_ANYWHERE:
            response.headers.update(CROSS_ORIGIN)
        return response

    @app.errorhandler(Refused)
    async def refused(problem):
        return {"problem": sentence(str(problem))}, problem.status

    def require_code(code, address):
        """Refuse a wrong code, and any code after too many wrong ones from the same address."""
        bucket = attempts(address)
        if not bucket.take():
            raise Refused(429, "too many wrong codes: wait a second")
        if not isinstance(code, str) or not is_same(code, board.code):
            raise Refused(403, "the code is wrong")
        bucket.tokens += 1  # only wrong codes are counted

    async def message():
        """The JSON object that a request contains."""
        try:
            found = json.loads(await request.get_data())
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Refused(400, "send a JSON object")
        return found

    def token():
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def in_words(text):
        return words.get(text, text)

    @app.get("/")
    async def index():
        return await render_template("board.html", _=in_words, words=words, code=code)

    @app.get("/api/state")
    async def state():
        require_code(request.args.get("code"), request.remote_addr)
        return board.state(), {"Cache-Control": "no-store"}

    @app.post("/api/join")
    async def join():
        asked = await message()
        require_code(asked.get("code"), request.remote_addr)
        number, given = board.learners.join(asked.get("name"))
        return {"learner": number, "name": board.learners.rows[number]["name"], "token": given}, 201

    @app.post("/api/report")
    async def report():
        board.learners.report(token(), await message())
        return "", 204

    @app.post("/api/hand")
    async def hand():
        board.learners.hand(token(), (await message()).get("up"))
        return "", 204

    @app.post("/api/leave")
    async def leave():
        board.learners.leave(token())
        return "", 204

    async def receiving():
        await websocket.receive()
        raise doors.Goodbye(1008, "Pages of the board only listen.")

    async def sending(name, last):
        with suppress(OSError):  # the page may leave at any time
            async for frame in board.log.frames(name, last):
                await websocket.send(frame)

    @app.websocket("/ws")
    async def ws():
        last = websocket.args.get("last", "0")
        if not re.fullmatch(r"\d{1,15}", last):
            abort(400)
        try:
            require_code(websocket.args.get("code"), websocket.remote_addr)
        except Refused as problem:
            abort(problem.status)
        with room.seat(websocket.remote_addr), suppress(OSError):
            await websocket.accept()
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(receiving())
                    await sending(websocket.args.get("log"), int(last))
            except* doors.Goodbye as goodbyes:
                goodbye, *_ = goodbyes.exceptions
            except* Exception:
                app.logger.exception("A page's handler failed.")
                goodbye = doors.Goodbye(1011, "Internal error; not your fault.")
            await websocket.close(goodbye.code, goodbye.reason)

    return app


def is_same(one, other):
    """Whether two codes are the same, in a time that tells nothing about how much of them is."""
    typed = one.strip().upper().encode(errors="replace")
    return secrets.compare_digest(typed, other.encode())
