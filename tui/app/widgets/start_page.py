"""What stands in the place of an empty conversation: the model, the latest conversations, the first keys; or, without a
model, how to get one. It gets records and words nothing by itself but its headings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

import msgspec
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.app.markdown.text import Run, width_of, wrap
from tui.app.widgets.lines import LineWidget, Row, right, shorten, spread
from tui.base.text import one_line
from tui.words import tr

if TYPE_CHECKING:
    from tui.planning.formula import Fit

MOST_LATEST = 4
"""Conversations that are offered: as many as have a digit to be opened with."""
_MARGIN = 2
_CARD, _GAP, _LATEST = 42, 3, 37
"""Cells of the card, of the blank beside it, and of the conversations."""
_MOST, _COMFORTABLE = 92, 62
"""Cells of the widest page, and of one in which all stands below each other."""
_BOX_FROM = 16
"""Rows from which a card that stands above the conversations has a frame."""

# What a row is worth when the page is too low for all of them: the highest go first, all of one worth together.
_NEEDED, _DETAIL, _BLANK, _KEYS, _EXTRA = range(5)


class ModelCard(msgspec.Struct, frozen=True, kw_only=True):
    """The model that is loaded, or on its way."""

    title: str
    lines: tuple[str, ...] = ()
    """Facts, the most important first."""


class LatestConversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation to go on with."""

    id: str
    title: str
    when: str
    """ "14:02", "yesterday"."""


class KeyOffer(msgspec.Struct, frozen=True, kw_only=True):
    """A key that leads on from here."""

    key: str
    title: str
    action: str
    """As `App.run_action` takes it."""


class SuitedModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model that could be got, and whether it fits this machine."""

    name: str
    quant: str
    size: str
    fit: Fit
    words: str
    """ "GPU 37/37", "no: needs 19 GiB of 12"."""
    is_best: bool = False
    """It is the one that is offered."""


class ModelOffer(msgspec.Struct, frozen=True, kw_only=True):
    """The one model to begin with, and the key that gets it."""

    title: str
    facts: tuple[str, ...]
    """The most important first."""
    key: str
    does: str
    """What the key does."""
    action: str
    """As `App.run_action` takes it, for a click."""


class FirstSteps(msgspec.Struct, frozen=True, kw_only=True):
    """What to do where no model is loaded."""

    offer: ModelOffer | None = None
    trouble: str = ""
    """Why that could not be got."""
    searched: tuple[str, ...] = ()
    """Folders in which no model was found; empty where there are models."""
    advice: tuple[str, ...] = ()
    """Paragraphs."""
    suited: tuple[SuitedModel, ...] = ()
    source: str = ""
    """Where these can be had, below them."""


class StartState(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows."""

    card: ModelCard | None = None
    latest: tuple[LatestConversation, ...] = ()
    offers: tuple[KeyOffer, ...] = ()
    first_steps: FirstSteps | None = None


class _Part(msgspec.Struct, frozen=True):
    """A row, what it is worth, and what a click does: from a cell, up to a cell, the target."""

    worth: int
    row: Row
    targets: tuple[tuple[int, int, LatestConversation | KeyOffer], ...] = ()


class StartPage(LineWidget, can_focus=True):
    """With the focus, digits, or arrows and enter, open a conversation; a click does always."""

    DEFAULT_CSS = """
    StartPage {
        width: 1fr;
        height: 1fr;
        background: $background;
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = set()
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Up", show=False),
        Binding("down", "move(1)", "Down", show=False),
        Binding("enter", "open_latest", "Open", show=False),
        *(Binding(str(n), f"open_latest({n})", "Open", show=False) for n in range(1, MOST_LATEST + 1)),
    ]

    class ConversationChosen(Message):
        """A conversation is to be opened."""

        def __init__(self, conversation_id: str) -> None:
            super().__init__()
            self.conversation_id = conversation_id

    class Left(Message):
        """The reader went on below the last conversation."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.state = StartState()
        self.can_focus = False
        self._at = 0
        """The conversation that enter opens."""
        self._targets: list[tuple[int, int, int, LatestConversation | KeyOffer]] = []
        """Row, first cell, cell behind the last, and what is there."""

    def show(self, state: StartState) -> None:
        """Show this from now on."""
        if state == self.state:
            return
        self.state = state
        self.can_focus = bool(state.latest)
        self._at = min(self._at, max(0, len(state.latest) - 1))
        self.update_rows()

    # What the reader does ---------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A digit that no conversation has is text."""
        if action == "open_latest" and parameters:
            return parameters[0] in range(1, len(self.state.latest) + 1)
        return super().check_action(action, parameters)

    def action_move(self, by: int) -> None:
        """To another conversation; below the last one the page is left."""
        if self._at + by >= len(self.state.latest):
            self.post_message(self.Left())
        else:
            self._at = max(0, self._at + by)
            self.update_rows()

    def action_open_latest(self, number: int = 0) -> None:
        """Open the conversation of this number, or the marked one."""
        latest = self.state.latest
        at = number - 1 if number else self._at
        if at < len(latest):
            self.post_message(self.ConversationChosen(latest[at].id))

    def on_click(self, event: events.Click) -> None:
        """Open the conversation that is there, or do what the key would."""
        for row, start, stop, target in self._targets:
            if event.y == row and start <= event.x < stop:
                event.stop()
                if isinstance(target, LatestConversation):
                    self.post_message(self.ConversationChosen(target.id))
                else:
                    self.app.call_later(self.app.run_action, target.action)
                return

    # Painting ---------------------------------------------------------------------------------------------------------

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The page, a little above the middle, without what a low screen has no room for."""
        room = max(1, min(width - 2 * _MARGIN, _MOST))
        parts, block = self._parts(room, height)
        for worth in (_EXTRA, _BLANK, _KEYS, _DETAIL):
            if len(parts) > height:
                parts = [part for part in parts if part.worth != worth]
        above = max(0, (height - len(parts)) * 2 // 5)
        indent = max(0, (width - block) // 2)
        self._targets = [
            (above + y, indent + start, indent + stop, target)
            for y, part in enumerate(parts)
            for start, stop, target in part.targets
        ]
        blank: Run = (" " * indent, "")
        return [*([()] * above), *((blank, *part.row) for part in parts)]

    def _parts(self, room: int, height: int) -> tuple[list[_Part], int]:
        """The rows, and the cells that they have."""
        state = self.state
        parts = [_Part(_EXTRA, (("llmtui", "title"),)), _Part(_BLANK, ())]
        if state.first_steps is not None:
            block = room
            parts += _first_steps(state.first_steps, block)
            if state.latest:
                parts += [_Part(_BLANK, ()), *self._latest(min(block, _MOST))]
        elif state.card is not None and state.latest and room >= _CARD + _GAP + _LATEST:
            block = _CARD + _GAP + _LATEST
            parts += _beside(list(_box(state.card, _CARD)), list(self._latest(_LATEST)))
        else:
            block = min(room, _COMFORTABLE)
            if state.card is not None:
                parts += _box(state.card, block) if height >= _BOX_FROM else _plain(state.card, block)
            if state.latest:
                parts += [*([_Part(_BLANK, ())] if state.card is not None else []), *self._latest(block)]
        return [*parts, _Part(_BLANK, ()), *_offers(state.offers, block)], block

    def _latest(self, width: int) -> Iterator[_Part]:
        yield _Part(
            _DETAIL,
            spread(((tr("Continue"), "title"),), ((tr("↑ then 1 to {n}", n=len(self.state.latest)), "muted"),), width),
        )
        for number, one in enumerate(self.state.latest, start=1):
            is_marked = self.has_focus and number - 1 == self._at
            label = f"{'▶' if is_marked else ' '} {number}  "
            title = shorten(one_line(one.title), width - width_of(label) - width_of(one.when) - 2)
            left = ((label, "key"), (title, "strong" if is_marked else ""))
            yield _Part(_NEEDED, spread(left, ((one.when, "muted"),), width), ((0, width, one),))


def _box(card: ModelCard, width: int) -> Iterator[_Part]:
    """The card in a frame that has its title."""
    inside = width - 4
    title = f" {shorten(one_line(card.title), inside - 1)} "
    line = "─" * (width - 3 - width_of(title))
    yield _Part(_NEEDED, (("╭─", "faint"), (title, "strong"), (f"{line}╮", "faint")))
    for text in card.lines:
        text = shorten(one_line(text), inside)
        yield _Part(_DETAIL, (("│ ", "faint"), (text + " " * (inside - width_of(text)), ""), (" │", "faint")))
    yield _Part(_DETAIL, ((f"╰{'─' * (width - 2)}╯", "faint"),))


def _plain(card: ModelCard, width: int) -> Iterator[_Part]:
    yield _Part(_NEEDED, ((shorten(one_line(card.title), width), "strong"),))
    for text in card.lines:
        yield _Part(_DETAIL, ((shorten(one_line(text), width), "muted"),))


def _beside(left: list[_Part], right_: list[_Part]) -> Iterator[_Part]:
    """Both next to each other, from the same row on."""
    for y in range(max(len(left), len(right_))):
        row: Row = left[y].row if y < len(left) else ()
        used = sum(width_of(text) for text, _ in row)
        targets: tuple[tuple[int, int, LatestConversation | KeyOffer], ...] = ()
        if y < len(right_):
            row = (*row, (" " * (_CARD + _GAP - used), ""), *right_[y].row)
            targets = tuple((_CARD + _GAP + a, _CARD + _GAP + b, target) for a, b, target in right_[y].targets)
        yield _Part(_NEEDED, row, targets)


def _offers(offers: tuple[KeyOffer, ...], width: int) -> Iterator[_Part]:
    """One after the other, in as many rows as that takes."""
    row: list[Run] = []
    targets: list[tuple[int, int, LatestConversation | KeyOffer]] = []
    x = 0
    for offer in offers:
        title = shorten(one_line(offer.title), width - width_of(offer.key) - 1)
        cells = width_of(offer.key) + 1 + width_of(title)
        if row and x + 3 + cells > width:
            yield _Part(_KEYS, tuple(row), tuple(targets))
            row, targets, x = [], [], 0
        if row:
            row.append(("   ", ""))
            x += 3
        row += [(offer.key, "key"), (f" {title}", "")]
        targets.append((x, x + cells, offer))
        x += cells
    yield _Part(_KEYS, tuple(row), tuple(targets))


def _offer(offer: ModelOffer, width: int) -> Iterator[_Part]:
    yield _Part(_NEEDED, ((shorten(one_line(offer.title), width), "strong"),))
    told = list(offer.facts)
    while len(told) > 1 and sum(width_of(text) + 3 for text in told) - 3 > width:
        told.pop()
    yield _Part(_DETAIL, ((shorten(" · ".join(told), width), ""),))
    key = KeyOffer(key=offer.key, title=offer.does, action=offer.action)
    cells = width_of(key.key) + 1 + width_of(key.title)
    yield _Part(_NEEDED, ((key.key, "key"), (f" {key.title}", "")), ((0, cells, key),))


def _first_steps(steps: FirstSteps, width: int) -> Iterator[_Part]:
    if steps.offer is not None:
        yield from _offer(steps.offer, width)
    for start, end in wrap(steps.trouble, width) if steps.trouble else ():
        yield _Part(_NEEDED, ((steps.trouble[start:end], "tight"),))
    if steps.offer is not None or steps.trouble:
        yield _Part(_BLANK, ())
    if steps.searched:
        yield _Part(_NEEDED, ((shorten(tr("No models were found in:"), width), "strong"),))
        for n, place in enumerate(steps.searched):
            yield _Part(_DETAIL if n else _NEEDED, ((shorten(f"  {one_line(place)}", width), "muted"),))
        yield _Part(_BLANK, ())
    for n, paragraph in enumerate(steps.advice):
        for start, end in wrap(paragraph, width):
            yield _Part(_DETAIL if n else _NEEDED, ((paragraph[start:end], ""),))
    if steps.suited:
        yield _Part(_BLANK, ())
        yield from _table(steps.suited, width)
    if steps.source:
        for start, end in wrap(steps.source, width):
            yield _Part(_EXTRA, ((steps.source[start:end], "muted"),))


def _table(models: tuple[SuitedModel, ...], width: int) -> Iterator[_Part]:
    """Name, quantization, size, and whether it fits; columns go from the middle on a narrow page."""
    from tui.app.verdict_marks import MARKS, STYLES

    heads = tr("FOR THIS MACHINE"), tr("QUANT"), tr("SIZE")
    names, quants, sizes = (
        max(map(width_of, (head, *texts)))
        for head, texts in zip(
            heads,
            ([one.name for one in models], [one.quant for one in models], [one.size for one in models]),
            strict=True,
        )
    )
    has_quant, has_size = width >= names + quants + sizes + 26, width >= names + sizes + 14

    def line(name: str, quant: str, size: str) -> str:
        text = name + " " * (names - width_of(name))
        text += f"  {quant}{' ' * (quants - width_of(quant))}" if has_quant else ""
        return text + (f"  {right(size, sizes)}" if has_size else "")

    used = names + (quants + 2) * has_quant + (sizes + 2) * has_size
    yield _Part(_DETAIL, ((line(*heads), "muted"), (f"  {shorten(tr('FITS'), width - used - 2)}", "muted")))
    for one in models:
        words = shorten(f"{MARKS[one.fit]} {one.words}", width - used - 2)
        style = "strong" if one.is_best else ""
        yield _Part(_DETAIL, ((line(one.name, one.quant, one.size), style), (f"  {words}", STYLES[one.fit])))
