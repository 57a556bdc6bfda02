"""What `check` says of a project beside a solution: the place that differs, and no false one."""

import pytest
from repo import IS_EXHAUSTIVE

from workshop.comparing import places
from workshop.steps import all_exercises, find_exercise, write_files

EXERCISES = all_exercises()
MISTAKES = [
    (exercise, mistake)
    for exercise in EXERCISES
    if IS_EXHAUSTIVE or exercise.number <= 5
    for mistake in exercise.mistakes
]
LEAST = 0.8  # of the mistakes; the others are written in another way, or can't be compared
OTHER_WAY = """
import asyncio

from quart import Quart, websocket

app = Quart(__name__)


class Room:
    def __init__(self):
        self.members = {}

    async def say(self, text):
        await asyncio.gather(*(member.send(text) for member in self.members.values()))


room = Room()


@app.websocket("/api/v2/ws")
async def chat():
    member = websocket._get_current_object()
    room.members[id(member)] = member
    try:
        while text := await websocket.receive():
            await room.say(text)
    finally:
        del room.members[id(member)]
"""


def lines_told(told, name):
    """The numbers of the lines of a file that sentences name."""
    start = f"The solution differs at {name}, line "
    return {int(one.removeprefix(start).partition(",")[0]) for one in told if one.startswith(start)}


def with_change(exercise, name, *changes):
    """The files of a solution with some words of one file replaced."""
    text = exercise.solution[name].decode()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return {**exercise.solution, name: text.encode()}


@pytest.fixture
def told(tmp_path):
    def told(exercise, name, *changes):
        return places(write_files(with_change(exercise, name, *changes), tmp_path), exercise)

    return told


def test_most_mistakes_are_found_at_their_line(tmp_path):
    missed = []
    for index, (exercise, mistake) in enumerate(MISTAKES):
        solution = exercise.solution[mistake.file].decode()
        first = solution[: solution.index(mistake.find)].count("\n") + 1
        lines = range(first - 1, first + mistake.replace.count("\n") + 2)
        files = mistake.applied_to(exercise.solution)
        told = places(write_files(files, tmp_path / str(index)), exercise)
        if not lines_told(told, mistake.file) & set(lines):
            missed.append(f"{exercise.id} {mistake.name}: {told}")
    assert len(missed) <= len(MISTAKES) * (1 - LEAST), "\n".join(missed)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_what_is_right_differs_nowhere(exercise, tmp_path):
    ways = [exercise.solution, *(one.applied_to(exercise.solution) for one in exercise.variants)]
    for index, files in enumerate(ways):
        assert places(write_files(files, tmp_path / str(index)), exercise) == []


BROADCAST = "ive()\n        broadcast(text)"
SAME = [
    ("3", "websocket.py", ("data", "text"), ("def ws", "def answer")),
    ("3", "websocket.py", ('f"echo {data}"', '"echo " + data')),
    ("3", "websocket.py", ('@app.get("/")', '@app.route("/")')),
    ("3", "websocket.py", ("ws():", "ws() -> None:  # echoes\n    # each message")),
    ("5", "websocket.py", ("queue", "box"), ("tasks", "group")),
    ("5", "websocket.py", ("(message)", "(text)"), ("message = ", "text = ")),
    (
        "5",
        "websocket.py",
        ("broadcast(await", "text = await"),
        ("ive())", "ive()); broadcast(text)"),
    ),
    ("5", "static/js/websocket.js", ('"open"', "'open'"), ("const ", "let ")),
    ("5", "static/js/websocket.js", ('querySelector("#', 'getElementById("')),
    ("5", "static/js/websocket.js", ("item", "entry"), ("textContent = text", "innerText = text")),
    ("5", "templates/index.html", ("    <", "  <")),
    ("5", "Pipfile", ("[packages]", "# what the app needs\n[packages]")),
]
DIFFERENT = [
    (("await websocket.send", "websocket.send"), 19, "has `await` there"),
    (('"/ws"', '"/wss"'), 15, "has `'/ws'` there, not `'/wss'`"),
    (
        ("        await websocket.send", "    await websocket.send"),
        19,
        "indents this line differently",
    ),
    (('        await websocket.send(f"echo {data}")\n', ""), 18, "`websocket.send`"),
    (
        ("    while True:\n", "    while True:\n        await websocket.accept()\n"),
        18,
        "doesn't have this line",
    ),
    (("ws():", "ws(client):"), 16, "has one name fewer there"),
    (('"echo {data}"', '"echo {ws}"'), 19, "uses your `data` there, not `ws`"),
]


@pytest.mark.parametrize(("number", "name", "first", "second"), [(*one, None)[:4] for one in SAME])
def test_what_makes_no_difference_is_not_told(number, name, first, second, told):
    assert told(find_exercise(number), name, *filter(None, [first, second])) == []


@pytest.mark.parametrize(("change", "line", "why"), DIFFERENT)
def test_a_difference_is_told_with_its_line(change, line, why, told):
    sentences = told(find_exercise("3"), "websocket.py", change)
    assert len(sentences) == 1
    assert lines_told(sentences, "websocket.py") == {line}
    assert why in sentences[0]


def test_a_part_that_is_not_begun_is_not_told(told):
    exercise = find_exercise("5")
    text = exercise.solution["websocket.py"].decode()
    post = text[text.index('@app.post("') :]
    assert told(exercise, "websocket.py", (post, "")) == []
    tcp = "app.config.from_prefixed_env()"
    sentences = told(exercise, "websocket.py", (post, ""), (tcp, ""), (".put_nowait", ".put"))
    assert len(sentences) == 1
    assert "it has `put_nowait` there, not `put`." in sentences[0]


def test_a_project_that_is_written_in_another_way_is_not_compared(tmp_path):
    exercise = find_exercise("5")
    files = {**exercise.solution, "websocket.py": OTHER_WAY.encode()}
    assert places(write_files(files, tmp_path), exercise) == []


def test_a_page_that_cannot_be_read_is_not_compared(told):
    assert told(find_exercise("4"), "templates/index.html", ("<main>", "<![foo[ <main>")) == []


def test_python_does_not_warn_of_code_that_is_only_compared(told, recwarn):
    told(find_exercise("3"), "websocket.py", ("while True", "while 1if True else 0"))
    assert not recwarn.list


@pytest.mark.parametrize("content", [b"\xff\xfe", b"def (", b"", b"(" * 5000, b"x = 1\n" * 5000])
def test_a_file_that_cannot_be_read_is_not_compared(content, tmp_path):
    exercise = find_exercise("3")
    write_files({**exercise.solution, "websocket.py": content}, tmp_path)
    assert places(tmp_path, exercise) == []
