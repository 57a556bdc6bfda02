"""Playwright's assertions with failures in one sentence: what should be, and what there is."""

import re
from contextlib import suppress
from difflib import get_close_matches

from harness.patience import within

NAMES = {"textbox": "text box", "listitem": "list item"}  # of roles; the others are words

# What scripts have added to elements and sockets, and the names of all that those have.
ADDED = """() => [
  ...document.querySelectorAll("*"), ...(window.openedSockets ?? [])
].flatMap((element) => {
  const names = [];
  for (const name in element) if (!Object.hasOwn(element, name)) names.push(name);
  return Object.keys(element).map((key) => [key, names]);
})"""


async def misspelled(page):
    """Say what a script has misspelled or does in vain: a sentence, or ""."""
    all_added, idle = [], []
    with suppress(Exception):  # a script without an end, or a page that is closed
        idle = await within(1, page.evaluate("window.idleListeners ?? []"))
        all_added = await within(1, page.evaluate(ADDED))
    if idle:
        return f"\nThe script {idle[0]}."
    for added, names in all_added:
        if found := get_close_matches(added.lower(), map(str.lower, names), 1, 0.8):
            meant = next(name for name in names if name.lower() == found[0])
            return f"\nA script sets .{added}: is it .{meant}?"
    return ""


class Expectation:
    """Stands for `expect(locator, sentence)` of Playwright: its methods are those.

    Once it is known that it does not hold, `why` is called with what there
    is, and returns what to add.
    """

    def __init__(self, locator, sentence="", why=lambda says: ""):
        from playwright.async_api import expect

        self.locator, self.sentence, self.why = locator, sentence, why
        self.expected = expect(locator, sentence)

    def __getattr__(self, name):
        async def hold(*arguments, **options):
            try:
                await getattr(self.expected, name)(*arguments, **options)
            except AssertionError as error:
                found = re.search(r"Actual value: (.*)", str(error))
                says = found[1].strip() if found else ""
                is_ = await self.what_is(says, name) if found else ""
                sentence = f"{self.sentence}{is_}{self.why(says)}"
                sentence += await misspelled(self.locator.page)
                raise AssertionError(sentence) from None

        return hold

    async def what_is(self, found, expected):
        """What Playwright found in place of what was expected: a clause, or ""."""
        found = found or "empty"
        if found == "None":
            return f", but {await self.there_is_none()}"
        if found == "inactive" or found.startswith("viewport"):
            return ""
        if "count" in expected:
            return f", but there are {found}"
        is_state = found in ("enabled", "disabled", "empty")
        return f", but it is {found}" if is_state else f", but it says {found!r}"

    async def there_is_none(self):
        """That a page lacks an element, and which there are that it could be."""
        wanted = re.search(r"internal:role=(\w+)(?:\[name=\"(.*?)\")?", str(self.locator))
        if not wanted:
            return "there is none"
        role, name = wanted[1], wanted[2]
        word = NAMES.get(role, role)
        tree = await self.locator.page.locator("body").aria_snapshot()
        there = re.findall(rf"^ *- {role}(.*)$", tree, re.MULTILINE)
        labels = [re.match(r' "(.*?)"', rest) for rest in there]
        labels = [repr(label[1]) if label else "one without a name" for label in labels]
        named = f" {name!r}" if name else ""
        others = f", only {' and '.join(labels)}" if labels else ""
        hint = ": a <label> whose `for` is its id gives it a name" if role == "textbox" else ""
        return f"the page has no {word}{named}{others}{hint}"
