"""Other ways to write a prompt than in the input: in the user's editor, or as one that was sent before."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from tui.app.screens.flows import Flows, flow
from tui.app.widgets.prompt import Prompt
from tui.chat.prompt_rows import SaidBefore
from tui.session.interface import Session

MOST_PROMPTS = 500


class PromptFlows:
    """What they give stands in the input, to be sent or changed."""

    def __init__(self, controller: Session, prompt: Prompt, flows: Flows) -> None:
        self.flows = flows
        self._controller, self._prompt = controller, prompt

    @flow("dialog")
    async def action_find_prompt(self) -> None:
        """Take a prompt of any conversation again; what is written already stays, behind it."""
        from tui.app.screens.prompts import PromptsScreen

        def look(words: Sequence[str]) -> Awaitable[Sequence[SaidBefore]]:
            return self._controller.store.prompts(words, MOST_PROMPTS)

        chosen = await self.flows.ask(PromptsScreen(look, self.flows.keymap))
        if chosen is not None:
            self._prompt.put_before(chosen)
            self._prompt.focus()

    @flow("editor")
    async def action_edit_outside(self) -> None:
        """Write the prompt in the user's editor."""
        from tui.app.outside_editor import NoEditor, written_outside

        before = self._prompt.text
        await self._controller.keep_draft()
        try:
            text = await written_outside(before, self._prompt.app._driver)
        except NoEditor as error:
            self.flows.tell(str(error), bad=True)
        else:
            if text != before:
                self._prompt.set_text(text)
        self._prompt.focus()
