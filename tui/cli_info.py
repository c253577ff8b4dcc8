"""`llmtui --locate` and `llmtui --devices`: where things are, and what llama.cpp can compute on here."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from tui.config import paths
from tui.engine.client import Engine
from tui.engine.death import EngineDied
from tui.engine.messages import Device
from tui.exit_codes import ExitCode

_KINDS = {"cpu": "CPU", "gpu": "GPU", "igpu": "integrated GPU", "accel": "accelerator", "software": "software"}
_NO_GPU = (
    "llama.cpp found no GPU that it can use, so models run on the CPU. A GPU needs its driver, and llama.cpp built\n"
    "for it: LLMTUI_BACKEND=vulkan make run builds it and says what is missing."
)


def print_locations(*, as_json: bool) -> int:
    """Print where everything is; a path that holds nothing yet is marked."""
    places = paths.locate()
    if as_json:
        print(json.dumps({label: str(path) for label, path in places}, indent=2))
        return ExitCode.FINE
    width = max(len(label) for label, _ in places)
    for label, path in places:
        print(f"{label:<{width}}  {path}{'' if path.exists() else '  (not there yet)'}")
    return ExitCode.FINE


def print_devices(*, as_json: bool) -> int:
    """Start the engine and print its devices with their memory."""
    try:
        devices = asyncio.run(_ask())
    except EngineDied as died:
        print(f"llmtui: {died}.\nllama.cpp cannot start; installing llmtui again may help.", file=sys.stderr)
        return ExitCode.ENGINE
    if as_json:
        print(json.dumps([msgspec.to_builtins(device) for device in devices], indent=2))
    else:
        print(devices_table(devices))
    if not any(device.kind in ("gpu", "igpu") for device in devices):
        print(_NO_GPU, file=sys.stderr if as_json else sys.stdout)
    return ExitCode.FINE


async def _ask() -> tuple[Device, ...]:
    async with Engine() as engine:
        return await engine.devices()


def devices_table(devices: tuple[Device, ...]) -> str:
    """Name, kind, memory in GiB and description of each device, in columns."""
    rows = [("NAME", "KIND", "FREE GiB", "OF GiB", "DESCRIPTION")]
    for device in devices:
        free, total = (f"{n_bytes / 2**30:.1f}" for n_bytes in (device.free_bytes, device.total_bytes))
        rows.append((device.name, _KINDS[device.kind], free, total, device.description))
    width = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:<{width[0]}}  {kind:<{width[1]}}  {free:>{width[2]}}  {total:>{width[3]}}  {description}"
        for name, kind, free, total, description in rows
    )
