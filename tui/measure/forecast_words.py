"""Says how fast a model will be, how sure that is and where it is known from."""

from __future__ import annotations

import math

from tui.base import format
from tui.measure.expectation import Forecast, Range
from tui.measure.report import Report
from tui.words import tr, trn


def short(found: Range) -> str:
    """For a table: "31.4 tok/s" where it was measured, else "≈31 tok/s"."""
    return f"{format.speed(found.tps)} tok/s" if found.basis == "own" else f"≈{two_digits(found.tps)} tok/s"


def with_bounds(found: Range) -> str:
    """ "≈ 30 tok/s (26 to 34)", without "≈" where it was measured."""
    is_own = found.basis == "own"
    figures = {"low": two_digits(found.low), "high": two_digits(found.high)}
    if is_own:
        return tr("{speed} tok/s ({low} to {high})", speed=format.speed(found.tps), **figures)
    return tr("≈ {speed} tok/s ({low} to {high})", speed=two_digits(found.tps), **figures)


def sentence(found: Range) -> str:
    """ "≈ 30 tok/s (26 to 34), from 3 runs of models like it"."""
    speed, n = with_bounds(found), found.n_runs
    match found.basis:
        case "own":
            return trn("{speed}, from {n} run of it", "{speed}, from {n} runs of it", n, speed=speed)
        case "like":
            return trn(
                "{speed}, from {n} run of a model like it", "{speed}, from {n} runs of models like it", n, speed=speed
            )
        case "others":
            return trn(
                "{speed}, from {n} run of another model", "{speed}, from {n} runs of other models", n, speed=speed
            )
        case _:
            return tr("{speed}, from this machine's memory bandwidth, not yet measured with a model", speed=speed)


def lines(found: Forecast) -> tuple[str, ...]:
    """How fast it writes and how fast it reads a prompt, a line each."""
    told = []
    if found.decode_tps:
        told.append(tr("decode {speed}", speed=sentence(found.decode_tps)))
    if found.prompt_tps:
        told.append(tr("prefill {speed}", speed=sentence(found.prompt_tps)))
    return tuple(told)


def beside(found: Range, measured_tps: float) -> str:
    """A forecast beside what was then measured: "forecast 30 (26 to 34), 5% too low"."""
    error = found.error(measured_tps)
    figures = {"speed": two_digits(found.tps), "low": two_digits(found.low), "high": two_digits(found.high)}
    if abs(error) < 0.005:
        return tr("forecast {speed} ({low} to {high}), right", **figures)
    if error > 0:
        return tr("forecast {speed} ({low} to {high}), {percent}% too high", percent=round(100 * error), **figures)
    return tr("forecast {speed} ({low} to {high}), {percent}% too low", percent=round(-100 * error), **figures)


def after(report: Report) -> tuple[str, ...]:
    """What was expected of a run that is over, and how far off that was, a line for what it wrote and for what it
    read; nothing where nothing was expected."""
    expected, told = report.forecast, []
    if expected is None:
        return ()
    if expected.decode_tps and report.decode:
        told.append(tr("decode: {told}", told=beside(expected.decode_tps, report.decode.avg_ts)))
    if expected.prompt_tps and report.prefill:
        told.append(tr("prefill: {told}", told=beside(expected.prompt_tps, report.prefill.avg_ts)))
    return tuple(told)


def two_digits(tps: float) -> str:
    """A speed that is not known better: "4.1", "31", "410", "1,200"."""
    if tps <= 0:
        return "–"
    digits = 1 - math.floor(math.log10(tps))
    value = round(tps, digits)
    return f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}" if value < 10 else f"{value:,.0f}"
