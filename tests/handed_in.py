"""What learners hand in for step 3: right, wrong, unusual, broken and hostile.

Each function of KINDS makes one in a folder, from the files of the solution and of the start.
"""

import io
import zipfile

from repo import ROOT

from workshop.steps import find_exercise, write_files

ECHO = find_exercise("3")
RIGHT, START = ECHO.solution, ECHO.start
KINDS = {}  # a name, which says what it is, to the result and the function
# A result, as a submission would like to have it.
FORGED = f"""
    for check in {sorted(name.removeprefix("test_").replace("_", " ") for name in ECHO.own_tests)}:
        print(json.dumps({{"words": check, "outcome": "passed", "reason": ""}}))
"""


def kind(result):
    """Add what a function makes, and the result that it should have."""

    def add(function):
        KINDS[function.__name__] = (result, function)
        return function

    return add


def with_code(code, files=START):
    """The files of a project in which some code comes first."""
    return {**files, "websocket.py": code.encode() + b"\n" + files["websocket.py"]}


def zipped(files):
    """A zip of files, or of names that climb, in bytes."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return data.getvalue()


@kind("passed")
def right(folder):
    write_files(RIGHT, folder / "websocket")


@kind("passed")
def with_crlf(folder):
    write_files({name: data.replace(b"\n", b"\r\n") for name, data in RIGHT.items()}, folder)


@kind("passed")
def with_a_bom(folder):
    write_files(with_code("\ufeff", RIGHT), folder)


@kind("failed")
def one_mistake(folder):
    write_files(ECHO.mistakes[0].applied_to(RIGHT), folder)


@kind("not graded")
def nothing(folder):
    folder.mkdir()


@kind("passed")
def nested_zip(folder):
    inner = zipped({f"my work/websocket/{name}": data for name, data in RIGHT.items()})
    write_files({"Lee_12_file.zip": zipped({"handed in/final.zip": inner})}, folder)


@kind("not graded")
def climbing_zip(folder):
    names = {"../../../climbed.py": b"climbed = True\n", **RIGHT}
    write_files({"work.zip": zipped(names)}, folder)


@kind("not graded")
def link_out(folder):
    write_files({name: data for name, data in RIGHT.items() if name != "websocket.py"}, folder)
    (folder / "websocket.py").symlink_to(ROOT / "steps/03_echo/websocket.py")


@kind("failed")
def prints_that_all_pass(folder):
    write_files(with_code("print('All 15 checks pass: 03_echo is done')"), folder)


@kind("failed")
def own_conftest(folder):
    hook = "def pytest_runtest_makereport(item, call):\n    raise SystemExit(0)\n"
    write_files({**START, "conftest.py": hook.encode()}, folder)


@kind("failed")
def own_tests(folder):
    test = b"def test_a_message_comes_back_with_echo_before_it():\n    pass\n"
    files = {"tests/test_echo.py": test, "pytest.ini": b"[pytest]\naddopts = --collect-only\n"}
    write_files({**START, **files}, folder)


@kind("failed")
def writes_to_every_descriptor(folder):
    code = (
        "import contextlib, io, json, os\ntold = io.StringIO()\n"
        f"with contextlib.redirect_stdout(told):{FORGED}"
        "    print(json.dumps({'over': True}))\n"
        "    print(json.dumps({'started': True}))\n"
        "for number in range(256):\n    with contextlib.suppress(OSError):\n"
        "        os.write(number, told.getvalue().encode())\n"
    )
    write_files(with_code(code), folder)


@kind("failed")
def patches_pytest(folder):
    code = (
        "import gc, sys\nimport pytest, _pytest.runner, _pytest.python\n"
        "_pytest.runner.call_runtest_hook = _pytest.runner.pytest_runtest_call = None\n"
        "_pytest.python.Function.runtest = lambda self: None\n"
        "from harness import failures, live_client, patience\n"
        "live_client.LiveConnection.receive = failures.Closed = None\npatience.DEADLINE = 0\n"
    )
    write_files(with_code(code), folder)


@kind("failed")
def rewrites_the_tests(folder):
    code = (
        "import contextlib, pathlib\n"
        f"for test in pathlib.Path({str(ROOT / 'steps')!r}).glob('*/tests/*.py'):\n"
        "    with contextlib.suppress(OSError):\n        test.write_text('')\n"
    )
    write_files(with_code(code), folder)


@kind("failed")
def reads_the_solution(folder):
    path = str(ROOT / "steps/03_echo/websocket.py")
    write_files({**START, "websocket.py": f"exec(open({path!r}).read())\n".encode()}, folder)


@kind("failed")
def endless_loop(folder):
    write_files(with_code("while True:\n    pass\n"), folder)


@kind("failed")
def blocks(folder):
    code = RIGHT["websocket.py"].replace(
        b"        data = await", b"        __import__('time').sleep(600)\n        data = await"
    )
    write_files({**RIGHT, "websocket.py": code}, folder)


@kind("failed")
def ends_python(folder):
    write_files(with_code("import os\nos._exit(0)\n"), folder)


@kind("failed")
def kills_its_parent(folder):
    code = (
        "import contextlib, os, signal\n"
        "for number in (os.getppid(), -1, 1, *range(2, 400)):\n"
        "    with contextlib.suppress(OSError):\n"
        "        os.kill(number, signal.SIGKILL) if number != os.getpid() else None\n"
    )
    write_files(with_code(code), folder)


@kind("failed")
def fork_bomb(folder):
    write_files(with_code("import os\nwhile True:\n    os.fork()\n"), folder)


@kind("passed")
def detached_children(folder):
    """Right, but its children keep running, and fill whatever disk they can write to."""
    code = (
        "import subprocess, sys, tempfile\n"
        "writes = 'import sys, time\\n' 'while True:\\n try:\\n  '"
        "    'open(sys.argv[1], \"ab\").write(bytes(1 << 20))\\n'"
        "    ' except OSError:\\n  time.sleep(0.1)\\n'\n"
        "path = tempfile.gettempdir() + '/workshop-full'\n"
        "subprocess.Popen([sys.executable, '-c', writes, path], start_new_session=True)\n"
    )
    write_files(with_code(code, RIGHT), folder)
