"""What is typed and sent: the prompt, the prompts that wait above it, and what was not sent the last time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from tui.app import phrases
from tui.app.screens.attaching import Attaching, files_of
from tui.app.screens.editing import Editing
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.app.widgets.transcript import Transcript
from tui.base.text import one_line
from tui.files.attachment import Attachment
from tui.session import events
from tui.session.drafts import SEPARATOR
from tui.session.interface import Session
from tui.words import tr

LOAD_WORKERS = ("begin", "load")
"""What prepares loads."""
_QUIET_S = 0.5
"""Files that take longer to be read, as long documents do, are said to be read."""
KEEP_EVERY_S = 2.0
"""How much of what is typed a kill may cost."""


class _Written(msgspec.Struct, frozen=True):
    """What was sent."""

    text: str
    replaces: str
    """Id of the prompt that was edited."""
    files: tuple[Attachment, ...]
    """What that was about."""
    conversation_id: str


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
        attaching: Attaching,
    ) -> None:
        self.flows = flows
        self._attaching = attaching
        self._unread: list[_Written] = []
        """What was sent and has files that are being read."""
        self._controller, self._transcript, self._prompt = controller, transcript, prompt
        self._queued, self._editing, self._models = queued, editing, models
        controller.queue.is_load_coming = lambda: flows.is_at(*LOAD_WORKERS)
        controller.unsent = lambda: (*(written.text for written in self._unread), editing.draft, prompt.text)

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
        written = _Written(text, self._editing.turn_id, self._editing.files, self._controller.conversation.id)
        self._editing.leave()
        if self._unread or "@" in text:
            self._unread.append(written)
            if len(self._unread) == 1:
                self._prompt.run_worker(self._read_and_send(), group="send")
        else:
            self._send(written, ())

    def _send(self, written: _Written, files: tuple[Attachment, ...]) -> None:
        self._controller.queue.send(written.text, written.replaces, files)
        self._keep_draft()

    async def _read_and_send(self) -> None:
        """Send what waits for its files, in order. What cannot be read is told, and its prompt comes back."""
        while self._unread:
            written = self._unread[0]
            reading = asyncio.ensure_future(self._attaching.gather(written.text, written.replaces, written.files))
            if not (await asyncio.wait({reading}, timeout=_QUIET_S))[0]:
                self.flows.tell(tr("Reading the files…"))
            found = await self._attaching.counted(await reading)
            del self._unread[0]
            bad = next((one for one in found if one.problem is not None), None)
            if bad is None and written.conversation_id == self._controller.conversation.id:
                self._send(written, files_of(found))
                continue
            self._give_back(written)
            if bad is not None:
                self.flows.tell(tr("{file} cannot be sent: {why}", file=one_line(bad.name), why=bad.problem), bad=True)

    def _give_back(self, written: _Written) -> None:
        """Put a prompt that was not sent into the input again."""
        turns = self._controller.conversation.turns
        turn = next((turn for turn in turns if turn.id == written.replaces), None)
        if turn is not None and not self._editing.turn_id:
            self._editing.begin(turn, written.text)
        else:
            self._prompt.put_before(written.text)

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
        # What another session has freed is loaded again for the prompt (`can_answer`).
        can_send = is_coming or controller.can_answer or controller.phase not in ("no_model", "dead")
        self._prompt.can_send = can_send
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
        self.flows.every(KEEP_EVERY_S, self._controller.keep_draft, self._controller.monitoring.seen)

    def mention(self, files: Sequence[str]) -> None:
        """Have the next prompt be about these files."""
        if files:
            from tui.files.mentions import mention_of

            self._prompt.insert(
                "".join(f"{mention_of(name)} " for name in files), (0, 0), maintain_selection_offset=True
            )

    @flow("draft")
    async def _keep_draft(self) -> None:
        """A prompt that was sent is no draft any more, as soon as it is saved."""
        await self._controller.settled()
        await self._controller.keep_draft()
