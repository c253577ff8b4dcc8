"""What the engine does between two tokens: time in `llama_decode`, during which llama.cpp's threads compute, and time
from there to the next one, during which they wait for the sampler and the bookkeeping. Answers of the app's own loop,
with no screen attached. Nothing is compared, so a machine that changes its speed matters little.

    python tests/performance/token_gap.py MODEL.gguf --threads 2 --answers 5
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from pathlib import Path

from tui.engine.generate import Conversation
from tui.engine.llama import AbortSwitch, Session, backend_init
from tui.engine.messages import Event, Generate
from tui.engine.records import LoadSettings, Message, Sampling


class Clock:
    """Notes when each single-token decode of a session began and ended."""

    def __init__(self, session: Session) -> None:
        self.spans: list[tuple[float, float]] = []
        self._decode_one = session.decode_one
        session.decode_one = self._timed  # type: ignore[method-assign]

    def _timed(self, token: int) -> None:
        began = time.perf_counter()
        self._decode_one(token)
        self.spans.append((began, time.perf_counter()))


def ignore(_event: Event) -> None:
    """Nobody looks at the text."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--answers", type=int, default=5)
    parser.add_argument("--n-gen", type=int, default=256)
    parser.add_argument("--flush", type=float, default=0.2, help="seconds from one batch of text to the next (0.2)")
    arguments = parser.parse_args()
    backend_init()
    settings = LoadSettings(n_ctx=4096, n_threads=arguments.threads, n_gpu_layers=0, devices=())
    session = Session(arguments.model, settings, AbortSwitch(), lambda _: None)
    conversation, clock = Conversation(session, -1), Clock(session)
    sampling = Sampling(temperature=0.7, top_k=20, top_p=0.8)
    print(f"{'answer':>6} {'decode, ms':>16} {'between, us':>18} {'share':>7}")
    print(f"{'':>6} {'median':>8} {'mean':>7} {'median':>9} {'mean':>8}")
    shares: list[float] = []
    for number in range(1, arguments.answers + 1):
        message = Message(role="user", content=f"Tell me a very long story about dragon number {number}.")
        conversation.generate(
            Generate(
                id=number,
                messages=(message,),
                sampling=sampling,
                max_tokens=arguments.n_gen,
                flush_s=arguments.flush,
                ignore_end=True,
            ),
            ignore,
        )
        spans, clock.spans = clock.spans, []
        decode = [1e3 * (end - began) for began, end in spans]
        between = [1e6 * (after[0] - before[1]) for before, after in itertools.pairwise(spans)]
        share = statistics.fmean(between) / (1e3 * statistics.fmean(decode) + statistics.fmean(between))
        shares.append(share)
        print(
            f"{number:>6} {statistics.median(decode):>8.2f} {statistics.fmean(decode):>7.2f}"
            f" {statistics.median(between):>9.0f} {statistics.fmean(between):>8.0f} {share:>7.2%}"
        )
    print(f"median share of the time between tokens: {statistics.median(shares):.2%}")


if __name__ == "__main__":
    main()
