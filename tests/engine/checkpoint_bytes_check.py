"""What a checkpoint of a model takes once a prompt was read, in llama.cpp's own bytes; prints the number. A program of
its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.checkpoint_bytes_check MODEL N_CTX N_TOKENS
"""

from __future__ import annotations

import sys
from pathlib import Path

from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.protocol.records import LoadSettings


def main(model: Path, n_ctx: int, n_tokens: int) -> None:
    backend_init()
    settings = LoadSettings(n_ctx=n_ctx, n_threads=1, swa_full="off", model_draft="off")
    session = Session(model, settings, AbortSwitch(), lambda _: None)
    session.decode([1] * n_tokens)
    print(session.memory.n_part_bytes)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
