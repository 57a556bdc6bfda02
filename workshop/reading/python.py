"""The statements of a file of Python."""

import ast
import re
import warnings

from workshop.reading.statement import Statement

FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef
LEFT_OUT = {"pass", "return", "return None"}
# Where a statement has others inside of it, and the line that stands before them.
INNER = {"body": "", "handlers": "", "orelse": "else:", "finalbody": "finally:"}
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
    with warnings.catch_warnings(action="ignore"):  # Python gives them when the code runs
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
        inner = [(field, getattr(node, field, None)) for field in INNER]
        inner = [(field, statements) for field, statements in inner if isinstance(statements, list)]
        for field, _ in inner:
            setattr(node, field, [])
        text = "try:" if isinstance(node, ast.Try) else ast.unparse(node)
        text = "while True:" if text == "while 1:" else text
        if text not in LEFT_OUT:
            found.append(Statement(node.lineno, depth, text))
        for field, statements in inner:
            if statements and INNER[field]:
                found.append(Statement(statements[0].lineno - 1, depth, INNER[field]))
            found += flat(statements, depth + (field != "handlers"))
    return found
