"""How the quick score and LocalScore are shown: the number with its definition beside it, and what it was made of."""

from __future__ import annotations

import json

from tui.base.format import full_speed, speed_digits
from tui.base.terminal_style import Toned, plain
from tui.bench.llama_records import records
from tui.bench.render import Format, Page, facts, headline, table_of
from tui.measure.report import BenchResult, Comparison, Report
from tui.measure.score import (
    LOCALSCORE_NAME,
    LOCALSCORE_TESTS,
    QUICK_NAME,
    Phases,
    Score,
    localscore,
    phases,
    quick_score,
)
from tui.measure.stats import deviation, mean
from tui.words import tr, trn


def _quick(output: str) -> Format:
    def show(comparison: Comparison) -> Page:
        (report,) = comparison.reports
        (result,) = report.results
        score = quick_score(report.results)
        test, runs = result.test, phases(result)
        made_of = [
            ("", tr("mean"), tr("deviation"), ""),
            (f"pp{test.n_prompt}", *_spread([run.prefill_tps for run in runs]), "tok/s"),
            (f"tg{test.n_gen}", *_spread([run.decode_tps for run in runs]), "tok/s"),
            (tr("time to first token"), *_spread_ms([run.ttft_s * 1000 for run in runs]), "ms"),
        ]
        n_runs = trn("{n} run", "{n} runs", len(runs))
        return _page(report, _number(score), [*table_of(made_of, "<>><", output), "", n_runs], output)

    return show


def _localscore(output: str) -> Format:
    def show(comparison: Comparison) -> Page:
        (report,) = comparison.reports
        rows = [(tr("test"), "pp tok/s", "tg tok/s", tr("first token ms"))]
        for result in report.results:
            prefill_tps, decode_tps, ttft_s = _figures(result)
            rows.append((result.test.name, full_speed(prefill_tps), full_speed(decode_tps), _digits(1000 * ttft_s)))
        score = localscore(report.results)
        n_all = len(LOCALSCORE_TESTS)
        if score:
            rows.append(
                (tr("mean"), full_speed(score.prefill_tps), full_speed(score.decode_tps), _digits(1000 * score.ttft_s))
            )
            number = _number(score)
        else:
            number = [
                tr(
                    "No LocalScore: it is over all {total} tests, of which {n} are done.",
                    total=n_all,
                    n=len(report.results),
                )
            ]
        return _page(report, number, table_of(rows, "<>>>", output), output)

    return show


def _page(report: Report, number: list[str], made_of: Page, output: str) -> Page:
    """The same for both: the model, the number, what it was made of, and what it was measured with."""
    name, size = headline(report)
    _measured, *below = facts(report)
    if output == "md":
        above = [f"{name} · {size}", *(f"**{line}**" for line in number[:1]), *number[1:]]
        spaced = [line for text in above for line in (text, "")]
        return [*spaced, *made_of, "", *(f"- {plain(line)}" for line in below)]
    return [name, size, "", *(Toned(line, "headline") for line in number[:1]), *number[1:], "", *made_of, "", *below]


def _number(score: Score | None) -> list[str]:
    return (
        [tr("{name}: {score}", name=tr(score.name), score=_digits(score.value)), f"= {score.definition}"]
        if score
        else []
    )


def _spread(values: list[float]) -> tuple[str, str]:
    """Mean and deviation of speeds."""
    digits = speed_digits(mean(values))
    return full_speed(mean(values)), f"± {full_speed(deviation(values), digits)}" if len(values) > 1 else ""


def _spread_ms(values: list[float]) -> tuple[str, str]:
    return _digits(mean(values)), f"± {_digits(deviation(values))}" if len(values) > 1 else ""


def _digits(value: float) -> str:
    """Three digits that count, at least: "5231", "103", "19.7", "0.61"."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def _figures(result: BenchResult) -> tuple[float, float, float]:
    """Prompt tokens per second, generated ones, and seconds to the first: means over the repetitions."""
    runs = phases(result)
    return (
        mean([run.prefill_tps for run in runs]),
        mean([run.decode_tps for run in runs]),
        mean([run.ttft_s for run in runs]),
    )


def _quick_json(comparison: Comparison) -> str:
    """An object with the score's `name`, `value` and `definition`, its parts `prefill_ts`, `decode_ts` (tokens per
    second) and `ttft_s` (seconds), and `tests`, the records of `tui.bench.llama_records` with these three for each
    repetition. `value` and parts are null where not all tests were run."""
    return _as_json(comparison, QUICK_NAME, quick_score(comparison.reports[0].results))


def _localscore_json(comparison: Comparison) -> str:
    """As `_quick_json`, the parts being means over the nine tests."""
    return _as_json(comparison, LOCALSCORE_NAME, localscore(comparison.reports[0].results))


def _as_json(comparison: Comparison, name: str, score: Score | None) -> str:
    (report,) = comparison.reports
    tests = [
        {**record, **_phase_records(phases(result))}
        for record, result in zip(records(comparison), report.results, strict=True)
    ]
    page = {
        "name": name,
        "value": round(score.value, 3) if score else None,
        "definition": score.definition.english if score else None,
        "prefill_ts": round(score.prefill_tps, 6) if score else None,
        "decode_ts": round(score.decode_tps, 6) if score else None,
        "ttft_s": round(score.ttft_s, 6) if score else None,
        "tests": tests,
    }
    return json.dumps(page, indent=2)


def _phase_records(runs: tuple[Phases, ...]) -> dict[str, object]:
    return {
        "samples_prefill_ts": [round(run.prefill_tps, 6) for run in runs],
        "samples_decode_ts": [round(run.decode_tps, 6) for run in runs],
        "samples_ttft_s": [round(run.ttft_s, 6) for run in runs],
    }


QUICK_FORMATS: dict[str, Format] = {"table": _quick("table"), "md": _quick("md"), "json": _quick_json}
LOCALSCORE_FORMATS: dict[str, Format] = {
    "table": _localscore("table"),
    "md": _localscore("md"),
    "json": _localscore_json,
}
"""By the name that `--output` takes."""
