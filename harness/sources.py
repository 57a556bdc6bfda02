"""What a project's source shows before it runs: lines that cannot be meant as they stand."""

import ast
from functools import lru_cache

ROUTES = {"get", "post", "put", "patch", "delete", "route", "websocket"}
MAKERS = {"Quart", "Blueprint"}
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def problem_of_source(path):
    """Say what is wrong with a line of an app's file, though Python would run it; "" if nothing."""
    return problem_of(path, path.read_bytes())


@lru_cache(maxsize=4)  # since each test loads the same app
def problem_of(path, content):
    tree = parsed(content)
    if problem := makes_two(tree):
        return f"{path.name}, {problem}"
    for node in ast.walk(tree):
        problem = imports_wrongly(node, path, tree) or routes_wrongly(node, tree)
        if problem := problem or replaces_config(node, tree) or only_compares(node, tree):
            return f"{path.name}, line {node.lineno}: {problem}"
    return ""


def parsed(text):
    """The tree of a file; an empty one if it has an error, which running it tells."""
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def functions_in(tree):
    """The functions of a file, outer ones before inner ones."""
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def imports_wrongly(node, path, tree):
    """Say that an import gives something other than it is meant to; "" if it does not."""
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return ""
    names = [name.name for name in node.names]
    module = getattr(node, "module", None)
    if path.stem in ([module] if isinstance(node, ast.ImportFrom) else names):
        return (
            f"this imports {path.name} itself, not a package; for Quart's websocket, "
            "it is `from quart import websocket`"
        )
    if module == "flask" and "quart.flask_patch" not in modules(tree):
        return f"{', '.join(names)} should be imported from quart, not from flask"
    return ""


def modules(tree):
    """The modules that a file imports."""
    nodes = list(ast.walk(tree))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return names | {n.name for node in nodes if isinstance(node, ast.Import) for n in node.names}


def routes_wrongly(node, tree):
    """Say that a decorator lacks its @ or its path; "" if it does not."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        if is_route(node.value.func, tree):
            call = ast.unparse(node.value)
            return f"`{call}` does nothing by itself: as a decorator it begins with @"
    for decorator in getattr(node, "decorator_list", []):
        if is_route(decorator, tree):
            name = ast.unparse(decorator)
            return f'`@{name}` needs a path in parentheses, such as `@{name}("/")`'
        if not (isinstance(decorator, ast.Call) and is_route(decorator.func, tree)):
            continue
        if inner := route_inside(node, tree):
            return f"`{inner}` stands inside `{node.name}`: move it out, to the left margin"
        if isinstance(node, ast.FunctionDef) and "websocket." in ast.unparse(node.body):
            return f"`def {node.name}` needs to be `async def`, to await what `websocket` does"
    return ""


def replaces_config(node, tree):
    """Say that an app's settings are replaced instead of updated; "" if they are not."""
    for target in node.targets if isinstance(node, ast.Assign) else []:
        if isinstance(target, ast.Attribute) and target.attr == "config":
            if ast.unparse(target.value) in made_by(tree, MAKERS):
                return "this replaces all settings of the app: use app.config.update(…)"
    return ""


def makes_two(tree):
    """Say in which line a second app takes the place of one that is in use; "" if in none."""
    used = {}  # name of an app to the first line that uses it, or None
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            name, maker = map(ast.unparse, (node.targets[0], node.value.func))
            if maker.rpartition(".")[2] == "Quart" and used.setdefault(name, None):
                why = f"a second app, without what line {used[name]} gave to the first one"
                return f"line {node.lineno}: this makes {why}: make the app only once"
        # What is inside a function runs later, with the second app.
        outside = node.decorator_list if isinstance(node, FUNCTIONS) else [node]
        for inner in (one for part in outside for one in ast.walk(part)):
            if isinstance(inner, ast.Attribute) and (name := ast.unparse(inner.value)) in used:
                used[name] = used[name] or inner.lineno
    return ""


def only_compares(node, tree):
    """Say that a line compares where it should assign; "" if it does not."""
    match node:
        case ast.Expr(ast.Compare(ast.Name() | ast.Attribute() | ast.Subscript(), [ast.Eq()])):
            code = ast.unparse(node)
            return f"`{code}` compares, and changes nothing: to assign, write a single ="
    return ""


def lines_about(project, word):
    """Say which lines of a project's Python files mention something: a clause, or ""."""
    found = []
    for path in sorted(project.glob("*.py")):
        text = path.read_text("utf-8", "replace")
        functions = functions_in(tree := parsed(text))
        ifs = [node for node in tree.body if isinstance(node, ast.If)]
        for number, line in enumerate(text.splitlines(), 1):
            if word.lower() in line.lower() and not line.lstrip().startswith("#"):
                around = [one.name for one in functions if one.lineno <= number <= one.end_lineno]
                when = f", which has no effect before {around[-1]}() runs" if around else ""
                if not around and any(one.lineno < number <= one.end_lineno for one in ifs):
                    when = ", inside an `if`: does it run when the file is imported?"
                found.append(f"line {number} of {path.name} is `{line.strip()}`{when}")
    return f"; {' and '.join(found[:2])}" if found else ""


def route_inside(node, tree):
    """The name of a function with a route inside another one; "" if there is none."""
    for inner in ast.walk(node):
        for decorator in getattr(inner, "decorator_list", []) if inner is not node else []:
            if isinstance(decorator, ast.Call) and is_route(decorator.func, tree):
                return inner.name
    return ""


def is_route(node, tree):
    """Whether a node is `app.get`, or the like, of an app or a blueprint."""
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ROUTES
        and isinstance(node.value, ast.Name)
        and node.value.id in made_by(tree, MAKERS)
    )


def made_by(tree, makers):
    """The names, at whatever level, that are given to what Quart() or Blueprint() returns."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)
        for target in node.targets
        if isinstance(target, ast.Name)
        and ast.unparse(node.value.func).rpartition(".")[2] in makers
    }


def why_no_app(path, names):
    """Say why a file that has run has no app, given the names that it has."""
    for name, value in names.items():
        if type(value).__name__ == "Quart":
            return f"{path.name} calls its app `{name}`: call it `app`"
    tree = ast.parse(path.read_bytes())
    if made_by(tree, {"Quart"}):  # within a function, or an `if`
        return (
            f"{path.name} makes its app only inside a function or an `if`: "
            "`app` must be there as soon as the file is imported"
        )
    return f"{path.name} has no app: it needs a line `app = Quart(__name__)`"
