"""Bad clients: each is played against a running step, and reports what both sides saw."""

import asyncio
import inspect
import json
import os
import re
import secrets
import shutil
import tempfile
import time
from collections import Counter
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

from websockets.asyncio.client import connect

from workshop import serving, steps
from workshop.lab import GONE, HOST, LONGEST, MB, WORD, Bad, CannotPlay, Good, Lab, frame, ms, until
from workshop.language import _, plural

REFUSAL = "abort(403)"  # with which steps from 7 on refuse a page of another origin


def play(name, target, tell, progress, is_unchecked=False, **limits):
    """Play a fault against a step, a folder, or an address; `tell` gets a label and words.

    `progress` gets the words of what is under way. With `is_unchecked`, the app lets in pages of
    every origin. Raises CannotPlay or steps.UnknownTarget.
    """
    fault = FAULTS[name]
    if "//" not in target:
        os.environ.setdefault(WORD, secrets.token_hex(4))  # of an app that asks for a word
        with _project(target, is_unchecked) as project, serving.served(project) as server:
            lines = len(server.lines)
            asyncio.run(_play(fault, limits, Lab(server.port, tell, progress)))
            said = [text for line in server.lines[lines:] if (text := line.strip(" |+-\n"))]
            count = plural("{number} line", "{number} lines", len(said)).format(number=len(said))
            tell(_("the server printed"), count if said else _("nothing"))
            if said:
                tell(_("the last line"), said[-1][:100])
            if server.child.poll() is not None:
                words = _("ENDED, with exit code {code}")
                tell(_("the server"), words.format(code=server.child.returncode))
        return
    if is_unchecked:
        raise CannotPlay("--unchecked changes the app, so it needs a step or a folder")
    address = re.fullmatch(r"http://127\.0\.0\.1:(\d{1,5})/?", target)
    if not address or not 0 < int(address[1]) < 65536:
        raise CannotPlay(f"faults are played against {HOST} only: http://{HOST}:PORT")
    asyncio.run(_play(fault, limits, Lab(int(address[1]), tell, progress)))


@contextmanager
def _project(target, is_unchecked):
    """The folder of a target, or a copy in which no origin is refused; raises CannotPlay."""
    project = steps.find(target)
    if not is_unchecked:
        yield project
        return
    code = (project / "websocket.py").read_text(encoding="utf-8")
    if code.count(REFUSAL) != 1:
        raise CannotPlay(f"{project.name} doesn't check the origin: it has no {REFUSAL}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = shutil.copytree(project, Path(folder) / project.name)
        code = code.replace(REFUSAL, "pass")
        (copy / "websocket.py").write_text(code, encoding="utf-8", newline="\n")
        yield copy


async def _play(fault, limits, lab):
    await lab.find_path()
    try:
        async with Good(lab) as lab.good:
            lab.tell(_("target"), f"ws://{HOST}:{lab.port}{lab.path}")
            await asyncio.sleep(0.5)
            lab.tell(_("a good client, alone"), lab.good.report())
            before, files = lab.server.memory(), lab.server.files()
            await fault(lab, **limits)
            await until(lambda: lab.good.delays and not lab.good.waiting, 5)
            lab.tell(_("the good client beside it"), lab.good.report())
            await lab.settle(before)
            more = _("; open files {before} → {now}") if files else ""
            more = more.format(before=files, now=lab.server.files())
            lab.tell(_("server memory, in the end"), f"{lab.server.change(before)}{more}")
    except GONE as error:
        raise CannotPlay(f"the server refused a well-behaved client: {error}") from None


# The faults


async def slow(lab, megabytes=40):
    """A client connects and never reads, while 40 MB are broadcast: what does it cost?"""
    grown = None
    for wakes in (False, True):
        before = lab.server.memory()
        async with Bad(lab) as bad:
            if bad.fate:
                return lab.tell(_("a slow client"), bad.fate)
            heard = await lab.broadcast(megabytes)
            words = _("{number:.1f} of {total} MB; {report}")
            words = words.format(number=heard, total=megabytes, report=lab.good.report())
            lab.tell(_("a good client hears"), words)
            lab.tell(_("server memory, with a slow one"), lab.server.change(before))
            if wakes:
                fate = await bad.ended(3)
                lab.tell(_("it wakes up and reads on"), f"{bad.received / MB:.1f} MB; {fate}")
            else:
                grown = before and lab.server.memory() - before
                held = {True: _("is still held"), False: _("was let go"), None: _("is not known")}
                lab.tell(_("its connection"), held[lab.server.holds(bad.port)])
        await lab.settle(before)
        lab.tell(_("server memory, when it has left"), lab.server.change(before))
        if not wakes and grown and grown > 5:
            words = _("The process may keep freed memory: see how much a second client adds.")
            lab.tell("", words)


async def silent(lab, seconds=60):
    """A client answers no ping and never disconnects: how long until the server drops it?"""
    async with Bad(lab) as bad, Bad(lab) as deaf:
        words = _("but answers nothing, for {seconds:g} s at most")
        lab.tell(_("a silent client reads"), words.format(seconds=seconds))
        bad.start_reading()
        heard = await lab.broadcast(8)  # which is more than the buffers between them hold
        words = _("and {number:.0f} MB wait for it")
        lab.tell(_("a deaf one does not read"), words.format(number=heard))
        gone = {}
        while len(gone) < 2 and time.monotonic() < bad.started + seconds:
            passed = time.monotonic() - bad.started
            if bad.fate and bad not in gone:
                words = _("{what} after {seconds:.1f} s")
                gone[bad] = words.format(what=bad.fate, seconds=passed)
            if deaf not in gone and lab.server.holds(deaf.port) is False:
                gone[deaf] = _("let go after {seconds:.1f} s").format(seconds=passed)
            words = _("{number:.0f} of {total:g} s, pings not answered: {pings}")
            lab.progress(words.format(number=passed, total=seconds, pings=bad.pings))
            await asyncio.sleep(0.1)
        still = _("still connected after {seconds:g} s").format(seconds=seconds)
        lab.tell(_("the silent client"), gone.get(bad, still))
        if not lab.server.processes:
            gone[deaf] = _("not known")
        lab.tell(_("the deaf client"), gone.get(deaf, still))


async def vanish(lab):
    """A client disconnects without a goodbye, in three ways: how soon is it removed?"""
    ways = {
        _("resets its connection"): (False, b""),
        _("closes TCP and nothing else"): (True, b""),
        _("resets in the middle of a message"): (False, frame("half a message" * 9)[:50]),
    }
    for label, (politely, half) in ways.items():
        async with Bad(lab) as bad:
            bad.writer.write(half)
            await asyncio.sleep(0.05)
            files = lab.server.files()
            bad.leave(politely)
            left = time.monotonic()
            if bad.fate or files is None:
                lab.tell(label, bad.fate or _("not known on this system"))
            elif await until(lambda files=files: (lab.server.files() or 0) < files, 5):
                words = _("forgotten after {time}")
                lab.tell(label, words.format(time=ms(time.monotonic() - left)))
            else:
                lab.tell(label, _("not forgotten after 5 s"))


async def flood(lab, seconds=3, megabytes=300):
    """A client sends as much as it can: first small messages, then in bulk without reading."""
    before, first = lab.server.memory(), lab.good.heard
    async with Bad(lab) as bad:
        bad.start_reading()
        sent = await _push(lab, bad, "flood", 10**6, seconds)
        took = time.monotonic() - bad.started
        words = _("{number:,} in {seconds:.1f} s, {rate:,.0f} a second")
        words = words.format(number=sent, seconds=took, rate=sent / took)
        lab.tell(_("small messages"), words)
        await until(lambda: bad.fate or lab.good.heard - first >= sent, max(5, 7 * seconds))
        lab.tell(_("the flooder"), bad.fate or _("still connected"))
    took = time.monotonic() - bad.started
    words = _("{number:,} of them after {seconds:.1f} s")
    words = words.format(number=lab.good.heard - first, seconds=took)
    lab.tell(_("the good client heard"), words)
    lab.tell(_("meanwhile"), lab.good.report())
    if megabytes and lab.server.free() < 4 * megabytes * MB:
        megabytes = 0
        lab.tell(_("in bulk"), _("left out: too little memory is free on this machine"))
    if megabytes:
        await until(lambda: not lab.good.waiting, 5)
        before = lab.server.memory()
        async with Bad(lab) as bad:
            sent = await _push(lab, bad, "x" * LONGEST, megabytes * MB // LONGEST, 20)
            took = time.monotonic() - bad.started
            words = _("{number:.0f} of {total} MB in {seconds:.1f} s")
            words = words.format(number=sent * LONGEST / MB, total=megabytes, seconds=took)
            lab.tell(_("in bulk"), words)
            lab.tell(_("server memory, meanwhile"), lab.server.change(before))
            lab.tell(_("the flooder"), await bad.ended(0.5))


async def _push(lab, bad, text, most, seconds):
    """Write a text again and again, until the server hangs up; returns how often it got it."""
    frames, sent, deadline = frame(text), 0, time.monotonic() + seconds
    together = max(1, 65536 // len(frames))
    with suppress(*GONE, TimeoutError):
        async with asyncio.timeout(seconds):
            while sent < most and bad.fate is None and time.monotonic() < deadline:
                number = min(together, most - sent)
                bad.writer.write(frames * number)
                sent += number
                await bad.writer.drain()
                await asyncio.sleep(0)  # or nobody else would have a turn
                words = _("{number:,} messages, {memory:.0f} MB of server memory")
                lab.progress(words.format(number=sent, memory=lab.server.memory() or 0))
    return sent


async def huge(lab, megabytes=16):
    """A client sends a message that is too long: by one byte, by far, and beyond all limits."""
    for size in (LONGEST, LONGEST + 1, megabytes * MB, megabytes * MB + 1):
        before, started = lab.server.memory(), time.monotonic()
        async with Bad(lab) as bad:
            bad.start_reading()
            lab.good.last.clear()
            bad.writer.write(frame("x" * size))

            def came(size=size):
                return any(length == size for _text, length in lab.good.last)

            await until(lambda bad=bad, came=came: bad.fate or came(), 10)
            what = _("everyone gets it") if came() else bad.fate or _("nothing happens in 10 s")
            took, memory = ms(time.monotonic() - started), lab.server.change(before)
            words = _("{what}, after {time}; memory {memory}")
            label = _("{number:,} bytes").format(number=size)
            lab.tell(label, words.format(what=what, time=took, memory=memory))


async def garbage(lab):
    """A client breaks the protocol, or sends what should not be a message: what is the answer?"""
    cases = {
        _("text that is not UTF-8"): frame(b"\xff\xfe"),
        _("a reserved opcode"): frame(b"x", first=0x83),
        _("a reserved bit"): frame(b"x", first=0xC1),
        _("a frame without a mask"): frame(b"x", masked=False),
        _("a ping of 126 bytes"): frame(b"x" * 126, first=0x89),
        _("no frame at all"): b"\xff" * 20,
        _("a close code of 1"): frame(b"\x00\x01", first=0x88),
        _("a binary message"): frame(b"binary", first=0x82),
        _("an empty binary message"): frame(b"", first=0x82),
        _("an empty message"): frame(""),
        _("JSON that is cut off"): frame('{"last": '),
    }
    for label, data in cases.items():
        async with Bad(lab) as bad:
            await _misbehave(lab, bad, label, data)
    for query in ("?log=x&last=zzz", "?last=-1", "?log=x&last=" + "9" * 5000, "?log=%ff%00"):
        async with Bad(lab, query) as bad:
            await _misbehave(lab, bad, query if len(query) < 25 else f"{query[:13]}99…", b"")
    lab.tell(_("a POST, not UTF-8"), f"HTTP {await lab.post(bytes([255]))}")
    answer = await lab.tcp(b"\xff\n")
    words = _("not known where") if answer is None else answer or _("nothing")
    lab.tell(_("a TCP line, not UTF-8"), words)


async def _misbehave(lab, bad, label, data):
    """Send bytes and then a word: what arrives first tells whether the bytes were let through."""
    if bad.fate:
        return lab.tell(label, bad.fate)
    word, good = secrets.token_hex(4), lab.good
    losses = len(good.losses)
    good.last.clear()
    bad.start_reading()
    bad.writer.write(data)
    await asyncio.sleep(0.05)  # or the word may be refused in place of the bytes
    bad.writer.write(frame(word))
    await until(lambda: bad.fate or any(text == word for text, _length in good.last), 3)
    others = [text for text, _length in good.last if text != word]
    heard = _("; everyone gets {text!r}").format(text=others[0]) if others else ""
    if len(good.losses) > losses:
        heard += _("; the good client is THROWN OUT")
        await until(lambda: good.is_in, 3)
    lab.tell(label, (bad.fate or _("let through")) + heard)


async def foreign(lab):
    """A page of another site connects, POSTs, and speaks HTTP to the TCP port: is it let in?"""
    here = f"{HOST}:{lab.port}"
    evil = "http://evil.example"
    origins = [f"http://{here}", evil, "null", f"http://{here}.evil.example"]
    origins += [f"{evil}:{lab.port}", f"http://{here}@evil.example", f"http://{HOST}:1"]
    cases = [{}, *({"Origin": origin} for origin in origins)]
    cases.append({"Origin": evil, "Host": "evil.example"})  # its name leads here: DNS rebinding
    for headers in cases:
        label = headers.get("Origin", _("no Origin"))
        label += _(", and as Host") if "Host" in headers else ""
        async with Bad(lab, **headers) as bad:
            posted = await lab.post(b"from a page", **headers)
            lab.tell(label, f"{bad.fate or _('let in')}; POST: HTTP {posted}")
    lab.good.last.clear()
    answer = await lab.tcp(f"POST / HTTP/1.1\r\nOrigin: {evil}\r\n\r\nI speak HTTP\r\n".encode())
    await asyncio.sleep(0.2)
    lines = [text for text, _length in lab.good.last if text != "from a page"]
    words = answer or _("nothing is said")
    if lines:
        words = _("everyone gets {number} lines: {lines}").format(number=len(lines), lines=lines)
    lab.tell(_("HTTP to the TCP source"), _("not known where") if answer is None else words)
    if lab.headers:
        await hijack(lab, f"http://{HOST}:1")


async def hijack(lab, origin):
    """A page on another port connects from the browser of somebody who has signed in.

    A site has no port, so a browser sends the cookie with that handshake, SameSite or not.
    """
    words, name, reads = "I never wrote this", "", False
    options = {"proxy": None, "compression": None, "additional_headers": lab.headers}
    with suppress(*GONE, TimeoutError):
        async with asyncio.timeout(5), connect(lab.good.uri, origin=origin, **options) as page:
            await page.send(words)
            while not (name and reads):
                for message in json.loads(await page.recv()).get("messages", []):
                    name = message["from"] if message["text"] == words else name
                    reads = reads or message["text"] != words
    does = _("reads everything, and writes in the name of {name!r}") if reads else _("isn't let in")
    lab.tell(_("port 1's page, with a cookie"), does.format(name=name))


async def storm(lab, clients=500):
    """Some 500 clients connect at once, stay for a moment, and all disconnect at once."""
    clients, why = _within_file_limit(clients)
    if why:
        lab.tell(_("number of clients"), f"{clients}: {why}")
    files = lab.server.files()
    for label in (_("let in"), _("let in, again"), _("let in, once more")):
        before, started = lab.server.memory(), time.monotonic()
        async with AsyncExitStack() as stack:
            bad = [Bad(lab) for _number in range(clients)]
            coming = [asyncio.create_task(stack.enter_async_context(one)) for one in bad]
            while not all(task.done() for task in coming):
                await asyncio.wait(coming, timeout=0.5)
                words = _("{number} of {total} have an answer")
                done = sum(task.done() for task in coming)
                lab.progress(words.format(number=done, total=clients))
            took = time.monotonic() - started
            inside = sum(one.fate is None for one in bad)
            words = _("{number} of {total} in {time}")
            lab.tell(label, words.format(number=inside, total=clients, time=ms(took)))
            for fate, count in Counter(one.fate for one in bad if one.fate).items():
                lab.tell(_("the others"), f"{count} {fate}")
            await asyncio.sleep(0.5)
            now = lab.server.memory()
            each = _(", {number:.0f} KiB each") if inside and now else ""
            each = each and each.format(number=(now - before) * 1024 / inside)
            lab.tell(_("server memory, with them"), f"{lab.server.change(before)}{each}")
            lab.tell(_("a good client"), lab.good.report())
        left = time.monotonic()
        if files is None:
            words = _("when they are forgotten is not known on this system")
        elif await until(lambda: (lab.server.files() or 0) <= files, 10):
            words = _("forgotten after {time}").format(time=ms(time.monotonic() - left))
        else:
            words = _("{number} are held after 10 s").format(number=lab.server.files() - files)
        lab.tell(_("all leave at once"), words)


def _within_file_limit(clients):
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return clients, ""
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and clients > soft - 64:
        words = _("no more files can be open here (`ulimit -n` is {number})")
        return max(1, soft - 64), words.format(number=soft)
    return clients, ""


def limits_of(name):
    """The limits that a fault takes, such as {"seconds"}."""
    return set(inspect.signature(FAULTS[name]).parameters) - {"lab"}


FAULTS = {one.__name__: one for one in (slow, silent, vanish, flood, huge, garbage, foreign, storm)}
