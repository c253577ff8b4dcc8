"""Runs a command where next to nothing may be locked into memory, and no thread may have a higher priority; ends with
`ALLOWED` where that cannot be had, as for some who may do everything. A program of its own: it gives rights away for
good.

usage: python -m tests.unprivileged COMMAND …
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys

ALLOWED = 77
_DROP_FROM_BOUNDING_SET, _CAP_IPC_LOCK, _CAP_SYS_NICE = 24, 14, 23
_TRY = "import ctypes; b = ctypes.create_string_buffer(1 << 20); raise SystemExit(ctypes.CDLL(None).mlock(b, 1 << 20))"

if __name__ == "__main__":
    for capability in (_CAP_IPC_LOCK, _CAP_SYS_NICE):
        ctypes.CDLL(None).prctl(_DROP_FROM_BOUNDING_SET, capability, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (64 << 10, 64 << 10))
    if subprocess.run([sys.executable, "-c", _TRY], check=False).returncode == 0:
        sys.exit(ALLOWED)
    os.execv(sys.argv[1], sys.argv[1:])
