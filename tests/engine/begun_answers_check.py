"""What the engine writes of an answer that is not complete, for each chat template, beside what its model would have
written; prints both as JSON. A program of its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.begun_answers_check TEMPLATE…
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.engine.test_llama_cpp_templates import ANSWER, TAGS, THOUGHT, conversation, in_order, renderings, script
from tests.tape import Tape, build
from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.protocol.records import LoadSettings, Message

PARTS = ((THOUGHT[:5], ""), (THOUGHT, ANSWER[:5]), ("", ANSWER[:5]))
"""What there is of a thought, and of the answer."""


def begun(path: Path, folder: Path) -> dict[str, object]:
    """Of one template: the texts of `PARTS` as the engine puts them behind the prompt, and what the model writes."""
    source = path.read_text(encoding="utf-8")
    prompt = next(filter(in_order, renderings(source)))
    written = script(path.stem, prompt)
    special = sorted({*TAGS.findall(source), *TAGS.findall(prompt), *TAGS.findall(written)} - {"<s>", "</s>"})
    file = folder / "tape.gguf"
    build(
        file,
        [Tape(prompt, ["a"])],
        template=source,
        control=("<s>", "</s>", *special),
        eos="</s>",
        bos="<s>",
        add_bos=True,
    )
    session = Session(file, LoadSettings(n_ctx=256, n_threads=1), AbortSwitch(), lambda _: None)
    chat, vocabulary = session.chat, session.vocabulary
    turns = [Message(role=turn["role"], content=turn["content"]) for turn in conversation()]

    def text(tokens: Sequence[int]) -> str:
        return b"".join(vocabulary.piece(token, special=True) for token in tokens).decode()

    def gone_on(reasoning: str, content: str, *, thinking: bool = True) -> tuple[str, str]:
        """Behind the prompt, and where it goes on."""
        answer = Message(role="assistant", content=content, reasoning=reasoning)
        tokens, part = chat.begun([*turns, answer], thinking=thinking)
        asked = text(chat.tokens(turns, thinking=thinking or bool(reasoning)))
        return text(tokens).removeprefix(asked), part

    told: dict[str, object] = {"written": written}
    told["begun"] = [gone_on(reasoning, content) for reasoning, content in PARTS]
    told["not thinking"] = [gone_on(reasoning, content, thinking=False) for reasoning, content in PARTS]
    told["can switch"] = chat.format.switch.has_effect
    session.close()
    return told


def main(paths: Sequence[Path]) -> None:
    backend_init()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps({path.stem: begun(path, Path(folder)) for path in paths}))


if __name__ == "__main__":
    main([Path(path) for path in sys.argv[1:]])
