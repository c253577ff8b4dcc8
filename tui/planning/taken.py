"""What the loaded model takes, place by place: by llama.cpp's own books, or where those cannot be read, by what its log
said; and what of it comes back, or goes along to the next load. Nothing is planned or judged here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import msgspec

from tui.planning.placement import HOST
from tui.protocol.messages import Loaded
from tui.protocol.records import Buffer, LoadSettings, Placed, is_repacked


def taken(loaded: Loaded, devices: Collection[str]) -> dict[str, Placed]:
    """By place: `HOST`, and those of `devices` that hold anything. What lies on no such device is the host's, as what
    a driver pins there for a GPU ("Vulkan_Host")."""
    if loaded.llama.footprint is not None and loaded.llama.footprint.placed:
        return {place.device: place for place in loaded.llama.footprint.placed}
    parts: dict[str, list[Buffer]] = {HOST: []}
    for buffer in loaded.llama.buffers:
        parts.setdefault(buffer.device if buffer.device in devices else HOST, []).append(buffer)
    return {device: _placed(device, buffers) for device, buffers in parts.items()}


def _placed(device: str, buffers: Sequence[Buffer]) -> Placed:
    def n_bytes(purpose: str, of: Callable[[str], bool] = lambda kind: True) -> int:
        return sum(part.n_bytes for part in buffers if part.purpose == purpose and of(part.device))

    return Placed(
        device=device,
        weights_bytes=n_bytes("weights"),
        mapped_bytes=n_bytes("weights", lambda kind: kind.endswith("_Mapped")),
        repacked_bytes=n_bytes("weights", is_repacked),
        kv_bytes=n_bytes("kv"),
        compute_bytes=n_bytes("compute"),
        output_bytes=n_bytes("output"),
    )


def given_back(place: Placed) -> int:
    """Bytes that are free again once the model is gone. Mapped weights are free already: the system can drop them."""
    own = place.weights_bytes - place.mapped_bytes
    return own + place.kv_bytes + place.compute_bytes + place.output_bytes


def context_bytes(loaded: Loaded, n_tokens: int) -> int:
    """What a copy of the KV cache takes that holds so many tokens. The engine keeps one in RAM while it loads the same
    file again."""
    kv_bytes = sum(place.kv_bytes for place in taken(loaded, loaded.llama.devices).values())
    return -(-kv_bytes * min(n_tokens, loaded.n_ctx) // loaded.n_ctx)


def as_loaded(settings: LoadSettings, loaded: Loaded) -> LoadSettings:
    """What was asked for, with what "auto" came to when it was loaded."""
    return msgspec.structs.replace(
        settings, swa_full="on" if loaded.llama.swa_full else "off", model_draft=loaded.llama.draft or "off"
    )
