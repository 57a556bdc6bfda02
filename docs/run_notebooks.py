"""Run the notebooks from top to bottom, as `Restart and run all` does.

A notebook that was run before, with the same files, is taken from docs/_build/notebooks.
"""

import asyncio
import hashlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CACHE = ROOT / "docs/_build/notebooks"
CELL_SECONDS = 60
# For addresses, which no notebook is checked for, jsonschema would make 39 grammars: two seconds.
sys.modules["rfc3987_syntax"] = None


async def run(path):
    """Run a notebook in its own folder; returns the text of its file, with the outputs.

    Raises nbclient.exceptions.CellExecutionError if a cell fails.
    """
    import nbformat  # which takes a second or two
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=CELL_SECONDS,
        resources={"metadata": {"path": str(path.parent)}},
        extra_arguments=["--log-level=ERROR"],  # not that others on this machine could listen
    )
    return nbformat.writes(await client.async_execute())


def key(path):
    """What changes when a run may give something else."""
    digest = hashlib.sha256(sys.version.encode())
    text = path.read_text(encoding="utf-8")
    steps = [folder for folder in sorted((ROOT / "steps").iterdir()) if folder.name in text]
    used = [path, path.with_name("wire.py"), *sorted((ROOT / "harness").glob("*.py"))]
    for one in [*used, *(file for step in steps for file in sorted(step.rglob("*")))]:
        if one.suffix in {".py", ".html", ".js", ".css", ".ipynb"}:
            digest.update(one.read_bytes())
    return digest.hexdigest()[:16]


async def run_all():
    """All notebooks with their outputs, as text: a dictionary of paths."""
    cached = {path: CACHE / f"{path.stem}-{key(path)}.ipynb" for path in NOTEBOOKS}
    missing = [path for path in NOTEBOOKS if not cached[path].is_file()]
    CACHE.mkdir(parents=True, exist_ok=True)
    for path, text in zip(missing, await asyncio.gather(*map(run, missing)), strict=True):
        new = cached[path].with_suffix(f".{os.getpid()}")
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(cached[path])
    return {path: cached[path].read_text(encoding="utf-8") for path in NOTEBOOKS}


def put_into(folder):
    """Write all notebooks with their outputs into a folder; what has not changed is left alone."""
    folder.mkdir(exist_ok=True)
    for path, text in asyncio.run(run_all()).items():
        target = folder / path.name
        if not target.is_file() or target.read_text(encoding="utf-8") != text:
            target.write_text(text, encoding="utf-8", newline="\n")
