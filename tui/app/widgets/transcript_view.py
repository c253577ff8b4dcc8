"""The scrolling and painting half of the transcript: which rows of a document are on the screen, following its end,
repainting no more than what changed, and selecting text with the mouse.

Setting `virtual_size` the ordinary way costs a layout of the whole screen (3 to 6 ms in a PTY of 120x40), and Textual's
scrollbar repaints its column at each change and makes the compositor cut every row in two. So the virtual size is set
without layout, and the scrollbar is drawn as the last column of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from tui.app.markdown.text import Line, Run
from tui.app.widgets.direct_paint import DirectPaint, RowPainter
from tui.app.widgets.transcript_document import Document
from tui.app.widgets.transcript_entries import Entry
from tui.app.widgets.transcript_paint import CompactStrip, Palette
from tui.app.widgets.transcript_search import TextSearch, light

MARGIN = 2
"""Cells at the left for the mark of the selected message; as many are left free at the right, bar included."""
REPAINT_SHARE = 10
"""Characters that repainting after a jump may send for each character of new text."""
STRIPS_KEPT = 8
"""Views of rows that are remembered as they were painted."""

STYLE_NAMES = (
    "strong", "em", "strike", "code", "link", "url", "quote", "quote.bar", "marker", "rule", "verbatim", "table.line",
    "h1", "h2", "h3", "h4", "fence", "code.label", "code.copy", "code.comment", "code.keyword", "code.string",
    "code.number", "code.name", "code.type", "user", "user.label", "user.text", "answer.label", "thinking",
    "thinking.bar", "thinking.label", "progress", "footer", "notice.dim", "notice.info", "notice.warning",
    "notice.error", "key", "mark", "bar", "thumb", "replaced", "found", "found.now",
)  # fmt: skip


def component(name: str) -> str:
    """The component class that gives a style name its colours."""
    return f"transcript--{name.replace('.', '-')}"


_FAINT = {
    component(name)
    for name in ("url", "footer", "progress", "notice.dim", "thinking", "thinking.label", "quote", "code.label",
                 "code.copy", "code.comment", "table.line", "rule", "thinking.bar", "bar", "replaced")
}  # fmt: skip


class TranscriptView(DirectPaint, ScrollView):
    """A document on the screen. Give it no border and no padding: its rows are painted from edge to edge."""

    ALLOW_SELECT = True
    COMPONENT_CLASSES: ClassVar[set[str]] = {component(name) for name in STYLE_NAMES}
    DEFAULT_CSS = """
    TranscriptView {
        width: 1fr;
        height: 1fr;
        overflow: hidden hidden;
        .transcript--strong, .transcript--key { text-style: bold; }
        .transcript--em { text-style: italic; }
        .transcript--strike { text-style: strike; }
        .transcript--code { color: $text-accent; }
        .transcript--link { text-style: underline; }
        .transcript--url, .transcript--footer, .transcript--progress, .transcript--notice-dim,
        .transcript--thinking, .transcript--thinking-label, .transcript--quote, .transcript--code-label,
        .transcript--code-copy, .transcript--code-comment, .transcript--replaced { color: $foreground-muted; }
        .transcript--table-line, .transcript--rule, .transcript--thinking-bar, .transcript--bar {
            color: $foreground-disabled;
        }
        .transcript--thumb { color: $foreground-muted; }
        .transcript--quote-bar, .transcript--marker, .transcript--mark { color: $text-primary; }
        .transcript--key { color: $footer-key-foreground; }
        .transcript--h1 { color: $text-primary; text-style: bold underline; }
        .transcript--h2 { color: $text-primary; text-style: bold; }
        .transcript--h3 { text-style: bold; }
        .transcript--h4 { text-style: bold italic; }
        .transcript--fence { background: $surface; }
        .transcript--code-keyword { color: $text-accent; text-style: bold; }
        .transcript--code-string { color: $text-success; }
        .transcript--code-number { color: $text-warning; }
        .transcript--code-name { color: $text-primary; }
        .transcript--code-type { color: $text-secondary; }
        .transcript--found { background: $primary-muted; }
        .transcript--found-now { background: $foreground; color: $background; text-style: bold; }
        .transcript--user { background: $foreground 5%; }
        .transcript--user-label, .transcript--answer-label { text-style: bold; }
        .transcript--user-label { color: $text-secondary; }
        .transcript--answer-label { color: $text-primary; }
        .transcript--notice-info { color: $text-primary; }
        .transcript--notice-warning { color: $text-warning; }
        .transcript--notice-error { color: $text-error; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("end,ctrl+end", "scroll_end", "Follow the end", show=False),
    ]

    following: reactive[bool] = reactive(True, repaint=False, init=False)
    """The view stays at the end of the text; scrolling up ends it, reaching the end begins it again."""
    has_new_text: reactive[bool] = reactive(False, repaint=False, init=False)
    """Text has come below the view since the reader scrolled away."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.document = Document()
        self._strips: dict[int, tuple[Line, Strip]] = {}
        """Lines by their rows in the document, and how they look: most of a view is there again after scrolling."""
        self._strips_for: tuple[Palette, int] | None = None
        self._marked = -1
        """Index of the entry with the mark of selection."""
        self._moving = False
        """The scroll position is being set by the view, which lays out by itself."""
        self._is_read = False
        """The scroll position is being set by the reader. Textual sets it too, when the size changes: that neither ends
        following nor begins it."""
        self._grabbed = False
        self.search: TextSearch | None = None
        """What is looked for, and lit where it is in view."""
        self._jump = 4
        """Rows to scroll at once when the text reaches the bottom."""

    # Scrolling ------------------------------------------------------------------------------------------------------

    @property
    def allow_vertical_scroll(self) -> bool:
        """Always: the bar is drawn here, so Textual's own, hidden, says nothing about it."""
        return True

    def _scroll_to(self, x: float | None = None, y: float | None = None, **options: Any) -> bool:
        before = self.scroll_y
        self._is_read = True
        try:
            scrolled = super()._scroll_to(x, y, **{**options, "animate": False})
        finally:
            self._is_read = False
        # Below the text there is nothing to scroll to, yet going there means to follow it.
        if y is not None and y > before and y + self.size.height >= self.document.height:
            self.following = True
        return scrolled

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Follow or let go, and lay out what comes into view."""
        if self._is_read:
            at_end = new_value + self.size.height >= self.document.height
            self.following = at_end and new_value > old_value
        if not self._moving:
            self._lay_out_view()
        if round(old_value) != round(self.scroll_y):
            self.repaint_rows()

    def watch_following(self, following: bool) -> None:
        """At the end there is nothing new below."""
        if following:
            self.has_new_text = False

    def scroll_end(self, **_options: object) -> None:
        """Go to the end and follow it again."""
        self.follow()

    def action_scroll_end(self) -> None:
        """Go to the end and follow it again."""
        self.follow()

    def follow(self) -> None:
        """Go to the end of the text and stay there."""
        self.following = True
        self._lay_out_view()
        self.repaint_rows()

    def _set_scroll(self, y: int) -> None:
        """Put row `y` at the top, past the last full view if need be. Nothing is laid out or animated."""
        y = max(0, y)
        size = self.area.size
        virtual = Size(size.width, max(self.document.height, y + size.height))
        if virtual != self.virtual_size:
            self.set_reactive(Widget.virtual_size, virtual)
        if y != round(self.scroll_y):
            self._moving = True
            try:
                self.scroll_target_y = self.scroll_y = y
            finally:
                self._moving = False

    def _lay_out_view(self) -> None:
        """Lay out the entries in view and keep what the reader looks at in its place while heights become known."""
        document = self.document
        height = self.size.height
        if not height:
            return
        if self.following:
            index, rows = len(document.entries) - 1, 0
            while index >= 0 and rows < height:
                document.lay_out(index)
                rows += document.entries[index].height
                index -= 1
            self._set_scroll(document.height - height)
            return
        y = round(self.scroll_y)
        while True:
            index = document.at(y)
            while 0 <= index < len(document.entries) and document.is_laid_out(index):
                index += 1
            if not 0 <= index < len(document.entries) or document.start(index) >= y + height:
                break
            top = document.start(index)
            change = document.lay_out(index)
            if top < y:
                y = max(0, y + change)
        self._set_scroll(min(y, max(0, document.height - height)))

    def entry_changed(self, index: int, first: int, *, is_new: bool = True) -> None:
        """Rows of an entry from `first` on are not what they were: repaint those in view, and follow the end. `is_new`
        is False when the rows that were added are no news."""
        document = self.document
        start = document.start(index)
        before = document.start(index + 1)
        change = document.measure(index)
        y, height = round(self.scroll_y), self.area.height
        if not height:
            return
        if change and before <= y and not self.following:
            self._set_scroll(y + change)
            return
        stop = document.height + abs(change) if change else before
        if is_new and not self.following and change > 0 and document.height > y + height:
            self.has_new_text = True
        blank = y + height - document.height
        if self.following and (blank < 0 or (blank > max(self._jump, height // 3) and y > 0)):
            self._set_scroll(document.height - height + (self._jump - 1 if blank < 0 else 0))
            self._set_pace()
            return
        self._set_scroll(y)
        self.repaint_rows(start + first - y, stop - y)

    def _set_pace(self) -> None:
        """Decide how many rows to scroll at once: a repaint of the view sends so many bytes for each character of its
        text, and the more they are (colours of code, Chinese), the more new rows should share the next repaint."""
        top, height = round(self.scroll_y), self.size.height
        text = sum(len(self.document.line(row)[2].text) for row in range(top, top + height))
        wanted = height * self.painted_chars / (REPAINT_SHARE * max(1, text))
        if not self.painted_chars:
            wanted = height / 5
        self._jump = max(2, min(round(wanted), height // 3))

    def reset_view(self) -> None:
        """The document is another one: show its end."""
        self.has_new_text = False
        self.follow()

    def on_resize(self, event: events.Resize) -> None:
        """Lay out again for the new width, keeping the entry at the top of the view there."""
        width = max(1, self.size.width - 2 * MARGIN)
        if width != self.document.width:
            self._lay_out_all(width)
        self._lay_out_view()
        self.refresh()

    def forget_strips(self) -> None:
        """Rows look otherwise now, though their lines are the same."""
        self._strips = {}

    def lay_out_again(self) -> None:
        """All entries have other lines now. The entry at the top of the view stays there."""
        self.forget_strips()
        self._lay_out_all(self.document.width)
        self._lay_out_view()
        self.refresh()

    def _lay_out_all(self, width: int) -> None:
        y = round(self.scroll_y)
        index = self.document.at(y)
        inside = y - self.document.start(index) if index >= 0 else 0
        self.document.resize(width)
        if index >= 0 and not self.following:
            self.document.lay_out(index)
            inside = min(inside, self.document.entries[index].height - 1)
            self._set_scroll(self.document.start(index) + inside)

    # Painting -------------------------------------------------------------------------------------------------------

    def named_styles(self) -> dict[str, Style]:
        """The theme's styles for the names of lines."""
        named = {name: self._named_style(component(name)) for name in STYLE_NAMES}
        selection = self.screen.get_component_rich_style("screen--selection")
        named["selection"] = Style(reverse=True) if self.has_few_colors else selection
        if self.has_few_colors:
            named["found"], named["found.now"] = Style(underline=True, bold=True), Style(reverse=True, bold=True)
        return named

    def _named_style(self, name: str) -> Style:
        styles = self.get_component_styles(name)
        full = self.get_component_rich_style(name)
        # Of the terminal's own colours none lies between two others: dim stands for a faint one.
        faint = name in _FAINT and self.app.native_ansi_color
        return Style(
            color=full.color if styles.has_rule("color") and not faint else None,
            bgcolor=full.bgcolor if styles.has_rule("background") and styles.background != Color(0, 0, 0, 0) else None,
            bold=full.bold or None,
            italic=full.italic or None,
            underline=full.underline or None,
            strike=full.strike or None,
            dim=faint or None,
        )

    def render_line(self, y: int) -> Strip:
        """A row with the positions of its characters, which Textual asks for where the mouse is."""
        return self.paint_row(y).apply_offsets(-MARGIN, round(self.scroll_y) + y)

    def row_painter(self, size: Size) -> RowPainter:
        """Rows of the view: margin, line, what can be done with a message, and scrollbar."""
        width, height = size
        top = round(self.scroll_y)
        selection, palette, marked = self.text_selection, self.palette, self._marked
        tails, entries = self.tails(), self.document.entries
        bar = self._bar(height, palette)
        if self._strips_for != (palette, width) or len(self._strips) > STRIPS_KEPT * height:
            self._strips_for, self._strips = (palette, width), {}
        made, search = self._strips, self.search

        def paint(y: int) -> Strip:
            row = top + y
            index, local, line = self.document.line(row)
            if search is not None and index >= 0:
                line = _lit(line, local, entries[index], search)
            span = selection.get_span(row) if selection is not None else None
            is_marked = index >= 0 and index == marked
            strip: Strip | None
            if span is not None or is_marked or row in tails:
                span = span and (max(0, span[0]), span[1])
                shown = _replaced(line) if index >= 0 and entries[index].is_replaced else line
                margin = "▌ " if is_marked else "  "
                strip = palette.strip(shown, width - 1, margin, "mark", span, tails.get(row, ()))
            else:
                known, strip = made.get(row, (None, None))
                if known is not line or strip is None:
                    shown = _replaced(line) if index >= 0 and entries[index].is_replaced else line
                    strip = palette.strip(shown, width - 1, "  ", "mark", None)
                    made[row] = line, strip
            return CompactStrip([*strip, bar(y)], width)

        return paint

    def tails(self) -> Mapping[int, Sequence[Run]]:
        """What stands at the right end of rows, by row of the document."""
        return {}

    def _bar(self, height: int, palette: Palette) -> Callable[[int], Segment]:
        """The scrollbar's cell in a row: a thumb where the view is in the document, nothing while all fits."""
        total = max(self.virtual_size.height, 1)
        if total <= height:
            blank = Segment(" ", palette.style())
            return lambda _: blank
        size = max(1, height * height // total)
        top = round(self.scroll_y * (height - size) / (total - height))
        thumb, rest = Segment("▐", palette.style("thumb")), Segment("▕", palette.style("bar"))
        return lambda y: thumb if top <= y < top + size else rest

    # The mouse ------------------------------------------------------------------------------------------------------

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Take hold of the scrollbar."""
        if event.x == self.size.width - 1 and self.virtual_size.height > self.size.height:
            self._grabbed = True
            self.capture_mouse()
            self._drag(event.y)
            event.stop()

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Drag the scrollbar."""
        if self._grabbed:
            self._drag(event.y)
            event.stop()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        """Let go of the scrollbar."""
        if self._grabbed:
            self._grabbed = False
            self.release_mouse()
            event.stop()

    def _drag(self, y: int) -> None:
        share = min(1.0, max(0.0, y / max(1, self.size.height - 1)))
        self.scroll_to(y=round(share * self.max_scroll_y), animate=False, force=True)

    def selection_updated(self, selection: Selection | None) -> None:
        """Repaint with the selected characters marked."""
        self.repaint_rows()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """The selected text as seen, but with wrapped rows joined again and code without its indent."""
        first = selection.start.y if selection.start else 0
        last = selection.end.y if selection.end else self.document.height - 1
        parts: list[str] = []
        for row in range(max(0, first), min(last, self.document.height - 1) + 1):
            _, _, line = self.document.line(row)
            start = max(0, selection.start.x) if selection.start and row == first else 0
            end = max(0, selection.end.x) if selection.end and row == last else None
            if line.joint is not None or line.fill:
                start = max(start, line.lead)
            text = line.text[start:end]
            if parts:
                parts.append("\n" if line.joint is None else line.joint)
            parts.append(text.rstrip(" ") if end is None else text)
        return "".join(parts), "\n"


def _lit(line: Line, local: int, entry: Entry, search: TextSearch) -> Line:
    """A row with what is looked for lit; the same where there is none in it."""
    spans = search.spans(entry).get(local)
    if not spans:
        return line
    current = search.current[1] if search.current is not None and search.current[0] is entry else -1
    return line._replace(runs=light(line.runs, [(first, last, number == current) for first, last, number in spans]))


def _replaced(line: Line) -> Line:
    """A row of what something else is about to take the place of: only its text is left to see."""
    return line._replace(runs=tuple((text, f"{style}+replaced") for text, style in line.runs))
