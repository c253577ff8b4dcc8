"""What a benchmark found, as records, and the one place that computes figures from its samples. How they are shown is
in `tui.bench.render`."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from tui.bench.machine import Machine
from tui.engine.messages import Hello, Loaded, LoadSettings


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """Read `n_prompt` tokens or generate `n_gen`, with `n_depth` in the context before, which are not timed."""

    __test__ = False  # not one of pytest's
    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens that are timed."""
        return self.n_prompt + self.n_gen

    @property
    def name(self) -> str:
        """llama-bench's name for it: "pp512", "tg128", "tg128 @ d4096"."""
        what = f"pp{self.n_prompt}" if self.n_prompt else f"tg{self.n_gen}"
        return f"{what} @ d{self.n_depth}" if self.n_depth else what


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """The repetitions of one test. Means and deviations are over repetitions, not over tokens."""

    test: Test
    test_time: datetime
    """When its warm-up began, in UTC."""
    samples_ns: tuple[int, ...] = ()

    @property
    def samples_ts(self) -> tuple[float, ...]:
        """Tokens per second of each repetition."""
        return tuple(self.test.n_tokens * 1e9 / ns for ns in self.samples_ns)

    @property
    def avg_ns(self) -> float:
        return mean(self.samples_ns)

    @property
    def stddev_ns(self) -> float:
        return deviation(self.samples_ns)

    @property
    def avg_ts(self) -> float:
        return mean(self.samples_ts)

    @property
    def stddev_ts(self) -> float:
        return deviation(self.samples_ts)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A benchmark, finished or not: `results` holds the tests that have at least one repetition."""

    machine: Machine
    hello: Hello
    """The engine: llama.cpp's build and all devices."""
    loaded: Loaded
    """What llama.cpp really used."""
    settings: LoadSettings
    """What it was asked for."""
    repetitions: int
    """How many were asked for."""
    results: tuple[Result, ...] = ()

    @property
    def backend(self) -> str:
        """Backends that held layers, as llama-bench names them: "CPU", "Vulkan", "CUDA"."""
        names = dict.fromkeys(name.rstrip("0123456789") for name in self.loaded.devices)
        return ",".join(names) or "CPU"

    def describe(self, name: str) -> str:
        """llama.cpp's description of a device; empty for one that it does not know."""
        return next((device.description for device in self.hello.devices if device.name == name), "")


def mean(values: tuple[float, ...] | tuple[int, ...]) -> float:
    """Arithmetic mean; 0 of nothing."""
    return sum(values) / len(values) if values else 0.0


def deviation(values: tuple[float, ...] | tuple[int, ...]) -> float:
    """Sample standard deviation (n - 1 below the line); 0 of fewer than two."""
    if len(values) < 2:
        return 0.0
    middle = mean(values)
    return math.sqrt(sum((value - middle) ** 2 for value in values) / (len(values) - 1))
