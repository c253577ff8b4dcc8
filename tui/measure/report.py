"""What a benchmark found, as records that can be written down and read again. Figures that follow from the samples are
computed here and stored nowhere; how they are shown is the front ends' business."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Literal

import msgspec

from tui.base import format
from tui.base.format import listed
from tui.measure.expectation import Forecast
from tui.measure.machine import Machine
from tui.measure.stats import deviation, mean
from tui.models.info import ModelInfo
from tui.protocol.messages import Hello, Loaded
from tui.protocol.records import LoadSettings, Sampling, backend_family
from tui.words import mark, tr
from tui.words.later import Later

Mark = Literal["swapped", "throttled", "busy", "hot"]
"""Why a repetition is not to be trusted: the machine's swap grew, its clock fell, other programs took more than a tenth
of the CPU, or the CPU was too hot."""
MARKS: dict[str, str] = {
    "swapped": mark("the machine swapped"),
    "throttled": mark("the clock fell"),
    "busy": mark("other programs were busy"),
    "hot": mark("the CPU was too hot"),
}
"""Each mark in words."""


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """Read `n_prompt` tokens, generate `n_gen`, or one after the other, with `n_depth` in the context before, which
    are not timed."""

    __test__ = False  # not one of pytest's
    n_prompt: int = 0
    n_gen: int = 0
    n_depth: int = 0

    @property
    def n_tokens(self) -> int:
        """Tokens that are timed."""
        return self.n_prompt + self.n_gen

    @property
    def is_decode(self) -> bool:
        """Whether it only generates."""
        return self.n_gen > 0 and not self.n_prompt

    @property
    def name(self) -> str:
        """llama-bench's name for it: "pp512", "tg128", "pp512+tg128", "tg128 @ d4096"."""
        parts = [f"pp{self.n_prompt}"] if self.n_prompt else []
        parts += [f"tg{self.n_gen}"] if self.n_gen else []
        what = "+".join(parts)
        return f"{what} @ d{self.n_depth}" if self.n_depth else what


class BenchResult(msgspec.Struct, frozen=True, kw_only=True):
    """The repetitions of one test. Means and deviations are over repetitions, not over tokens."""

    test: Test
    test_time: datetime
    """When its warm-up began, in UTC."""
    samples_ns: tuple[int, ...] = ()
    prefill_ns: tuple[int, ...] = ()
    """For each repetition, until its prompt was evaluated; 0 without a prompt."""
    ttft_ns: tuple[int, ...] = ()
    """For each repetition, until its first generated token was evaluated; 0 without generation."""
    energy_j: tuple[float | None, ...] = ()
    """What each repetition took from where the platform counts it, in joules; None where it does not tell."""
    marks: tuple[tuple[Mark, ...], ...] = ()
    """For each repetition, why it is not to be trusted; mostly nothing."""
    read_bytes: dict[str, int] = msgspec.field(default_factory=dict)
    """Bytes that each token of a test that only generates reads, by device ("CPU" for the host), half-way through it;
    empty for other tests."""

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

    @property
    def j_per_token(self) -> float | None:
        """Energy for each token, in joules, over the repetitions that tell; None when none does."""
        known = [joules / self.test.n_tokens for joules in self.energy_j if joules is not None]
        return mean(known) if known else None

    @property
    def all_marks(self) -> tuple[Mark, ...]:
        """Every mark that any repetition has, once."""
        return tuple(dict.fromkeys(mark for marks in self.marks for mark in marks))


class EndToEnd(msgspec.Struct, frozen=True, kw_only=True):
    """An answer as a user gets it: a prompt of text, sampling, detokenizing and the wire to the front end included."""

    n_prompt: int
    """Tokens of the prompt, none of them cached."""
    n_gen: int
    """Tokens of the answer."""
    sampling: Sampling = Sampling()
    """What its tokens were chosen with."""
    ttft_s: float
    """From sending the command to the first text."""
    decode_tps: float
    """Tokens per second from the first text to the last, on the front end's clock."""


class SpeculationResult(msgspec.Struct, frozen=True, kw_only=True):
    """A text that was written without speculation and with it. Speeds in tokens per second."""

    text: str
    """A name of `repeated_texts`."""
    n_prompt: int
    n_gen: int
    plain_tps: float
    ahead_tps: float
    n_drafted: int
    """Tokens that were decoded ahead, and those of them that were right."""
    n_accepted: int

    @property
    def gain(self) -> float:
        """How many times as fast it was with speculation."""
        return self.ahead_tps / self.plain_tps if self.plain_tps else 0.0


class ParallelResult(msgspec.Struct, frozen=True, kw_only=True):
    """Several conversations at once: `n_parallel` prompts of `n_prompt` tokens, none of them shared, and `n_gen` tokens
    for each of them, decoded together. Times in seconds."""

    n_parallel: int
    n_prompt: int
    n_gen: int
    prefill_s: float
    decode_s: float

    @property
    def prefill_tps(self) -> float:
        """Prompt tokens per second of all together."""
        return self.n_parallel * self.n_prompt / self.prefill_s if self.prefill_s > 0 else 0.0

    @property
    def decode_tps(self) -> float:
        """Generated tokens per second of all together."""
        return self.n_parallel * self.n_gen / self.decode_s if self.decode_s > 0 else 0.0

    @property
    def decode_tps_each(self) -> float:
        """Generated tokens per second that one of them sees."""
        return self.decode_tps / self.n_parallel


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a row says about its model, and what the roofline needs."""

    name: str
    quant: str
    arch: str
    n_params: int
    n_params_active: int
    n_expert: int
    n_expert_used: int
    file_bytes: int
    n_layer_params: int = 0
    """As in `ModelInfo`; 0 in reports that were kept before there was this figure."""

    @property
    def is_moe(self) -> bool:
        return self.n_expert > 0

    @classmethod
    def of(cls, info: ModelInfo) -> ModelFacts:
        """Those of a model on disk."""
        return cls(
            name=info.name,
            quant=info.quant,
            arch=info.arch,
            n_params=info.n_params,
            n_params_active=info.n_params_active,
            n_expert=info.n_expert,
            n_expert_used=info.n_expert_used,
            file_bytes=info.size_bytes,
            n_layer_params=info.n_layer_params,
        )


class Roofline(msgspec.Struct, frozen=True, kw_only=True):
    """How fast decode could be if memory alone held it back: with one length of the context, and measured before the
    run. See `tui.measure.roofline`."""

    tps: float
    """Tokens per second at which every byte that a token needs is read at the measured bandwidth."""
    read_bytes: dict[str, int]
    """Bytes that one token reads, by device ("CPU" for the host)."""
    bandwidth: dict[str, float]
    """Measured, in bytes per second, by device."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one backend, finished or not: `results` holds the tests that have at least one repetition."""

    machine: Machine
    hello: Hello
    """The engine: llama.cpp's build and all devices."""
    model: ModelFacts
    loaded: Loaded
    """What llama.cpp really used."""
    settings: LoadSettings
    """What it was asked for."""
    repetitions: int
    """How many were asked for."""
    results: tuple[BenchResult, ...] = ()
    end_to_end: tuple[EndToEnd, ...] = ()
    """One for each repetition."""
    parallel: tuple[ParallelResult, ...] = ()
    speculation: tuple[SpeculationResult, ...] = ()
    """One for each text and repetition."""
    roofline: Roofline | None = None
    """Of the first test that only generates, else with nothing in the context; None where a bandwidth is not known."""
    forecast: Forecast | None = None
    """What was expected before the run, of the first test that only generates and the first that only reads."""
    warnings: tuple[str | Later, ...] = ()
    """What about the machine was not right before the run, each a sentence. Earlier versions kept it in English."""

    @property
    def backend(self) -> str:
        """Backends that held layers, as llama-bench names them: "CPU", "Vulkan", "CUDA"."""
        names = dict.fromkeys(map(backend_family, self.loaded.llama.devices))
        return ",".join(names) or "CPU"

    @property
    def gpu_info(self) -> str:
        """llama.cpp's descriptions of the devices that held layers; empty for the CPU alone."""
        return ", ".join(filter(None, map(self.describe, self.loaded.llama.devices)))

    @property
    def load_mode(self) -> str:
        """How the file was read, as llama.cpp names it: "none", "mmap", "mlock" or "mmap+mlock"."""
        modes = {"mmap": self.settings.use_mmap, "mlock": self.settings.use_mlock}
        return "+".join(mode for mode, is_used in modes.items() if is_used) or "none"

    @property
    def memory_bytes(self) -> int | None:
        """What the load took: the process's own memory, the weights that it maps, and the devices'. None where the
        system does not tell."""
        found = self.loaded.llama.footprint
        if found is None or not found.placed:
            return None
        return sum(p.weights_bytes + p.kv_bytes + p.compute_bytes + p.output_bytes for p in found.placed)

    @property
    def prefill(self) -> BenchResult | None:
        """The first test that only reads."""
        return next((r for r in self.results if r.test.n_prompt and not r.test.n_gen and r.samples_ns), None)

    @property
    def decode(self) -> BenchResult | None:
        """The first test that only generates."""
        return next((r for r in self.results if r.test.is_decode and r.samples_ns), None)

    def describe(self, name: str) -> str:
        """llama.cpp's description of a device; empty for one that it does not know."""
        return next((device.description for device in self.hello.devices if device.name == name), "")


class RefusedJob(msgspec.Struct, frozen=True, kw_only=True):
    """A model that could not be measured on one backend: a row with its reason, not an end."""

    model: ModelFacts | None
    path: str
    backend: str
    """As it was asked for."""
    reason: str
    """One sentence."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one command measured, in the order of the rows."""

    reports: tuple[Report, ...] = ()
    refused: tuple[RefusedJob, ...] = ()


def row_name(model: ModelFacts | None, path: str) -> str:
    """What a row calls its model."""
    return f"{model.name} {model.quant}" if model else Path(path).name


def model_type(report: Report) -> str:
    """Architecture, parameters and quantization, "qwen3moe 30.5B (3.3B) Q3_K_L". llama.cpp's own words for it go by the
    shape of the model: of many sizes it says "?B", and of others the wrong one."""
    model = report.model
    return f"{model.arch} {format.n_params(model.n_params, model.n_params_active)} {model.quant}"


def described(report: Report) -> str:
    """The model in llama.cpp's own words, as llama-bench has it; in ours where it does not know its size."""
    words = report.loaded.description
    return words if words and "?B" not in words else model_type(report)


def row_label(name: str, backend: str) -> str:
    """What a row is called: "Qwen3-32B Q3_K_L on CPU"."""
    return tr("{model} on {backend}", model=name, backend=backend)


def marks_told(marks: Iterable[str]) -> str:
    """Why not to trust a repetition, in words without an end; marks of other programs as they are."""
    return listed(*(tr(MARKS[mark]) if mark in MARKS else mark for mark in marks))


def recorded_commit(hello: Hello) -> str:
    """llama.cpp's commit for programs: "unknown" where it is not known, as llama-bench writes."""
    return hello.build_commit or "unknown"


def engine_build(hello: Hello) -> str:
    """llama.cpp with its commit."""
    return f"llama.cpp {hello.build_commit}" if hello.build_commit else tr("llama.cpp of unknown commit")
