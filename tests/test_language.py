"""Translations: what is in a message besides words survives, and what has none stays English."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter

import pytest
from repo import ROOT, Learner, new_learner

from workshop import language
from workshop.outcomes import Check
from workshop.steps import all_exercises, find_exercise
from workshop.verdict import Verdict

PATHS = sorted([*(ROOT / "docs/locale").rglob("*.po"), *(ROOT / "workshop").rglob("*.po")])
TRANSLATED_STEPS = 3
# That German does not have; none may be left in a sentence.
ENGLISH_WORDS = re.compile(r"\b(?:the|is|are|it|should|does|needs|and|with|after|to|of|by)\b")
MARKED = re.compile(r'\b(?:_|N_)\(("[^"\\]*")\)')  # those in one line
CODE = re.compile(r"`+[^`]+`+")
FORMAT = re.compile(r":[^:}]*\}$")  # such as the comma in {number:,}, which is not German
# What must be the same in a translation: links' targets, roles, HTML, and where values are put.
KEPT = {
    "substitutions": re.compile(r"(?<!\{)\{\{ \w+ \}\}(?!\})|%[sd]"),
    "links": re.compile(r"\]\(([^)]*)\)"),
    "HTML": re.compile(r"</?\w[^>]*>"),
}


def kept_of(message):
    """What a translator must not change in a message."""
    found = {"code": Counter(CODE.findall(message))}
    values = filter(language.is_value, language.VALUE.split(message))
    found["values"] = Counter(FORMAT.sub("}", value) for value in values)
    words = CODE.sub("``", message)
    return found | {name: Counter(pattern.findall(words)) for name, pattern in KEPT.items()}


def differences(english, other):
    """What one message has and the other lacks; a translation may name code once more."""
    one, two = kept_of(english), kept_of(other)
    more = {name: two[name] - one[name] for name in one if name != "code"}
    return {name: (one[name] - two[name]) + more.get(name, Counter()) for name in one}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parts[-3]}-{path.stem}")
def test_values_code_roles_and_links_survive_in_each_translation(path):
    messages = language.read(path)[1:]
    assert messages
    for message in messages:
        many = message.plural or message.msgid
        pairs = zip((message.msgid, many), message.strings, strict=False)
        for english, other in pairs if message.is_translated else ():
            lost = {name: found for name, found in differences(english, other).items() if found}
            assert lost == {}, f"{path.name}: {other}"
            assert english.endswith("\n") == other.endswith("\n"), other


@pytest.mark.parametrize(
    ("english", "other", "lost"),
    [
        ("Press {key}.", "Drück {taste}.", "values"),
        ("{number:,} bytes", "{numbers} Bytes", "values"),
        ("about {{ minutes }}", "etwa {{ minuten }}", "substitutions"),
        ("see [this](a.md#b)", "siehe [das](a.md#c)", "links"),
        ("({proof}`tests/a.py::b`)", "({proof}`tests/a.py::c`)", "code"),
        ("use `await`", "nimm `warte`", "code"),
        ("a <b>bold</b> one", "ein <b>fettes", "HTML"),
    ],
)
def test_what_is_lost_in_a_translation_is_found(english, other, lost):
    assert [name for name, found in differences(english, other).items() if found] == [lost]


@pytest.mark.thorough
def test_the_catalogues_have_the_messages_of_the_text_as_it_is_now():
    command = [sys.executable, ROOT / "docs/translate.py", "--check"]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=100)
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.fixture
def catalogue(tmp_path, monkeypatch):
    """Use a catalogue that a test writes."""

    def use(text):
        header = 'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
        (tmp_path / "xx").mkdir(exist_ok=True)
        (tmp_path / "xx/test.po").write_text(header + text, encoding="utf-8")
        monkeypatch.setattr(language, "_now", language.of("xx", tmp_path))
        language._told.cache_clear()

    return use


def test_a_message_is_translated_unless_it_is_missing_empty_or_fuzzy(catalogue):
    catalogue(
        'msgid "tea"\nmsgstr "Tee"\n\nmsgid "milk"\nmsgstr ""\n\n'
        '#, fuzzy\nmsgid "sugar"\nmsgstr "Salz"\n\nmsgid ""\n"two "\n"lines"\nmsgstr ""\n"zwei"\n'
    )
    assert list(map(language._, ["tea", "milk", "sugar", "water", "two lines", ""])) == [
        *("Tee", "milk", "sugar", "water", "zwei", ""),
    ]


def test_a_number_chooses_the_form(catalogue):
    catalogue(
        'msgid "{n} cup"\nmsgid_plural "{n} cups"\nmsgstr[0] "{n} Tasse"\nmsgstr[1] "{n} Tassen"'
    )
    assert [language.plural("{n} cup", "{n} cups", n) for n in (1, 2)] == [
        "{n} Tasse",
        "{n} Tassen",
    ]
    assert [language.plural("{n} pot", "{n} pots", n) for n in (1, 2)] == ["{n} pot", "{n} pots"]


def test_a_text_that_the_command_fills_in_is_not_looked_for_in_what_a_check_says(tmp_path):
    (tmp_path / "xx").mkdir()
    text = 'msgid ""\nmsgstr ""\n\nmsgid "{one} of {two}"\nmsgstr "{one} von {two}"\n'
    for name in ("command", "checks"):
        (tmp_path / f"xx/{name}.po").write_text(text, encoding="utf-8")
        assert language.of("xx", tmp_path).sentences == ("{one} of {two}",) * (name == "checks")


def test_a_sentence_is_translated_by_the_template_that_it_was_made_from(catalogue):
    catalogue(
        'msgid "{who} sent {what!r}"\nmsgstr "{what!r} kam von {who}"\n\n'
        'msgid "{who} sent {what!r}, and nothing {came}"\nmsgstr "von {who} kam nur {what!r}"\n\n'
        'msgid "{one}: {two}, as in {{x}}"\nmsgstr "{one}: {two}, so wie {{x}}"\n\n'
        'msgid "arrived"\nmsgstr "angekommen"\n\n'
        'msgid "no `{name}`: {why}"\nmsgstr "kein `{name}`: {why}"\n\n'
        'msgid " and "\nmsgstr " und "'
    )
    assert language.sentence("bob sent 'tea'") == "'tea' kam von bob"
    assert language.sentence("bob sent 'tea', and nothing arrived") == "von bob kam nur 'tea'"
    assert language.sentence("a.py: arrived, as in {x}") == "a.py: angekommen, so wie {x}"
    assert language.sentence("bob received 'tea'") == "bob received 'tea'"
    assert language.sentence("tea and milk arrived") == "tea and milk arrived"  # no mixture
    assert language.named("arrived (again)") == "angekommen (again)"
    assert language.sentence("no `arrived`: arrived") == "kein `arrived`: angekommen"  # code stays


@pytest.mark.parametrize(
    ("option", "environ", "code"),
    [
        ("en", {"WORKSHOP_LANGUAGE": "de", "LANG": "de_DE.UTF-8"}, "en"),
        (None, {"WORKSHOP_LANGUAGE": "de", "LANG": "en_US.UTF-8"}, "de"),
        (None, {"LANG": "de_AT.UTF-8"}, "de"),
        (None, {"LANG": "de_DE.UTF-8", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        (None, {"LC_ALL": "C", "LANG": "de_DE.UTF-8"}, "en"),
        (None, {"LANG": "tlh_QO"}, "en"),
    ],
)
def test_the_language_is_the_options_the_variables_or_the_systems(
    option, environ, code, monkeypatch
):
    for name in (language.VARIABLE, *language.SYSTEM):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert language.chosen(option) == code


@pytest.mark.parametrize(
    ("name", "code"),
    [("German_Germany", "de"), ("de_AT", "de"), ("English_United States", "en"), (None, "en")],
)
def test_where_no_variable_says_it_python_does(name, code, monkeypatch):
    for variable in (language.VARIABLE, *language.SYSTEM):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(language.locale, "getlocale", lambda: (name, "cp1252"))
    assert language.chosen() == code


def test_a_language_that_is_not_known_is_an_error_only_if_it_was_asked_for(monkeypatch):
    with pytest.raises(ValueError, match=r"tlh.*en, de"):
        language.chosen("tlh")


# The site


@pytest.mark.thorough
def test_a_page_in_german_says_how_much_is_translated_and_leads_to_the_english_one(site):
    page = (site / "de/03_echo.html").read_text(encoding="utf-8")
    assert 'lang="de"' in page and "<h1>3 Echo" in page
    assert "Diese Seite ist vollständig übersetzt." in page and "Worum es geht" in page
    assert '<a href="../03_echo.html" lang="en" hreflang="en">English</a>' in page
    setup = (site / "de/setup.html").read_text(encoding="utf-8")
    assert "Behebe das zuerst: " in setup and "Fix this first: " not in setup  # what was captured
    assert 'hreflang="en" href="../04_javascript.html"' in page  # which is not translated
    english = (site / "03_echo.html").read_text(encoding="utf-8")
    assert '<a href="de/03_echo.html" lang="de" hreflang="de">Deutsch</a>' in english
    assert 'href="de/index.html"' in (site / "04_javascript.html").read_text(encoding="utf-8")


@pytest.mark.thorough
def test_a_page_that_has_changed_since_its_translation_lags_behind(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from translated import progress

    path = tmp_path / "page.po"
    header = 'msgid ""\nmsgstr ""\n\n'
    path.write_text(f'{header}msgid "tea"\nmsgstr "Tee"\n\nmsgid "milk"\nmsgstr ""\n')
    assert progress(["tea"], {}, path) == (100, False)
    assert progress(["tea", "milk"], {"you": True}, path) == (66, False)
    assert progress(["tea", "sugar"], {}, path) == (50, True)
    path.write_text(path.read_text().replace('msgid "tea"', '#, fuzzy\nmsgid "tea"'))
    assert progress(["tea"], {}, path) == (0, True)


# The panel of an exercise, in its page

BOARD = ROOT / "workshop/board"  # whose page has a catalogue of its own
PATTERNS = ("docs/_static/*.js", "docs/live/*.js", "workshop/board/static/*.js")
SCRIPTS = [path for pattern in PATTERNS for path in sorted(ROOT.glob(pattern))]
CALL = re.compile(r"\b(?:inWords|plural)\(\s*(\"(?:[^\"\\]|\\.)*\")")
# Two words in a row, or one that begins a sentence.
PROSE = re.compile(r"[A-Za-z]{2,} [a-z]{2,}|^[A-Z][a-z]+\b(?! \$)")
NO_PROSE = re.compile(
    r"^(?:Arrow\w+|Escape|Shift|Tab|Authorization|Bearer .*|Content-Type|python3 -m .*)$"
)


@pytest.fixture
def translated(monkeypatch):
    """The module that finds the texts of scripts."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import translated

    return translated


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parts[-2]}-{path.stem}")
def test_each_text_of_a_script_is_found_and_in_the_catalogue(script, translated):
    is_boards = BOARD in script.parents
    known = language.of("de", BOARD / "locale" if is_boards else translated.LOCALE)
    found = [text[0] if isinstance(text, tuple) else text for text in translated.texts_of(script)]
    assert found == [json.loads(text) for text in CALL.findall(script.read_text(encoding="utf-8"))]
    assert set(found) <= known.texts.keys() | known.plurals.keys()


@pytest.mark.parametrize("name", ["board", "files", "panel", "wire", "zip"])
def test_what_a_script_of_the_panel_tells_is_among_its_texts(name, translated):
    from babel.messages.jslexer import tokenize

    script = ROOT / f"docs/live/{name}.js"
    texts = {part for text in translated.texts_of(script) for part in (text, *text)}
    tokens = tokenize(script.read_text(encoding="utf-8"))
    strings = [one.value[1:-1] for one in tokens if one.type in ("string", "template_string")]
    told = {text for text in strings if PROSE.search(re.sub(r"\$\{.*?\}", "", text))}
    assert {text for text in told - texts if not NO_PROSE.match(text)} == set()


def test_a_page_in_german_gets_the_texts_that_are_translated_and_another_gets_none(
    translated, german, tmp_path
):
    script = tmp_path / "a.js"
    script.write_text(
        'inWords("Run"); inWords("Ran"); plural("{number} byte", "{number} bytes", n)'
    )
    sent = "- which exercise was checked, and when"
    words = json.loads(translated.words_for([script], [sent, "Rain"])["data-words"])
    assert words.pop(sent) == "- welche Übung geprüft wurde, und wann"
    assert words == {"Run": "Ausführen", "{number} byte": ["{number} Byte", "{number} Bytes"]}
    language.use(language.ENGLISH)
    assert translated.words_for([script]) == {}


# The command


@pytest.fixture
def learner(tmp_path_factory):
    return new_learner(tmp_path_factory)


@pytest.mark.parametrize(
    ("words", "environ"), [(["--language", "de"], {}), ([], {"WORKSHOP_LANGUAGE": "de"})]
)
def test_the_command_speaks_german_if_it_is_asked_to(words, environ, learner):
    code, output = Learner(learner.clone, **environ)(*words)
    assert code == 0
    assert "01_structure: Aufbau" in output and "Weiter: python3 -m workshop start 1" in output


def test_help_and_what_is_wrong_are_in_german(learner):
    code, output = learner("--language", "de", "check", "--help")
    assert (code, "Aufruf: " in output) == (0, True)
    assert "Prüft websocket/ anhand der Übung" in output and "Optionen:" in output
    code, output = learner("--language=de", "start", "99")
    assert (code, "Fehler: die Übung '99' gibt es nicht" in output) == (2, True)
    code, output = learner("--language", "de", "hint")
    assert (code, "es gibt noch kein websocket/" in output) == (1, True)


def test_an_unknown_language_is_one_sentence(learner):
    code, output = learner("--language", "tlh")
    assert code == 2 and "'tlh' is not one of 'en', 'de'" in output
    code, output = Learner(learner.clone, WORKSHOP_LANGUAGE="tlh")("start")
    assert code == 2 and "no such language: tlh (there are en, de)" in output


def test_each_text_of_the_command_that_is_marked_is_in_the_catalogue():
    messages = {one.msgid for one in language.read(language.LOCALE / "de/command.po")}
    found = {}
    for path in sorted(language.LOCALE.parent.rglob("*.py")):
        for text in MARKED.findall(path.read_text(encoding="utf-8")):
            found[ast.literal_eval(text)] = path.name
    assert len(found) > 50
    missing = {text: name for text, name in found.items() if text not in messages}
    assert missing == {}, "`python docs/translate.py` adds them"


# What a check says


MISTAKES = [
    (exercise, mistake)
    for exercise in all_exercises()
    if exercise.number <= TRANSLATED_STEPS
    for mistake in exercise.mistakes
]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("exercise", "mistake"), MISTAKES, ids=lambda one: getattr(one, "name", None)
)
def test_what_a_check_says_of_each_mistake_of_the_first_steps_is_in_german(
    exercise, mistake, german
):
    said = json.loads((ROOT / "docs/captured/mistakes.json").read_text(encoding="utf-8"))
    first, *lines = said[exercise.id][mistake.name].splitlines()
    assert language.sentence(first.removeprefix("Fix this first: ")) not in first
    for line in map(str.strip, lines):
        told = without_quotes(language.sentence(line))
        assert told != without_quotes(line)
        assert ENGLISH_WORDS.findall(told) == [], told


def without_quotes(text):
    """A text without code, without what is in quotes, and without what Python or a server says."""
    return re.sub(r"`[^`]*`|'[^']*'|\"[^\"]*\"|\w+(Error|NotFound): [^:]*|Invalid [^:]*", "", text)


def test_check_tells_all_of_it_in_german(german):
    exercise = find_exercise("03")
    verdict = Verdict(exercise)
    checks = [
        Check("every message comes back in order", "failed", "expected ['a'], but received ['b']"),
        Check("a plain get is refused", "later"),
        Check("the page loads its style sheet and its script", "passed"),
    ]
    lines = [line for check in checks for _outcome, line in verdict.hear(check)]
    assert lines == [
        "jede Nachricht kommt zurück, der Reihe nach",
        "ein einfaches GET wird abgelehnt",
    ]
    assert verdict.rest() == [("passed", "1 Check früherer Schritte bestanden")]
    heading, lines = verdict.to_fix()
    assert heading == "Behebe das zuerst: jede Nachricht kommt zurück, der Reihe nach"
    assert lines == ["erwartet war ['a'], angekommen ist ['b']"]
