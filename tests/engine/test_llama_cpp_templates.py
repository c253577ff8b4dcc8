"""Every chat template that llama.cpp has in its sources: a conversation of three turns reaches the model in order, and
an answer with a thought comes apart, up to the end of the turn that the template itself writes. The templates are read
from the sources of llama-cpp-python, which `make test` puts into the cache (LLMTUI_TEMPLATES)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.engine.asking import ask, user
from tests.tape import Tape, Vocabulary, build
from tui.engine.jinja_template import JinjaTemplate
from tui.engine.template import TemplateError
from tui.engines.interface import Engine
from tui.protocol.records import LoadSettings, Message

FOLDER = Path(os.environ.get("LLMTUI_TEMPLATES", "nowhere"))
TEMPLATES = sorted(FOLDER.glob("*.jinja"))
ON = {"enable_thinking": True, "thinking": True, "thinking_mode": "enabled"}
THOUGHT, ANSWER = "Well, let me see.", "It is so."

HARMONY = ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>")
FORMATS: dict[str, tuple[str, str]] = {
    "Apertus": ("<|inner_prefix|>", "<|inner_suffix|>"),
    "Apriel-1.6": ("", "\n[BEGIN FINAL RESPONSE]\n"),
    "unsloth-Apriel": ("", "\n[BEGIN FINAL RESPONSE]\n"),
    "ByteDance-Seed": ("<seed:think>", "</seed:think>"),
    "Cohere2MoE": ("<|START_THINKING|>", "<|END_THINKING|><|START_TEXT|>"),
    "CohereForAI-c4ai-command-r7b": ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    "google-gemma-4": ("<|channel>thought\n", "<channel|>"),
    "ibm-granite-granite-3.3": ("<think>", "</think>\n<response>"),
    "Kimi-K3": ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    "MiniMax-M3": ("<mm:think>", "</mm:think>"),
    "mistralai-Ministral": ("[THINK]", "[/THINK]"),
    "muse-glimmer": (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>"),
    "openai-gpt-oss": HARMONY,
    "tencent-Hy3": ("<think:opensource>", "</think:opensource>"),
    "upstage-Solar": ("<|think|>", "<|end|><|begin|>assistant<|content|>"),
}
"""How a thought is written, by the beginning of the template's name, as these models' cards and llama.cpp have it: what
opens it, and what stands between it and the answer. All others write <think>."""
ONLY_TOKENS = ("Kimi-K3", "muse-glimmer", "upstage-Solar")
"""Formats whose marks are put together of tokens; no vocabulary has them in letters."""
NO_THINKING = {"meetkai-functionary-medium-v3.2": "all\n"}
"""What the model writes before an answer, where the format leaves no room for a thought."""

TAGS = re.compile(
    r"<\|[^|<>\s]{1,40}\|>|<｜[^｜]{1,60}｜>|<\|\w+>|<\w+\|>|</?think>|</?mm:think>|</?seed:\w+>|</?think:opensource>"
    r"|\[/?(?:INST|THINK|SYSTEM_PROMPT)\]|<(?:start|end)_of_turn>|\]~!?b\[|\[e~\[|<SPECIAL_\d+>|<sep>|<(?:begin|end)\w*_of_sentence>"
)
"""What is a token of the model that such a template belongs to."""


def conversation(content: Any = str) -> list[dict[str, Any]]:
    """Three turns, with a system prompt, that the model is to go on from."""
    said = [("system", "Sysprompt"), ("user", "Question-1"), ("assistant", "Answer-1"), ("user", "Question-2")]
    return [{"role": role, "content": content(text)} for role, text in said]


def renderings(source: str) -> list[str]:
    """The prompt as the template renders it, in all the ways that templates want to be asked: the first is as they are
    asked by the library that they are written for."""
    template = JinjaTemplate(source, "<s>", "</s>")
    merged = conversation()[1:]
    merged[0] = {"role": "user", "content": "Sysprompt\n\nQuestion-1"}
    found = []
    for turns in (conversation(), merged):
        for more in ({"tools": None}, {}, {"tools": [], "functions": "[]", "datetime": "", "documents": []}):
            for effort in ({"reasoning_effort": "high"}, {}):
                try:
                    found.append(template.render(turns, opening=True, variables={**ON, **more, **effort}))
                except TemplateError:
                    continue
    return found


def in_order(prompt: str) -> bool:
    """All that was said is there, in its order."""
    places = [prompt.rfind(text) for text in ("Sysprompt", "Question-1", "Answer-1", "Question-2")]
    return -1 not in places and places == sorted(places)


def script(name: str, prompt: str) -> str:
    """What a model writes behind the prompt, up to and over the end of its turn."""
    end = prompt.rpartition("Answer-1")[2].partition("Question-2")[0]
    if lead := next((lead for begin, lead in NO_THINKING.items() if name.startswith(begin)), ""):
        return lead + ANSWER + end
    known = (marks for begin, marks in FORMATS.items() if name.startswith(begin))
    opens, between = next(known, ("<think>", "</think>"))
    first = TAGS.match(end)
    if first and first[0] in between and name != "Kimi-K3":  # a tape cannot go on in two ways behind it
        end = first[0]
    opening = prompt.rpartition("Question-2")[2]
    mark = opens.strip()
    is_open = bool(mark) and mark in opening and between.strip()[:8] not in opening.rpartition(mark)[2]
    return ("" if is_open else opens) + THOUGHT + between + ANSWER + end


def pieces(text: str, special: Sequence[str]) -> list[str]:
    """A script as the tape wants it: special tokens, and words. A word that comes again is spelled in another way, for
    what follows may be something else."""
    marks = "|".join(re.escape(mark) for mark in sorted(special, key=len, reverse=True))
    parts = [part for part in re.split(rf"({marks}|\s+)" if marks else r"(\s+)", text) if part]
    spelled: list[str] = []
    for part in parts:
        again = part in spelled and part.isalpha() and len(part) > 1
        spelled += [part[:-1], part[-1]] if again else [part]
    return spelled


def ways() -> Iterator[object]:
    """Each template with its marks as tokens or as letters, in turn. The other way of each is exhaustive: how a mark is
    told from other text does not depend on which template has it."""
    for number, path in enumerate(TEMPLATES):
        is_letters_turn = number % 2 == 1 and not path.stem.startswith(ONLY_TOKENS)
        for as_tokens in (True, False):
            if as_tokens or not path.stem.startswith(ONLY_TOKENS):
                marks = [pytest.mark.exhaustive] if as_tokens == is_letters_turn else []
                name = f"{'tokens' if as_tokens else 'letters'}-{path.stem}"
                yield pytest.param(path, as_tokens, id=name, marks=marks)


@pytest.mark.skipif(not TEMPLATES, reason="llama.cpp's templates are not here: make test gets them")
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("path", "as_tokens"), list(ways()))
async def test_three_turns_and_a_thought(shared: Engine, tmp_path: Path, path: Path, as_tokens: bool) -> None:
    source = path.read_text(encoding="utf-8")
    prompt = next(filter(in_order, renderings(source)))
    written = script(path.stem, prompt)
    special = sorted({*TAGS.findall(source), *TAGS.findall(prompt), *TAGS.findall(written)} - {"<s>", "</s>"})
    vocabulary = Vocabulary(("<s>", "</s>", *(special if as_tokens else ())), ())
    told = pieces(written, ["<s>", "</s>", *special])
    build(
        tmp_path / "tape.gguf",
        [Tape(prompt, told)],
        template=source,
        control=vocabulary.special,
        eos="</s>",
        bos="<s>",
        add_bos=True,
    )
    await shared.load(tmp_path / "tape.gguf", LoadSettings(n_ctx=16384, n_threads=1))
    turns = [Message(role=turn["role"], content=turn["content"]) for turn in conversation()]
    reply = await ask(shared, *turns, max_tokens=60)
    thought = "" if any(path.stem.startswith(begin) for begin in NO_THINKING) else THOUGHT
    assert (reply.thinking.strip(), reply.text.strip(), reply.done.stop) == (thought, ANSWER, "stop")
    again = await ask(
        shared, *turns, Message(role="assistant", content=reply.text, reasoning=reply.thinking), user("Again")
    )
    assert again.done.stop != "cancelled"
