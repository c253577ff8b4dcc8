"""Plays ssh for tests: runs the command that it is given on this machine, and hands what is said to and fro with a
delay, stalls and breaks.

    python tests/host/lossy_ssh.py [OPTIONS OF SSH] TARGET COMMAND

The environment says how bad the line is: `LOSSY_DELAY_S` one way, `LOSSY_STALLS` how likely a piece is held up for a
second, `LOSSY_BREAKS_AFTER` bytes from the other side after which the line is dead (each line anew; 0 never),
`LOSSY_GREETING` what its shell says first, `LOSSY_SEED`. Like the real one it knows `-G`.
"""

from __future__ import annotations

import os
import queue
import random
import subprocess
import sys
import threading
import time

_STALL_S = 1.0


def _carry(source: int, target: int, chance: random.Random, breaks_after: int) -> None:
    """Until the end of what there is, or the line breaks."""
    delay_s, stalls = float(os.environ.get("LOSSY_DELAY_S", "0")), float(os.environ.get("LOSSY_STALLS", "0"))
    pieces: queue.Queue[tuple[float, bytes]] = queue.Queue()

    def write() -> None:
        n_written = 0
        while True:
            due, data = pieces.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if chance.random() < stalls:
                time.sleep(_STALL_S)
            if breaks_after and n_written + len(data) > breaks_after:
                os.write(target, data[: breaks_after - n_written])
                os._exit(255)
            if not data:
                os.close(target)
                return
            n_written += len(data)
            while data:
                data = data[os.write(target, data) :]

    writing = threading.Thread(target=write, daemon=True)
    writing.start()
    while True:
        data = os.read(source, 4096)
        pieces.put((time.monotonic() + delay_s, data))
        if not data:
            break
    writing.join()


def main() -> int:
    """Be ssh; the exit code."""
    if "-G" in sys.argv:
        print("host there\nserveraliveinterval 0")
        return 0
    chance = random.Random(os.environ.get("LOSSY_SEED"))
    most = int(os.environ.get("LOSSY_BREAKS_AFTER", "0"))
    breaks_after = chance.randrange(most // 2, most) if most else 0
    sys.stdout.write(os.environ.get("LOSSY_GREETING", ""))
    sys.stdout.flush()
    with subprocess.Popen(["sh", "-c", sys.argv[-1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as there:
        assert there.stdin and there.stdout
        to_there = os.dup(there.stdin.fileno())
        there.stdin.close()
        threading.Thread(target=_carry, args=(0, to_there, chance, 0), daemon=True).start()
        _carry(there.stdout.fileno(), 1, chance, breaks_after)
        return there.wait()


if __name__ == "__main__":
    sys.exit(main())
