"""The rows of the table of actions about the card of an engine that died or a load that failed. `actions.py` makes the
table of them."""

from __future__ import annotations

from tui.words import mark

CARD: tuple[tuple[str, ...], ...] = (
    ("card_reload", mark("Reload"), mark("Load the model again."), "r", "footer"),
    (
        "card_small_ubatch",
        mark("Reload with small ubatch"),
        mark("Load with less memory for computing on the GPU."),
        "u",
        "footer",
    ),
    (
        "card_fewer_layers",
        mark("Reload with fewer layers"),
        mark("Load with fewer layers on the GPU."),
        "l",
        "footer",
    ),
    ("card_cpu", mark("Reload on CPU"), mark("Load on the CPU."), "c", "footer"),
    (
        "card_no_repack",
        mark("Reload without repacking"),
        mark("Load without repacking the weights."),
        "n",
        "footer",
    ),
    (
        "card_gpu",
        mark("Reload on GPU"),
        mark("Load on the GPU, after llama.cpp's code for the CPU crashed."),
        "g",
        "footer",
    ),
    (
        "card_load_settings",
        mark("Change load settings"),
        mark("Choose other load settings after a load that failed."),
        "s",
        "footer",
    ),
    (
        "card_other_model",
        mark("Choose other model"),
        mark("Choose another model after a load that failed."),
        "o",
        "footer",
    ),
    ("card_details", mark("Show engine log"), mark("Show the engine's log."), "d", "footer"),
)
