"""Measures the real `python -m tui` with a real model in a terminal of 120x40: first paint, key echo while the model
loads, a prompt is read and an answer streams, how fast Esc stops, idle CPU, and what streaming costs.

    python tests/performance/real_app.py MODEL.gguf --threads 1 2
    python tests/performance/real_app.py MODEL.gguf --only start idle

Each figure is a median with the largest value behind it, beside its target. A model of 0.4 GB or more makes loading
and reading long enough to type in. Before each round the script waits, up to --patience seconds, until others leave
the cores alone.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from terminal import (
    CTRL_N,
    CTRL_U,
    ENTER,
    ESCAPE,
    F3,
    FOCUS_LOST,
    LEGACY_ESCAPE,
    EndedError,
    Program,
    children,
    cpu_s,
    last_footer,
    llmtui,
    processor,
    wait_until_loaded,
    wait_until_quiet,
)

RARE = "ƁƂƄƆƇƉƊƎƑƓƔƖƘƜƝƟƠƢƤƦƩƬƮƱƳƵƷƸƻƼ"
"""Letters to type: nothing else paints one, so that an echo cannot be taken for something else."""
SENTENCE = "Point {n}: the dragon flew over the village, and its people looked at the sky until evening came. "
PROMPT_VISIBLE = "sk anything"
"""Of the placeholder; the cursor stands on its first letter, in a style of its own."""
MONITOR = "MONITOR"
READING = "reading the prompt"
ANSWERED = "tok/s · ttft"
READ = "100% of "
"""What the same line says when the whole prompt is read. Looked for in the bytes: a terminal emulator at work here
would take a core from the model."""


@dataclass(frozen=True)
class Options:
    """What to measure with."""

    model: Path
    threads: int
    rounds: int
    n_prompt_words: int
    idle_s: float
    patience_s: float


def report(name: str, values: Sequence[float], unit: str, target: str = "") -> None:
    """One line: median, largest value, number of values, and the target."""
    if not values:
        print(f"{name:<46} no value: the phase was too short to type in", flush=True)
        return
    middle, largest = statistics.median(values), max(values)
    print(f"{name:<46} {middle:8.3g} {largest:8.3g} {len(values):4d}  {unit:<10} {target}", flush=True)


def long_prompt(n_words: int, start: int = 0) -> bytes:
    """A paste of about so many words; another `start` gives one that no prefix cache knows."""
    sentences = (SENTENCE.format(n=start + n) for n in range(n_words // 18 + 1))
    return b"\x1b[200~" + "".join(sentences).encode() + b"\x1b[201~"


def ask(app: Program, text: bytes) -> int:
    """Send a prompt in a new conversation; where `painted` stood when Enter was pressed."""
    app.send(CTRL_N)
    app.read(0.4)
    app.send(CTRL_U)
    app.read(0.2)
    app.send(text)
    app.read(0.6)
    return app.send(ENTER)


def stop(app: Program) -> None:
    """End whatever is being answered."""
    here = app.send(ESCAPE)
    app.wait_for("stopped", here)
    app.read(0.3)


def type_while(app: Program, goes_on: Callable[[], bool], every_s: float, keys: Iterator[str]) -> list[float]:
    """Type a rare letter now and then for as long as a phase lasts; the echo of each in milliseconds. The letter that
    was typed when the phase ended does not count."""
    echoes: list[float] = []
    while goes_on():
        if len(echoes) % 12 == 11:  # in time before the prompt grows by a row
            app.send(CTRL_U)
            app.read(0.1)
        echo_ms = 1000 * app.echo_s(next(keys))
        if goes_on():
            echoes.append(echo_ms)
        app.read(every_s)
    return echoes


def until_painted(app: Program, text: str, since: int = 0) -> Callable[[], bool]:
    """A phase that goes on until `text` is painted."""
    return lambda: not app.has(text, since)


def for_seconds(seconds: float) -> Callable[[], bool]:
    """A phase that goes on for so long from now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() < end


def measure_start(options: Options) -> None:
    """Starts of the app: first paint, and typing until the model is loaded."""
    paints, loads, echoes = [], [], []
    for _ in range(options.rounds + 1):
        wait_until_quiet(options.patience_s)
        with llmtui(options.model, "--threads", str(options.threads)) as app:
            paints.append(app.wait_for(PROMPT_VISIBLE) - app.started_at)
            keys = itertools.cycle(RARE)
            echoes += type_while(app, until_painted(app, "ctx "), 0.05, keys)
            loads.append(app.wait_for("ctx ") - app.started_at)
    # The first start reads files into the page cache.
    report("first paint, from process start", paints[1:], "s", "0.6")
    report("model loaded, from process start", loads[1:], "s")
    report("key echo until the model is loaded", echoes, "ms", "50")


def measure_idle(options: Options) -> None:
    """CPU of both processes while nothing happens, the model being loaded."""
    with llmtui(options.model, "--threads", str(options.threads)) as app:
        wait_until_loaded(app)
        app.read(3.0)
        report_idle(app, options.idle_s, "sidebar", "0.5")
        app.send(F3)
        app.wait_for(MONITOR)
        app.read(3.0)
        report_idle(app, options.idle_s, "monitor", "1")
        app.send(ESCAPE)
        app.send(FOCUS_LOST)
        app.read(6.0)
        report_idle(app, options.idle_s, "not looked at", "0.1")


def report_idle(app: Program, idle_s: float, name: str, target: str) -> None:
    """What both processes take, and what is painted, in that time."""
    (engine,) = children(app.pid)
    ui_before, engine_before, n_before, began = cpu_s(app.pid), cpu_s(engine), len(app.painted), time.monotonic()
    app.read(idle_s)
    seconds = time.monotonic() - began
    ui, engine_used = cpu_s(app.pid) - ui_before, cpu_s(engine) - engine_before
    report(f"idle, {name}: UI process", [100 * ui / seconds], "% of core", target)
    report(f"idle, {name}: engine process", [100 * engine_used / seconds], "% of core")
    report(f"idle, {name}: to the terminal", [(len(app.painted) - n_before) / seconds], "bytes/s")


def measure_keys(options: Options) -> None:
    """Typing while a long prompt is read and while the answer streams."""
    reading_ms, streaming_ms, keys = [], [], itertools.cycle(RARE)
    with llmtui(options.model, "--threads", str(options.threads)) as app:
        wait_until_loaded(app)
        for number in range(options.rounds):
            wait_until_quiet(options.patience_s)
            here = ask(app, long_prompt(options.n_prompt_words, 1000 * (number + 1)))
            app.wait_for(READING, here)
            reading_ms += type_while(app, until_painted(app, READ, here), 0.2, keys)
            streaming_ms += type_while(app, for_seconds(3.0), 0.2, keys)
            if app.has(ANSWERED, here):
                raise EndedError("the answer was shorter than 3 s: choose another model")
            stop(app)
    report(f"key echo while a prompt is read, {options.threads} threads", reading_ms, "ms", "50")
    report(f"key echo while an answer streams, {options.threads} threads", streaming_ms, "ms", "20 (50)")


def measure_escape(options: Options) -> None:
    """From Esc to the footer that says "stopped", in both phases and by both kinds of terminal."""
    for name, key in (("", ESCAPE), (" (old terminal)", LEGACY_ESCAPE)):
        reading_ms: list[float] = []
        streaming_ms: list[float] = []
        with llmtui(options.model, "--threads", str(options.threads)) as app:
            wait_until_loaded(app)
            for number in range(2 * options.rounds):
                wait_until_quiet(options.patience_s)
                is_reading = number % 2 == 0
                text = long_prompt(options.n_prompt_words, 1000 * (number + 1)) if is_reading else b"Tell a long story."
                here = ask(app, text)
                app.wait_for(READING, here)
                # Not always at the same point of a chunk of the prompt.
                app.read(0.5 + 0.13 * number)
                if (READING in app.screen) != is_reading or app.has(ANSWERED, here):
                    continue
                pressed = time.monotonic()
                here = app.send(key)
                (reading_ms if is_reading else streaming_ms).append(1000 * (app.wait_for("stopped", here) - pressed))
                app.read(0.3)
        report(f"Esc while a prompt is read, {options.threads} threads{name}", reading_ms, "ms", "200")
        report(f"Esc while an answer streams, {options.threads} threads{name}", streaming_ms, "ms", "200")


def measure_stream(options: Options, n_tokens: int = 400) -> None:
    """What the UI process takes for each token of a real answer, and what goes to the terminal."""
    ui_ms, n_bytes, speeds = [], [], []
    with llmtui(options.model, "--threads", str(options.threads), max_tokens=n_tokens) as app:
        wait_until_loaded(app)
        for number in range(options.rounds):
            wait_until_quiet(options.patience_s)
            here = ask(app, b"Tell me a very long story about dragon number %d." % number)
            app.wait_for(READING, here)
            app.read(0.7)
            if app.has(ANSWERED, here):
                continue  # too short
            began, before, painted = time.monotonic(), cpu_s(app.pid), len(app.painted)
            seen = len(app.arrivals)
            ended = app.wait_for(ANSWERED, painted)
            used = cpu_s(app.pid) - before
            n_read = next(length for when, length in app.arrivals[seen:] if when >= ended) - painted
            app.read(0.3)
            _, speed, stopped = last_footer(app)
            n = speed * (ended - began)
            if stopped == "complete" and n < n_tokens / 4:
                continue
            speeds.append(speed)
            ui_ms.append(1000 * used / n)
            n_bytes.append(n_read / n)
    report(f"streaming, {options.threads} threads: speed", speeds, "tok/s")
    report(f"streaming, {options.threads} threads: UI process", ui_ms, "ms/token")
    report(f"streaming, {options.threads} threads: to the terminal", n_bytes, "bytes/tok", "120")


PARTS = {
    "start": measure_start,
    "idle": measure_idle,
    "keys": measure_keys,
    "escape": measure_escape,
    "stream": measure_stream,
}
ONCE = ("start", "idle")
"""Parts that do not depend on the number of threads."""


def main() -> None:
    """Measure what was asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    parser.add_argument("--rounds", type=int, default=5, help="starts, prompts or answers for each figure (5)")
    parser.add_argument("--prompt-words", type=int, default=800, help="length of the pasted prompt (800)")
    parser.add_argument("--idle-seconds", type=float, default=20.0)
    parser.add_argument("--patience", type=float, default=30.0, help="seconds to wait for quiet (30)")
    arguments = parser.parse_args()
    print(f"{arguments.model.name}, {datetime.date.today()}, {processor()}")
    print(f"{'':<46} {'median':>8} {'largest':>8} {'n':>4}  {'unit':<10} target")
    for part in arguments.only:
        for threads in arguments.threads[:1] if part in ONCE else arguments.threads:
            busy = wait_until_quiet(arguments.patience)
            if busy > 0.1:
                print(f"(others keep {busy:.2f} cores busy)")
            PARTS[part](
                Options(
                    model=arguments.model,
                    threads=threads,
                    rounds=arguments.rounds,
                    n_prompt_words=arguments.prompt_words,
                    idle_s=arguments.idle_seconds,
                    patience_s=arguments.patience,
                )
            )


if __name__ == "__main__":
    main()
