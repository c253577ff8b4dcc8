"""Generates with the sampler that sees few candidates and with llama.cpp's chain over the whole vocabulary, and prints
as JSON the tokens that each of them chose. A program of its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.sampler_check MODEL N SAMPLING, the sampling being a `Sampling` in JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from tui.engine.llama import AbortSwitch, Session, backend_init
from tui.engine.records import LoadSettings, Sampling


def main(path: Path, n: int, sampling: Sampling) -> None:
    backend_init()
    session = Session(path, LoadSettings(n_ctx=1024, n_threads=1), AbortSwitch(), lambda _: None)
    session.decode(session.tokenize("The quick brown fox"))
    few, everything = session.sampler(sampling, 7), session.sampler(sampling, 7)
    chosen: list[int] = []
    expected: list[int] = []
    for _ in range(n):
        chosen.append(few.sample_from_few())
        expected.append(everything.sample_from_all())
        session.decode([expected[-1]])
    print(json.dumps([chosen, expected]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), msgspec.json.decode(sys.argv[3], type=Sampling))
