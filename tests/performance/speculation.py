"""What decoding ahead wins, on the shapes of a real model and with texts that people ask for. The model is made to write
a given text: each token that is chosen is the next one of that text, whatever the logits say. So files with random
weights, which have the speed of real ones, can be used, and the same text is written with speculation and without, in
turns.

    python tests/performance/speculation.py MODEL.gguf [--threads 16] [--device Vulkan0] [--rounds 5] [--tokens 600]

"edit" writes 300 lines of code again with a name changed and some lines added and taken out, "summary" explains a text
and quotes it, "prose" repeats nothing. Speeds in tokens per second, medians; the ratio is that of each pair of runs,
with its least and greatest.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from llama_cpp import llama_cpp as lib

from tui.engine import stepcosts
from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session, backend_init
from tui.engine.looprun import Drafted
from tui.engine.tokenloop import CompiledLoop, token_loop
from tui.protocol.records import LoadSettings, Sampling

CHECKOUT = Path(__file__).resolve().parents[2]
CHOOSES = Sampling(temperature=0.7, top_k=1)
ROW = "{:<9} {:>8} {:>8} {:>9} {:>9} {:>7} {:>13} {:>9} {:>9}"


def texts() -> dict[str, tuple[str, str]]:
    """Prompt and answer of each kind."""
    code = "\n".join((CHECKOUT / "tui/engine/llama.py").read_text().splitlines()[:300])
    edited = re.sub(r"\bsettings\b", "wanted", code)
    lines = edited.splitlines()
    del lines[120:126]
    lines.insert(60, "# Lines of the log are cut, as a model's file may hold anything.")
    document = (CHECKOUT / "docs/memory.md").read_text()[:7000]
    sentences = [s.strip() for s in re.split(r"(?<=[.:])\s+", document) if 60 < len(s.strip()) < 300][:9]
    comments = (
        "This is where a reader should begin, since everything after it builds on the same idea:",
        "The second point is easy to overlook. It matters to anyone with little memory:",
        "Nobody who has watched a load fail will be surprised by what comes next:",
        "Then there is a remark about devices that share what they have:",
        "Measured figures follow, and the author is careful with them:",
        "One limit is admitted openly, which speaks for the rest:",
        "The practical advice is short:",
        "Why this is so takes a longer sentence:",
        "And finally, for those who want to check it themselves:",
    )
    summary = "\n\n".join(f'{comment} "{sentence}"' for comment, sentence in zip(comments, sentences, strict=False))
    prose = (CHECKOUT / "CHANGELOG.md").read_text()[1500:6000]
    return {
        "edit": (f"Rename settings to wanted in this file:\n\n{code}\n\nThe new file:\n\n", "\n".join(lines)),
        "summary": (f"{document}\n\nSum this up and quote the most important sentences.\n\n", summary),
        "prose": ("Write about what changed lately.\n\n", prose),
    }


class Writer:
    """Has a session write given texts."""

    def __init__(self, session: Session, n_most: int) -> None:
        self._session, self._n_most = session, n_most
        self._next: list[int] = []
        self._apply = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(lib.llama_token_data_array))(self._take)
        self._accept = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int32)(lambda *_: None)

    def _take(self, _chain: object, candidates: ctypes._Pointer[lib.llama_token_data_array]) -> None:  # type: ignore[name-defined]
        array = candidates.contents
        array.data[0].id, array.selected = self._next.pop(), 0

    def read(self, prompt: str) -> list[int]:
        """Put the prompt into the KV cache."""
        tokens = self._session.vocabulary.tokenize(prompt)
        self._session.memory.clear()
        for at in range(0, len(tokens), self._session.n_batch):
            self._session.decode(tokens[at : at + self._session.n_batch])
        self._session.synchronize()
        return tokens

    def write(self, prompt: Sequence[int], answer: Sequence[int], costs: Sequence[float]) -> tuple[float, Drafted]:
        """Tokens per second, and what came of drafts."""
        session = self._session
        session.memory.take_back(len(prompt) - 1)
        session.decode(prompt[-1:])
        loop = token_loop(session, session.sampler(CHOOSES, 1), ignore_end=True, costs=costs)
        if not isinstance(loop, CompiledLoop):
            raise SystemExit("the token loop is not compiled: python scripts/token_loop_build.py")
        loop._loop.apply = ctypes.cast(self._apply, ctypes.c_void_p).value
        loop._loop.accept = ctypes.cast(self._accept, ctypes.c_void_p).value
        loop.read(prompt)
        self._next = list(reversed(answer[: self._n_most]))
        pending, n_past, times = -1, len(prompt), list[float]()
        while self._next:
            run = loop.run(pending, n_past, len(self._next), math.inf)
            if run.error is not None:
                raise SystemExit(f"the loop stopped: {run.error}")
            times += run.times
            pending, n_past = run.tokens[-1], n_past + run.n_decoded
        return (len(times) - 1) / (times[-1] - times[0]), loop.drafted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=600, help="of each answer, at most")
    parser.add_argument("--only", default="", help="texts, with commas")
    options = parser.parse_args()
    backend_init()
    settings = LoadSettings(
        n_ctx=8192, n_threads=options.threads, devices=tuple(options.device.split(",")) if options.device else ()
    )
    session = Session(options.model, settings, AbortSwitch(), lambda _: None)
    writer = Writer(session, options.tokens)
    session.decode([0])
    started = time.perf_counter()
    costs = stepcosts.measure(session)
    took = time.perf_counter() - started
    print(f"costs of 1, 2, 3 … tokens at once: {' '.join(f'{cost:.2f}' for cost in costs)} (measured in {took:.1f} s)")
    print(ROW.format("text", "prompt", "answer", "plain", "ahead", "ratio", "(from, to)", "guessed", "right"))
    for name, (prompt, answer) in texts().items():
        if options.only and name not in options.only.split(","):
            continue
        read, wanted = writer.read(prompt), session.vocabulary.tokenize(answer)
        pairs = []
        drafted = Drafted()
        for _ in range(options.rounds):
            plain, _ = writer.write(read, wanted, ())
            ahead, drafted = writer.write(read, wanted, costs)
            pairs.append((plain, ahead))
        ratios = [ahead / plain for plain, ahead in pairs]
        print(
            ROW.format(
                name,
                len(read),
                min(len(wanted), options.tokens),
                f"{statistics.median(plain for plain, _ in pairs):.1f}",
                f"{statistics.median(ahead for _, ahead in pairs):.1f}",
                f"{statistics.median(ratios):.2f}",
                f"({min(ratios):.2f}, {max(ratios):.2f})",
                drafted.n_drafted,
                drafted.n_accepted,
            ),
            flush=True,
        )
    session.close()


if __name__ == "__main__":
    main()
