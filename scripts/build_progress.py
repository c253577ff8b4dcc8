"""How far a build is and how long it will still take: from ninja's own record of what is done, each step counted by
what it costs, and from how fast this machine has been at it. Standard library only."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

Weigh = Callable[[str], float]
"""Seconds that one core of the machine that the figures were taken on needs for an output of the build, by `step_name`;
0 for what is not built."""

_STEP = re.compile(r"^\s*\[\s*(?:(\d+)/(\d+)|(\d+)%)\]")
_EDGE = re.compile(r"^build (.+?)(?: \|.*?)?: (?:C_COMPILER|CXX_COMPILER|CUSTOM_COMMAND)")
_OBJECT = re.compile(r"CMakeFiles/([\w.-]+)\.dir/(?:.*/)?([^/]+)$")
_PROBE = """
#include <algorithm>
#include <functional>
#include <map>
#include <regex>
#include <string>
#include <vector>
bool probe(const std::string & text) { return std::regex_search(text, std::regex("(\\\\w+)\\\\s*=\\\\s*(\\\\d+)")); }
"""
_PROBE_S = 2.4
"""What compiling that takes one core of the machine that the weights were taken on."""
_TRUST_S = 20.0
"""Seconds' worth of steps after which what this build has shown counts as much as what was expected of it."""
_MOST_PROBES = 8


class Writable(Protocol):
    """A file that a log goes to."""

    def write(self, text: str, /) -> int: ...
    def flush(self) -> None: ...


def step_name(output: str) -> str:
    """What a step is known by: "llama/llama-vocab.cpp.o" for an object, the file's name alone for other outputs."""
    found = _OBJECT.search(output)
    return f"{found[1]}/{found[2]}" if found else output.rpartition("/")[2]


def speed(compiler: str, jobs: int) -> float:
    """Seconds of steps, as `Weigh` counts them, that this machine does in a second right now with so many compilers at
    a time; 0 when the compiler cannot compile. Takes some seconds."""
    many = min(jobs, _MOST_PROBES)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.cpp")
        source.write_text(_PROBE, encoding="utf-8")

        def compile_one(number: int) -> int:
            command = [compiler, "-O2", "-fPIC", "-c", str(source), "-o", str(Path(folder, f"{number}.o"))]
            return subprocess.run(command, capture_output=True, check=False).returncode

        started = time.monotonic()
        with ThreadPoolExecutor(many) as pool:
            codes = list(pool.map(compile_one, range(many)))
        took_s = time.monotonic() - started
    return 0.0 if any(codes) else jobs * _PROBE_S / took_s


def minutes(seconds: float) -> str:
    """ "less than a minute", "about 3 minutes"."""
    whole = round(seconds / 60)
    return "less than a minute" if seconds < 45 else "about a minute" if whole == 1 else f"about {whole} minutes"


class Progress:
    """Tells the steps done, the time gone by and the time left: one changing line on a terminal, else a line now and
    then. `expected` is what `speed` told; 0 when that is not known."""

    _EVERY_S = 30.0

    def __init__(self, objects: Path, weigh: Weigh, expected: float = 0.0) -> None:
        self._log, self._plan, self._weigh = objects / ".ninja_log", objects / "build.ninja", weigh
        self._expected = expected
        self._started = self._said = time.monotonic()
        self._changing = sys.stdout.isatty()
        self._step = "getting the sources"
        self._weights: dict[str, float] = {}
        self._left_before: float | None = None
        self._left = 0.0
        self._compiling_since = self._advanced = self._started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()

    def read(self, line: str) -> None:
        """Take in a line of what the build says."""
        match = _STEP.match(line)
        if match:
            done, total, percent = match.groups()
            self._step = f"[{done:>{len(total)}}/{total}]" if total else f"[{percent:>3}%]"
        elif "Configuring CMake" in line:
            self._step = "configuring"
        elif line.strip().startswith("Building wheel") and "finished" in line:
            self._step = "done"

    def show(self) -> None:
        """To be called about once a second."""
        now = time.monotonic()
        if not self._changing and now - self._said < self._EVERY_S:
            return
        self._said = now
        passed, seconds = divmod(int(now - self._started), 60)
        text = f"  {self._step}  {passed}:{seconds:02d} min"
        left_s = self.left_s(now)
        if left_s is not None:
            text += f", {minutes(left_s)} left"
        print(f"\r{text:<60}" if self._changing else text, end="" if self._changing else "\n", flush=True)

    def end(self) -> None:
        """Leave the changing line."""
        if self._changing:
            self._changing = False
            print(flush=True)

    def left_s(self, now: float) -> float | None:
        """Seconds until the last step is done; None while nothing is known about that."""
        if not self._step.startswith("[") or not self._look(now) or self._left_before is None:
            return None
        done, took_s = self._left_before - self._left, self._advanced - self._compiling_since
        if self._expected > 0:
            done, took_s = done + _TRUST_S, took_s + _TRUST_S / self._expected
        if done <= 0 or took_s <= 0:
            return None
        return max(0.0, self._left * took_s / done - (now - self._advanced))

    def _look(self, now: float) -> bool:
        """Bring what is left up to date; False while ninja has not begun."""
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
            if not self._weights:
                text = self._plan.read_text(encoding="utf-8", errors="replace")
                edges = (match for line in text.splitlines() if (match := _EDGE.match(line)))
                names = {step_name(output) for edge in edges for output in edge[1].split()}
                self._weights = {name: self._weigh(name) for name in names}
        except OSError:
            return False
        done = {step_name(fields[3]) for line in lines if len(fields := line.split("\t")) == 5}
        left = sum(weight for name, weight in self._weights.items() if name not in done)
        if self._left_before is None:
            self._left_before, self._left, self._compiling_since, self._advanced = left, left, now, now
        elif left < self._left:
            self._left, self._advanced = left, now
        return True
