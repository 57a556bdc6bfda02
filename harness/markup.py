"""A page's HTML as a browser reads it: whatever the quotes, the order and the case are."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

HERE = "http://localhost/"
HEADINGS = {"h1", "h2", "h3", "h4", "h5", "h6"}
FETCHED = {"icon", "manifest", "preload", "modulepreload", "apple-touch-icon", "stylesheet"}
RAW = {"script", "style", "title", "textarea"}  # what they hold is text up to their end tag
SCRIPT_TYPES = {"", "module", "text/javascript", "application/javascript"}


class Markup(HTMLParser):
    """What a page at / loads, in `.loads` as paths, and the texts of its headings."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.loads, self.headings = [], set(), []
        self.others = {}  # what else a browser fetches: its address, and which element leads there
        self.address, self.open_heading, self.never_ended = HERE, "", ""
        self.text, self.comments = html.strip(), ""
        self.feed(html)
        self.close()

    def path(self, reference):
        """The path of an address in the page, or "" if it is on another site."""
        url = urlsplit(urljoin(self.address, (reference or "").strip()))
        is_here = url.hostname in ("localhost", "127.0.0.1")
        return url.path if is_here else ""

    def handle_starttag(self, tag, attributes):
        attributes = {name: value or "" for name, value in reversed(attributes)}  # the first counts
        self.elements.append((tag, attributes))
        rel = attributes.get("rel", "").lower().split()
        if tag == "base" and "href" in attributes:
            self.address = urljoin(HERE, attributes["href"])
        elif tag == "link" and "stylesheet" in rel and "alternate" not in rel:
            self.loads.add(self.path(attributes.get("href")))
        elif tag == "script" and attributes.get("type", "").strip().lower() in SCRIPT_TYPES:
            self.loads.add(self.path(attributes.get("src")) if "src" in attributes else "")
        elif tag == "img" or (tag == "link" and FETCHED & set(rel)):
            reference = attributes.get("src" if tag == "img" else "href", "")
            if path := self.path(reference):
                query = urlsplit(reference.strip()).query
                address = f"{path}?{query}" if query else path
                # A browser quotes spaces and the like, too.
                address = quote(address, safe="/?%:@!$&'()*+,;=~")
                self.others[address] = f"<{tag}> leads to {reference}"
        elif tag in HEADINGS or attributes.get("role", "").lower() == "heading":
            self.open_heading = tag
            self.headings.append("")

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag in RAW:  # for which HTML ignores the slash in <script … />
            self.never_ended = self.never_ended or tag
            self.set_cdata_mode(tag)

    def handle_comment(self, data):
        self.comments += data

    def handle_endtag(self, tag):
        if tag == self.open_heading:
            self.open_heading = ""

    def handle_data(self, data):
        if self.open_heading:
            self.headings[-1] = re.sub(r"\s+", " ", self.headings[-1] + data)

    def told_headings(self):
        """The page's headings, or why it has none."""
        if not self.elements:
            return (
                f"none: GET / answers with the text {self.text!r:.60}, not with a template: does "
                "it call render_template() with a file name?"
            )
        if self.headings or not self.never_ended:
            return self.headings or "none: it needs an <h1>"
        tag = self.never_ended
        return f"none: <{tag} … /> needs </{tag}>, or all that follows it is text"

    def why_not(self, path, app=None):
        """Say why a browser does not load the style sheet or the script at a path."""
        folder, address = getattr(app, "static_folder", None), getattr(app, "static_url_path", None)
        if folder and "/static" != (address or "/static"):
            return (
                f"the page does not load {path}: the app serves the files in "
                f"{Path(folder).name}/ at {address}/, so pass neither static_folder nor "
                "static_url_path to Quart()"
            )
        name = path.rpartition("/")[2]
        is_script = name.endswith(".js")
        right = '<script src="…">' if is_script else '<link rel="stylesheet" href="…">'
        sentence = f"the page does not load {path}"
        for tag, attributes in self.elements:
            for attribute in ("href", "src"):
                if name in attributes.get(attribute, ""):
                    address = attributes[attribute]
                    if "<" in address or "\n" in address:
                        return f"{sentence}: its <{tag}> lacks the quote after {path}"
                    if "url_for" in address:
                        why = (
                            "is the page made by render_template, which evaluates that?"
                            if "{{" in address
                            else "render_template evaluates only what is between {{ and }}"
                        )
                        return f"{sentence}: its <{tag}> contains {address} as plain text: {why}"
                    if self.path(address) != path:
                        return f"{sentence}: its <{tag}> leads to {address}"
                    rel = "".join(
                        f' {n}="{attributes[n]}"' for n in ("rel", "type") if n in attributes
                    )
                    return f'{sentence} by <{tag}{rel} {attribute}="…">: it takes {right}'
        tag, attribute = ("script", "src") if is_script else ("link", "href")
        found = [attributes for name, attributes in self.elements if name == tag]
        others = [a[attribute] for a in found if attribute in a and "icon" not in a.get("rel", "")]
        if others:
            return f"{sentence}: its <{tag}> leads to {' and '.join(others)}"
        if name in self.comments:
            return f"{sentence}: it stands in a comment, <!-- … -->"
        if not found and len(self.elements) < 3:
            return f"{sentence}: GET / answers with {self.text!r:.60}; is that the template?"
        return f"{sentence}: its head needs {right} for it"
