"""Lines for a terminal: coloured where wanted, and never with a command of a stranger's."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tui.base.columns import table
from tui.base.terminal_style import Line, Piece, Toned, page, plain

TONES = st.sampled_from(["headline", "quiet", "good", "tight", "bad"])
TEXTS = st.text(st.characters(exclude_characters="\n\u2028\u2029\x85"), max_size=12)
PIECES = st.one_of(TEXTS, st.builds(Toned, TEXTS, TONES))
OURS = re.compile(r"\x1b\[(?:[12]|3[123]|0)m")


def test_only_what_has_a_tone_is_painted() -> None:
    lines: list[Line] = [Toned("A model", "headline"), ("is ", Toned("slower", "bad"), "."), "", Toned("  ", "quiet")]
    assert page(lines) == "A model\nis slower.\n\n"
    assert page(lines, colours=True) == "\x1b[1mA model\x1b[0m\nis \x1b[31mslower\x1b[0m.\n\n"


@given(st.lists(st.lists(PIECES, max_size=4), max_size=4))
def test_nothing_in_a_piece_is_a_command(lines: list[Line]) -> None:
    assert "\x1b" not in page(lines)
    assert "\x1b" not in OURS.sub("", page(lines, colours=True))


@given(st.lists(st.tuples(PIECES, PIECES), min_size=1, max_size=5))
def test_the_cells_of_a_table_keep_their_text(rows: list[tuple[Piece, Piece]]) -> None:
    lines = table(rows, "<>", "")
    assert [plain(line).replace(" ", "") for line in lines] == [
        f"{plain(left)}{plain(right)}".replace(" ", "") for left, right in rows
    ]


def test_the_columns_of_a_table_are_aligned_whatever_is_painted() -> None:
    rows: list[tuple[Piece, Piece]] = [
        ("test", "verdict"),
        ("模型", Toned("slower", "bad")),
        ("b", "no difference seen"),
    ]
    assert page(table(rows, "<>", " ")).splitlines() == [
        "test            verdict",
        "模型             slower",
        "b    no difference seen",
    ]
    first, second, _ = page(table(rows, "<>", " "), colours=True).splitlines()
    assert first.startswith("\x1b[2mtest\x1b[0m") and second.endswith("\x1b[31mslower\x1b[0m")
