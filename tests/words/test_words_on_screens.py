"""No screen has words outside the catalogue: in a language of look-alike letters none is left in plain ones, but for
names, units, keys, and what is quoted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from textual.strip import Strip

from tests.app.branch_scenes import ASIDE, EDITED, NEXT, SHORT
from tests.app.conftest import Person
from tests.app.scenes import SCENES, shown
from tests.app.search_steps import HITS
from tests.measure.fixed import COMPARISON
from tests.planning.shapes import QWEN3_30B_A3B
from tests.recorded import CHINESE, CONVERSATION, CPU_CRASH, DEATH, LIBRARY, LOG, QUESTION
from tests.words import pseudo
from tui.app.screens.dialog import Dialog
from tui.config import paths
from tui.config.themes import load_themes

QUOTED = (
    *(turn.text for turn in CONVERSATION.turns),
    *(turn.reasoning for turn in CONVERSATION.turns),
    *(turn.model for turn in CONVERSATION.turns),
    *(f"{model.path} {model.info.name} {model.info.arch}" for model in LIBRARY.models),
    *(str(file.path) for file in LIBRARY.other),
    *(str(file.path) for file in LIBRARY.broken),
    *(report.model.name for report in COMPARISON.reports),
    CONVERSATION.title,
    CONVERSATION.system_prompt,
    QUESTION,
    CHINESE,
    DEATH.last_words,
    DEATH.signal_name,
    CPU_CRASH.signal_name,
    *LOG,
    *load_themes(paths.builtin_themes_dir(), Path("/nowhere"))[0],
    "Summarize this chapter for me. Meanwhile I type",
    "Radeon 860M make sh python sort.py a line that is longer than any list of code blocks could show",
    "ggml_vulkan: Device memory allocation of size 15569256448 failed.",
    'load.n_ctx is "many", so 8192 is used. Write a whole number.',
    'keys.pick_modell is unknown. Did you mean "pick_model"?',
    "config/llmtui/themes/我的.toml is no TOML: Invalid value (at line 3, column 7).",
    "Hugging Face, ModelScope: unsloth, bartowski, somebody; apache-2.0",
    "a-repository-with-a-very-long-name-indeed abliterated",
    "Tiny Qwen3 qwen3moe BPE qwen2 enable_thinking rope KV apache",  # what a file says of itself
    *(turn.text for turn in (SHORT, NEXT, ASIDE, EDITED)),
    "Qwen3-4B temperature top_k top_p thinking_budget max_tokens",
    QWEN3_30B_A3B.name,
    "A title that is longer than any column that it could ever stand in",
    "What do lighthouse.md and ~/src/ have in common? And ~/灯塔笔记.txt or ~/photo.png with lighthouse.md",
    "src/lamp.py src/keeper.py src/rock.py src/sea.py a counted reply",
    "See ~/notes.md ~/src/ README.md app/main.py app/widgets/prompt.py base/text.py /mo /model /models /monitor",
    "Why is the sky blue? Review this code: be strict Sky Code",
    *(hit.snippet.text for hit in HITS),
    "editor extract Make this text shorter, and keep its tone. qwen3-4b JSON top_k 40",
    "Lighthouse story Older than the four that are shown 4 of 6 runs",
    "Qwen3 32B tg128 run 2 · 40 s left against run 12 of 2026-02-27: pp512 +4.1%, tg128 -0.6% (may be chance)",
)
"""What people, models, drivers and records of these scenes say."""


def seen(person: Person) -> str:
    """What is on the screen; of a dialog only what its frame holds: that cuts the words behind it in two."""
    strips: list[Strip] = person.app.screen._compositor.render_strips()
    if isinstance(person.app.screen, Dialog):
        frame = person.app.screen.query_one("#frame").region
        strips = [strip.crop(frame.x, frame.right) for strip in strips[frame.y : frame.bottom]]
    return "\n".join(strip.text for strip in strips)


def _widest(sizes: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """With the sidebar where there is one: that size has the words of the smaller ones too."""
    return max(size for size in sizes if size[0] <= 160)


@pytest.mark.parametrize(
    ("name", "size"), [pytest.param(name, _widest(scene.sizes), id=name) for name, scene in SCENES.items()]
)
async def test_all_words_of_a_screen_are_in_the_catalogue(
    name: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    quoted = set(re.findall(r"[A-Za-z]{2,}", " ".join(QUOTED)))
    with pseudo.spoken():
        async with shown(SCENES[name], size, monkeypatch) as person:
            cut = r"[A-Za-z+]+…"  # of a name that has no more room
            found = pseudo.bypassed(re.sub(cut, " ", seen(person)))
    assert [word for word in found if word not in quoted] == []
