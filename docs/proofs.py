"""{proof}`tests/test_x.py::test_name` links to the test that proves what a sentence says.

`{proofs}`, on the page tests.md, shows each of these tests.
"""

import re

from docutils import nodes
from sphinx.util.docutils import SphinxRole
from workshop_docs import DOCS, ROOT, FromFiles

from workshop.language import _

USED = re.compile(r"\{proof\}`([^`]+)`")


def anchor(proof):
    """Where a test is on the page of the tests."""
    return nodes.make_id(proof)


class Proof(SphinxRole):
    """A link to a test; a test that is not there is an error."""

    def run(self):
        """The word "tested", which leads to the test."""
        file, _colons, name = self.text.partition("::")
        path = ROOT / file
        self.env.note_dependency(str(path))
        if not path.is_file() or f"def {name}(" not in path.read_text(encoding="utf-8"):
            message = self.inliner.reporter.error(f"there is no test {self.text}", line=self.lineno)
            return [nodes.problematic("", self.text)], [message]
        page = self.env.app.builder.get_relative_uri(self.env.docname, "tests")
        link = nodes.reference(
            "",
            _("tested"),
            refuri=f"{page}#{anchor(self.text)}",
            internal=True,
            classes=["proof"],
            reftitle=words(name),
        )
        return [link], []


def words(name):
    """A test's name as a sentence says it."""
    return name.removeprefix("test_").replace("_", " ")


class Proofs(FromFiles):
    """`{proofs}`: the tests that the pages name, each with its text, in sections of their own."""

    required_arguments = 0

    def run(self):
        """A section for each file, and in it one for each test."""
        self.env.note_reread()  # a page may name another test, or one less
        pages = [path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))]
        files = {}
        for proof in sorted({proof for page in pages for proof in USED.findall(page)}):
            files.setdefault(proof.partition("::")[0], []).append(proof)
        return [
            section(file, nodes.literal("", file), [self.test(proof) for proof in proofs])
            for file, proofs in files.items()
        ]

    def test(self, proof):
        """The section of a test."""
        file, _colons, name = proof.partition("::")
        title = words(name)
        text = f"```{{literalinclude}} ../{file}\n:language: python\n:pyobject: {name}\n```"
        return section(proof, nodes.Text(title[0].upper() + title[1:]), self.parsed(text))


def section(name, title, content):
    """A section with an anchor that its name makes."""
    made = nodes.section(ids=[anchor(name)], names=[name])
    made += nodes.title("", "", title)
    made += content
    return made


def setup(app):
    """Tell Sphinx of the role and the directive."""
    app.add_role("proof", Proof())
    app.add_directive("proofs", Proofs)
    return {"parallel_read_safe": True}
