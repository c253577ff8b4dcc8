"""Libraries in C that tests preload into engines, so that what is beneath llama.cpp fails when it is told to."""

from __future__ import annotations

import functools
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Literal

import pytest


@functools.cache
def compiled(name: str) -> Path:
    """`tests/engine/{name}.c` as a library, compiled once a run; skips where nothing can compile it."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if compiler is None:
        pytest.skip(f"there is no C compiler, which {name}.c is built with")
    library = Path(tempfile.mkdtemp(prefix="llmtui-faults-")) / f"{name}.so"
    source = Path(__file__).with_name(f"{name}.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"], check=True)
    return library


class Processor:
    """The CPU, on which llama.cpp's code crashes from `fail` on: where weights are repacked, or always."""

    def __init__(self, folder: Path, number: signal.Signals, where: Literal["repacked", "always"]) -> None:
        self._trigger = folder / "trigger"
        self.environment = {
            "LD_PRELOAD": ":".join(filter(None, (str(compiled("cpu_faults")), os.environ.get("LD_PRELOAD")))),
            "CPU_TRIGGER": str(self._trigger),
            "CPU_FAULT": f"{int(number)} {where}",
        }

    def fail(self) -> None:
        """From now on."""
        self._trigger.touch()

    def recover(self) -> None:
        """It works again."""
        self._trigger.unlink()
