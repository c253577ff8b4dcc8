"""A model that counts, whatever it is asked: w0001 w0002 w0003 … What it wrote, and what of that is missing somewhere,
can so be told from any piece of it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.tape import CHATML, IM, Tape, build

N_WORDS = 1000
"""In a whole answer."""
_A_PARAGRAPH = 10
_WORDS = [("\n\n" if n and n % _A_PARAGRAPH == 0 else " " if n else "") + f"w{n + 1:04d}" for n in range(N_WORDS)]
SCRIPT = "".join(_WORDS)
"""The whole answer."""


def counting(path: Path) -> None:
    """Write the model: 115 MB, about ten milliseconds of one core a word."""
    build(path, [Tape("assistant\n", [*_WORDS, IM[1]])], control=IM, eos=IM[1], template=CHATML, name="Counting")


def counted(text: str) -> int:
    """How far the count came in a text, of which the beginning may be missing."""
    return max((int(number) for number in re.findall(r"\bw(\d{4})\b", text)), default=0)
