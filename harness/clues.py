"""Clues in an app's source to why a check has failed, each a clause, or "" if there is none."""

import ast
import inspect
import re
from contextlib import suppress
from pathlib import Path

from harness import journey
from harness.loops import never_reached
from harness.sources import functions_in, parsed


def sources(app):
    """The texts of the Python files beside an app's own."""
    return [path.read_text("utf-8", "replace") for path in Path(app.root_path).glob("*.py")]


def way_to(client):
    """Say how far the message got that a client waits for, in an app in this process."""
    guesses = [client.expects, client.sent, *getattr(client, "unanswered", [])]
    message = next((one for one in guesses if one is not None), None)
    clients = [one for one in getattr(client.app, "clients", []) if one.path == client.path]
    if not isinstance(message, str) or client not in clients:
        return ""
    texts = sources(client.app)
    has_queues = any("Queue(" in text for text in texts)
    way = [journey.way_of(message, client, clients, has_queues), journey.closed_server()]
    if "not put into any queue" in way[0]:
        way += map(hides_a_name, texts)
    way += [find(text) for find in (never_reached, shares_a_queue) for text in texts]
    return "; ".join(filter(None, way))


def why_it_returned(app, path, sent):
    """Say why a handler may have returned: it has no loop, or something ended its loop."""
    with suppress(Exception):  # whatever there is no source of
        endpoint, _ = app.url_map.bind("localhost").match(path, websocket=True)
        source = inspect.getsource(app.view_functions[endpoint])
        if re.search(r"^\s*(asyncio\.)?gather\(", source, re.M):
            return ": the handler returned, since `gather(…)` is not awaited"
        if sent == "":
            why = "does a `while` or an `if` treat it as the end?"
            return f": the handler returned after an empty message: {why}"
        if re.search(r"^\s*(async\s+)?(while|for)\b", source, re.M):
            return ": the handler returned, though it has a loop: what ends it?"
    return ": a handler that returns ends its connection, so is there a loop?"


def shares_a_queue(text):
    """Say in which line a class has one queue for all its objects; "" if in none."""
    for owner in ast.walk(parsed(text)):
        for node in owner.body if isinstance(owner, ast.ClassDef) else []:
            if isinstance(node, ast.Assign) and "Queue(" in ast.unparse(node.value):
                return (
                    f"line {node.lineno} makes one queue that all {owner.name} objects share: make "
                    "it in __init__, so that each has its own"
                )
    return ""


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
