"""The input of the main screen: text of one or many lines, sent with a key, with a history of what was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import pairwise
from typing import Protocol

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.actions import SkipAction
from textual.binding import BindingsMap
from textual.document._document import Document, EditResult, Location
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from tui.app.bindings import bind
from tui.app.widgets.border_words import BorderedTextArea
from tui.app.widgets.lines import shorten
from tui.app.widgets.prompt_text import TAB, PromptNavigator, PromptRows, cells, grapheme_after, grapheme_start
from tui.base.text import one_line, pasted
from tui.config.actions import ACTIONS

PASTE_PIECE = 8_000
"""Characters that are laid out at once: some 10 ms, more for Chinese."""


class Completions(Protocol):
    """What the word at the cursor may become."""

    @property
    def is_open(self) -> bool:
        """Something is offered."""

    def move(self, by: int) -> None:
        """Highlight another one."""

    def take(self) -> None:
        """Put the highlighted one in the place of the word."""

    def close(self) -> None:
        """Offer nothing more for this word."""


class PromptMessage(Message):
    """Something that a prompt tells."""

    def __init__(self, prompt: Prompt) -> None:
        super().__init__()
        self.prompt = prompt

    @property
    def control(self) -> Prompt:
        """The prompt."""
        return self.prompt


class Prompt(BorderedTextArea):
    """A text area that grows from one row to about a third of the screen, and then scrolls.

    Its keys are those of the scope "input". Text that comes in is cleaned of what a terminal could take for a command.
    """

    DEFAULT_CSS = """
    Prompt {
        width: 1fr;
        height: auto;
        min-height: 3;
        max-height: 34vh;
        padding: 0 1;
        border: round $border-blurred;
        background: $background;
        overflow-x: hidden;
        scrollbar-size: 0 1;
        scrollbar-gutter: stable;
        .text-area--placeholder { color: $foreground-muted; }
        &:focus { border: round $border; }
        &.-not-ready { border: round $foreground-disabled; color: $foreground-muted; }
    }
    """

    can_send: reactive[bool] = reactive(True)
    """Whether `send` posts `Submitted`; while not, as without a model, typing works and `send` posts `Refused`."""
    is_answered: reactive[bool] = reactive(True)
    """Whether what is sent is answered at once; it looks so. While not, it waits."""
    has_waiting: reactive[bool] = reactive(False, repaint=False)
    """Something that was sent waits; it is taken back before the history is gone through."""

    class Submitted(PromptMessage):
        """The text was sent; the prompt is empty again. `set_text` gives it back where it cannot be used."""

        def __init__(self, prompt: Prompt, text: str) -> None:
            super().__init__(prompt)
            self.text = text

    class Refused(PromptMessage):
        """`send` was asked for while `can_send` is false; the text is still there."""

    class Blank(PromptMessage):
        """`send` was asked for with nothing to send."""

    class Above(Message):
        """An earlier prompt was asked for where there is none, and nothing is written: whatever stands above may have
        the focus."""

    class TakeBack(PromptMessage):
        """What waits is wanted back: the newest of it."""

    class HistoryChanged(PromptMessage):
        """A text was added to the history."""

        def __init__(self, prompt: Prompt, past: tuple[str, ...]) -> None:
            super().__init__(prompt)
            self.past = past
            """Everything that is remembered, oldest first."""

    def __init__(
        self,
        keymap: Mapping[str, tuple[str, ...]],
        *,
        past: Sequence[str] = (),
        history_size: int = 500,
        placeholder: str = "",
        id: str | None = None,
        classes: str | None = None,
    ) -> None:
        """`past` is what was sent before, oldest first; of it and of what is sent now `history_size` are remembered."""
        super().__init__(
            tab_behavior="focus", highlight_cursor_line=False, placeholder=placeholder, id=id, classes=classes
        )
        self.cursor_blink = False
        self.completions: Completions | None = None
        """What is offered for the word at the cursor; whoever offers it sets this."""
        self.as_mentions: Callable[[str], Awaitable[str | None]] | None = None
        """What is to stand in the place of a pasted text that names files; None for one that names none."""
        self.history_size = history_size
        self.past: tuple[str, ...] = ()
        self.set_past(past)
        # Ours first: they pass a key on to the text area's own where they do not apply, as up and down do.
        inherited, self._bindings = self._bindings, BindingsMap()
        bind(self, keymap, "completion", "input")
        self._own_keys = {key for action in ACTIONS if action.scope == "input" for key in keymap.get(action.id, ())}
        self._bindings = BindingsMap.merge([self._bindings, inherited])

    # Text -----------------------------------------------------------------------------------------------------------

    def set_text(self, text: str) -> None:
        """Take this text in place of what is there, the cursor at its end."""
        self.load_text(pasted(text))
        self.move_cursor(self.document.end)

    def insert_text(self, text: str) -> None:
        """Put the text where the cursor is, in place of what is selected, as a paste does."""
        if result := self._replace_via_keyboard(pasted(text), *self.selection):
            self.move_cursor(result.end_location)

    def put_before(self, text: str) -> None:
        """Put this text before what is there, with an empty line between; the cursor stays in its place in that."""
        if not self.text.strip():
            self.set_text(text)
        else:
            self.insert(f"{pasted(text)}\n\n", (0, 0), maintain_selection_offset=True)

    def action_send(self) -> None:
        """Post the text, unless there is nothing but blanks in it."""
        text = self.text
        if not text.strip():
            self.post_message(self.Blank(self))
            return
        if not self.can_send:
            self.post_message(self.Refused(self))
            return
        self._remember(text)
        self.set_text("")
        self.post_message(self.Submitted(self, text))

    def action_newline(self) -> None:
        """Break the line."""
        self._replace_via_keyboard("\n", *self.selection)

    async def _on_key(self, event: events.Key) -> None:
        # A key that is bound here is an action, also where the text area would insert it, as enter.
        if event.key in self._own_keys:
            event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        event.prevent_default()
        event.stop()
        await self.paste(event.text)

    async def paste(self, text: str) -> None:
        """As `insert_text`, and a long one in pieces, so that nothing else has to wait for all of it. One undo takes it
        back."""
        text = pasted(text)
        if self.as_mentions is not None and (named := await self.as_mentions(text)) is not None:
            text = named
        self.insert_text(text[:PASTE_PIECE])
        undo = self.history._undo_stack
        for begin in range(PASTE_PIECE, len(text), PASTE_PIECE):
            await asyncio.sleep(0.001)  # not 0: the loop looks for keys and signals only when it may wait
            self.history.checkpoint()
            self.insert_text(text[begin : begin + PASTE_PIECE])
            if len(undo) > 1:
                last = undo.pop()
                undo[-1].extend(last)

    def watch_can_send(self) -> None:
        """Look ready, or not."""
        self.set_class(not (self.can_send and self.is_answered), "-not-ready")

    watch_is_answered = watch_can_send

    # What is offered ------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of what is offered are there only while something is."""
        if action.startswith("complete"):
            return self.completions is not None and self.completions.is_open
        return super().check_action(action, parameters)

    def action_complete(self) -> None:
        """Take what is highlighted."""
        if self.completions is not None:
            self.completions.take()

    def action_complete_next(self) -> None:
        """Highlight the next one."""
        if self.completions is not None:
            self.completions.move(1)

    def action_complete_previous(self) -> None:
        """Highlight the one before."""
        if self.completions is not None:
            self.completions.move(-1)

    def action_complete_close(self) -> None:
        """Offer nothing more."""
        if self.completions is not None:
            self.completions.close()

    # History --------------------------------------------------------------------------------------------------------

    def set_past(self, past: Sequence[str]) -> None:
        """Take this for the history, oldest first; the text that is being written stays."""
        self.past = tuple(past[-self.history_size :]) if self.history_size else ()
        self._at = len(self.past)
        self._edited: dict[int, str] = {}
        """Texts as they were left, by place in the history; the one after the last is the draft."""

    def action_history_previous(self) -> None:
        """What waits, or the text before, when the cursor is in the first row."""
        if not self.selection.is_empty or not self.navigator.is_first_wrapped_line(self.cursor_location):
            raise SkipAction
        if self.has_waiting:
            self.post_message(self.TakeBack(self))
        elif self._at > 0:
            self._recall(self._at - 1)
            self.move_cursor(self.navigator.get_location_end((0, 0)))
        elif not self.text:
            self.post_message(self.Above())

    def action_history_next(self) -> None:
        """The text after, and at last the draft, when the cursor is in the last row."""
        if not self.selection.is_empty or not self.navigator.is_last_wrapped_line(self.cursor_location):
            raise SkipAction
        if self._at < len(self.past):
            self._recall(self._at + 1)

    def _recall(self, place: int) -> None:
        self._edited[self._at] = self.text
        self._at = place
        self.set_text(self._edited.get(place, self.past[place] if place < len(self.past) else ""))

    def _remember(self, text: str) -> None:
        before = self.past
        self.set_past(before if before[-1:] == (text,) else (*before, text))
        if self.past != before:
            self.post_message(self.HistoryChanged(self, self.past))

    # By grapheme ----------------------------------------------------------------------------------------------------

    def _set_document(self, text: str, language: str | None) -> None:
        self.document = Document(text)
        self.wrapped_document = PromptRows(self.document)
        self.navigator = PromptNavigator(self.wrapped_document)
        self.move_cursor((0, 0))
        self._rewrap_and_refresh_virtual_size()

    @property
    def wrap_width(self) -> int:
        """Cells of a row, without one for a blank at its end and one for the cursor after that."""
        return max(0, super().wrap_width - 1)

    def find_matching_bracket(self, bracket: str, search_from: Location) -> Location | None:
        """None: this is prose, and the search would go through all of it at each move of the cursor."""
        return None

    def get_cursor_word_left_location(self) -> Location:
        """One word to the left."""
        return self._whole(super().get_cursor_word_left_location())

    def get_cursor_word_right_location(self) -> Location:
        """One word to the right."""
        line, _ = location = super().get_cursor_word_right_location()
        whole = self._whole(location)
        return whole if whole == location else (line, grapheme_after(self.document[line], whole[1]))

    def _whole(self, location: Location) -> Location:
        line, column = location
        if line >= self.document.line_count:  # what follows the last line, where that is deleted whole
            return location
        return line, grapheme_start(self.document[line], column)

    def _delete_via_keyboard(self, start: Location, end: Location) -> EditResult | None:
        first, last = sorted((start, end))
        whole = self._whole(last)
        if whole != last:
            last = last[0], grapheme_after(self.document[last[0]], whole[1])
        return super()._delete_via_keyboard(self._whole(first), last)

    # Painting -------------------------------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        """A row with selection and cursor, which covers a whole grapheme."""
        base = self.rich_style
        width = self.scrollable_content_region.width
        rows = self.wrapped_document
        row = y + self.scroll_offset.y
        if self.placeholder and self.document.end == (0, 0):
            return self._placeholder_row(base, width) if row == 0 else Strip.blank(width, base)
        if not isinstance(rows, PromptRows) or row >= rows.height:
            return Strip.blank(width, base)
        line, start, end = rows.row_span(row)
        strip = Strip(self._row_segments(line, start, end, base))
        return strip.adjust_cell_length(width, base)

    def _row_segments(self, line: int, start: int, end: int, base: Style) -> list[Segment]:
        text = self.document[line]
        is_last = end == len(text)
        styles: list[tuple[int, int, Style]] = []
        first, last = sorted(self.selection)
        if first != last and first[0] <= line <= last[0]:
            # Beyond the end of a line that is selected to its end, a blank stands for the line break.
            begin = first[1] if line == first[0] else 0
            stop = last[1] if line == last[0] else len(text) + 1
            styles.append((begin, stop, self.get_component_rich_style("text-area--selection")))
        cursor_line, cursor = self.cursor_location
        if self._draw_cursor and cursor_line == line:
            stop = max(grapheme_after(text, cursor), cursor + 1)
            styles.append((cursor, stop, self.get_component_rich_style("text-area--cursor")))

        shown = text[start:end] + (" " if is_last else "")
        edges = {
            edge - start for begin, stop, _ in styles for edge in (begin, stop) if start < edge < start + len(shown)
        }
        bounds = [0, *sorted(edges), len(shown)]
        segments = []
        for left, right in pairwise(bounds):
            style = base
            for begin, stop, over in styles:
                if begin <= start + left < stop:
                    style += over
            segments.append(Segment(shown[left:right].replace("\t", TAB), style))
        return segments

    def _placeholder_row(self, base: Style, width: int) -> Strip:
        text = shorten(one_line(str(self.placeholder)), width) or " "
        style = base + self.get_component_rich_style("text-area--placeholder")
        split = grapheme_after(text, 0) if self._draw_cursor else 0
        cursor = self.get_component_rich_style("text-area--cursor")
        segments = [Segment(text[:split], style + cursor), Segment(text[split:], style)]
        return Strip(segments, cells(text)).adjust_cell_length(width, base)
