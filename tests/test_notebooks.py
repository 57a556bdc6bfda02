"""The notebooks run from top to bottom, show what they say, and leave nothing behind."""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time

import pytest
from repo import ROOT, RUNS_ALL, free_port, get_when_served
from websockets.frames import Frame, Opcode

FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))


@pytest.fixture(scope="module")
def docs_path():
    """The folder of docs/ on the path, for the script that runs notebooks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "docs"))
        yield


@pytest.fixture
def wire(monkeypatch):
    """The module beside the notebooks."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("QUART_TCP_PORT", "")  # which it would set for all tests that follow
    import wire

    return wire


def cells(path, kind="code"):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def test_there_is_a_notebook_for_each_of_the_five_steps():
    assert [path.stem for path in NOTEBOOKS] == [
        *("01_structure", "02_install", "03_echo", "04_javascript", "05_broadcast")
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs_and_its_cells_are_short(path):
    for cell in cells(path):
        source = "".join(cell["source"])
        assert cell["outputs"] == [], "clear the outputs before you commit"
        assert cell["execution_count"] is None, "clear the outputs before you commit"
        assert len(source.splitlines()) <= 9, source
        if "draw_" in source.replace("import draw_", "") and "import" not in source:
            alt = cell["metadata"].get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 40, f"a picture needs a text in its place: {source}"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_ends_with_things_to_try(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    sources = [("".join(cell["source"]), cell["cell_type"]) for cell in notebook["cells"]]
    start = next(number for number, (text, _) in enumerate(sources) if "## Try this" in text)
    assert 2 <= sum(kind == "code" for _, kind in sources[start:]) <= 3


@pytest.mark.long
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom_without_a_warning(path, site, docs_path):
    import run_notebooks

    made = asyncio.run(run_notebooks.run_all())  # which the site has done, and kept
    if path.stem == "05_broadcast" and RUNS_ALL:
        made[path] = asyncio.run(run_notebooks.run(path))  # nothing of the first is in the way
    for cell in json.loads(made[path])["cells"]:
        source, outputs = "".join(cell["source"]), cell.get("outputs", [])
        for output in outputs:
            assert output.get("name") != "stderr", output["text"]
            assert "Warning" not in "".join(output.get("text", "")), output["text"]
        if "draw_" in source and "import" not in source and "if events" not in source:
            assert any("image/png" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("masked", [True, False])
def test_a_frame_is_taken_apart_as_the_package_websockets_puts_it_together(wire, length, masked):
    payload = bytes(number % 251 for number in range(length))
    raw = Frame(Opcode.BINARY, payload).serialize(mask=masked)
    frame = wire.take_apart(raw + b"what follows")
    assert frame.raw == raw
    assert frame.payload == payload
    assert (frame.opcode, frame.is_final) == ("binary", True)
    assert len(frame.mask) == (4 if masked else 0)
    assert b"".join(part for _, part in frame.parts) == raw


def test_every_drawing_has_a_title_and_says_what_its_axes_are(wire):
    frame = wire.take_apart(b"\x81\x03bob")
    drawings = {
        "draw_frame": [frame],
        "draw_sequence": [[(0.1, "alice", "app", "hello")], ["alice", "app"], "One message"],
        "draw_timeline": [[(1.0, "the page", "event open")], "A page"],
        "draw_queue": [{"slow": ([0.0, 0.1], [0, 1])}],
        "draw_sizes": [["quart"]],
        "draw_who_heard": [{"alice": (0, True), "bob": (1, False)}],
    }
    assert set(drawings) == {name for name in dir(wire) if name.startswith("draw_")}
    for name, arguments in drawings.items():
        getattr(wire, name)(*arguments)
        axes = wire.plt.gca()
        assert axes.get_title(), name
        assert axes.get_xlabel() or axes.get_ylabel(), name
        # An axis without a label has names in place of numbers, or nothing.
        for axis in (axes.xaxis, axes.yaxis):
            ticks = [label.get_text() for label in axis.get_ticklabels()]
            numbers = [tick for tick in ticks if tick.replace(".", "").isdecimal()]
            assert axis.get_label_text() or not numbers, f"{name}: an axis of numbers has no label"
        wire.plt.close("all")


def test_no_label_of_a_sequence_crosses_a_lifeline(wire):
    lanes = ["alice", "app", "bob", "carol"]
    pairs = [(one, other) for one in lanes for other in lanes if one != other]
    wire.draw_sequence([(0.1, one, other, "hi alice") for one, other in pairs], lanes, "All")
    axes = wire.plt.gca()
    axes.figure.draw_without_rendering()
    lines = [axes.transData.transform((number, 0))[0] for number in range(len(lanes))]
    for label in axes.texts:
        box = label.get_window_extent()
        assert not [x for x in lines if box.x0 < x < box.x1 and label.get_text() == "hi alice"]
    wire.plt.close("all")


def test_without_a_browser_a_cell_says_so_and_the_notebook_goes_on(wire, monkeypatch, capsys):
    async def no_browser(playwright):
        return None

    monkeypatch.setattr(wire, "launch", no_browser)
    assert asyncio.run(wire.watch_browser("127.0.0.1:1", ["hello"])) == []
    drawn = [cell for cell in cells(FOLDER / "04_javascript.ipynb") if "draw_" in str(cell)]
    assert all("if events" in str(cell) for cell in drawn[1:])


@pytest.mark.thorough
def test_a_process_that_a_notebook_started_ends_when_the_kernel_is_killed():
    script = (
        "import os, wire\n"
        "process = wire.process_of('05_broadcast')\n"
        "print(process.__enter__(), flush=True)\n"
        "os._exit(1)\n"
    )
    command = [sys.executable, "-c", script]
    output = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=60).stdout
    host, port = re.search(r"([\d.]+):(\d+)", output).groups()
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=1).close()
        except OSError:
            break
        assert time.monotonic() < deadline, "the server still runs"


@pytest.mark.thorough
def test_the_command_serves_the_notebooks_and_ctrl_c_ends_it(workshop):
    port = free_port()
    # It takes Ctrl-C well from a terminal only.
    terminal = {} if os.name == "nt" else {"stdin": os.openpty()[1]}
    process = workshop("notebooks", "--no-browser", "--port", port, **terminal)
    line = process.wait_for(f"http://localhost:{port}/lab?token=", 60)
    token = line.strip().partition("token=")[2]
    content = json.loads(get_when_served(f"http://127.0.0.1:{port}/api/contents?token={token}"))
    assert "05_broadcast.ipynb" in [entry["name"] for entry in content["content"]]
    process.interrupt()
    code, output = process.end(15)
    assert code == 0, output
    assert "Traceback" not in output
