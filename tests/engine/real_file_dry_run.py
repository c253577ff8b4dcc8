"""Dry runs on files themselves instead of their stubs, for comparison; prints JSON.

usage: python -m tests.engine.real_file_dry_run MODEL SETTINGS, the settings being `LoadSettings` in a JSON list.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from tui.engine.dryrun import DryRunner
from tui.engine.llamalog import backend_init
from tui.machine.vulkan import show_software_devices
from tui.protocol.records import LoadSettings


class OnTheFile(DryRunner):
    """Opens the model as it is."""

    def _stub(self, path: Path) -> bytes:
        return bytes(path)


if __name__ == "__main__":
    show_software_devices()
    backend_init()
    asked = msgspec.json.decode(sys.argv[2], type=list[LoadSettings])
    print(msgspec.json.encode([OnTheFile().run(Path(sys.argv[1]), one, ()) for one in asked]).decode())
