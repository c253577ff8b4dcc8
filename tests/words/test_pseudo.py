"""The language that shows what bypasses the catalogue."""

from __future__ import annotations

from tests.words import pseudo
from tui.base.text import cells
from tui.words import language, tr, trc, trn


def test_texts_are_disguised_at_their_width_and_fields_are_not() -> None:
    with pseudo.spoken():
        shown = tr("{model} was not found.", model="qwen3")
        counted = trn("{n} prompt waits", "{n} prompts wait", 2)
        of_context = trc("door", "open")
    assert shown.startswith("qwen3 ")
    assert cells(shown) == len("qwen3 was not found.") == len(shown)
    assert pseudo.bypassed(shown, "qwen3") == pseudo.bypassed(counted) == pseudo.bypassed(of_context) == []
    assert language() == "en"
    assert tr("open") == "open"


def test_plain_words_are_found_and_names_are_not() -> None:
    assert pseudo.bypassed("esc or ^o quits · 31.4 tok/s · Vulkan0 48/48 · 1.2 GiB · Q4_K_M · f6 closes") == [
        "or",
        "quits",
        "closes",
    ]
