"""The sentences about memory: that it runs out, and what a load was cut to so that it fits. Constants are in English,
to be translated where they are shown."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.phrases import hint
from tui.base import format
from tui.config.settings import LoadDefaults
from tui.machine.pressure import Shortage
from tui.words import mark, tr, trn

FITS_ALREADY = mark("These settings fit, and nothing else that fits is expected to be faster: nothing was changed.")
NOTHING_FITS = mark("Nothing fits: even with the smallest context there is too little memory for this file.")


def cut_to_fit(choice: LoadDefaults, *, on_gpu: bool) -> str:
    """That a model is loaded with less than was asked for, so that it fits."""
    facts = []
    if not on_gpu or not choice.n_gpu_layers:
        facts.append(tr("all layers on the CPU"))
    elif choice.n_gpu_layers < 0:
        facts.append(tr("all layers on the GPU"))
    else:
        facts.append(trn("{n} layer on the GPU", "{n} layers on the GPU", choice.n_gpu_layers))
    if on_gpu and choice.n_gpu_layers and choice.n_cpu_moe:
        facts.append(trn("experts of {n} layer on the CPU", "experts of {n} layers on the CPU", choice.n_cpu_moe))
    if choice.n_ctx:
        facts.append(trn("a context of {n} token", "a context of {n} tokens", choice.n_ctx))
    else:
        facts.append(tr("the context it was trained with"))
    return tr("To fit into memory, it is loaded with: {facts}.", facts=" · ".join(facts))


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


def context_cut(n_ctx_asked: int, n_ctx: int) -> str:
    """That nothing fits with the context that was asked for."""
    return tr(
        "Nothing fits with a context of {asked} tokens: it is cut to {n_ctx}.",
        asked=f"{n_ctx_asked:,}",
        n_ctx=f"{n_ctx:,}",
    )
