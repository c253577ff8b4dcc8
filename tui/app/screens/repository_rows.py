"""The rows of a repository: its variants, with size, whether they fit, how fast they would be, and what else is known
of them; and what is said of the highlighted one."""

from __future__ import annotations

import msgspec
from textual.content import Content

from tui.app import hub_phrases
from tui.app.markdown.text import width_of
from tui.app.verdict_marks import COLORS, MARKS, STYLES
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import column
from tui.base import format
from tui.base.text import clean
from tui.downloads.records import Download
from tui.hubs.records import RemoteFile, Variant
from tui.measure import forecast_words
from tui.models.library import LibraryModel
from tui.planning import verdict_words
from tui.planning.recommending import Recommendation
from tui.session.finding import Prospect
from tui.words import mark, tr, trn

Row_ = Variant | RemoteFile | str
"""A variant, a projector, or the heading above a group."""

HERE, BEST = "✓", "★"
_GAP = 2
_NAME, _SIZE, _FITS, _SPEED, _NOTE = 12, 9, 25, 12, 15


_SHORT_FITS = 11
"""Cells of "● GPU 49/49": with fewer the mark alone is shown."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a variant."""

    judged: Prospect
    download: Download | None = None
    here: LibraryModel | None = None
    """It is on this machine."""
    best: Recommendation | None = None
    """It is the recommended one."""


class VariantColumns:
    """Which columns a row of `width` cells has room for: sign, name and size always, then whether it fits, the speed,
    the note."""

    def __init__(self, width: int, *, has_speed: bool = True) -> None:
        self._width = width
        free = width - _GAP - _NAME - _GAP - _SIZE
        self._fits = min(_FITS, free - _GAP) if free >= _SHORT_FITS + _GAP else 1
        free -= self._fits + _GAP
        self._speed = _SPEED if has_speed and free >= _SPEED + _GAP else 0
        free -= (_SPEED + _GAP) if self._speed else 0
        self._note = _NOTE if free >= _NOTE + _GAP else 0
        free -= (_NOTE + _GAP) if self._note else 0
        # What is left over makes names longer first, then notes.
        more = min(max(0, free), 16)
        self._name = _NAME + more

    @property
    def header(self) -> Row:
        """The titles."""
        text = " " * _GAP + column(tr("VARIANT"), self._name)
        text += " " * _GAP + column(tr("SIZE"), _SIZE, right=True)
        text += " " * _GAP + column(tr("FITS") if self._fits > 1 else "", self._fits)
        if self._speed:
            text += " " * _GAP + column(tr("SPEED"), self._speed, right=True)
        return ((text, "muted"),)

    def variant(self, known: Known) -> Row:
        """One variant."""
        judged = known.judged
        sign = HERE if _is_here(known) else BEST if known.best else " "
        row: list[tuple[str, str]] = [
            (column(sign, _GAP), "key"),
            (column(judged.variant.label, self._name), "strong" if known.best else ""),
            (" " * _GAP + column(format.size(judged.variant.size_bytes), _SIZE, right=True), "muted"),
        ]
        note = _note(known)
        text, style = _fits(judged)
        if note and not self._note and self._fits > 1 and _is_ordered(known):  # how far it is matters more then
            text, style = note, "key"
        row += [(" " * _GAP, ""), (column(text[: self._fits] if self._fits == 1 else text, self._fits), style)]
        if self._speed:
            text = forecast_words.short(judged.decode) if judged.decode else ""
            row += [(" " * _GAP, ""), (column(text, self._speed, right=True), "muted")]
        if self._note:
            row += [
                (" " * _GAP, ""),
                (column(note, self._note), "key" if known.best or _is_ordered(known) else "muted"),
            ]
        return tuple(row)

    def projector(self, file: RemoteFile) -> Row:
        """A file that goes with a variant: its size stands below theirs where the name leaves it."""
        size = column(format.size(file.size_bytes), _SIZE, right=True)
        n_name = max(self._name + _GAP, min(width_of(file.path), self._width - _GAP - _SIZE))
        return ((column(file.path, n_name), "muted"), (" " * _GAP + size, "muted"))


def _fits(judged: Prospect) -> tuple[str, str]:
    permission = judged.permission
    if permission is None:
        return "…", "muted"
    return f"{MARKS[permission.fit]} {verdict_words.cell(permission.outcome)}", STYLES[permission.fit]


def _is_here(known: Known) -> bool:
    return known.here is not None or (known.download is not None and known.download.state == "done")


def _is_ordered(known: Known) -> bool:
    return known.download is not None and not _is_here(known)


def _note(known: Known) -> str:
    if _is_here(known):
        return tr("on this machine")
    if known.download is not None:
        return hub_phrases.state(known.download)
    return tr("recommended") if known.best else ""


def details(known: Known, room: int | None, bytes_per_s: float) -> Content:
    """What is said of the highlighted variant; `room` is what the disk has free."""
    judged, variant = known.judged, known.judged.variant
    lines = [Content.styled(clean(variant.label), "bold")]
    if permission := judged.permission:
        words = verdict_words.in_words(permission.outcome, permission.fit)
        lines.append(Content.styled(f"{MARKS[permission.fit]} {words}", COLORS[permission.fit]))
    if known.best is not None:
        lines.append(Content(verdict_words.recommended_because(known.best)))
    if judged.decode:
        lines.append(Content(tr("decode {speed}", speed=forecast_words.sentence(judged.decode))))
    if known.here is not None:
        lines.append(Content(clean(tr("On this machine: {path}", path=format.path(known.here.path)))))
    elif known.download is None:
        lines.append(Content(_to_fetch(variant, room, bytes_per_s)))
    else:
        lines.append(Content(hub_phrases.state(known.download)))
        if (problem := known.download.problem) is not None:
            words = hub_phrases.problem(problem, known.download.order.repo)
            lines.append(Content.styled(clean(words), "$text-error"))
    if info := judged.info:
        told = [info.arch, info.experts_label, trn("{n} layer", "{n} layers", info.n_layers)]
        if info.n_ctx_train:
            told.append(trn("trained for {n} token", "trained for {n} tokens", info.n_ctx_train))
        lines.append(Content.styled(clean(" · ".join(told)), "$foreground-muted"))
        if not judged.is_exact:
            lines.append(Content.styled(tr(_BY_SIZE), "$foreground-muted"))
    return Content("\n").join(lines)


_BY_SIZE = mark("Judged by the header of another variant, scaled to this size.")


def _to_fetch(variant: Variant, room: int | None, bytes_per_s: float) -> str:
    told = [tr("{size} to download", size=format.size(variant.size_bytes))]
    if len(variant.files) > 1:
        told.append(trn("{n} file", "{n} files", len(variant.files)))
    told.append(hub_phrases.fetch_time(variant.size_bytes, bytes_per_s))
    if room is not None:
        told.append(tr("{size} free on disk", size=format.size(room)))
    return " · ".join(told)
