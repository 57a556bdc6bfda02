"""The statements of a script in JavaScript."""

import re

from workshop.reading.statement import Statement

TOKEN = re.compile(
    r"//[^\n]*|/\*.*?\*/|`(?:\\.|[^`\\])*`|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\""
    r"|[\w$]+|=>|[=!]==?|&&|\|\||\n|[^\s\w]",
    re.DOTALL,
)
MADE = (r"\b(?:const|let|var|function|class)\s+([\w$]+)", r"([\w$]+)\s*=>")
MADE_MANY = (
    r"\(([\w$\s,]*)\)\s*=>",
    r"\bfunction\b\s*[\w$]*\s*\(([\w$\s,]*)\)",
    r"catch\s*\((\w+)\)",
)
HEADS = {"if", "else", "for", "while"}  # after which one statement stands, or a block
# Two ways to write the same.
SAME = (
    (r"\bgetElementById \( \"", 'querySelector ( "#'),
    (r"\. on(\w+) = ", r'. addEventListener ( "\1" , '),
    (r"\binnerText\b", "textContent"),
    (r"\bappendChild\b", "append"),
    (r"^(const|let|var) ", ""),
    (r"===", "=="),
    (r"!==", "!="),
)


def of_script(text):
    """The statements of a script."""
    return Script(text).found


class Script:
    """A script, read token by token: a statement ends with a ; or a line, or where a block begins.

    `.found` has its statements.
    """

    def __init__(self, text):
        self.own = own_names(text)
        self.found, self.tokens, self.began = [], [], 1
        self.blocks = []  # for each { that is open, how many parentheses were; None of an object
        self.parens, self.is_below_head = 0, False
        line = 1
        for match in TOKEN.finditer(text):
            if not match[0].startswith(("//", "/*")):
                if not self.tokens:
                    self.began = line
                self.read(match[0], text[match.end() :].lstrip(" \t"))
            line += match[0].count("\n")
        self.end()

    def read(self, token, rest):
        """Read one token; `rest` is the text after it."""
        if token == "{":
            is_block = not (self.tokens and self.tokens[-1] in ("=", "(", ",", "[", ":", "return"))
            if is_block:
                self.end()
                self.is_below_head = False
            else:
                self.tokens.append(token)
            self.blocks.append(self.parens if is_block else None)
        elif token == "}" and self.blocks and self.blocks[-1] is not None:
            self.end()
            self.parens, self.is_below_head = self.blocks.pop(), False
        elif token == ";" or (token == "\n" and not re.match(r"\s*[.?:&|+]", rest)):
            if self.is_outside_parens():
                self.end()
        elif token != "\n":
            if token == "}" and self.blocks:
                self.blocks.pop()
            self.parens += (token in "([") - (token in ")]")
            is_own = token in self.own and self.tokens[-1:] != ["."]
            self.tokens.append(f"‹{token}›" if is_own else quoted(token, self.own))
            is_head = self.tokens[0] in HEADS and token == ")" and self.is_outside_parens()
            if is_head and not rest.startswith("{"):
                self.end()

    def is_outside_parens(self):
        """Whether all parentheses are closed that were opened in this block."""
        return self.parens == (self.blocks or [0])[-1]

    def end(self):
        """A statement ends here, if one has begun."""
        words = " ".join(self.tokens)
        for pattern, replacement in SAME:
            words = re.sub(pattern, replacement, words)
        depth = len(self.blocks) + self.is_below_head
        if words.strip(" );,"):
            words = words.strip(" ;").replace(" . ", ".")
            self.found.append(Statement(self.began, depth, words))
            self.is_below_head = self.tokens[0] in HEADS
        self.tokens = []


def own_names(text):
    """The names that a script makes."""
    own = {name for pattern in MADE for name in re.findall(pattern, text)}
    lists = [names for pattern in MADE_MANY for names in re.findall(pattern, text)]
    return own | {name.strip() for names in lists for name in names.split(",")}


def quoted(token, own):
    """A token; a text always has the same quotes, and own names in it are marked."""
    if token[0] == "`" and "${" in token:
        return re.sub(r"(?<=\$\{)[\w$]+", lambda m: f"‹{m[0]}›" if m[0] in own else m[0], token)
    return f'"{token[1:-1]}"' if token[0] in "'`" and '"' not in token[1:-1] else token
