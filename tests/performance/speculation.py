"""What speculation wins. On long texts that repeat themselves: code of this project that is edited, its documentation
summed up. As `--bench --spec`, the model is made to write a given text, so that files with random weights, which have
the speed of real ones, can be used; the same text is written with speculation and without, in turns.

    python tests/performance/speculation.py MODEL.gguf [--threads 16] [--device Vulkan0] [--rounds 5] [--only edit]

"edit" writes 300 lines of code again with a name changed and some lines added and taken out, "summary" explains a text
and quotes it, "prose" repeats nothing. Speeds in tokens per second, medians; the ratio is that of each pair of runs,
with its least and greatest.

With a draft model, what the model writes by itself tells more, greedily ("own") and with seeded chance ("own 0.7"):

    python tests/performance/speculation.py MODEL.gguf --draft SMALL.gguf --only own,prose

The gain depends on how often the small one is right, for which both must be real. Where only one real model is there,
`tests/padded_model.py` makes a slow one of it that writes the same, whose draft model it then is: nearly always right
where nothing is left to chance, less with a temperature. "prose" then says what a draft model costs that is never
right.
"""

from __future__ import annotations

import argparse
import math
import re
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

from tui.engine import benchmark, stepcosts
from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.engine.looprun import NO_TOKEN, Drafted
from tui.engine.tokenloop import token_loop
from tui.protocol.bench_messages import BenchSpeculation
from tui.protocol.records import LoadSettings, Message, Sampling

CHECKOUT = Path(__file__).resolve().parents[2]
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


QUESTION = "Explain step by step how a bicycle stays upright, and what a beginner should practise first."
OWN = {"own": Sampling(temperature=0), "own 0.7": Sampling(temperature=0.7, seed=11)}
"""What is written by the model itself, by the name of the row."""


def own_text(session: Session, sampling: Sampling, costs: Sequence[float], n_most: int) -> tuple[float, int, Drafted]:
    """Seconds from the first token of an answer to the last, the number of tokens, and what came of drafts. The draft
    model has read nothing before."""
    prompt = session.chat.tokens([Message(role="user", content=QUESTION)], thinking=False, effort="")
    session.memory.clear()
    session.decode(prompt)
    sampler = session.sampler(sampling, 11)
    loop = token_loop(session, sampler, ignore_end=True, costs=costs)
    loop.read(prompt)
    times, pending, n_past = list[float](), NO_TOKEN, len(prompt)
    while len(times) < n_most:
        run = loop.run(pending, n_past, n_most - len(times), math.inf)
        if run.error is not None:
            raise run.error
        times += run.times
        pending, n_past = run.tokens[-1], n_past + run.n_decoded
    session.memory.clear()
    return times[-1] - times[0], len(prompt), loop.drafted


def in_turns(session: Session, name: str, costs: Sequence[float], rounds: int, n_most: int) -> tuple[object, ...]:
    """A row of what the model writes by itself."""
    took: dict[bool, list[float]] = {False: [], True: []}
    drafted, n_prompt = Drafted(), 0
    for number in range(rounds):
        for ahead in (bool(number % 2), not number % 2):
            if session.draft is not None:
                session.draft.state.n_held = session.draft.state.n_same = 0
                session.draft.forget_from(0)
            seconds, n_prompt, found = own_text(session, OWN[name], costs if ahead else (), n_most)
            took[ahead].append(seconds)
            drafted = found if ahead else drafted
    return row(name, n_prompt, n_most, took[False], took[True], drafted.n_drafted, drafted.n_accepted)


def row(
    name: str, n_prompt: int, n_gen: int, plain: Sequence[float], ahead: Sequence[float], n_drafted: int, n_right: int
) -> tuple[object, ...]:
    """A row of the table, from seconds of each round."""
    ratios = [one / other for one, other in zip(plain, ahead, strict=True)]
    return (
        name,
        n_prompt,
        n_gen,
        f"{(n_gen - 1) / statistics.median(plain):.1f}",
        f"{(n_gen - 1) / statistics.median(ahead):.1f}",
        f"{statistics.median(ratios):.2f}",
        f"({min(ratios):.2f}, {max(ratios):.2f})",
        n_drafted,
        n_right,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--characters", type=int, default=3000, help="of each answer, at most")
    parser.add_argument("--only", default="", help="rows, with commas")
    parser.add_argument("--draft", type=Path, help="a draft model")
    parser.add_argument("--tokens", type=int, default=400, help="of what the model writes by itself")
    options = parser.parse_args()
    backend_init()
    settings = LoadSettings(
        n_ctx=8192,
        n_threads=options.threads,
        devices=tuple(options.device.split(",")) if options.device else (),
        model_draft=str(options.draft or "off"),
    )
    session = Session(options.model, settings, AbortSwitch(), lambda _: None)
    session.decode([0])
    started = time.perf_counter()
    costs = stepcosts.measure(session)
    took = time.perf_counter() - started
    print(f"costs of 1, 2, 3 … tokens at once: {' '.join(f'{cost:.2f}' for cost in costs)} (measured in {took:.1f} s)")
    if session.draft is not None:
        state = session.draft.state
        print(f"of a guess of the draft model: {state.step:.3f}; of reading a token: {state.read:.4f}")
    print(ROW.format("text", "prompt", "answer", "plain", "ahead", "ratio", "(from, to)", "guessed", "right"))
    wanted = options.only.split(",") if options.only else []
    for name in OWN:
        if not wanted or name.split()[0] in wanted:
            print(ROW.format(*in_turns(session, name, costs, options.rounds, options.tokens)), flush=True)
    for name, (prompt, answer) in texts().items():
        if wanted and name not in wanted:
            continue
        found = [
            benchmark.measure_speculation(
                session,
                BenchSpeculation(
                    prompt=prompt,
                    answer=answer[: options.characters],
                    step_costs=costs,
                    ahead_first=bool(number % 2),
                ),
            )
            for number in range(options.rounds)
        ]
        last = found[-1]
        seconds = [one.plain_s for one in found], [one.ahead_s for one in found]
        print(ROW.format(*row(name, last.n_prompt, last.n_gen, *seconds, last.n_drafted, last.n_accepted)), flush=True)
    session.close()


if __name__ == "__main__":
    main()
