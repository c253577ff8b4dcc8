"""Looking for text in the open conversation: the line to type in, and the keys that go from hit to hit."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.screens.flows import Flows, flow
from tui.app.widgets.find_line import FindLine
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Transcript


class FindingText:
    """The line is mounted when it is first wanted, above the prompt, and goes when the search ends."""

    def __init__(self, transcript: Transcript, prompt: Prompt, flows: Flows) -> None:
        self.flows = flows
        self._transcript, self._prompt = transcript, prompt
        self._line: FindLine | None = None
        self._words: tuple[str, ...] = ()
        """What was looked for last; several where they come from the list of conversations."""

    async def action_find_text(self) -> None:
        """Look for what is typed from now on; what was looked for last is there to be changed."""
        line = await self._open()
        line.take(" ".join(self._words))
        if self._words and not self._transcript.is_finding:
            self._transcript.find(self._words)

    async def action_find_here(self) -> None:
        """The same, from the transcript."""
        await self.action_find_text()

    def action_find_next(self) -> None:
        """Go to the next hit."""
        self._transcript.find_next()

    def action_find_previous(self) -> None:
        """Go to the hit before."""
        self._transcript.find_next(-1)

    @flow("find")
    async def look_up(self, words: Sequence[str], turn_id: str) -> None:
        """Go to a message in which these words were found, with all of their places lit."""
        self._words = tuple(words)
        line = await self._open()
        line.take(" ".join(words))
        self._transcript.find(words, turn_id)
        self._transcript.focus()

    async def _open(self) -> FindLine:
        if self._line is None:
            self._line = line = FindLine()
            await self._prompt.screen.query_one("#chat").mount(line, before=self._prompt)
        return self._line

    # What the widgets tell --------------------------------------------------------------------------------------------

    def typed(self, text: str) -> None:
        """Go to the first hit of what is typed so far."""
        self._words = (text,) if text.strip() else ()
        self._transcript.find(self._words)

    def entered(self) -> None:
        """The keys are the transcript's now, where n and N go on; without a hit there is nothing to read."""
        search = self._transcript.search
        if search is not None and search.current is not None:
            self._transcript.focus()

    def go(self, step: int) -> None:
        """To another hit."""
        self._transcript.find_next(step)

    def show(self, number: int, n: int) -> None:
        """Count the hits."""
        if self._line is not None:
            self._line.show(number, n)

    def end(self) -> None:
        """Nothing is looked for any more; the keys are the prompt's."""
        self._transcript.end_find()
        if self._line is not None:
            line, self._line = self._line, None
            had_focus = line.has_focus_within or self._transcript.has_focus
            line.remove()
            if had_focus and self._transcript.selected is None:
                self._prompt.focus()
