"""What a project's source never reaches: lines that follow a loop without an end."""

import ast
from itertools import pairwise

from harness.sources import FUNCTIONS, functions_in, parsed


def never_reached(text):
    """Say which line of a file is never reached, and what precedes it; "" if there is none."""
    tree = parsed(text)
    endless = {
        one.name
        for one in functions_in(tree)
        if any(map(has_no_end, one.body))
        and not any(isinstance(inner, ast.Return | ast.Yield) for inner in ast.walk(one))
    }
    for block in blocks(tree):
        for before, after in pairwise(block):
            if has_no_end(before):
                why = f"the loop of line {before.lineno} has no end"
            elif name := awaited(before, endless):
                why = f"line {before.lineno} waits for the end of {name}(), whose loop has none"
            else:
                continue
            if not isinstance(after, FUNCTIONS | ast.ClassDef):
                return f"line {after.lineno} is never reached, since {why}"
    return ""


def has_no_end(node):
    """Whether a node is `while True` without a `break`."""
    if not isinstance(node, ast.While) or not isinstance(node.test, ast.Constant):
        return False
    return bool(node.test.value) and not any(isinstance(one, ast.Break) for one in ast.walk(node))


def awaited(node, names):
    """The name among these of the function whose call a statement only awaits; "" if none."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Await):
        call = node.value.value
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in names:
            return call.func.id
    return ""


def blocks(tree):
    """Each list of statements that run one after the other."""
    for node in ast.walk(tree):
        for _, value in ast.iter_fields(node):
            if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                yield value
