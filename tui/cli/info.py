"""`llmtui --locate` and `llmtui --devices`: where things are, and what llama.cpp can compute on here."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill

import msgspec

from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.text import clean, one_line
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

_KINDS = {"cpu": "CPU", "gpu": "GPU", "igpu": "integrated GPU", "accel": "accelerator", "software": "CPU as GPU"}
_NO_GPU = "llama.cpp found no GPU that it can use, so models run on the CPU."
_MORE = "There may be more than llama.cpp lists:"
_NPUS = "NPUs and other accelerators:"


def print_locations(*, as_json: bool) -> int:
    """Print where everything is; a path that holds nothing yet is marked."""
    places = paths.locate()
    if as_json:
        put(json.dumps({label: str(path) for label, path in places}, indent=2))
        return ExitCode.FINE
    width = max(len(label) for label, _ in places)
    # Path.exists raises where it may not look.
    notes = ["" if os.path.exists(path) else "  (not there yet)" for _, path in places]  # noqa: PTH110
    put(
        "\n".join(
            f"{label:<{width}}  {clean(str(path))}{note}" for (label, path), note in zip(places, notes, strict=True)
        )
    )
    return ExitCode.FINE


def print_devices(settings_file: Path | None = None, *, as_json: bool, software_vulkan: bool = False) -> int:
    """Start the engine and print its devices with their memory; then what is missing, why, and what to do, and which
    accelerators there are that llama.cpp does not list."""
    settings, problems = load_settings(settings_file, software_vulkan=software_vulkan)
    for problem in problems:
        print(clean(f"llmtui: {problem}"), file=sys.stderr)
    try:
        devices = asyncio.run(_ask(software_vulkan=settings.engine.software_vulkan))
    except EngineDied as died:
        print(f"llmtui: {died}.\nllama.cpp cannot start; installing llmtui again may help.", file=sys.stderr)
        print("\n".join(_listed(explain(gather()))), file=sys.stderr)
        return ExitCode.ENGINE
    if as_json:
        put(json.dumps([msgspec.to_builtins(device) for device in devices], indent=2))
    else:
        put(devices_table(devices))
    has_gpu = any(device.kind in ("gpu", "igpu") for device in devices)
    reasons, npus = explain(gather(), devices), tell(gather_npus(), devices)
    more = ["", _MORE if has_gpu else _NO_GPU, *_listed(reasons)] if reasons or not has_gpu else []
    more += ["", _NPUS, *_listed(npus)] if npus else []
    if more and as_json:
        print("\n".join(more), file=sys.stderr)
    elif more:
        put("\n".join(more))
    return ExitCode.FINE


def _listed(reasons: Sequence[str]) -> list[str]:
    """Commands in them are to be copied: never cut at a hyphen."""
    return [fill(text, 100, initial_indent="- ", subsequent_indent="  ", break_on_hyphens=False) for text in reasons]


async def _ask(*, software_vulkan: bool) -> tuple[Device, ...]:
    async with LocalEngine(env=engine_environment(software=software_vulkan)) as engine:
        return (await engine.ask(ListDevices())).devices


def devices_table(devices: tuple[Device, ...]) -> str:
    """Name, kind, memory in GiB and description of each device, in columns."""
    rows = [("NAME", "KIND", "FREE GiB", "OF GiB", "DESCRIPTION")]
    for device in devices:
        free, total = (f"{n_bytes / 2**30:.1f}" for n_bytes in (device.free_bytes, device.total_bytes))
        rows.append((device.name, _KINDS[device.kind], free, total, one_line(device.description)))
    width = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:<{width[0]}}  {kind:<{width[1]}}  {free:>{width[2]}}  {total:>{width[3]}}  {description}"
        for name, kind, free, total, description in rows
    )
