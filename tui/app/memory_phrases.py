"""The sentence about memory that runs out. Whether a load fits is worded in `tui.planning.verdict_words`."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.phrases import hint
from tui.base import format
from tui.machine.pressure import Shortage
from tui.words import tr


def shortage(found: Shortage, keymap: Keymap) -> str:
    """That memory runs out, before the machine starts to swap."""
    signs = []
    if found.ram_available_bytes is not None and found.ram_total_bytes:
        signs.append(
            tr(
                "Only {available} of {total} are available.",
                available=format.size(found.ram_available_bytes),
                total=format.size(found.ram_total_bytes),
            )
        )
    if found.pressure_percent:
        signs.append(
            tr("Programs waited for memory {percent}% of the last 10 s.", percent=f"{found.pressure_percent:.0f}")
        )
    return format.sentences(
        tr("Memory is running out."),
        *signs,
        tr(
            "Close what you do not need, or load the model with a smaller context or fewer layers{key}, before the "
            "machine starts to swap.",
            key=hint(keymap, "load_settings"),
        ),
    )
