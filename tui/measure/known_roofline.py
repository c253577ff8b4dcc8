"""The roofline of a model that is loaded, from the bandwidth that earlier benchmarks have measured: nothing is measured
here."""

from __future__ import annotations

from tui.measure.history import History
from tui.measure.machine import this_machine
from tui.measure.report import Roofline
from tui.measure.roofline import read_bytes, roofline
from tui.models.info import ModelInfo
from tui.protocol.messages import Loaded
from tui.protocol.records import LoadSettings

_LOOKED_AT = 20
"""Runs, the newest first."""


def known_roofline(history: History, info: ModelInfo, loaded: Loaded, settings: LoadSettings) -> Roofline | None:
    """With an empty context. None when no run of late on this machine has measured all memory that a token reads. Reads
    the disk: not for the UI's thread. Raises `HistoryError`."""
    read, hardware = read_bytes(info, loaded, settings, 0), this_machine().hardware
    for kept in history.list(_LOOKED_AT):
        report = history.get(kept.id)
        if report is None or report.roofline is None or report.machine.hardware != hardware:
            continue
        if (found := roofline(read, report.roofline.bandwidth)) is not None:
            return found
    return None
