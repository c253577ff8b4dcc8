"""What is expected of a benchmark once its model is loaded, to stand beside what comes of it: roofline and forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from tui.measure.expectation import Forecast
from tui.measure.forecast import forecast
from tui.measure.known_speeds import KnownSpeeds
from tui.measure.report import Roofline, Test
from tui.measure.roofline import n_past, read_bytes, roofline
from tui.models.info import ModelInfo
from tui.planning.formula import estimate
from tui.protocol.messages import Loaded
from tui.protocol.records import LoadSettings


def roofline_of(
    info: ModelInfo, loaded: Loaded, settings: LoadSettings, tests: Sequence[Test], bandwidth: Mapping[str, float]
) -> Roofline | None:
    """Of the first test that only generates, else with nothing in the context."""
    test = next((test for test in tests if test.is_decode), Test())
    return roofline(read_bytes(info, loaded, settings, n_past(test)), bandwidth)


def expected(
    info: ModelInfo,
    loaded: Loaded,
    settings: LoadSettings,
    tests: Sequence[Test],
    known: KnownSpeeds,
    bandwidth: Mapping[str, float],
) -> Forecast | None:
    """By what is known and by the `bandwidth` that was measured now. None where nothing is."""
    llama = loaded.llama
    placed = msgspec.structs.replace(
        settings, devices=llama.devices, n_gpu_layers=llama.n_gpu_layers, n_ctx=loaded.n_ctx
    )
    plan = estimate(info, placed, llama.footprint.device_free_before if llama.footprint else None)
    known = msgspec.structs.replace(known, bandwidth={**known.bandwidth, **bandwidth})
    test = next((test for test in tests if test.is_decode), Test())
    return forecast(info, plan, known, n_threads=llama.n_threads, n_past=n_past(test))
