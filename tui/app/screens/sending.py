"""What is typed and sent: the prompt, the prompts that wait above it, and what was not sent the last time."""

from __future__ import annotations

import asyncio

from tui.app import phrases
from tui.app.screens.editing import Editing
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.app.widgets.transcript import Transcript
from tui.session import events
from tui.session.drafts import SEPARATOR
from tui.session.interface import Session
from tui.words import tr

LOAD_WORKERS = ("begin", "load")
"""What prepares loads."""
KEEP_EVERY_S = 2.0
"""How much of what is typed a kill may cost."""


class Sending:
    """A prompt that cannot be answered at once waits, seen above the input, and can be taken back. Follows the
    session."""

    def __init__(
        self,
        controller: Session,
        transcript: Transcript,
        prompt: Prompt,
        queued: QueuedPrompts,
        editing: Editing,
        flows: Flows,
        models: ModelFlows,
    ) -> None:
        self.flows = flows
        self._controller, self._transcript, self._prompt = controller, transcript, prompt
        self._queued, self._editing, self._models = queued, editing, models
        controller.queue.is_load_coming = lambda: flows.is_at(*LOAD_WORKERS)
        controller.unsent = lambda: (editing.draft, prompt.text)

    def hear(self, event: events.AnySessionEvent) -> None:
        """What waits, and what does not any more."""
        match event:
            case events.QueueChanged():
                self.show_queue()
            case events.PromptsWithdrawn(texts=texts) if texts:
                self._prompt.put_before(SEPARATOR.join(texts))
                self.flows.tell(phrases.withdrawn(len(texts)), bad=True)

    # Sending ----------------------------------------------------------------------------------------------------------

    def send(self, text: str) -> None:
        """Send what was written, in place of the prompt that was being edited, if one was."""
        replaces = self._editing.turn_id
        self._editing.leave()
        self._controller.queue.send(text, replaces)
        self._keep_draft()

    def refuse(self) -> None:
        """Say why the prompt stays where it is."""
        if self._controller.phase == "dead":
            self.flows.tell(tr("The engine has stopped. The card above reloads it."), bad=True)
            self._transcript.focus()
        else:
            self.flows.tell(tr("No model is loaded. Choose one, then send again."))
            self._models.action_pick_model()

    # What waits -------------------------------------------------------------------------------------------------------

    def show_queue(self) -> None:
        """Show what waits and what for, and whether more can."""
        controller, queue = self._controller, self._controller.queue
        texts, is_coming = queue.texts, self.flows.is_at(*LOAD_WORKERS)
        state = phrases.queued(
            len(texts), controller.phase, self.flows.keymap, is_held=queue.is_held, is_load_coming=is_coming
        )
        self._queued.show(texts, state)
        self._prompt.has_waiting = bool(texts)
        self._prompt.can_send = is_coming or controller.phase not in ("no_model", "dead")
        self._prompt.is_answered = controller.phase == "ready"

    def action_stop(self) -> None:
        """Esc: stop what runs; else leave the prompt that is being edited; else take back what waits, the newest first;
        else leave the transcript for the prompt."""
        if self._controller.phase in ("answering", "loading"):
            self._controller.interrupt()
        elif self._editing.leave() or not self._controller.queue.texts:
            self._transcript.clear_selection()
            self._prompt.focus()
        else:
            self.take_back()

    @flow("take back")
    async def take_back(self) -> None:
        """Put the newest prompt that waits into the input, unless another is being edited there."""
        if self._editing.turn_id:
            self._prompt.app.bell()
            return
        prompt = await self._controller.take_back()
        if prompt is None:
            return
        self._prompt.focus()
        turns = self._controller.conversation.turns
        if (turn := next((turn for turn in turns if turn.id == prompt.replaces), None)) is not None:
            self._editing.begin(turn, prompt.text)
        else:
            self._prompt.put_before(prompt.text)

    # Kept until the next start ----------------------------------------------------------------------------------------

    async def bring_draft(self) -> None:
        """Put what was not sent the last time into the input, and keep from now on what is there."""
        if draft := await asyncio.to_thread(self._controller.drafts.take):
            self._prompt.put_before(draft)
            self.flows.tell(tr(phrases.KEPT_DRAFT))
        self.flows.every(KEEP_EVERY_S, self._controller.keep_draft)

    @flow("draft")
    async def _keep_draft(self) -> None:
        """A prompt that was sent is no draft any more, as soon as it is saved."""
        await self._controller.settled()
        await self._controller.keep_draft()
