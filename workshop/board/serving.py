"""The board on a real server: its address, its code, and Uvicorn with step 7's settings."""

import contextlib
import os
import secrets
import sys

from workshop import serving
from workshop.board import saving
from workshop.language import _

FIRST_PORT = 5050
LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"  # none that looks like another one
CODE_LENGTH = 6


def new_code():
    """A class code: short enough to type, and too long to guess at five attempts a second."""
    return "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))


def settings():
    """How the board is served: as step 7's app is, with fewer connections for each machine."""
    from workshop.board.connections import BoundedHTTP
    from workshop.board.lessons import server_settings

    return {**server_settings(), "http": BoundedHTTP, "proxy_headers": False}


class Session:
    """A board that is about to be served: where, with which code, and kept in which file."""

    def __init__(self, port=None, lan=False, save=None):
        from workshop.board.app import Board, create_app

        code, rows = saving.read(save) if save else (None, [])
        self.is_continued, self.save = code is not None, save
        self.code = code or new_code()
        self.file = saving.Saved(save, self.code, rows) if save else None
        self.port = serving.chosen_port(port, FIRST_PORT)
        self.host = f"{serving.address_in_the_room() if lan else serving.HOST}:{self.port}"
        self.page = f"http://{serving.HOST}:{self.port}/#{self.code}"
        try:
            self.listener = serving.listen(self.port, serving.EVERYWHERE if lan else serving.HOST)
        except OSError:
            raise serving.PortTaken(f"port {self.port} is taken: try another --port") from None
        origins = f"http://{self.host} {os.environ.get('QUART_ORIGINS', '')}"
        self.board = Board(self.code, rows, self.keep, self.host)
        self.app = create_app(self.board, origins)

    def keep(self, row):
        """Write a row to the file, if there is one; the board continues if that is not possible."""
        if self.file:
            try:
                self.file.add(row)
            except OSError as error:
                self.file = None
                words = _(
                    "{file} cannot be written to any more ({why}): "
                    "the board continues, in memory only."
                )
                print(words.format(file=self.save.name, why=error.strerror), file=sys.stderr)

    def serve(self, announce):
        """Serve the board until Ctrl-C; `announce` is called once it listens."""
        import uvicorn

        class Server(uvicorn.Server):
            async def startup(self, sockets=None):
                await super().startup(sockets)
                announce()

        config = uvicorn.Config(self.app, lifespan="on", log_level="warning", **settings())
        try:
            with contextlib.suppress(KeyboardInterrupt):
                Server(config).run(sockets=[self.listener])
        finally:
            self.listener.close()
            if self.file:
                self.file.close()
