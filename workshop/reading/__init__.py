"""The statements of a project's files, written so that those of two projects can be compared.

A name that a project has chosen itself stands between ‹ and ›. Left out is what makes no difference
when the code runs: comments, types, quotes, and empty lines.
"""

from functools import cache, partial

from workshop.reading.markup import of_page, of_pipfile
from workshop.reading.python import of_python
from workshop.reading.script import of_script


@cache
def statements(name, text, inlines=False):
    """The statements of a file, by its name; raises ValueError or SyntaxError if it has an error.

    With `inlines`, a variable that is used once, in the statement after it, is left out.
    """
    suffix = name.rpartition(".")[2]
    readers = {
        "py": partial(of_python, inlines=inlines),
        "js": of_script,
        "html": of_page,
        "Pipfile": of_pipfile,
    }
    return in_blocks(readers[suffix](text)) if suffix in readers else []


def in_blocks(found):
    """The same statements, with the number of their block; a decorator belongs to what follows."""
    block, is_decorated, numbered = 0, False, []
    for one, following in zip(found, [*found[1:], None], strict=False):
        is_decorator = one.text.startswith("@")
        opens = is_decorator or (following is not None and following.depth > 0)
        if one.depth == 0:
            block += opens and not is_decorated
            is_decorated = is_decorator
        numbered.append(one._replace(block=block) if one.depth or opens else one)
    return numbered
