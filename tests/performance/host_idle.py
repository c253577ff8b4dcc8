"""What the llmtui in the background costs by itself: memory, and CPU while nothing is asked.

    python tests/performance/host_idle.py [--seconds 20]

Starts one in a temporary home with a tiny model, asks once, and looks at its process: resident memory (of it what is
its own), and the share of a core in so many seconds without a question. Held to: 60 MiB, 0.2% of a core. The exit code
is 1 when it takes more.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import DENSE
from tests.homes import own_home
from tests.running import llmtui

MOST_BYTES, MOST_SHARE = 60 << 20, 0.002


def main() -> int:
    """Measure; the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    arguments = parser.parse_args()
    with own_home() as home:
        runtime = home / "run"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)
        try:
            llmtui("ask", "hello", "-m", DENSE, "-t", "1", "--keep", "--no-save")
            (host,) = json.loads(llmtui("ls", "--json").stdout)["hosts"]
            process = psutil.Process(host["pid"])
            time.sleep(2.0)
            before, began = process.cpu_times(), time.monotonic()
            time.sleep(arguments.seconds)
            after, took = process.cpu_times(), time.monotonic() - began
            memory = process.memory_full_info()
        finally:
            llmtui("stop")
    share = (after.user + after.system - before.user - before.system) / took
    print(f"resident {memory.rss / 2**20:.1f} MiB, its own {memory.uss / 2**20:.1f} MiB; idle {share:.2%} of a core")
    return int(memory.rss > MOST_BYTES or share > MOST_SHARE)


if __name__ == "__main__":
    sys.exit(main())
