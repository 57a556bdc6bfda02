"""The site in other languages: pages that have a catalogue are translated, and link to the rest.

The catalogues of the pages are in locale/LANGUAGE/LC_MESSAGES/, that of their scripts is in
locale/LANGUAGE/, and those of what is made from the steps are in ../workshop/locale/. The builder
`translated` writes only the pages that have a catalogue, to be put into a folder of the English
site. translate.py updates the catalogues.
"""

import functools
import json
import re
from pathlib import Path

import lists
from babel.messages.extract import extract_javascript
from docutils import nodes
from sphinx.builders.html import StandaloneHTMLBuilder
from sphinx.transforms import SphinxTransform
from sphinx.util.nodes import extract_messages

from workshop import language
from workshop.language import _
from workshop.steps import all_exercises

LOCALE = Path(__file__).parent / "locale"
NAMES = {"en": "English", "de": "Deutsch"}  # each in its own language
IN_SCRIPT = {"inWords": 1, "plural": 2}  # the functions of scripts, and how many texts they take
FENCE = re.compile(r"^(`{3,}|:{3,}).*?^\1", re.MULTILINE | re.DOTALL)
HEADER = re.compile(r"(?:---\n.*?\n---\n)?", re.DOTALL)
PLACES = re.compile(r"^(?:#+ .*|\(.*\)=)$", re.MULTILINE)  # what can be linked to
CAPTURED = re.compile(r"(\{literalinclude\} )(captured/\S+)")
ROOT_PAGE = "index"
UPWARDS = re.compile(r'(?<! hreflang="en") href="\.\./')  # a link to the English site
BUILDER = "translated"
THEME = "sphinx"  # the catalogue of texts that the theme has in English only


def catalogue(code, page):
    """The file with the translation of a page, which may be missing."""
    return LOCALE / code / "LC_MESSAGES" / f"{page}.po"


def pages(code):
    """The pages that have a translation."""
    found = {path.stem for path in catalogue(code, ROOT_PAGE).parent.glob("*.po")}
    return found - {THEME}


class Translated(StandaloneHTMLBuilder):
    """Writes the pages that are translated; links to others lead to the English site above it."""

    name = BUILDER

    def get_target_uri(self, docname, typ=None):
        """The address of a page."""
        address = super().get_target_uri(docname, typ)
        is_here = docname in pages(self.config.language) or docname in ("search", "genindex")
        return address if is_here else f"../{address}"

    def write_documents(self, docnames):
        """Write the pages that are translated."""
        super().write_documents(set(docnames) & pages(self.config.language))


def choose(app, config):
    """Use the language of the site in what is made from the steps."""
    language.use(config.language)
    if config.translating:
        config.exclude_patterns += ["notebooks"]


def captured(code, included):
    """The same line with the output that was captured in a language, if there is any."""
    name = included[2].replace("captured/", f"captured/{code}/", 1)
    return f"{included[1]}{name}" if (LOCALE.parent / name).is_file() else included[0]


def shorten(app, page, content):
    """Of a page that isn't translated, read only the title and the places to link to."""
    language.asked = {}  # by the directives of this page
    code = app.config.translating
    if app.config.language != language.ENGLISH:
        content[0] = CAPTURED.sub(functools.partial(captured, code), content[0])
    if code and page not in pages(code):
        lines = [HEADER.match(content[0])[0], *PLACES.findall(FENCE.sub("", content[0]))]
        if "{challenges}" in content[0]:
            for each in all_exercises():
                if each.is_challenge:
                    lines.append(f"(challenge-{lists.slug(each)})=\n## {each.shown}")
        content[0] = "\n\n".join(lines)


def progress(found, asked, path):
    """How many percent of a page are translated, and whether its English has changed since.

    It has if a message is new or fuzzy. `asked` says of the other texts which are translated.
    """
    known = {one.msgid: one for one in language.read(path)}
    done = {text: text in known and known[text].is_translated for text in found} | asked
    has_changed = any(text not in known or known[text].is_fuzzy for text in found)
    return 100 * sum(done.values()) // len(done), has_changed


class Progress(SphinxTransform):
    """Says at the top of a translated page how much of it is, and whether it lags behind."""

    default_priority = 19  # before Sphinx translates

    def apply(self, **options):
        """Count the messages, those of the page and those that its directives asked for."""
        page, config = self.env.current_document.docname, self.config
        if page not in pages(config.translating):
            return
        found = dict.fromkeys(message for _node, message in extract_messages(self.document))
        self.env.app.messages[page] = found, dict(language.asked)
        if config.language == language.ENGLISH:
            return
        percent, has_changed = progress(found, language.asked, catalogue(config.language, page))
        note = self.document.next_node(nodes.title)
        note.parent.insert(note.parent.index(note) + 1, self.note(page, percent, has_changed))

    def note(self, page, percent, has_changed):
        """A paragraph with the share, and a link to the page in English."""
        words = _("{percent} % of this page is translated.").format(percent=percent)
        if percent == 100:
            words = _("This page is translated.")
        if has_changed:
            words += " " + _("The English page has changed since, so this one lags behind.")
        note = nodes.paragraph("", words + " ", classes=["translation"], translatable=False)
        address = f"../{self.env.app.builder.get_target_uri(page)}"
        link = nodes.reference("", _("The page in English"), refuri=address, internal=True)
        link["hreflang"] = language.ENGLISH
        note += link
        return note


@functools.cache
def texts_of(script):
    """The texts that a script passes to `inWords`; a pair is what it passes to `plural`."""
    with script.open("rb") as file:
        found = extract_javascript(file, IN_SCRIPT, (), {"parse_template_string": True})
        given = [
            (text if isinstance(text, tuple) else (text,))[: IN_SCRIPT[name]]
            for _line, name, text, _comments in found
        ]
    return [texts if len(texts) > 1 else texts[0] for texts in given if texts[0]]


def words_for(scripts, sentences=()):
    """An attribute for a script's element, with the texts of scripts in the language of the page.

    With the forms of those that have several, and with some sentences as they are made here.
    """
    if language.code == language.ENGLISH:
        return {}
    known = language.of(language.code, LOCALE)
    found = {text: language.sentence(text) for text in sentences}
    for text in (text for script in scripts for text in texts_of(script)):
        one = text[0] if isinstance(text, tuple) else text
        found[one] = known.texts.get(one) or known.plurals.get(one) or one
    words = {text: other for text, other in found.items() if other != text}
    return {"data-words": json.dumps(words, ensure_ascii=False)}


def switch(app, page, template, context, doctree):
    """Links to the other languages in the sidebar, and in the page's head for search engines."""
    here = app.config.language
    links = []
    for code in app.config.languages:
        if code == here:
            continue
        has_page = code == language.ENGLISH or page in pages(code)
        target = page if has_page and doctree else ROOT_PAGE
        above = "" if here == language.ENGLISH else "../"
        below = "" if code == language.ENGLISH else f"{code}/"
        # From a page in a folder, such as a notebook's, the root is further up.
        address = f"{'../' * page.count('/')}{above}{below}{target}.html"
        links.append({"code": code, "name": NAMES[code], "address": address})
        if target == page:
            head = f'<link rel="alternate" hreflang="{code}" href="{address}">'
            context["metatags"] = context.get("metatags", "") + head
    context.update(languages=links, language_label=_("Language"))
    if here != language.ENGLISH:
        for part in ("body", "furo_navigation_tree"):
            text = context.get(part) or ""
            context[part] = UPWARDS.sub(' hreflang="en" href="../', text)


def setup(app):
    """Tell Sphinx of the builder, and of what it needs."""
    app.messages = {}  # of each page that is translated: its own, and those of its directives
    app.add_config_value("languages", [], "html")
    app.add_config_value("translating", "", "env")
    app.add_builder(Translated)
    app.add_transform(Progress)
    app.connect("config-inited", choose, priority=10)
    app.connect("source-read", shorten)
    app.connect("html-page-context", switch, priority=950)
    return {"parallel_read_safe": True}
