"""What the picker's table and its details say about each entry: columns that give way in narrow terminals, and the
facts from the file's header."""

from __future__ import annotations

from pathlib import Path

import msgspec
from textual.content import Content

from tui.app.verdict_marks import COLORS, MARKS
from tui.app.widgets.row_list import column
from tui.base import format
from tui.base.text import clean
from tui.models.library import BrokenFile, LibraryModel, OtherFile
from tui.planning import verdict_words
from tui.planning.guardrail import LoadPermission
from tui.words import mark, tr, trn

_GAP = 2
_MIN_NAME = 20
_FIGURES = (
    ("size", mark("SIZE"), 9),
    ("quant", mark("QUANT"), 7),
    ("params", mark("PARAMS"), 13),
    ("ctx", mark("CTX"), 5),
)
"""Key, title and cells, what is dropped last first."""
_ORDER = ("params", "quant", "size", "ctx")
_SHORT_FITS, _LONG_FITS = 13, 25

_SOURCES = {"folder": mark("model folder"), "huggingface": mark("Hugging Face cache"), "lmstudio": "LM Studio"}


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The line above a group."""

    title: str


class GivenPath(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was named in the filter."""

    path: Path


Entry = LibraryModel | OtherFile | BrokenFile | Heading | GivenPath


class TableColumns:
    """Which columns a row of `width` cells has room for. The name gets what is left, and "fits" is always there."""

    def __init__(self, width: int) -> None:
        self.n_fits = _SHORT_FITS if width >= _MIN_NAME + _GAP + _SHORT_FITS else 1
        self.n_name = width - _GAP - self.n_fits
        shown = set()
        for key, _, cells in _FIGURES:
            if self.n_name - cells - _GAP < _MIN_NAME:
                break
            shown.add(key)
            self.n_name -= cells + _GAP
        more = _LONG_FITS - _SHORT_FITS
        if len(shown) == len(_FIGURES) and self.n_name - more >= _MIN_NAME + 6:
            self.n_fits, self.n_name = _LONG_FITS, self.n_name - more
        cells_of = {key: (title, cells) for key, title, cells in _FIGURES}
        self._shown = [(key, *cells_of[key]) for key in _ORDER if key in shown]

    @property
    def header(self) -> str:
        """The titles."""
        titles = {key: tr(title) for key, title, _ in self._shown}
        fits = tr("FITS") if self.n_fits > 1 else ""
        return column(tr("NAME"), self.n_name) + self._join(titles) + " " * _GAP + fits

    def name(self, model: LibraryModel) -> str:
        """The first column."""
        return column(model.info.name, self.n_name)

    def fits(self, permission: LoadPermission | None) -> str:
        """The last column: the mark, and as many words as there is room for; "…" while it is not known yet."""
        if permission is None:
            return column("…", self.n_fits)
        mark = MARKS[permission.fit]
        if self.n_fits == 1:
            return mark
        words = verdict_words.cell if self.n_fits == _LONG_FITS else verdict_words.short_cell
        return column(f"{mark} {words(permission.outcome)}", self.n_fits)

    def figures(self, model: LibraryModel) -> str:
        """The columns between name and fits."""
        info = model.info
        texts = {"params": info.params_label, "quant": info.quant, "size": format.size(info.size_bytes)}
        return self._join({**texts, "ctx": format.tokens(info.n_ctx_train) if info.n_ctx_train else "–"})

    def _join(self, texts: dict[str, str]) -> str:
        return "".join(
            " " * _GAP + column(texts[key], cells, right=key in ("size", "ctx")) for key, _, cells in self._shown
        )


def haystack(entry: LibraryModel | OtherFile | BrokenFile) -> str:
    """What the filter looks at, in small letters."""
    if isinstance(entry, LibraryModel):
        info = entry.info
        return f"{info.name} {info.arch} {info.quant} {info.size_label} {entry.path}".casefold()
    return f"{entry.path} {entry.reason}".casefold()


def details(entry: Entry, permission: LoadPermission | None) -> Content:
    """The facts about the highlighted entry, for a few lines below the table or a column beside it."""
    match entry:
        case LibraryModel():
            return _model_details(entry, permission)
        case GivenPath(path=path):
            return Content.assemble((tr("Load this file: "), "bold"), clean(str(path)))
        case OtherFile() | BrokenFile():
            bad = COLORS["no"] if isinstance(entry, BrokenFile) else ""
            return Content.assemble(
                (clean(entry.path.name), "bold"), "\n", (clean(entry.reason), bad), "\n", _path(entry.path)
            )
        case Heading():
            return Content("")


def _model_details(model: LibraryModel, permission: LoadPermission | None) -> Content:
    info = model.info
    shape = [info.arch, info.experts_label, trn("{n} layer", "{n} layers", info.n_layers)]
    if info.n_head_kv:
        shape.append(trn("{n} head, {n_kv} KV", "{n} heads, {n_kv} KV", info.n_head, n_kv=info.n_head_kv))
    elif info.n_head:
        shape.append(trn("{n} head", "{n} heads", info.n_head))
    facts = [info.quant, format.size(info.size_bytes)]
    if len(model.paths) > 1:
        facts.append(trn("{n} file", "{n} files", len(model.paths)))
    if info.n_ctx_train:
        facts.append(trn("trained for {n} token", "trained for {n} tokens", info.n_ctx_train))
    facts.append(tr("chat template") if info.has_chat_template else tr("no chat template: ChatML is used"))
    lines: list[Content] = [
        Content.styled(clean(info.name), "bold"),
        Content(clean(" · ".join(shape))),
        Content(clean(" · ".join(facts))),
    ]
    lines.append(_fits(permission) if permission else Content("…"))
    lines.append(Content.assemble(_path(model.path), (f" · {tr(_SOURCES[model.source])}", "$foreground-muted")))
    return Content("\n").join(lines)


def _fits(permission: LoadPermission) -> Content:
    """Where it would lie, or why it does not fit."""
    words = verdict_words.sentence if permission.fit == "no" else verdict_words.cell
    return Content.styled(f"{MARKS[permission.fit]} {words(permission.outcome)}", COLORS[permission.fit])


def _path(path: Path) -> Content:
    return Content.styled(clean(format.path(path)), "$foreground-muted")
