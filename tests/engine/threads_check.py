"""Prints as JSON the threads for decode and for prompts: as loaded, in a block with three, in one with four for
prompts, after these, and in one with 0. A program of its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.threads_check MODEL
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.protocol.records import LoadSettings


def main(path: Path) -> None:
    backend_init()
    settings = LoadSettings(n_ctx=256, n_threads=1, n_threads_batch=2)
    session = Session(path, settings, AbortSwitch(), lambda _: None)
    seen = [session.n_threads]
    with session.threads(3):
        seen.append(session.n_threads)
    with session.threads(3, 4):
        seen.append(session.n_threads)
    seen.append(session.n_threads)
    with session.threads(0):
        seen.append(session.n_threads)
    print(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
