"""Where figures come from, as a record of a benchmark for other programs says it: program, build, machine, model."""

from __future__ import annotations

from tui import __version__
from tui.measure.report import Report, described, recorded_commit


def provenance(report: Report) -> dict[str, object]:
    """Under llama-bench's keys, and `llmtui_version`. `devices` is "none" for the CPU alone."""
    return {
        "llmtui_version": __version__,
        "build_commit": recorded_commit(report.hello),
        "cpu_info": report.machine.cpu,
        "gpu_info": report.gpu_info,
        "backends": report.backend,
        "devices": "/".join(report.loaded.llama.devices) or "none",
        "model_filename": report.loaded.path,
        "model_type": described(report),
    }
