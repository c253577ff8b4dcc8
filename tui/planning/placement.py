"""Which layer lies where: how llama.cpp spreads the layers of a model over the host and the devices, and which experts
stay on the host. What they take there is `formula.py`'s."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tui.models.info import ModelInfo
from tui.planning.layersums import first_share
from tui.protocol.records import LoadSettings

HOST = "CPU"
"""The host among the devices, as llama.cpp calls it."""


class LayerPlacement:
    """Which device gets which layer: the last ones first, as in llama.cpp's `load_tensors`."""

    def __init__(self, info: ModelInfo, settings: LoadSettings, free: Mapping[str, int]) -> None:
        """`free` has what is free on each device, in bytes; without it they get equal parts."""
        self.n_layers = info.n_layers + 1
        """Layers that can be offloaded: the repeating ones and the output layer."""
        self._devices = settings.devices
        self.n_cpu_moe = settings.n_cpu_moe
        """The experts of so many layers, the first ones, stay on the host."""
        self._n_repeating = info.n_layers
        asked = settings.n_gpu_layers if self._devices else 0
        self.n_gpu_layers = self.n_layers if asked < 0 else min(asked, self.n_layers)
        """Layers on devices, the output layer counted as one."""
        self._first = self.n_layers - self.n_gpu_layers
        room = [max(free.get(name, 0), 0) for name in self._devices]
        if not sum(room):
            room = [1] * len(room)
        self._bounds = [sum(room[: i + 1]) / sum(room) for i in range(len(room))]

    def device(self, layer: int) -> str:
        """The device of a layer, the host's name for those that are not offloaded. The output layer comes last."""
        if layer < self._first or not self.n_gpu_layers:
            return HOST
        part = (layer - self._first) / self.n_gpu_layers
        return next(name for name, bound in zip(self._devices, self._bounds, strict=True) if part < bound)

    @property
    def n_host_layers(self) -> int:
        """Repeating layers that stay on the host, the first ones."""
        return min(self._first, self._n_repeating) if self.n_gpu_layers else self._n_repeating

    def runs(self) -> Iterator[tuple[str, int, int]]:
        """The repeating layers in order: a device, the first of its layers, and the one behind its last."""
        start = self.n_host_layers
        yield HOST, 0, start
        if self.n_gpu_layers:
            for name, bound in zip(self._devices, self._bounds, strict=True):
                end = min(self._first + first_share(self.n_gpu_layers, bound), self._n_repeating)
                yield name, start, max(start, end)
                start = max(start, end)

    def experts_device(self, layer: int) -> str:
        """That of a layer's experts, some of which are kept on the host."""
        return HOST if layer < self.n_cpu_moe else self.device(layer)


def experts_on_cpu(info: ModelInfo, n_gpu_layers: int, n_cpu_moe: int) -> int:
    """Layers on the device whose experts stay on the CPU, when those of the first `n_cpu_moe` layers do. The device
    holds the last `n_gpu_layers`, the output layer counted."""
    on_cpu_anyway = info.n_layers + 1 - n_gpu_layers
    return max(0, min(n_cpu_moe, info.n_layers) - on_cpu_anyway) if info.is_moe else 0
