"""The statements of a project's files, written so that those of two projects can be compared.

A name that a project has chosen itself stands between ‹ and ›. Left out is what makes no difference
when the code runs: comments, types, quotes, and empty lines.
"""

import ast
import re
import tomllib
from functools import cache, partial
from html.parser import HTMLParser
from typing import NamedTuple

OWN = re.compile(r"‹([^›]*)›")
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
LEFT_OUT = {"pass", "return", "return None"}


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


# ---- Python


# Two ways to write a route.
GET = re.compile(r"\.route\(('[^']*')\)")
ROUTE = re.compile(r"\.route\(('[^']*'), methods=\['(\w+)'\]\)")


class Marker(ast.NodeTransformer):
    """Marks a project's own names, and writes those of packages in full."""

    def __init__(self, tree):
        nodes = list(ast.walk(tree))
        self.full = {}
        for node in nodes:
            if isinstance(node, ast.Import | ast.ImportFrom):
                module = getattr(node, "module", "")
                prefix = "" if module in ("", "quart") else f"{module}."
                self.full |= {n.asname or n.name: f"{prefix}{n.name}" for n in node.names}
        made = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        made |= {node.arg for node in nodes if isinstance(node, ast.arg)}
        made |= {node.name for node in nodes if isinstance(node, FUNCTIONS | ast.ClassDef)}
        made |= {n.name for n in nodes if isinstance(n, ast.ExceptHandler) and n.name}
        self.own = made - set(self.full)
        inside = [n for c in nodes if isinstance(c, ast.ClassDef) for n in ast.walk(c)]
        self.parts = {node.name for node in inside if isinstance(node, FUNCTIONS)}
        self.parts |= {
            node.attr
            for node in inside
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self"
        }

    def marked(self, name):
        return f"‹{name}›" if name in self.own else self.full.get(name, name)

    def visit_Name(self, node):
        node.id = self.marked(node.id)
        return node

    def visit_Attribute(self, node):
        self.generic_visit(node)
        node.attr = f"‹{node.attr}›" if node.attr in self.parts else node.attr
        return node

    def visit_arg(self, node):
        node.arg, node.annotation = self.marked(node.arg), None
        return node

    def visit_function(self, node):
        self.generic_visit(node)
        node.name, node.returns = self.marked(node.name), None
        return node

    visit_FunctionDef = visit_AsyncFunctionDef = visit_function

    def visit_ClassDef(self, node):
        self.generic_visit(node)
        node.name = self.marked(node.name)
        return node

    def visit_AnnAssign(self, node):
        self.generic_visit(node)
        return (
            ast.copy_location(ast.Assign([node.target], node.value), node) if node.value else None
        )

    def visit_Expr(self, node):
        """To update settings is the same as to set each."""
        self.generic_visit(node)
        match node.value:
            case ast.Call(
                ast.Attribute(ast.Attribute(attr="config") as config, "update"), [], keys
            ):
                places = [ast.Subscript(config, ast.Constant(k.arg), ast.Store()) for k in keys]
                pairs = zip(keys, places, strict=True)
                return [ast.copy_location(ast.Assign([to], k.value), k) for k, to in pairs]
        return node

    def visit_BinOp(self, node):
        """A sum of texts is the same as an f-string."""
        self.generic_visit(node)
        sides = [node.left, node.right]
        is_text = [isinstance(one, ast.Constant) and isinstance(one.value, str) for one in sides]
        is_text += [isinstance(one, ast.Call) and ast.unparse(one.func) == "f" for one in sides]
        if not (isinstance(node.op, ast.Add) and any(is_text)):
            return node
        parts = []
        for one, is_f in zip(sides, is_text[2:], strict=True):
            parts += one.args if is_f else [one]
        return ast.copy_location(ast.Call(ast.Name("f"), parts, []), node)

    def visit_JoinedStr(self, node):
        self.generic_visit(node)
        values = [getattr(one, "value", one) for one in node.values]
        parts = [ast.Constant(one) if isinstance(one, str) else one for one in values]
        return ast.copy_location(ast.Call(ast.Name("f"), parts, []), node)

    def visit_Constant(self, node):
        if not isinstance(node.value, str):
            return node
        # A text for people may have other words, and a variable in a path another name.
        text = "…" if " " in node.value.strip() else re.sub(r"<\w+>", "<…>", node.value)
        return ast.copy_location(ast.Constant(text), node)


def of_python(text, inlines):
    """The statements of a file of Python."""
    tree = ast.parse(text)
    for owner in ast.walk(tree) if inlines else ():
        for node in ast.walk(owner) if isinstance(owner, FUNCTIONS) else ():
            for field in ("body", "orelse", "finalbody"):
                if isinstance(block := getattr(node, field, None), list):
                    inline(block, owner)
    return flat(Marker(tree).visit(tree).body, 0)


def inline(block, owner):
    """Where a name is used just once, in the statement after, put in its place what it is."""
    names = [node.id for node in ast.walk(owner) if isinstance(node, ast.Name)]
    for index in range(len(block) - 2, -1, -1):
        match block[index]:
            case ast.Assign([ast.Name(name)], value) if names.count(name) == 2:
                if put_in(block[index + 1], name, value):
                    del block[index]


def put_in(node, name, value):
    """Put a value in the place of a name in a statement, not in those inside of it; was it done?"""
    for field, old in ast.iter_fields(node):
        for at, item in enumerate(old) if isinstance(old, list) else [(None, old)]:
            if isinstance(item, ast.Name) and item.id == name:
                if at is None:
                    setattr(node, field, value)
                else:
                    old[at] = value
                return True
            is_part = isinstance(item, ast.AST) and not isinstance(item, ast.stmt)
            if is_part and put_in(item, name, value):
                return True
    return False


def flat(nodes, depth):
    """Statements, each before those that are inside of it."""
    found = []
    for node in nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue  # a docstring
        for decorator in getattr(node, "decorator_list", []):
            text = GET.sub(r".get(\1)", ast.unparse(decorator))
            text = ROUTE.sub(lambda found: f".{found[2].lower()}({found[1]})", text)
            found.append(Statement(decorator.lineno, depth, f"@{text}"))
            node.decorator_list = []
        inner = [(field, getattr(node, field, [])) for field in ("body", "handlers")]
        inner += [(field, getattr(node, field, [])) for field in ("orelse", "finalbody")]
        inner = [(field, one) for field, one in inner if isinstance(one, list)]
        for field, _ in inner:
            if hasattr(node, field):
                setattr(node, field, [])
        text = "try:" if isinstance(node, ast.Try) else ast.unparse(node)
        text = "while True:" if text == "while 1:" else text
        if text not in LEFT_OUT:
            found.append(Statement(node.lineno, depth, text))
        for field, statements in inner:
            if statements and field in ("orelse", "finalbody"):
                word = {"orelse": "else:", "finalbody": "finally:"}[field]
                found.append(Statement(statements[0].lineno - 1, depth, word))
            found += flat(statements, depth + (field != "handlers"))
    return found


# ---- JavaScript

TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
    r"|[\w$]+|=>|[=!]==?|&&|\|\||\n|[^\s\w]",
    re.DOTALL,
)
MADE = (r"\b(?:const|let|var|function|class)\s+([\w$]+)", r"([\w$]+)\s*=>")
MADE_MANY = (
    r"\(([\w$\s,]*)\)\s*=>",
    r"\bfunction\b\s*[\w$]*\s*\(([\w$\s,]*)\)",
    r"catch\s*\((\w+)\)",
)
HEADS = {"if", "else", "for", "while"}  # after which one statement stands, or a block
# Two ways to write the same.
SAME = (
    (r"\bgetElementById \( \"", 'querySelector ( "#'),
    (r"\. on(\w+) = ", r'. addEventListener ( "\1" , '),
    (r"\binnerText\b", "textContent"),
    (r"\bappendChild\b", "append"),
    (r"^(const|let|var) ", ""),
    (r"===", "=="),
    (r"!==", "!="),
)


def of_script(text):
    """The statements of a script."""
    return Script(text).found


class Script:
    """A script, read token by token: a statement ends with a ; or a line, or where a block begins.

    `.found` has its statements.
    """

    def __init__(self, text):
        self.own = own_names(text)
        self.found, self.tokens, self.began = [], [], 1
        self.blocks = []  # for each { that is open, how many parentheses were; None of an object
        self.parens, self.is_below_head = 0, False
        line = 1
        for match in TOKEN.finditer(text):
            if not match[0].startswith(("//", "/*")):
                if not self.tokens:
                    self.began = line
                self.read(match[0], text[match.end() :].lstrip(" \t"))
            line += match[0].count("\n")
        self.end()

    def read(self, token, rest):
        """Read one token; `rest` is the text after it."""
        if token == "{":
            is_block = not (self.tokens and self.tokens[-1] in ("=", "(", ",", "[", ":", "return"))
            if is_block:
                self.end()
                self.is_below_head = False
            else:
                self.tokens.append(token)
            self.blocks.append(self.parens if is_block else None)
        elif token == "}" and self.blocks and self.blocks[-1] is not None:
            self.end()
            self.parens, self.is_below_head = self.blocks.pop(), False
        elif token == ";" or (token == "\n" and not re.match(r"\s*[.?:&|+]", rest)):
            if self.is_outside_parens():
                self.end()
        elif token != "\n":
            if token == "}" and self.blocks:
                self.blocks.pop()
            self.parens += (token in "([") - (token in ")]")
            is_own = token in self.own and self.tokens[-1:] != ["."]
            self.tokens.append(f"‹{token}›" if is_own else quoted(token, self.own))
            is_head = self.tokens[0] in HEADS and token == ")" and self.is_outside_parens()
            if is_head and not rest.startswith("{"):
                self.end()

    def is_outside_parens(self):
        """Whether all parentheses are closed that were opened in this block."""
        return self.parens == (self.blocks or [0])[-1]

    def end(self):
        """A statement ends here, if one has begun."""
        words = " ".join(self.tokens)
        for pattern, replacement in SAME:
            words = re.sub(pattern, replacement, words)
        depth = len(self.blocks) + self.is_below_head
        if words.strip(" );,"):
            words = words.strip(" ;").replace(" . ", ".")
            self.found.append(Statement(self.began, depth, words))
            self.is_below_head = self.tokens[0] in HEADS
        self.tokens = []


def own_names(text):
    """The names that a script makes."""
    own = {name for pattern in MADE for name in re.findall(pattern, text)}
    lists = [names for pattern in MADE_MANY for names in re.findall(pattern, text)]
    return own | {name.strip() for names in lists for name in names.split(",")}


def quoted(token, own):
    """A token; a text always has the same quotes, and own names in it are marked."""
    if token[0] == "`" and "${" in token:
        return re.sub(r"(?<=\$\{)[\w$]+", lambda m: f"‹{m[0]}›" if m[0] in own else m[0], token)
    return f'"{token[1:-1]}"' if token[0] in "'`" and '"' not in token[1:-1] else token


# ---- Pages and the Pipfile


class Tags(HTMLParser):
    """Notes each start tag of a page, its attributes in order."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        words = [name if value is None else f'{name}="{value}"' for name, value in attributes]
        text = re.sub(r"\s*([{}(),=])\s*", r"\1", " ".join([tag, *sorted(words)]).replace("'", '"'))
        self.found.append(Statement(self.getpos()[0], 0, text))


def of_page(text):
    """The start tags of a page."""
    tags = Tags()
    tags.feed(text)
    return sorted(tags.found, key=lambda one: one.text)  # their order makes little difference


def of_pipfile(text):
    """The lines of a Pipfile."""
    found = []
    for section, table in tomllib.loads(text).items():
        if isinstance(table, dict) and table:
            found.append(Statement(line_of(text, f"[{section}]"), 0, f"[{section!r}]"))
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str) and re.match(r"[<>=~!]=?\s*\d", value):
                value = "*"  # any version will do
            line = line_of(text, key)
            if isinstance(value, dict) and set(value) == {"version"}:
                value = value["version"]
            found.append(Statement(line, 0, f"[{section!r}] {key!r} = {value!r}"))
    return found


def line_of(text, start):
    """The number of the first line of a text that begins with something, perhaps in quotes."""
    lines = enumerate(text.splitlines(), 1)
    return next((number for number, one in lines if one.strip(" \"'").startswith(start)), 1)
