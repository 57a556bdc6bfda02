"""A statement of a file, whatever language it is in."""

import re
from typing import NamedTuple

OWN = re.compile(r"‹([^›]*)›")


class Statement(NamedTuple):
    """One statement, or the first line of one that has others inside."""

    line: int
    depth: int  # how many others it is inside of
    text: str  # `‹queue›.put_nowait(‹message›)`
    block: int = 0  # the number of the statement at the left margin that it is in; 0 if in none

    @property
    def key(self):
        """What two statements have in common that do the same."""
        return self.depth, OWN.sub("_", self.text)

    @property
    def names(self):
        """The names in it that the project has chosen."""
        return OWN.findall(self.text)
