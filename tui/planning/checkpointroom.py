"""What the checkpoints of a conversation take of RAM: the size of one, by the header, and how much all may take. They
are no part of what a load must have room for: with less memory there are fewer."""

from __future__ import annotations

from tui.models.info import ModelInfo
from tui.planning.layersums import layer_sums
from tui.protocol.records import LoadSettings

MOST_BYTES = 4 << 30
"""Of all checkpoints of a conversation."""
SHARE_OF_FREE = 1 / 8
"""Of the memory that is free, what checkpoints may take."""


def room_bytes(free_bytes: int) -> int:
    """What all may take where so much is free, with nothing taken from pages of the model's file that are in use."""
    return max(0, min(MOST_BYTES, round(free_bytes * SHARE_OF_FREE)))


def one_bytes(info: ModelInfo, settings: LoadSettings, n_ctx: int) -> int:
    """What one takes at most: recurrent states, and of layers with a sliding window the window. 0 where all layers
    attend to everything: that can be gone back in without."""
    sums = layer_sums(info)
    cells = sums.cell_bytes(settings.type_k, settings.type_v)
    return sums.state_bytes[-1] + sum(min(window, n_ctx) * cell[-1] for window, cell in cells.items())
