"""What a forecast is asked for: a model, placed on this machine, as so much to read in so many layers at each place;
and which earlier runs were the same."""

from __future__ import annotations

import re

import msgspec

from tui.measure.known_speeds import KnownDecode, KnownRun
from tui.measure.learning import Kind
from tui.measure.roofline import COSTLY
from tui.models.info import ModelInfo
from tui.planning.formula import MemoryPlan
from tui.planning.placement import HOST, experts_on_cpu

_BITS = re.compile(r"\d+")
_USUAL_BITS = 4


def kind_of(quant: str, *, is_moe: bool) -> Kind:
    """What a model of such a quantization is like: "Q4_K_M" and "IQ4_XS" have 4 bits, "BF16" 16."""
    digits = _BITS.search(quant)
    return Kind(bits=int(digits[0]) if digits else _USUAL_BITS, is_costly=quant.startswith(COSTLY), is_moe=is_moe)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """What one place does for a token."""

    device: str
    """ "CPU" for the host."""
    read_bytes: float
    n_layers: float
    layer_params: float
    """Active parameters of its layers."""


class Asked:
    """A model, loaded as planned, with `n_past` tokens in its context. `n_threads` is 0 where it is not known."""

    def __init__(self, info: ModelInfo, plan: MemoryPlan, n_threads: int, n_past: int) -> None:
        self.info, self.n_past, self._n_threads = info, n_past, n_threads
        self.kind = kind_of(info.quant, is_moe=info.is_moe)
        self.devices = tuple(cost.device for cost in plan.devices) if plan.n_gpu_layers else ()
        self.n_gpu_layers = plan.n_gpu_layers
        self._n_experts_on_cpu = plan.n_experts_on_cpu
        n_on_host = plan.n_layers - plan.n_gpu_layers + plan.n_experts_on_cpu / 2
        n_on_device = (plan.n_layers - n_on_host) / max(1, len(self.devices))
        looked_at = min(n_past, plan.n_ctx) / max(1, plan.n_ctx) * _share_in_windows(info, n_past)
        costs = [(cost, n_on_host if cost.device == HOST else n_on_device) for cost in (plan.host, *plan.devices)]
        parts = [
            Part(
                device=cost.device,
                read_bytes=cost.read_bytes + looked_at * cost.kv_bytes,
                n_layers=n_layers,
                layer_params=info.n_layer_params * n_layers / plan.n_layers,
            )
            for cost, n_layers in costs
        ]
        self.parts = [part for part in parts if part.read_bytes > 0]
        self.read_bytes = sum(part.read_bytes for part in parts)

    def is_same(self, run: KnownRun) -> bool:
        """Whether a run was of this model, loaded in this way."""
        info = self.info
        return (
            (run.name, run.quant, run.n_params) == (info.name, info.quant, info.n_params)
            and (run.devices, run.n_gpu_layers) == (self.devices, self.n_gpu_layers)
            and experts_on_cpu(info, run.n_gpu_layers, run.n_cpu_moe) == self._n_experts_on_cpu
            and (self.has_threads(run) or all(part.device != HOST for part in self.parts))
        )

    def has_threads(self, run: KnownRun) -> bool:
        """Whether a run had as many threads, as far as that is known."""
        return not self._n_threads or run.n_threads == self._n_threads

    def nearest(self, run: KnownRun) -> KnownDecode | None:
        """The test of a run that generated at about this length of the context."""
        return min(run.decodes, key=lambda decode: abs(decode.n_past - self.n_past), default=None)


def _share_in_windows(info: ModelInfo, n_past: int) -> float:
    """Of what the layers keep of the tokens before, the part that they look at."""
    widths = [(layer.k_width + layer.v_width, layer.window) for layer in info.layers]
    everything = n_past * sum(width for width, _ in widths)
    return sum(width * min(n_past, window or n_past) for width, window in widths) / everything if everything else 0.0
