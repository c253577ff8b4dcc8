"""What streaming costs in a real terminal: CPU of the UI process and bytes to the terminal for each token, how late the
end of a reply is, and how long a key takes to appear while text streams. Prints one row for each case.

    python tests/performance/pty_stream.py                        # all cases, sizes and rates: about 25 minutes
    python tests/performance/pty_stream.py --cases code --rates 200 --sizes 8

The terminal is a PTY of 120x40 that answers as a modern one (synchronized output). At 200 tok/s a text is streamed
whole; at lower rates its last `--seconds` are, after the part before has been fed quickly and is not counted.
CPU is the process's own (user and system, all threads) between the first and the last timed token; no key is typed
then. Keys are timed in a run of their own, one letter each 0.3 s.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from terminal import answer_queries, spawn
from texts import CASES, tokens

HERE = Path(__file__).resolve().parent
KEYS = "jqxzvwjqxzvw"


@dataclass
class Result:
    """One run."""

    n_tokens: int
    cpu_s: float = 0.0
    n_bytes: int = 0
    end_s: float = float("nan")
    echoes_s: list[float] = field(default_factory=list)

    @property
    def ms_per_token(self) -> float:
        return 1000 * self.cpu_s / self.n_tokens

    @property
    def bytes_per_token(self) -> float:
        return self.n_bytes / self.n_tokens


def run(app: Path, case: str, size: int, rate: int, seconds: float, *, with_keys: bool) -> Result:
    """Stream one text in the app and measure it. Raises RuntimeError when the app ends before it is done."""
    n_all = len(tokens(CASES[case](size)))
    n_timed = n_all if rate >= 200 else min(n_all, int(rate * seconds))
    result = Result(n_timed)
    marks_read, marks_write = os.pipe()
    plan = json.dumps({"case": case, "size": size, "rate": rate, "n_timed": n_timed, "marks_fd": marks_write})
    os.set_inheritable(marks_write, True)
    pid, terminal = spawn([sys.executable, str(app)], {"STREAM_PLAN": plan})
    os.close(marks_write)
    try:
        _watch(terminal, marks_read, result, with_keys=with_keys)
    finally:
        os.close(terminal)
        os.close(marks_read)
        os.waitpid(pid, 0)
    return result


def _watch(terminal: int, marks: int, result: Result, *, with_keys: bool) -> None:
    """Read what the app paints and its marks until it ends."""
    seen: dict[str, dict[str, float]] = {}
    mark_text = b""
    recent = b""
    typed_at, typed, n_typed = 0.0, b"", 0
    while "end" not in seen:
        ready, _, _ = select.select([terminal, marks], [], [], 0.02)
        now = time.monotonic()
        if marks in ready:
            chunk = os.read(marks, 4096)
            if not chunk:
                raise RuntimeError(f"the app ended early: {recent[-2000:]!r}")
            mark_text += chunk
            *lines, mark_text = mark_text.split(b"\n")
            for line in lines:
                record = json.loads(line)
                seen[record["mark"]] = record
        if terminal in ready:
            data = os.read(terminal, 1 << 16)
            answer_queries(terminal, data)
            if "start" in seen and "last" not in seen:
                result.n_bytes += len(data)
            recent = (recent + data)[-8192:]
            if "last" in seen and b"SENTINEL" in recent and result.end_s != result.end_s:
                result.end_s = now - seen["last"]["at"]
            if typed and typed in data:
                result.echoes_s.append(now - typed_at)
                typed = b""
        streaming = "start" in seen and "last" not in seen
        if with_keys and streaming and n_typed < len(KEYS) and now - typed_at > 0.3 and not typed:
            typed, typed_at = KEYS[n_typed].encode(), now
            n_typed += 1
            os.write(terminal, typed)
    result.cpu_s = seen["last"]["cpu_s"] - seen["start"]["cpu_s"]


def main() -> None:
    """Run the cases that were asked for and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--rates", nargs="+", type=int, default=[30, 200], help="tokens per second")
    parser.add_argument("--sizes", nargs="+", type=int, default=[8, 24], help="KiB of text")
    parser.add_argument("--seconds", type=float, default=20.0, help="timed end of a text below 200 tok/s")
    parser.add_argument(
        "--app", type=Path, default=HERE / "stream_app.py", help="another app that takes STREAM_PLAN and writes marks"
    )
    parser.add_argument("--no-keys", action="store_true", help="leave out the runs that time key echo")
    options = parser.parse_args()
    print(
        f"{'case':<8} {'KiB':>4} {'tok/s':>5} {'tokens':>6} {'ms/tok':>7} {'B/tok':>6} {'ratio':>6} {'end ms':>7}",
        end="",
    )
    print(f" {'echo ms':>8}")
    for case in options.cases:
        for rate in options.rates:
            first = None
            for size in options.sizes:
                result = run(options.app, case, size * 1024, rate, options.seconds, with_keys=False)
                ratio = result.ms_per_token / first if first else float("nan")
                first = first or result.ms_per_token
                echo = ""
                if not options.no_keys and size == options.sizes[0]:
                    keyed = run(options.app, case, size * 1024, rate, options.seconds, with_keys=True)
                    echo = f"{1000 * statistics.median(keyed.echoes_s):.1f}" if keyed.echoes_s else "none"
                print(
                    f"{case:<8} {size:>4} {rate:>5} {result.n_tokens:>6} {result.ms_per_token:>7.3f} "
                    f"{result.bytes_per_token:>6.1f} {ratio:>6.2f} {1000 * result.end_s:>7.1f} {echo:>8}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
