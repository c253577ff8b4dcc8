"""What speculation wins on long texts: code of this project that is edited, its documentation summed up. As `--bench
--spec`, the model is made to write a given text, so that files with random weights, which have the speed of real ones,
can be used; the same text is written with speculation and without, in turns.

    python tests/performance/speculation.py MODEL.gguf [--threads 16] [--device Vulkan0] [--rounds 5] [--only edit]

"edit" writes 300 lines of code again with a name changed and some lines added and taken out, "summary" explains a text
and quotes it, "prose" repeats nothing. Speeds in tokens per second, medians; the ratio is that of each pair of runs,
with its least and greatest.
"""

from __future__ import annotations

import argparse
import re
import statistics
import time
from pathlib import Path

from tui.engine import benchmark, stepcosts
from tui.engine.abort import AbortSwitch
from tui.engine.llama import Session, backend_init
from tui.protocol.messages import BenchSpeculation
from tui.protocol.records import LoadSettings

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--characters", type=int, default=3000, help="of each answer, at most")
    parser.add_argument("--only", default="", help="texts, with commas")
    options = parser.parse_args()
    backend_init()
    settings = LoadSettings(
        n_ctx=8192, n_threads=options.threads, devices=tuple(options.device.split(",")) if options.device else ()
    )
    session = Session(options.model, settings, AbortSwitch(), lambda _: None)
    session.decode([0])
    started = time.perf_counter()
    costs = stepcosts.measure(session)
    took = time.perf_counter() - started
    print(f"costs of 1, 2, 3 … tokens at once: {' '.join(f'{cost:.2f}' for cost in costs)} (measured in {took:.1f} s)")
    print(ROW.format("text", "prompt", "answer", "plain", "ahead", "ratio", "(from, to)", "guessed", "right"))
    for name, (prompt, answer) in texts().items():
        if options.only and name not in options.only.split(","):
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
        ratios = [one.plain_s / one.ahead_s for one in found]
        n_steps = found[0].n_gen - 1
        print(
            ROW.format(
                name,
                found[0].n_prompt,
                found[0].n_gen,
                f"{n_steps / statistics.median(one.plain_s for one in found):.1f}",
                f"{n_steps / statistics.median(one.ahead_s for one in found):.1f}",
                f"{statistics.median(ratios):.2f}",
                f"({min(ratios):.2f}, {max(ratios):.2f})",
                found[-1].n_drafted,
                found[-1].n_accepted,
            ),
            flush=True,
        )
    session.close()


if __name__ == "__main__":
    main()
