"""TeX of formulas as text that is read in a terminal: symbols, Greek, sub- and superscripts where Unicode has them,
simple fractions and roots. A formula with anything that is not known here stays as it was written, all of it."""

from __future__ import annotations

import re
from functools import lru_cache

from tui.app.markdown.tex_symbols import (
    ACCENTS,
    BLACKBOARD,
    FRACTIONS,
    FUNCTIONS,
    IGNORED,
    NEGATED,
    SCRIPT,
    SPACES,
    SUBSCRIPTS,
    SUPERSCRIPTS,
    SYMBOLS,
    TEXTS,
)

MOST_CHARS = 4000
_DEEPEST = 60
_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_&~]|\s+|[^\\{}^_&~\s]", re.DOTALL)
_ROWS = ("aligned", "align", "align*", "gather", "gather*", "gathered", "equation", "equation*", "split", "cases")
_MATRICES = {
    **dict.fromkeys(("matrix", "bmatrix", "array"), ("[", "]")),
    "pmatrix": ("(", ")"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
}
_SMALL = "[′⁰¹²³⁴-⁹ⁿⁱ₀-₉ₐₑᵢⱼₖₗₘₙₚₜₓ]*"
_SIMPLE = re.compile(rf"[\d.]+|[^\W\d_]{{1,3}}{_SMALL}(\([^()]*\))?|\([^()]*\)|√\w|∞")
"""What needs no brackets in a fraction."""
_TIGHT = re.compile(r" *([,;:]) *")


class _NotKnown(Exception):
    """Something that is not shown readably here."""


@lru_cache(maxsize=512)
def readable(source: str) -> str:
    """The formula, without its delimiters, in lines; "" where it is to stay as it was written."""
    if len(source) > MOST_CHARS or "%" in source.replace("\\%", ""):
        return ""
    try:
        reader = _Reader(source)
        text = reader.until(None)
    except _NotKnown:
        return ""
    lines = (re.sub(r" {2,}", " ", line).strip() for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


class _Reader:
    """One formula, token by token."""

    def __init__(self, source: str) -> None:
        self._tokens = _TOKEN.findall(source)
        self._at = self._depth = 0

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise _NotKnown
        self._at += 1
        return str(self._tokens[self._at - 1])

    def _peek(self) -> str:
        while self._at < len(self._tokens) and self._tokens[self._at].isspace():
            self._at += 1
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def until(self, closer: str | None, *, is_matrix: bool = False) -> str:
        """What stands before `closer`, which is taken; None is the end."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotKnown
        made = ""
        while True:
            if self._at >= len(self._tokens) and closer is None:
                break
            token = self._next()
            if token == closer:
                break
            if token in "^_" and len(token) == 1:
                made = made.rstrip() + self._script(token)
            elif token == "&":
                made += "  " if is_matrix else ""
            elif token == "\\\\":
                made += "; " if is_matrix else "\n"
            else:
                made += self._one(token)
        self._depth -= 1
        return made

    def _one(self, token: str) -> str:
        """What a token and its arguments come to."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NotKnown
        made = self._shown(token)
        self._depth -= 1
        return made

    def _shown(self, token: str) -> str:
        if token == "{":
            return self.until("}")
        if token in ("}", "^", "_"):
            raise _NotKnown
        if not token.startswith("\\"):
            return " " if token.isspace() or token == "~" else {"-": "−", "'": "′", "*": "∗"}.get(token, token)
        name = token[1:]
        if name in SYMBOLS:
            return SYMBOLS[name]
        if name in SPACES:
            return SPACES[name]
        if name in IGNORED:
            return ""
        if name in FUNCTIONS:
            return self._function(name)
        return self._command(name)

    def _function(self, name: str) -> str:
        before = self._tokens[self._at - 2] if self._at >= 2 else ""
        following = self._peek()
        space = "" if following in ("(", "[", "^", "_", "", "}", "\\left", "\\bigl") else " "
        return f"{' ' if before[-1:].isalnum() or (before in ')}' and before) else ''}{name}{space}"

    def _command(self, name: str) -> str:
        if name in TEXTS:
            return self._argument()
        if name in ("frac", "dfrac", "tfrac", "cfrac"):
            return self._fraction(self._argument(), self._argument())
        if name in ("binom", "dbinom", "tbinom"):
            return f"C({self._argument()}, {self._argument()})"
        if name == "sqrt":
            return self._root()
        if name in ACCENTS:
            return self._accent(ACCENTS[name])
        if name in ("mathbb", "mathcal", "mathscr", "mathfrak"):
            letters = BLACKBOARD if name == "mathbb" else SCRIPT
            return "".join(letters.get(char, char) for char in self._argument())
        if name in ("boxed", "fbox"):
            return f"[{self._argument()}]"
        if name == "tag":
            return f"  ({self._argument()})"
        if name == "not":
            symbol = self._argument()
            if symbol not in NEGATED:
                raise _NotKnown
            return NEGATED[symbol]
        if name in ("overset", "stackrel"):
            above, below = self._argument(), self._argument()
            return below + _script(above, "^")
        if name in ("underbrace", "overbrace"):
            return self._argument()
        if name == "begin":
            return self._environment()
        raise _NotKnown

    def _argument(self) -> str:
        """A group, or the next token with what belongs to it."""
        self._peek()
        token = self._next()
        return self._one(token).strip() if token != "{" else self.until("}").strip(" ")

    def _script(self, sign: str) -> str:
        return _script(self._argument(), sign)

    def _fraction(self, above: str, below: str) -> str:
        if (above, below) in FRACTIONS:
            return FRACTIONS[above, below]
        return f"{_grouped(above)}/{_grouped(below)}"

    def _root(self) -> str:
        sign = "√"
        if self._peek() == "[":
            self._next()
            degree = self.until("]")
            sign = {"2": "√", "3": "∛", "4": "∜"}.get(degree) or f"{_script(degree, '^')}√"
        inner = self._argument()
        return f"{sign}{inner}" if len(inner) == 1 else f"{sign}({inner})"

    def _accent(self, mark: str) -> str:
        inner = self._argument()
        if len(inner) > 1 and mark not in "\u0305\u0332":
            return f"{inner}{mark}" if len(inner) <= 3 else inner
        return "".join(f"{char}{mark}" for char in inner)

    def _environment(self) -> str:
        name = self._name()
        if name in _MATRICES:
            if name == "array" and self._peek() == "{":
                self._argument()
            inner = self._until_end(name, is_matrix=True).strip(" ;\n")
            opens, closes = _MATRICES[name]
            return f"{opens}{_TIGHT.sub(lambda found: f'{found[1]} ', inner)}{closes}"
        if name not in _ROWS:
            raise _NotKnown
        inner = self._until_end(name, is_matrix=False)
        if name == "cases":
            rows = [" ".join(row.split()) for row in inner.split("\n") if row.strip()]
            return "{ " + "; ".join(rows) + " }"
        return f"\n{inner}\n"

    def _name(self) -> str:
        if self._peek() != "{":
            raise _NotKnown
        self._next()
        name = ""
        while (token := self._next()) != "}":
            name += token
        return name

    def _until_end(self, name: str, *, is_matrix: bool) -> str:
        # Tokens of the environment up to its own end are read as a formula of their own.
        depth, start = 1, self._at
        while depth:
            token = self._next()
            depth += (token == "\\begin") - (token == "\\end")
        inner = _Reader("")
        inner._tokens, inner._depth = self._tokens[start : self._at - 1], self._depth + 1
        if self._name() != name:
            raise _NotKnown
        return inner.until(None, is_matrix=is_matrix)


def _script(inner: str, sign: str) -> str:
    """In small letters, if there are such for all of it."""
    table = SUPERSCRIPTS if sign == "^" else SUBSCRIPTS
    tight = inner.replace(" ", "")
    if tight and all(char in table for char in tight):
        return "".join(table[char] for char in tight)
    return f"{sign}{inner}" if len(inner) == 1 else f"{sign}({inner})"


def _grouped(part: str) -> str:
    return part if _SIMPLE.fullmatch(part) else f"({part})"
