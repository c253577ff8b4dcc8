"""What the picker says of the highlighted entry: the facts from the file's header and whether it fits, or why it is no
model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec
from textual.content import Content

from tui.app.screens.picker_table import FAVOURITE, LOADED, Facts
from tui.app.verdict_marks import COLORS, MARKS
from tui.base import format
from tui.base.text import clean
from tui.measure import forecast_words
from tui.models.detail_words import DetailRow
from tui.models.library import BrokenFile, LibraryModel, OtherFile
from tui.models.stores.known import title_of
from tui.planning import verdict_words
from tui.planning.guardrail import LoadPermission
from tui.words import tr, trn


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The line above a group."""

    title: str


class GivenPath(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was named in the filter."""

    path: Path


Entry = LibraryModel | OtherFile | BrokenFile | Heading | GivenPath


def haystack(entry: LibraryModel | OtherFile | BrokenFile) -> str:
    """What the filter looks at, in small letters."""
    if isinstance(entry, LibraryModel):
        info = entry.info
        places = " ".join(f"{title_of(one.source)} {one.name} {one.path}" for one in entry.places)
        return f"{info.name} {info.arch} {info.quant} {info.size_label} {places}".casefold()
    return f"{entry.name} {entry.path} {entry.reason}".casefold()


def same_entry(item: Entry | None, entries: Sequence[Entry]) -> Entry | None:
    """What was highlighted, as it is now; None when it is gone."""
    if isinstance(item, LibraryModel):
        return next((one for one in entries if isinstance(one, LibraryModel) and one.path == item.path), None)
    return item if item in entries else None


def details(entry: Entry, facts: Facts) -> Content:
    """The facts about the highlighted entry, for a few lines below the table or a column beside it."""
    match entry:
        case LibraryModel():
            return _model_details(entry, facts)
        case GivenPath(path=path):
            return Content.assemble((tr("Load this file: "), "bold"), clean(str(path)))
        case OtherFile() | BrokenFile():
            bad = COLORS["no"] if isinstance(entry, BrokenFile) else ""
            return Content.assemble(
                (clean(entry.name), "bold"), "\n", (clean(entry.reason), bad), "\n", _path(entry.path)
            )
        case Heading():
            return Content("")


def legend() -> str:
    """What the signs of the table mean."""
    return "   ".join(
        (
            f"{LOADED} {tr('loaded')}",
            f"{FAVOURITE} {tr('favourite')}",
            f"{MARKS['fits']} {tr('fits')}",
            f"{MARKS['tight']} {tr('tight')}",
            f"{MARKS['no']} {tr('does not fit')}",
        )
    )


def _model_details(model: LibraryModel, facts: Facts) -> Content:
    info = model.info
    shape = [info.arch, info.experts_label, trn("{n} layer", "{n} layers", info.n_layers)]
    if info.n_head_kv:
        shape.append(trn("{n} head, {n_kv} KV", "{n} heads, {n_kv} KV", info.n_head, n_kv=info.n_head_kv))
    elif info.n_head:
        shape.append(trn("{n} head", "{n} heads", info.n_head))
    told = [info.quant, format.size(info.size_bytes)]
    if len(model.paths) > 1:
        told.append(trn("{n} file", "{n} files", len(model.paths)))
    if info.n_ctx_train:
        told.append(trn("trained for {n} token", "trained for {n} tokens", info.n_ctx_train))
    told.append(tr("chat template") if info.has_chat_template else tr("no chat template: ChatML is used"))
    lines: list[Content] = [
        Content.styled(clean(info.name), "bold"),
        _fits(facts.permission) if facts.permission else Content("…"),
        Content(clean(" · ".join(shape))),
        Content(clean(" · ".join(told))),
    ]
    if facts.speed is not None:
        lines += [Content(line) for line in forecast_words.lines(facts.speed)]
    lines += _places(model)
    return Content("\n").join(lines)


def here(facts: Facts) -> tuple[DetailRow, ...]:
    """What a model will do on this machine, as far as it is known."""
    rows = []
    if facts.permission is not None:
        words = verdict_words.in_words(facts.permission.outcome, facts.permission.fit)
        rows.append(DetailRow(label=tr("memory"), value=f"{MARKS[facts.permission.fit]} {words}"))
    found = facts.speed
    if found is not None and found.decode_tps is not None:
        rows.append(DetailRow(label=tr("decode"), value=forecast_words.sentence(found.decode_tps)))
    if found is not None and found.prompt_tps is not None:
        rows.append(DetailRow(label=tr("prefill"), value=forecast_words.sentence(found.prompt_tps)))
    return tuple(rows)


def _fits(permission: LoadPermission) -> Content:
    """Whether it fits and how it would be loaded, or why it does not fit."""
    words = verdict_words.in_words(permission.outcome, permission.fit)
    return Content.styled(f"{MARKS[permission.fit]} {words}", COLORS[permission.fit])


def _places(model: LibraryModel) -> list[Content]:
    """Where it lies, with whose that is; of the other places only what is of another store or has another name."""
    first = Content.assemble(_path(model.path), (f" · {title_of(model.source)}", "$foreground-muted"))
    others = [f"{title_of(one.source)} ({one.name})" if one.name else title_of(one.source) for one in model.also]
    also = [one for one in dict.fromkeys(others) if one != title_of(model.source)]
    if not also:
        return [first]
    return [first, Content.styled(clean(tr("also in {places}", places=format.listed(*also))), "$foreground-muted")]


def _path(path: Path) -> Content:
    return Content.styled(clean(format.path(path)), "$foreground-muted")
