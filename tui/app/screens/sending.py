"""What is typed and sent: the prompt, the prompts that wait above it, and what was not sent the last time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from textual import events, on, work
from textual.worker import Worker

from tui.app import phrases
from tui.app.screens.message_actions import MessageActions
from tui.app.screens.model_flows import ModelFlows
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.session.drafts import SEPARATOR

LOAD_WORKERS = ("begin", "load")
"""What prepares loads."""
KEEP_EVERY_S = 2.0
"""How much of what is typed a kill may cost."""


class Sending(MessageActions, ModelFlows):
    """A prompt that cannot be answered at once waits, seen above the input, from which escape takes it back."""

    def on_mount(self) -> None:
        self._prompt = self.prompt  # known also while the screen goes
        self.controller.queue.is_load_coming = lambda: self.is_at(*LOAD_WORKERS)
        self.controller.unsent = self._unsent
        self.queue_changed()

    # Sending ----------------------------------------------------------------------------------------------------------

    @on(Prompt.Submitted)
    def _submitted(self, event: Prompt.Submitted) -> None:
        """Send what was written, in place of the prompt that was being edited, if one was."""
        replaces = self._edit_now.turn_id if self._edit_now is not None else ""
        self.leave_edit()
        self.controller.queue.send(event.text, replaces)
        self._keep_draft()

    @on(Prompt.Blank)
    def _blank(self) -> None:
        self.controller.queue.release()

    @on(Prompt.Refused)
    def _refused(self) -> None:
        """Say why the prompt stays where it is."""
        if self.controller.phase == "dead":
            self.tell("The engine has stopped. The card above reloads it.", bad=True)
            self.transcript.focus()
        else:
            self.tell(f"{phrases.NO_MODEL} Choose one, then send again.")
            self.action_pick_model()

    # What waits -------------------------------------------------------------------------------------------------------

    def queue_changed(self) -> None:
        """Show what waits and what for, and whether more can."""
        controller, queue = self.controller, self.controller.queue
        texts, is_coming = queue.texts, self.is_at(*LOAD_WORKERS)
        state = phrases.queued(
            len(texts), controller.phase, self.keymap, is_held=queue.is_held, is_load_coming=is_coming
        )
        self.query_one(QueuedPrompts).show(texts, state)
        self.prompt.can_send = is_coming or controller.phase not in ("no_model", "dead")
        self.prompt.is_answered = controller.phase == "ready"

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A load is prepared, or will not be."""
        if event.worker.group in LOAD_WORKERS:
            self.controller.queue.send_next()

    def action_stop(self) -> None:
        """Esc: take back what waits, the newest first; else stop what runs; else leave the prompt that is being edited,
        or the transcript for the prompt."""
        if self.controller.queue.texts:
            if not self.leave_edit():
                self._take_back()
        elif self.controller.phase in ("answering", "loading"):
            self.controller.interrupt()
        else:
            self.leave_edit()
            self.transcript.clear_selection()
            self.prompt.focus()

    def _take_back(self) -> None:
        prompt = self.controller.queue.take_back()
        if prompt is None:
            return
        self.prompt.focus()
        if (turn := self._turn(prompt.replaces)) is not None:
            self._begin_edit(turn, prompt.text)
        else:
            self.prompt.put_before(prompt.text)

    def prompts_withdrawn(self, texts: Sequence[str]) -> None:
        if texts:
            self.prompt.put_before(SEPARATOR.join(texts))
            self.tell(phrases.withdrawn(len(texts)), bad=True)

    # Kept until the next start ----------------------------------------------------------------------------------------

    def _unsent(self) -> tuple[str, ...]:
        draft = self._edit_now.draft if self._edit_now is not None else ""
        return draft, self._prompt.text

    async def bring_draft(self) -> None:
        """Put what was not sent the last time into the input, and keep from now on what is there."""
        if draft := await asyncio.to_thread(self.controller.drafts.take):
            self.prompt.put_before(draft)
            self.tell(phrases.KEPT_DRAFT)
        self.set_interval(KEEP_EVERY_S, self.controller.keep_draft)

    @work(exclusive=True, group="draft")
    async def _keep_draft(self) -> None:
        """A prompt that was sent is no draft any more, as soon as it is saved."""
        await self.controller.store.settled()
        await self.controller.keep_draft()

    # Typing elsewhere -------------------------------------------------------------------------------------------------

    def on_key(self, event: events.Key) -> None:
        """Letters typed while something else has the focus, and nothing there wants them, go to the prompt."""
        text = event.character if event.is_printable and event.key not in self.active_bindings else None
        if text and self.focused is not self.prompt:
            event.stop()
            self.prompt.focus()
            self.prompt.insert_text(text)

    async def on_paste(self, event: events.Paste) -> None:
        """What is pasted while something else has the focus goes to the prompt too."""
        event.stop()
        self.prompt.focus()
        await self.prompt.paste(event.text)
