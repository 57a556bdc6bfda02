"""What holds for every file of the repository."""

import ast
import re
import subprocess
import sys
import tomllib

BINARY = {".png"}
# Put together here, so that this file does not hold what it forbids.
INDEX_ADDRESS = re.compile(
    "|".join(["pypi" + r"\.org", "python" + r"hosted", "npmjs" + r"\.(org|com)"])
)
MACHINE_PATH = re.compile(
    r"(?<![\w.}])/(?:" + "|".join(["home", "root", "Users", "work", "tmp"]) + r")/\w"
)


def texts(files, root):
    for name in files:
        if name.suffix not in BINARY:
            yield name, (root / name).read_bytes().decode("utf-8")


def test_no_file_holds_the_address_of_a_package_index(files, root):
    found = [str(name) for name, text in texts(files, root) if INDEX_ADDRESS.search(text)]
    assert found == [], "packages come from where pip's own settings say"


def test_no_file_holds_a_path_of_a_machine(files, root):
    found = [
        (str(name), path[0])
        for name, text in texts(files, root)
        if (path := MACHINE_PATH.search(text))
    ]
    assert found == []


def test_every_text_file_has_unix_line_ends_and_a_last_one(files, root):
    for name, text in texts(files, root):
        assert "\r" not in text, f"{name} has Windows line ends"
        assert not text or text.endswith("\n"), f"{name} has no line end at its end"


def test_ruff_finds_nothing(root):
    # A text file without an encoding has another one on Windows: the last rule finds that.
    encodings = ["check", "--preview", "--select", "PLW1514"]
    for command in (["check"], ["format", "--check"], encodings):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", "."]
        result = subprocess.run(ruff, cwd=root, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr


def test_every_function_of_the_package_that_others_call_has_a_docstring(root):
    for path in (root / "workshop").glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{node.name} in {path.name} has no docstring"


def test_every_package_that_is_asked_for_has_a_reason(root):
    pipfile = tomllib.loads((root / "Pipfile").read_text(encoding="utf-8"))
    reasons = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in [*pipfile["packages"], *pipfile["dev-packages"]]:
        assert f"| {name} |" in reasons, f"CONTRIBUTING.md does not say what {name} is for"
