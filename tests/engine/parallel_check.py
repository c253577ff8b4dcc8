"""Goes on greedily with prompts, each alone and then all together as sequences of one context, and prints as JSON the
tokens of both. A program of its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.parallel_check MODEL N_GEN PROMPT …
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from llama_cpp import llama_cpp as lib

from tui.engine.abort import AbortSwitch
from tui.engine.batch import Batch
from tui.engine.benchmark import add_prompts, add_step
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.protocol.records import LoadSettings


def alone(session: Session, prompt: Sequence[int], n_gen: int) -> list[int]:
    """The greedy continuation of one prompt, by the way that answers go."""
    session.memory.clear()
    session.decode(prompt)
    tokens = [best(session, -1)]
    while len(tokens) < n_gen:
        session.decode(tokens[-1:])
        tokens.append(best(session, -1))
    return tokens


def together(session: Session, prompts: Sequence[Sequence[int]], n_gen: int) -> list[list[int]]:
    """Those of prompts of one length, decoded together."""
    session.memory.clear()
    n_read = len(prompts[0]) - 1
    with Batch(len(prompts) * n_read) as batch:
        add_prompts(batch, [prompt[:-1] for prompt in prompts])
        session.decode_batch(batch)
        tokens: list[list[int]] = [[] for _ in prompts]
        newest = [prompt[-1] for prompt in prompts]
        for step in range(n_gen):
            add_step(batch, newest, n_read + step)
            session.decode_batch(batch)
            newest = [best(session, sequence) for sequence in range(len(prompts))]
            for chosen, token in zip(tokens, newest, strict=True):
                chosen.append(token)
    return tokens


def best(session: Session, at: int) -> int:
    """The likeliest token behind the one at this place of the last batch."""
    logits = np.ctypeslib.as_array(lib.llama_get_logits_ith(session._context, ctypes.c_int32(at)), (session.n_vocab,))
    return int(logits.argmax())


def main(path: Path, n_gen: int, texts: Sequence[str]) -> None:
    backend_init()
    settings = LoadSettings(n_ctx=256 * len(texts), n_threads=1, n_batch=256, n_parallel=len(texts))
    session = Session(path, settings, AbortSwitch(), lambda _: None)
    prompts = [session.vocabulary.tokenize(text) for text in texts]
    n_prompt = min(map(len, prompts))
    prompts = [prompt[:n_prompt] for prompt in prompts]
    print(json.dumps([[alone(session, prompt, n_gen) for prompt in prompts], together(session, prompts, n_gen)]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
