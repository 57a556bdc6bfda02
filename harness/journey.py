"""Where a message has been in an app: the lines that received, queued, took out and sent it."""

import asyncio
import linecache
import sys
from collections import deque
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import NamedTuple

from harness.errors import PROJECTS

LONGEST = 60  # characters of a message that are remembered
EVENTS = deque(maxlen=600)  # of the app that was loaded last
CLOSED = []  # an event loop, and the line in which a TCP server was closed there
ONCE = ", though others were, so a loop around receive() may be missing"
IS_STOPPING = []  # the app, once it is told to stop: servers should be closed then


class Event(NamedTuple):
    """One step of a message's way."""

    kind: str  # "received", "queued", "taken" (out of the queue) or "sent"
    text: str
    place: tuple = ()  # the file and the line
    where: int = 0  # the id of the queue, or of the client


def forget_all():
    """Forget everything, before another app is loaded."""
    for events in (EVENTS, CLOSED, IS_STOPPING):
        events.clear()


def brief(text):
    """A text, or if it is long, both its ends, since long messages may begin alike."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST // 2]}…{text[-LONGEST // 2 :]}"


def note(kind, message, place=(), where=0):
    """Remember a step of a message's way."""
    text = type(message).__name__
    with suppress(Exception):  # the repr() of a project's own class may fail
        if isinstance(message, bytes):
            message = message[:LONGEST]  # first, since a repr() of megabytes takes its time
        text = brief(message) if isinstance(message, str) else repr(message)[: 3 * LONGEST]
    EVENTS.append(Event(kind, text, place, where))


@cache
def folder_of(path):
    """The folder of a file; cached, since it is asked for each frame of each call."""
    return Path(path).parent


def caller():
    """The place in a project that called, whether by receive(), and whether on its own queue."""
    frame, receives, is_ours = sys._getframe(2), False, True
    while frame:
        path = frame.f_code.co_filename.replace("\\", "/")
        if folder_of(path) in PROJECTS:
            return (path, frame.f_lineno), receives, is_ours
        if path.endswith("asyncio/events.py"):
            break
        if path.endswith("quart/wrappers/websocket.py"):
            receives = receives or frame.f_code.co_name == "receive"
        elif "asyncio/" not in path:
            is_ours = False  # a queue of Quart, of the harness, or of a test
        frame = frame.f_back
    return (), receives, is_ours


def watch_queues():
    """From now on, remember what a project puts into queues and takes out of them."""
    put, get, close = asyncio.Queue.put_nowait, asyncio.Queue.get_nowait, asyncio.Server.close

    def put_nowait(self, item):
        put(self, item)
        place, _, is_ours = caller()
        if is_ours:
            note("queued", item, place, id(self))

    def get_nowait(self):
        item = get(self)
        place, receives, is_ours = caller()
        if receives:
            note("received", item, place)
        elif is_ours:
            note("taken", item, place, id(self))
        return item

    def close_server(self):
        place, _, _ = caller()
        if place and not IS_STOPPING:
            CLOSED.append((self.get_loop(), place))
        close(self)

    asyncio.Queue.put_nowait, asyncio.Queue.get_nowait = put_nowait, get_nowait
    asyncio.Server.close = close_server


watch_queues()


def told(place):
    """A place in words: its line and the code there."""
    if not place:
        return ""
    path, line = place
    linecache.checkcache(path)
    file = "" if path.endswith("/websocket.py") else f"{Path(path).name}, "
    return f" in {file}line {line}: `{linecache.getline(path, line).strip()}`"


def about(message, events, kind):
    """The events of a kind about a message: those with its text, or else with it inside."""
    message, of_kind = brief(message), [one for one in events if one.kind == kind]
    exact = [one for one in of_kind if one.text == message]
    return exact or [one for one in of_kind if message and message in one.text]


def through_queues(queued, taken, connected):
    """What happened to a message in queues, in words: where it was put in, and where taken out."""
    count = len({one.where for one in queued})
    hint = "is each client's queue added to the others as soon as it connects?"
    few = f", though {connected} clients are connected ({hint})" if count < connected else ""
    queues = f"{count} queue{'s' * (count > 1)}"
    put = f"put into {queues}{told(queued[0].place)}{few}"
    places = filter(None, dict.fromkeys(told(one.place) for one in taken))
    fewer = len({one.where for one in taken} & {one.where for one in queued}) < count
    of_one = " of one of them" if fewer and count > 1 else ""
    return [put, f"taken out{of_one}{' and'.join(places)}" if taken else "not taken out"]


def way_of(message, client, clients, has_queues):
    """Say how far a message got on its way to a client: a clause, or "" if nothing is known."""
    shown = repr(message) if len(message) < 40 else f"{message[:30]!r}…"
    events = list(EVENTS)
    got = about(message, events, "received")
    parts = []
    if got:
        again = " again" if len(got) > 1 else ""
        parts.append(f"received{again}{told(got[-1].place)}")
        events = events[max(i for i, one in enumerate(events) if one is got[-1]) + 1 :]
    queued = about(message, events, "queued")
    taken = about(message, events, "taken")
    others = [one for one in events if one.kind == "queued"]
    if queued:
        parts += through_queues(queued, taken, len(clients))
    elif got and others:
        parts.append(f"not put into a queue, while {others[0].text!r} was{told(others[0].place)}")
    elif not got and any(message in one.unanswered for one in clients):
        before = any(one.kind == "received" for one in events)
        hint = ONCE if before else ""
        return f"{shown} was not received by the app{hint}"
    elif has_queues:
        alone = got and len(clients) == 1
        hint = " (is the client that sent it left out?)" if alone else ""
        parts.append(f"not put into any queue{hint}")
    elif not got:
        return ""
    sent = {one.where for one in about(message, events, "sent")}
    others = [one.name or "another client" for one in clients if id(one) in sent]
    if id(client) not in sent and (taken or not queued):
        parts.append(f"sent to {' and '.join(others) or 'nobody'}")
    return f"{shown} was {', '.join(parts[:-1])}{' and ' * (len(parts) > 1)}{parts[-1]}"


def why_again(message, client, before):
    """Say why a client may have received what it should not: a clause, or "" if it is unknown."""
    name = client.name or "the client"
    sent = [one for one in about(message, EVENTS, "sent") if one.where == id(client)]
    if len(sent) > 1:
        places = dict.fromkeys(filter(None, (told(one.place) for one in sent)))
        return f": {message!r:.40} was sent to {name} twice,{' and'.join(places)}"
    if brief(message) in before:
        return f": {message!r:.40} was already there before {name} connected"
    got = about(message, EVENTS, "received")
    return f": {message!r:.40} was received{told(got[-1].place)}" if got else ""


def closed_server():
    """Say where an app has closed a TCP server and goes on running: a clause, or ""."""
    here = asyncio.get_running_loop()  # and not that of a server which has just been stopped
    places = [place for loop, place in CLOSED if loop is here]
    return f"the app has closed its TCP server{told(places[0])}" if places else ""
