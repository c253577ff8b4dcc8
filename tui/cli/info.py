"""`llmtui --locate` and `llmtui --devices`: where things are, and what llama.cpp can compute on here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tui.base.columns import pad, table, wrap
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.terminal_style import Line, Piece, Toned, page, say, say_error, takes_colours
from tui.base.text import cells, one_line
from tui.config import paths
from tui.config.settings import load_settings
from tui.engines.local import LocalEngine
from tui.machine.missing_gpu import explain, gather
from tui.machine.npus import gather as gather_npus
from tui.machine.npus import tell
from tui.machine.vulkan import engine_environment
from tui.protocol.death import EngineDied
from tui.protocol.messages import ListDevices
from tui.protocol.records import Device
from tui.words import mark, tr

_KINDS = {
    "cpu": "CPU",
    "gpu": "GPU",
    "igpu": mark("integrated GPU"),
    "accel": mark("accelerator"),
    "software": mark("CPU as GPU"),
}
_WIDE = 100
"""Cells of a line of advice."""


def print_locations(*, as_json: bool) -> int:
    """Print where everything is; a path that holds nothing yet is marked."""
    places = paths.locate()
    if as_json:
        put(json.dumps({label: str(path) for label, path in places}, indent=2))
        return ExitCode.FINE
    wide = max(cells(tr(label)) for label, _ in places)
    lines: list[Line] = []
    for label, path in places:
        shown: Piece = str(path)
        if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises where it may not look
            shown = Toned(tr("{path}  (not there yet)", path=path), "quiet")
        lines.append((Toned(pad(tr(label), wide), "quiet"), "  ", shown))
    _put(lines)
    return ExitCode.FINE


def print_devices(settings_file: Path | None = None, *, as_json: bool, software_vulkan: bool = False) -> int:
    """Start the engine and print its devices with their memory; then what is missing, why, and what to do, and which
    accelerators there are that llama.cpp does not list."""
    settings, problems = load_settings(settings_file, software_vulkan=software_vulkan)
    for problem in problems:
        say(str(problem))
    try:
        devices = asyncio.run(devices_of(software_vulkan=settings.engine.software_vulkan))
    except EngineDied as died:
        told = tr("llama.cpp cannot start; installing llmtui again may help.")
        say_error(f"{died}.\n{told}")
        print(page(_listed(explain(gather()))), file=sys.stderr)
        return ExitCode.ENGINE
    if as_json:
        put(json.dumps([msgspec.to_builtins(device) for device in devices], indent=2))
    else:
        _put(devices_table(devices))
    has_gpu = any(device.kind in ("gpu", "igpu") for device in devices)
    reasons, npus = explain(gather(), devices), tell(gather_npus(), devices)
    more: list[Line] = []
    if not has_gpu:
        more += ["", Toned(tr("llama.cpp found no GPU that it can use, so models run on the CPU."), "tight")]
    elif reasons:
        more += ["", tr("There may be more than llama.cpp lists:")]
    more += _listed(reasons)
    more += ["", tr("NPUs and other accelerators:"), *_listed(npus)] if npus else []
    if more and as_json:
        print(page(more, colours=takes_colours(sys.stderr)), file=sys.stderr)
    elif more:
        _put(more)
    return ExitCode.FINE


def _put(lines: Sequence[Line]) -> None:
    put(page(lines, colours=takes_colours(sys.stdout)))


def _listed(reasons: Sequence[str]) -> list[str]:
    return [line for text in reasons for line in wrap(text, _WIDE, first="- ", rest="  ")]


async def devices_of(*, software_vulkan: bool) -> tuple[Device, ...]:
    """What llama.cpp can compute on, by an engine that is started for it. Raises `EngineDied`."""
    async with LocalEngine(env=engine_environment(software=software_vulkan)) as engine:
        return (await engine.ask(ListDevices())).devices


def devices_table(devices: tuple[Device, ...]) -> Sequence[Line]:
    """Name, kind, memory in GiB and description of each device, in columns."""
    rows: list[tuple[Piece, ...]] = [(tr("NAME"), tr("KIND"), tr("FREE GiB"), tr("OF GiB"), tr("DESCRIPTION"))]
    for device in devices:
        free, total = (f"{n_bytes / 2**30:,.1f}" for n_bytes in (device.free_bytes, device.total_bytes))
        rows.append((device.name, tr(_KINDS[device.kind]), free, total, one_line(device.description)))
    return table(rows, "<<>><", "  ", head="headline")
