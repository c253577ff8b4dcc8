"""The rows of "Find models": what suits this machine, and what the hubs have; columns give way in narrow terminals."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

import msgspec
from textual.content import Content

from tui.app.markdown.text import Run, width_of
from tui.app.moments import when
from tui.app.verdict_marks import COLORS, MARKS, STYLES
from tui.app.widgets.lines import Row
from tui.app.widgets.row_list import column
from tui.app.widgets.table_columns import GAP, TableColumn, title_cell
from tui.base import format
from tui.base.text import clean
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import FoundRepo
from tui.hubs.reference import Reference
from tui.measure import forecast_words
from tui.measure.forecast import Range
from tui.planning import verdict_words
from tui.planning.now import MemoryNow
from tui.planning.recommending import active_params, would_fit
from tui.planning.suggestions import Suggestion
from tui.words import mark, tr, trn

_MIN_NAME = 20
"""Names of repositories tell the most; licence and popularity are said of the highlighted one too."""
_QUANT = 7


class Heading(msgspec.Struct, frozen=True, kw_only=True):
    """The line above a group."""

    title: str
    is_suited: bool = False
    """The group is of those that are `Suited`, which have columns of their own."""
    has_speed: bool = False
    """Of some of these it is known how fast they would be."""


class Suited(msgspec.Struct, frozen=True, kw_only=True):
    """A model that is known to suit, or not to suit, this machine."""

    suggestion: Suggestion
    decode: Range | None = None
    """How fast it would write here; None when there is no telling."""
    is_best: bool = False


Entry = Heading | Suited | FoundRepo | Reference


_COLUMNS = (
    TableColumn(key="author", title=mark("AUTHOR"), cells=18, worth=5, right=False),
    TableColumn(key="params", title=mark("PARAMS"), cells=13, worth=6),
    TableColumn(key="downloads", title=mark("DOWNLOADS"), cells=11, worth=4),
    TableColumn(key="likes", title=mark("LIKES"), cells=7, worth=2),
    TableColumn(key="updated", title=mark("UPDATED"), cells=10, worth=3, right=False),
    TableColumn(key="licence", title=mark("LICENCE"), cells=12, worth=1, right=False),
)


class FindColumns:
    """Which columns a row of `width` cells has room for; the name gets what is left."""

    def __init__(self, width: int, sort: str) -> None:
        self._sort = sort
        self._n_name = width - GAP
        shown = set()
        for one in sorted(_COLUMNS, key=lambda one: -one.worth):
            if self._n_name - one.cells - GAP < _MIN_NAME:
                break
            shown.add(one.key)
            self._n_name -= one.cells + GAP
        self._shown = [one for one in _COLUMNS if one.key in shown]

    @property
    def header(self) -> Row:
        """The titles, and an arrow at that of the column that the hubs sort by."""
        row = [(" " * GAP, ""), title_cell(mark("NAME"), self._n_name, right=False)]
        for one in self._shown:
            arrow = "↓" if one.key == self._sort else ""
            row += [(" " * GAP, ""), title_cell(one.title, one.cells, right=one.right, arrow=arrow)]
        return tuple(row)

    def heading(self, one: Heading) -> Row:
        """The line above a group, with the titles of its columns where these are not those of the header."""
        told = {"author": _quant_and_size(tr("QUANT"), tr("SIZE"))} if one.is_suited else {}
        if one.has_speed:
            told["downloads"] = tr("SPEED")
        row = [(column(f"── {one.title} ──", GAP + self._n_name), "muted")]
        return (*row, *self._cells(told))

    def found(self, repo: FoundRepo, memory: MemoryNow, now: datetime) -> Row:
        """A repository: a mark that says whether it would fit in about four bits, its name, its figures."""
        sign, style = " ", ""
        if repo.n_params:
            fit = would_fit(repo.n_params, memory)
            sign, style = MARKS[fit], STYLES[fit]
        row = [(column(sign, GAP), style), (column(short_name(repo.id.name), self._n_name), "")]
        return (*row, *self._cells({one.key: _cell(one.key, repo, now) for one in self._shown}))

    def suited(self, one: Suited) -> Row:
        """A suggestion: what it would be here stands where the others have author and popularity."""
        info, permission = one.suggestion.info, one.suggestion.permission
        row = [
            (column(MARKS[permission.fit], GAP), STYLES[permission.fit]),
            (column(info.name, self._n_name), "strong" if one.is_best else ""),
        ]
        told = {
            "params": info.params_label,
            "author": _quant_and_size(info.quant, format.size(info.size_bytes)),
        }
        if one.decode is not None:
            told["downloads"] = forecast_words.short(one.decode)
        return (*row, *self._cells(told))

    def _cells(self, told: Mapping[str, str]) -> Iterator[Run]:
        """All columns but the name."""
        for one in self._shown:
            yield " " * GAP, ""
            text = told.get(one.key, "")
            yield text if width_of(text) == one.cells else column(text, one.cells, right=one.right), "muted"


def _quant_and_size(quant: str, size: str) -> str:
    """As wide as the column of authors."""
    return f"{column(quant, _QUANT)}{column(size, _COLUMNS[0].cells - _QUANT, right=True)}"


def short_name(name: str) -> str:
    """A repository without its author: that has a column of its own."""
    return name.rpartition("/")[2]


def _cell(key: str, repo: FoundRepo, now: datetime) -> str:
    match key:
        case "author":
            return repo.id.author
        case "params" if repo.n_params:
            return format.n_params(repo.n_params, active_params(repo.id.name, repo.n_params))
        case "downloads" if repo.n_downloads is not None:
            return format.params(repo.n_downloads)
        case "likes" if repo.n_likes is not None:
            return format.params(repo.n_likes)
        case "updated" if repo.updated_at:
            return when(repo.updated_at, now)
        case "licence":
            return f"{tr('gated')} {repo.licence}" if repo.is_gated else repo.licence
        case _:
            return ""


def details(entry: Entry | None, memory: MemoryNow, now: datetime) -> Content:
    """What is known of the highlighted entry."""
    match entry:
        case Suited(suggestion=suggestion, decode=speed, is_best=is_best):
            info, permission = suggestion.info, suggestion.permission
            words = verdict_words.in_words(permission.outcome, permission.fit)
            lines = [
                Content.styled(f"Qwen/{info.name}-GGUF", "bold"),
                Content.styled(f"{MARKS[permission.fit]} {words}", COLORS[permission.fit]),
            ]
            if speed:
                lines.append(Content(tr("decode {speed}", speed=forecast_words.sentence(speed))))
            if is_best and speed:
                lines.append(Content(tr("The largest of these that fits and is fast enough on this machine.")))
            elif is_best:
                lines.append(Content(tr("The largest of these that fits and reads little for each token.")))
            return Content("\n").join(lines)
        case FoundRepo() as repo:
            hubs = tr(", ").join(HUBS[hub].title for hub in (repo.id.hub, *repo.also_on))
            told = [hubs]
            if repo.n_downloads is not None:
                told.append(trn("{n} download", "{n} downloads", repo.n_downloads))
            if repo.n_likes is not None:
                told.append(trn("{n} like", "{n} likes", repo.n_likes))
            if repo.updated_at:
                told.append(tr("updated {when}", when=when(repo.updated_at, now)))
            lines = [Content.styled(clean(repo.id.name), "bold"), Content(" · ".join(told))]
            if repo.n_params:
                fit = would_fit(repo.n_params, memory)
                lines.append(Content.styled(f"{MARKS[fit]} {tr(_WOULD[fit])}", COLORS[fit]))
            if repo.licence:
                lines.append(Content(clean(tr("Licence: {licence}", licence=repo.licence))))
            if repo.is_gated:
                lines.append(Content(tr("Gated: accept its terms on its page before you download it.")))
            return Content("\n").join(lines)
        case Reference(name=name, label=label):
            return Content(clean(f"{name}:{label}" if label else name))
        case _:
            return Content("")


_WOULD = {
    "fits": mark("would fit in about 4 bits a weight"),
    "tight": mark("would fit only tightly in about 4 bits a weight"),
    "no": mark("would not fit, even in about 4 bits a weight"),
}
