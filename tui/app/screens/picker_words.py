"""What the picker says where it has no row to show, how many it shows, and what in its filter is a path."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tui.app.bindings import Keymap
from tui.app.phrases import hint
from tui.base.userpath import typed_path
from tui.config.actions import BY_ID
from tui.words import tr, trn


def nothing_found(folders: Sequence[Path], keymap: Keymap) -> str:
    """Where was looked, and what to do."""
    return tr(
        "No models were found in\n{folders}\n  and the folders of other programs: Ollama, LM Studio and more.\n\n"
        "Put a .gguf file into one of these folders, choose “{action}” in the\n"
        "palette{key}, or paste the path of a file above.",
        folders="\n".join(f"  {folder}" for folder in folders),
        action=tr(BY_ID["add_folder"].title),
        key=hint(keymap, "palette"),
    )


def nothing_matches(only: str, keymap: Keymap) -> str:
    """That words or the filter, whose words are `only`, hide everything."""
    if not only:
        return tr("Nothing matches. Fewer words find more.")
    key = hint(keymap, "picker_filter")
    return tr("No model matches the filter ({filter}). Choose another one{key}.", filter=only, key=key)


def count(n_shown: int, n_all: int) -> str:
    """Such as "12 of 200 models"."""
    if not n_all:
        return ""
    if n_shown == n_all:
        return trn("{n} model", "{n} models", n_all)
    return trn("{n_shown} of {n} model", "{n_shown} of {n} models", n_all, n_shown=f"{n_shown:,}")


def given_path(text: str) -> Path | None:
    """The path that was typed, pasted or dragged into the terminal; None for words to filter with."""
    bare = text.strip().strip("'\"")
    is_path = bare.startswith(("/", "./", "../", "file:///")) or (bare.startswith("~") and "/" in bare)
    is_file = bare.lower().endswith(".gguf") and len(bare) > len(".gguf")
    return typed_path(text) if is_path or is_file else None
