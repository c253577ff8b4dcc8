"""What loading a model will cost, device by device, by formula: weights from the tensor table, KV cache by layer and
type, compute buffers from the shapes. Where llama.cpp places the layers stands in `placement.py`.

What llama.cpp itself would allocate is asked by `tui.engines.plans`; its answer takes the formula's place here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from tui.models.info import ModelInfo
from tui.planning.checkpointroom import one_bytes
from tui.planning.draftload import draft_info, draft_path, draft_settings
from tui.planning.layersums import cell_bytes, layer_sums
from tui.planning.placement import HOST, LayerPlacement, experts_on_cpu
from tui.planning.snapshots import n_snapshots
from tui.protocol.records import LoadSettings, Placed

VOCABULARY_BYTES = 310
"""Of RAM for each token: measured with Qwen's 151,936 tokens and as many merges, 45 MiB."""
COMPUTE_WITHIN = 0.25
"""Of llama.cpp's own figure: so near the formula's compute buffers are to it, in each place."""
_CONTEXT_STEP = 256
"""llama.cpp rounds the context and the cache of sliding-window layers up to this many tokens."""

Fit = Literal["fits", "tight", "no"]


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Memory on one device, in bytes."""

    device: str
    weights_bytes: int = 0
    mapped_bytes: int = 0
    """Of the weights, what is used as it lies in the file: page cache that the system can drop and read again."""
    repacked_bytes: int = 0
    """Of the weights, what the CPU keeps in an order of its own, in private memory. Only an exact plan knows."""
    kv_bytes: int = 0
    compute_bytes: int = 0
    """Logits included."""
    other_bytes: int = 0
    """The vocabulary, on the host: about, even in an exact plan."""
    read_bytes: int = 0
    """Read for each token that is decoded, the context so far not counted; see `reads`."""

    @property
    def total_bytes(self) -> int:
        """Everything together."""
        return self.weights_bytes + self.kv_bytes + self.compute_bytes + self.other_bytes


class MemoryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The whole load. `devices` has one entry for each device of the settings, in their order."""

    host: Cost
    devices: tuple[Cost, ...]
    n_gpu_layers: int
    """Layers on devices, the output layer counted as one."""
    n_layers: int
    """Layers that can be on devices: the repeating ones and the output layer."""
    n_ctx: int
    """Context size of each sequence after llama.cpp's rounding."""
    n_experts_on_cpu: int = 0
    """Layers on devices whose experts stay on the CPU."""
    swa_full: bool = False
    """Layers with a sliding window keep the whole context; False also where no layer has one."""
    window_saves_bytes: int = 0
    """What layers with a sliding window keep less, or would, when they do not keep the whole context: by formula, on
    host and devices together. 0 where no layer has a window, or the context is no longer."""
    checkpoint_bytes: int = 0
    """What a place that a conversation can go back to takes of RAM, by formula; no part of the load. 0 where going
    back needs none."""
    draft_bytes: int = 0
    """Of all, what a draft model takes, by formula."""
    exact: bool = False
    """Whether llama.cpp itself said what it would allocate; else these are the formula's figures."""
    apart_bytes: int = 0
    """Of an exact plan: by how much the formula disagrees about weights and KV cache, beyond what repacking explains.
    One of the two is then mistaken; these are llama.cpp's figures."""

    @property
    def is_sure(self) -> bool:
        """llama.cpp said it, and the formula agrees."""
        return self.exact and not self.apart_bytes

    @property
    def weights_bytes(self) -> int:
        """Of host and devices."""
        return sum(cost.weights_bytes for cost in (self.host, *self.devices))

    @property
    def kv_bytes(self) -> int:
        """Of host and devices."""
        return sum(cost.kv_bytes for cost in (self.host, *self.devices))

    @property
    def compute_bytes(self) -> int:
        """Of host and devices."""
        return sum(cost.compute_bytes for cost in (self.host, *self.devices))

    @property
    def total_bytes(self) -> int:
        """Of host and devices."""
        return self.host.total_bytes + sum(cost.total_bytes for cost in self.devices)


def estimate(
    info: ModelInfo,
    settings: LoadSettings,
    device_free: Mapping[str, int] | None = None,
) -> MemoryPlan:
    """What loading `info` with `settings` will take, with the draft model that they name.

    `device_free` (bytes) tells how llama.cpp splits layers over several devices; without it they get equal parts.
    Weights and KV cache are exact; compute buffers are within `COMPUTE_WITHIN`, mostly too high.
    """
    n_all = _pad(settings.n_ctx or info.n_ctx_train)
    n_ctx = _pad(n_all // settings.n_parallel)
    place = LayerPlacement(info, settings, device_free or {})
    weights, kv, read = _Tally(), _Tally(), _Tally()
    weights.add(HOST, info.input_bytes)
    output_device = place.device(info.n_layers)
    weights.add(output_device, info.output_bytes)
    # On the host the tied output layer is the embedding table itself; a device needs a copy of its own.
    if output_device != HOST:
        weights.add(output_device, info.tied_bytes)
    sums = layer_sums(info)
    cells = sums.cell_bytes(settings.type_k, settings.type_v)
    n_cells = {window: _n_cells(window, settings, n_ctx) for window in cells}
    read.add(output_device, info.output_bytes + info.tied_bytes)
    for device, start, end in place.runs():
        # Experts of the first layers of a run may stay on the host.
        kept = min(max(place.n_cpu_moe, start), end)
        weights.add(device, sums.dense_bytes[end] - sums.dense_bytes[start])
        weights.add(HOST, sums.expert_bytes[kept] - sums.expert_bytes[start])
        weights.add(device, sums.expert_bytes[end] - sums.expert_bytes[kept])
        state_bytes = sums.state_bytes[end] - sums.state_bytes[start]
        kept_bytes = sum(n_cells[window] * (cell[end] - cell[start]) for window, cell in cells.items())
        kv.add(device, settings.n_parallel * (kept_bytes + (1 + n_snapshots(info.arch, settings)) * state_bytes))
        read.add(device, sums.dense_bytes[end] - sums.dense_bytes[start] + state_bytes)
        read.add(HOST, sums.expert_read_bytes[kept] - sums.expert_read_bytes[start])
        read.add(device, sums.expert_read_bytes[end] - sums.expert_read_bytes[kept])
    left_on_host = max(
        sums.largest_tensor[place.n_host_layers], sums.largest_with_experts[min(place.n_cpu_moe, info.n_layers)]
    )
    scratch = _Scratch(info, settings, n_ctx, _n_ubatch(settings, n_all))
    used = {device for device, start, end in place.runs() if start < end} | {output_device}
    used -= {HOST}
    compute = {name: scratch.device_bytes(left_on_host) for name in used}
    compute[HOST] = scratch.host_bytes(any_device=bool(settings.devices))
    costs = {
        name: Cost(
            device=name,
            weights_bytes=weights.by_device.get(name, 0),
            mapped_bytes=weights.by_device.get(name, 0) if name == HOST and settings.use_mmap else 0,
            kv_bytes=kv.by_device.get(name, 0),
            compute_bytes=compute.get(name, 0),
            other_bytes=VOCABULARY_BYTES * info.n_vocab if name == HOST else 0,
            read_bytes=read.by_device.get(name, 0),
        )
        for name in (HOST, *settings.devices)
    }
    window_saves_bytes = sum(
        (n_ctx - _n_window_cells(window, settings, n_ctx)) * cell[-1] for window, cell in cells.items() if window
    )
    plan = MemoryPlan(
        host=costs[HOST],
        devices=tuple(costs[name] for name in settings.devices),
        n_gpu_layers=place.n_gpu_layers,
        n_layers=place.n_layers,
        n_ctx=n_ctx,
        n_experts_on_cpu=experts_on_cpu(info, place.n_gpu_layers, place.n_cpu_moe),
        swa_full=settings.swa_full == "on" and info.n_swa > 0,
        window_saves_bytes=settings.n_parallel * window_saves_bytes,
        checkpoint_bytes=one_bytes(info, settings, n_ctx),
    )
    draft = draft_path(settings)
    beside = draft_info(draft) if draft is not None else None
    return plan if beside is None else _with_draft(plan, estimate(beside, draft_settings(settings), device_free))


def _with_draft(plan: MemoryPlan, draft: MemoryPlan) -> MemoryPlan:
    """The plan of a load with a draft model, which is planned as a load of its own. What a token reads stays that of
    the large model."""

    def both(one: Cost, other: Cost) -> Cost:
        summed = ("weights_bytes", "mapped_bytes", "kv_bytes", "compute_bytes", "other_bytes")
        return msgspec.structs.replace(one, **{name: getattr(one, name) + getattr(other, name) for name in summed})

    devices = tuple(both(*costs) for costs in zip(plan.devices, draft.devices, strict=True))
    return msgspec.structs.replace(
        plan, host=both(plan.host, draft.host), devices=devices, draft_bytes=draft.total_bytes
    )


def exactly(formula: MemoryPlan, placed: Sequence[Placed], n_ctx: int) -> MemoryPlan:
    """The plan of a dry run: llama.cpp's figures in place of the formula's, of which only what a token reads stays."""
    by_device = {place.device: place for place in placed}

    def cost(old: Cost) -> Cost:
        place = by_device.get(old.device, Placed(device=old.device))
        return Cost(
            device=old.device,
            weights_bytes=place.weights_bytes,
            mapped_bytes=place.mapped_bytes,
            repacked_bytes=place.repacked_bytes,
            kv_bytes=place.kv_bytes,
            compute_bytes=place.compute_bytes + place.output_bytes,
            other_bytes=old.other_bytes,
            read_bytes=old.read_bytes,
        )

    return msgspec.structs.replace(
        formula, host=cost(formula.host), devices=tuple(map(cost, formula.devices)), n_ctx=n_ctx, exact=True
    )


def free_after(
    plan: MemoryPlan, host_free: int, device_free: Mapping[str, int], shared_free: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Bytes that stay free on the host (`HOST`) and on each device of the plan; negative where it does not fit.

    `shared_free` says how much of a device's free memory is really the host's, as the GTT of an integrated GPU: what
    the plan takes of it, after the device's own is used up, is missing on the host. A device that is not in
    `device_free` has nothing free.
    """
    left = {HOST: host_free - plan.host.total_bytes}
    for cost in plan.devices:
        free = device_free.get(cost.device, 0)
        own = free - (shared_free or {}).get(cost.device, 0)
        left[HOST] -= max(cost.total_bytes - max(own, 0), 0) if own < free else 0
        left[cost.device] = free - cost.total_bytes
    return left


def reads(
    info: ModelInfo, settings: LoadSettings, n_past: int = 0, device_free: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Bytes that decoding one token reads from the memory of the host (`HOST`) and of each device, with `n_past` tokens
    in the context: all weights but the embedding table, which is read only where it is the output layer too; of the
    experts the share that is used; K and V of the tokens that the layer looks back to. Devices that read nothing are
    left out. `device_free` as in `estimate`."""
    place, read = LayerPlacement(info, settings, device_free or {}), _Tally()
    read.add(place.device(info.n_layers), info.output_bytes + info.tied_bytes)
    for index, layer in enumerate(info.layers):
        n_cells = min(n_past, layer.window) if layer.window else n_past
        kept = n_cells * cell_bytes(layer, settings.type_k, settings.type_v) + layer.state_bytes
        idle_bytes = round(layer.expert_bytes * (1 - info.expert_share))
        read.add(place.device(index), layer.weights_bytes - layer.expert_bytes + kept)
        read.add(place.experts_device(index), layer.expert_bytes - idle_bytes)
    return {device: n_bytes for device, n_bytes in read.by_device.items() if n_bytes}


def _pad(n: int) -> int:
    return -(-n // _CONTEXT_STEP) * _CONTEXT_STEP


def _n_cells(window: int, settings: LoadSettings, n_ctx: int) -> int:
    """Tokens that one sequence keeps in a layer with such a window."""
    return _n_window_cells(window, settings, n_ctx) if window and settings.swa_full != "on" else n_ctx


def _n_window_cells(window: int, settings: LoadSettings, n_ctx: int) -> int:
    """The fewest that llama.cpp makes do with."""
    return min(n_ctx, _pad(window + _n_ubatch(settings, n_ctx)))


def _n_ubatch(settings: LoadSettings, n_ctx: int) -> int:
    """llama.cpp takes no batch larger than the context."""
    return min(settings.n_ubatch, settings.n_batch, n_ctx)


class _Tally:
    """A sum for each device."""

    def __init__(self) -> None:
        self.by_device: dict[str, int] = {}

    def add(self, device: str, n_bytes: int) -> None:
        self.by_device[device] = self.by_device.get(device, 0) + n_bytes


class _Scratch:
    """Compute buffers: activations of one ubatch at the widest point of a layer, and the attention mask. Fitted to what
    llama.cpp reserves for Qwen3's shapes; it allocates for the worst case, so these are the figures at any time."""

    def __init__(self, info: ModelInfo, settings: LoadSettings, n_ctx: int, n_ubatch: int) -> None:
        """`n_ctx` is what each sequence has."""
        self._rows = 4 * n_ubatch
        self._n_embd = info.n_embd
        flash = settings.flash_attn != "off"
        # With flash attention the mask has 16 bits a cell; without, 32, and scores of all heads are kept.
        self._mask = n_ctx * self._rows // (2 if flash else 1)
        q, kv = info.n_head * info.n_embd_head_k, info.n_head_kv * info.n_embd_head_k
        self._n_ff = info.n_ff
        feed_forward = 3 * info.n_ff + (q if q > info.n_embd else 0)
        if info.is_moe:
            self._n_ff = info.n_expert_used * info.n_ff_expert
            feed_forward = max(3 * self._n_ff, self._n_ff + 2 * info.n_expert_used * info.n_embd)
        attends = 2 * q + 3 * kv + (0 if flash else n_ctx * info.n_head)
        self._widest = 2 * info.n_embd + max(feed_forward, attends)
        self._logits = 4 * info.n_vocab * settings.n_parallel
        self._output = self._n_embd * (self._rows + 4 * settings.n_parallel) + self._logits
        """The output layer, which with many sequences is the widest point."""

    def device_bytes(self, left_on_host: int) -> int:
        """On a device. Weights that stay on the host (`left_on_host`: the largest tensor) are copied there for large
        batches, one at a time."""
        buffer = max(self._widest * self._rows + self._mask, self._output)
        if not left_on_host:
            return buffer
        copied = left_on_host + (2 * self._n_ff + 3 * self._n_embd) * self._rows + self._mask
        return max(buffer + 2 * self._n_embd * self._rows, copied)

    def host_bytes(self, *, any_device: bool) -> int:
        """On the host: everything, or with a device the inputs alone; one token's logits for each sequence anyway."""
        if any_device:
            return 2 * self._n_embd * self._rows + self._mask + self._logits
        return max((self._widest + self._n_embd) * self._rows + self._mask, self._output) + self._logits
