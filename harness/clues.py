"""Clues in an app's source to why a check has failed, each a clause, or "" if there is none."""

import ast
import inspect
import re
from contextlib import suppress

from harness.sources import functions_in, parsed


def why_it_returned(app, path, sent):
    """Say why a handler may have returned: it has no loop, or something ended its loop."""
    with suppress(Exception):  # whatever there is no source of
        endpoint, _ = app.url_map.bind("localhost").match(path, websocket=True)
        source = inspect.getsource(app.view_functions[endpoint])
        if re.search(r"^\s*(asyncio\.)?gather\(", source, re.M):
            return ": the handler returned, since `gather(…)` is not awaited"
        if re.search(r"^\s*(async\s+)?(while|for)\b", source, re.M):
            after = " after an empty message: does `while` test the message" if sent == "" else ""
            return f": the handler returned{after or ', though it has a loop: what ends it'}?"
    return ": a handler that returns ends its connection, so is there a loop?"


def keeps_websocket(text):
    """Say in which line a file keeps `websocket` itself; "" if in none."""
    for node in ast.walk(parsed(text)):
        kept = []
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("add", "append"):
            kept = node.args
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript):
            kept = [node.value]
        if any(isinstance(one, ast.Name) and one.id == "websocket" for one in kept):
            return (
                f"line {node.lineno} keeps `websocket` itself, which stands for whichever client's "
                "handler uses it: keep a queue for each client"
            )
    return ""


def hides_a_name(text):
    """Say where a function assigns to a name of its file and lacks `global`; "" if nowhere."""
    tree = parsed(text)
    targets = [target for one in tree.body if isinstance(one, ast.Assign) for target in one.targets]
    names = {target.id for target in targets if isinstance(target, ast.Name)}
    for owner in functions_in(tree):
        nodes = list(ast.walk(owner))
        known = {name for one in nodes if isinstance(one, ast.Global) for name in one.names}
        for node in nodes:
            is_new = isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
            if is_new and node.id in names - known:
                where = f"line {node.lineno}"
                return f"{where} makes another `{node.id}`, which only `{owner.name}` sees"
    return ""
