"""Workflows can't run here: they are valid, what they call exists, and their report is tested."""

import importlib.util
import json
import os
import re
import shlex
import sys

import pytest
import yaml
from repo import ROOT

from workshop.cli import main_group

FOLDER = ROOT / ".github"
WORKFLOWS = {path.name: path for path in sorted((FOLDER / "workflows").glob("*.yml"))}
EXPRESSION = re.compile(r"\$\{\{ *(.+?) *\}\}")
RUN = "https://example.invalid/runs/7"
# What stands in for GitHub's command: it notes what it is told, and has the issues of a file.
STAND_IN = """
import json, pathlib, sys
here, words = pathlib.Path(__file__).parent, sys.argv[1:]
body = sys.stdin.read() if "--body-file" in words else None
with open(here / "calls", "a", encoding="utf-8") as file:
    file.write(json.dumps([words, body]) + "\\n")
if words[:2] == ["issue", "list"]:
    print((here / "issues.json").read_text(encoding="utf-8"))
"""


@pytest.fixture(params=WORKFLOWS)
def workflow(request):
    content = yaml.safe_load(WORKFLOWS[request.param].read_text(encoding="utf-8"))
    content["on"] = content.pop(True)  # what YAML takes `on` for
    return content


def steps_of(workflow):
    for job in workflow["jobs"].values():
        for step in job["steps"]:
            yield job, step


def test_a_workflow_has_what_github_needs(workflow):
    assert set(workflow) <= {"name", "on", "permissions", "concurrency", "jobs"}
    assert workflow["permissions"], "without it, a workflow may do everything"
    for job in workflow["jobs"].values():
        assert job["runs-on"]
        assert job["timeout-minutes"] <= 90
        needs = job.get("needs", [])
        assert set(needs) <= set(workflow["jobs"])
        made = {word for text in all_texts(job) for word in re.findall(r"needs\.(\w+)", text)}
        assert made == set(needs)
    for job, step in steps_of(workflow):
        assert ("run" in step) != ("uses" in step), step
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
        ids = {one.get("id") for one in job["steps"]}
        for text in all_texts(step):
            assert text.count("${{") == len(EXPRESSION.findall(text)), text
            assert set(re.findall(r"steps\.(\w+)", text)) <= ids, text


def all_texts(content):
    """The texts in what YAML holds, wherever they are."""
    if isinstance(content, dict):
        content = list(content.values())
    if isinstance(content, list):
        return [text for one in content for text in all_texts(one)]
    return [content] if isinstance(content, str) else []


def test_a_workflow_runs_at_an_odd_time(workflow):
    for entry in workflow["on"].get("schedule", []):
        minute, hour, *days = entry["cron"].split()
        assert len(days) == 3
        assert int(minute) % 15, "everybody's workflows run on the quarter of an hour"
        assert int(hour) < 6


def commands(workflow):
    """The commands of the workshop in a workflow, once for each entry of the job's matrix."""
    for job, step in steps_of(workflow):
        for entry in job.get("strategy", {}).get("matrix", {}).get("include", [{}]):

            def value(found, entry=entry):
                return entry.get(found[1].removeprefix("matrix."), "value")

            for line in EXPRESSION.sub(value, step.get("run", "")).splitlines():
                if "-m workshop" in line:
                    yield shlex.split(line.partition("-m workshop ")[2])


def test_the_commands_that_a_workflow_runs_exist(workflow):
    for name, *arguments in commands(workflow):
        command = main_group.commands[name]
        context = command.make_context(name, arguments)
        left = context.params.get("arguments", ())
        assert all(word == "--all" or (ROOT / word).exists() for word in left), left


def test_some_workflow_tests_the_newest_and_the_lowest_versions(root):
    content = yaml.safe_load(WORKFLOWS["newest.yml"].read_text(encoding="utf-8"))
    kinds = [(words[1], words[2:4]) for words in commands(content)]
    assert kinds == [("--newest", ["--check", "--suite"])] * 2 + [
        ("--lowest", ["--check", "--suite"])
    ]
    pythons = [
        entry["python"] for entry in content["jobs"]["test"]["strategy"]["matrix"]["include"]
    ]
    assert pythons == ["3.13", "3.14", "3.11"]


def test_each_link_checker_reads_files_that_exist(root):
    content = yaml.safe_load(WORKFLOWS["newest.yml"].read_text(encoding="utf-8"))
    (step,) = [one for one in content["jobs"]["links"]["steps"] if "lychee" in one.get("uses", "")]
    patterns = [word for word in shlex.split(step["with"]["args"]) if word.endswith(".md")]
    assert len(patterns) == 4
    for pattern in patterns:
        assert list(root.glob(pattern)), pattern


def test_dependabot_updates_the_actions_in_one_pull_request_a_month():
    content = yaml.safe_load((FOLDER / "dependabot.yml").read_text(encoding="utf-8"))
    assert content["version"] == 2
    (update,) = content["updates"]
    assert update["package-ecosystem"] == "github-actions"
    assert update["schedule"] == {"interval": "monthly"}
    assert update["groups"] == {"actions": {"patterns": ["*"]}}


# ---- The issue


@pytest.fixture
def report():
    spec = importlib.util.spec_from_file_location("report", FOLDER / "report.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def github(tmp_path, monkeypatch):
    """A folder whose `gh` is the stand-in."""
    if sys.platform == "win32":
        pytest.skip("a stand-in for gh needs Linux or macOS")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gh").write_text(f"#!{sys.executable} -IS\n{STAND_IN}", encoding="utf-8")
    (folder / "gh").chmod(0o755)
    (folder / "issues.json").write_text("[]", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RUN", RUN)
    return folder


def told(github):
    """What gh was told after the list of issues: its words, and the body."""
    lines = (github / "calls").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines][1:]


def test_a_red_run_makes_one_issue_that_names_the_failing_checks(
    github, report, tmp_path, monkeypatch
):
    red = tmp_path / "red"
    red.mkdir()
    (red / "newest-3.13.txt").write_text("1 check fails:\n  steps/a.py::test_b\n", encoding="utf-8")
    (red / "links.md").write_text("[404] https://example.invalid\n", encoding="utf-8")
    others = [{"number": 3, "title": report.TITLE + "?"}]
    (github / "issues.json").write_text(json.dumps(others), encoding="utf-8")
    monkeypatch.setenv("RESULTS", "test failure, links success")
    report.main(red)
    ((words, body),) = told(github)
    assert words == ["issue", "create", "--title", report.TITLE, "--body-file", "-"]
    for text in (RUN, "- test: failure", "## newest-3.13", "steps/a.py::test_b", "[404]"):
        assert text in body


def test_the_issue_is_updated_and_not_repeated_and_closed_in_the_end(
    github, report, tmp_path, monkeypatch
):
    issues = [{"number": 5, "title": report.TITLE}]
    (github / "issues.json").write_text(json.dumps(issues), encoding="utf-8")
    monkeypatch.setenv("RESULTS", "test cancelled, links success")
    report.main(tmp_path / "nothing")  # no job has left a report
    ((words, body),) = told(github)
    assert words == ["issue", "edit", "5", "--body-file", "-"]
    assert "see the log" in body
    monkeypatch.setenv("RESULTS", "test success, links success")
    (github / "calls").unlink()
    report.main(tmp_path / "nothing")
    ((words, body),) = told(github)
    assert words[:3] == ["issue", "close", "5"]


def test_nothing_is_said_while_everything_passes(github, report, tmp_path, monkeypatch):
    monkeypatch.setenv("RESULTS", "test success, links success")
    report.main(tmp_path / "nothing")
    assert told(github) == []


def test_an_issue_is_never_longer_than_github_takes(report, tmp_path):
    (tmp_path / "newest.txt").write_text("x" * 100_000, encoding="utf-8")
    assert len(report.body_of(tmp_path, {"test": "failure"}, RUN)) < 65_536
