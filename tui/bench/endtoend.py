"""How end-to-end figures are shown: apart from the tests, as they have sampling, detokenizing and the wire in them."""

from __future__ import annotations

import msgspec

from tui.bench.figures import spread, spread_of_speeds
from tui.measure.report import Report
from tui.measure.stats import deviation, mean
from tui.words import tr


def sentence(report: Report) -> str:
    """One line for eyes; empty where nothing was measured."""
    runs = report.end_to_end
    if not runs:
        return ""
    ttfts, speeds = [run.ttft_s for run in runs], [run.decode_tps for run in runs]
    return tr(
        "end to end: {n_read} read, {n_written} written: first token after {seconds} s, {speed} tok/s",
        n_read=runs[0].n_prompt,
        n_written=runs[0].n_gen,
        seconds=spread(ttfts),
        speed=spread_of_speeds(speeds),
    )


def record(report: Report) -> dict[str, object]:
    """What the records of a report have more for it: seconds to the first text and tokens per second from there on, as
    mean, sample deviation and samples. Nothing where nothing was measured."""
    runs = report.end_to_end
    if not runs:
        return {}
    ttfts, speeds = [run.ttft_s for run in runs], [run.decode_tps for run in runs]
    figures = {
        "n_prompt": runs[0].n_prompt,
        "n_gen": runs[0].n_gen,
        "sampling": msgspec.structs.asdict(runs[0].sampling),
        "avg_ttft_s": round(mean(ttfts), 6),
        "stddev_ttft_s": round(deviation(ttfts), 6),
        "avg_decode_ts": round(mean(speeds), 6),
        "stddev_decode_ts": round(deviation(speeds), 6),
        "samples_ttft_s": [round(ttft, 6) for ttft in ttfts],
        "samples_decode_ts": [round(speed, 6) for speed in speeds],
    }
    return {"end_to_end": figures}
