"""What the text of a chat template tells without rendering it, against what rendering it teaches, for every template
that llama.cpp has in its sources (LLMTUI_TEMPLATES)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.test_llama_cpp_templates import TEMPLATES
from tui.engine.alphabet import Alphabet
from tui.engine.chatformat import ChatFormat, learn
from tui.engine.jinja_template import JinjaTemplate
from tui.models.templates import Thinking, abilities

TOLD_OTHERWISE: dict[str, Thinking] = {
    "Cohere2MoE": "levels",
    "Kimi-K3": "no",
    "LFM2.5-Instruct": "no",
    "NVIDIA-Nemotron-Nano-v2": "switch",
    "upstage-Solar-Open-100B": "levels",
}
"""Templates whose text names what makes no difference, or whose marks are put together."""


def learned(found: ChatFormat) -> Thinking:
    if found.switch.efforts:
        return "levels"
    if found.switch.has_effect or found.switch.words[0]:
        return "words" if found.switch.words[0] else "switch"
    return "always" if found.can_think or found.always_thinks else "no"


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_the_text_of_a_template_tells_what_rendering_it_teaches(path: Path) -> None:
    source = path.read_text("utf-8")
    told = abilities(source)
    taught = learn(JinjaTemplate(source, "<s>", "</s>"), Alphabet(lambda _: (), lambda _: None))
    assert told.thinking == TOLD_OTHERWISE.get(path.stem, learned(taught))
    assert told.takes_system == taught.takes_system
