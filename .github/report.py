"""Keep one issue about what fails in the weekly run: open, update, or close it when all passes.

Usage: python3 report.py FOLDER, in which each job that failed has left a file. RESULTS holds the
results of the jobs, such as "test failure, links success", and RUN the address of the run.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

TITLE = "The weekly run with other versions fails"
LONGEST = 60_000  # characters; an issue takes 65,536


def main(folder):
    """Open the issue, update it, or close it."""
    results = dict(words.split() for words in os.environ["RESULTS"].split(", "))
    run = os.environ["RUN"]
    # Anybody may give an issue this title, so it counts only if a workflow has made it.
    command = ["issue", "list", "--app", "github-actions", "--limit", "1000"]
    found = json.loads(gh(*command, "--json", "number,title"))
    numbers = [str(issue["number"]) for issue in found if issue["title"] == TITLE]
    if set(results.values()) == {"success"}:
        for number in numbers:
            gh("issue", "close", number, "--comment", f"Everything passes again: {run}")
    else:
        what = ["edit", numbers[0]] if numbers else ["create", "--title", TITLE]
        gh("issue", *what, "--body-file", "-", body=body_of(folder, results, run))


def body_of(folder, results, run):
    """The text of the issue: the results of the jobs, then the report of each that failed."""
    parts = [f"The last run is {run}\n"]
    parts += [f"- {job}: {result}\n" for job, result in results.items()]
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".txt":
            text = f"```text\n{text}```\n"
        parts.append(f"\n## {path.stem}\n\n{text}")
    if not files:
        parts.append("\nNo job has left a report: see the log of the run.\n")
    body = "".join(parts)
    return body if len(body) <= LONGEST else f"{body[:LONGEST]}\n…\n```\n"


def gh(*arguments, body=None):
    """What GitHub's own command prints; a body goes to its standard input."""
    return subprocess.run(
        ["gh", *arguments], input=body, stdout=subprocess.PIPE, check=True, encoding="utf-8"
    ).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]))
