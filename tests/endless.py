"""A model that writes until it is stopped."""

from __future__ import annotations

from pathlib import Path

from tests.tape import CHATML, IM, Tape, build

_WORDS = (
    *("One line", " of many,", " of some length.\n"),
    *("A short", " one.\n"),
    *("Then a third", " which is", " the longest", " of all that", " there are.\n\n"),
)


def endless(path: Path, *, layers: int = 1, n_ctx: int = 8192) -> None:
    """Write the model. With 200 layers it makes hundreds of tokens a second at first, and ten with a full context."""
    tape = Tape("assistant\n", [*_WORDS, *_WORDS[:2]])
    build(path, [tape], control=IM, eos=IM[1], template=CHATML, name="Endless", layers=layers, n_ctx=n_ctx)
