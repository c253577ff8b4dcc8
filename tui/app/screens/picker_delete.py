"""Deleting a model from the picker: the question, with what it frees and whom it concerns, and what came of it."""

from __future__ import annotations

import asyncio

import msgspec

from tui.app.bindings import Keymap
from tui.app.screens.confirm import ConfirmScreen
from tui.base import format
from tui.models import remove
from tui.models.library import LibraryModel
from tui.models.remove import Removal, RemovalError
from tui.words import tr, trn


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it, in a sentence; `is_done` when files are gone."""

    told: str
    is_done: bool


async def planned(model: LibraryModel) -> Removal:
    """What deleting it would do."""
    return await asyncio.to_thread(remove.plan, model)


def question(removal: Removal, keymap: Keymap, *, is_loaded: bool) -> ConfirmScreen:
    """Asks whether it is to be deleted; only for what is not refused."""
    model = removal.model
    lines = [f"{model.info.quant} · {format.path(model.path)}"]
    if len(model.paths) > 1:
        lines.append(trn("{n} file is deleted.", "{n} files are deleted.", len(model.paths)))
    lines.append(frees(removal))
    if is_loaded:
        lines.append(tr("It is loaded: it keeps working until it is unloaded, and only then is the space freed."))
    lines += map(str, removal.warnings)
    return ConfirmScreen(
        tr("Delete “{title}”?", title=model.info.name),
        keymap,
        detail="\n".join([*lines, tr("This cannot be undone.")]),
        yes=tr("Delete"),
        no=tr("Keep"),
    )


def frees(removal: Removal) -> str:
    """How much space it frees, in a sentence."""
    if not removal.frees_bytes:
        return tr("Frees no space on the disk.")
    return tr("Frees {size} on the disk.", size=format.size(removal.frees_bytes))


async def carried_out(removal: Removal) -> Deleted:
    """Do it."""
    try:
        n_bytes = await asyncio.to_thread(remove.carry_out, removal)
    except RemovalError as error:
        return Deleted(told=str(error), is_done=False)
    if not n_bytes:
        return Deleted(told=tr("Deleted."), is_done=True)
    return Deleted(told=tr("Deleted: {size} freed.", size=format.size(n_bytes)), is_done=True)
