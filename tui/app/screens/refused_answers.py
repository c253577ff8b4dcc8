"""What becomes of an answer that was asked for and does not come: it is said why, or asked what to leave out."""

from __future__ import annotations

from functools import partial

import msgspec

from tui.app import phrases
from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.app.screens.summarising import Summarising
from tui.app.widgets.transcript import Transcript
from tui.protocol.records import ErrorInfo
from tui.session import events
from tui.session.interface import Session
from tui.words import tr, trn


class RefusedAnswers:
    """Follows the session."""

    def __init__(
        self,
        controller: Session,
        flows: Flows,
        models: ModelFlows,
        transcript: Transcript,
        summarising: Summarising,
    ) -> None:
        self.flows, self._summarising = flows, summarising
        self._controller, self._models, self._transcript = controller, models, transcript

    def hear(self, event: events.AnySessionEvent) -> None:
        """Say why, or ask."""
        match event:
            case events.AnswerRefused(info=info) if info.kind == "context_overflow" and info.n_drop:
                if self._controller.has_keys:
                    self._ask(info)
            case events.AnswerRefused(info=info):
                self._transcript.add_notice(partial(phrases.refusal, info, self.flows.keymap), "error")

    @flow("overflow")
    async def _ask(self, info: ErrorInfo) -> None:
        """The prompt does not fit: leave out the oldest turns, raise the context, or do neither. It is asked when the
        dialog that is open was closed, and what was chosen there is done, if the prompt is the last word still."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        controller, keymap = self._controller, self.flows.keymap
        refused = controller.conversation.id, controller.conversation.turns
        await self.flows.end_of("dialog")
        await self.flows.uncovered()
        if refused != (controller.conversation.id, controller.conversation.turns):
            return
        loaded = controller.engine.loaded
        wanted = phrases.context_for(info.n_prompt)
        choices = [
            Choice(
                id="drop",
                label=tr("Leave out the oldest"),
                note=trn("{n} message", "{n} messages", info.n_drop),
                key="l",
            )
        ]
        if self._summarising.can(info.n_drop):
            choices.append(
                Choice(
                    id="summarize",
                    label=tr("Summarize the oldest"),
                    note=tr("goes on in a new conversation"),
                    key="s",
                )
            )
        if loaded is not None and loaded.n_ctx < wanted <= loaded.n_ctx_train:
            note = trn("{n} token; takes more memory", "{n} tokens; takes more memory", wanted)
            choices.append(Choice(id="raise", label=tr("Load with a larger context"), note=note, key="c"))
        choices.append(Choice(id="leave", label=tr("Do nothing"), note=tr("the prompt stays unanswered"), key="n"))
        question = phrases.overflow_question(info)
        chosen = await self.flows.ask(ChoiceScreen(tr("The context is full"), choices, keymap, question=question))
        if chosen == "drop" and controller.phase == "ready":  # not so if a load that was prepared meanwhile has begun
            controller.answer(drop_oldest=True)
        elif chosen == "summarize" and controller.phase == "ready":
            self._summarising.begin(info.n_drop)
        elif chosen == "raise":
            self._answer_with(wanted, info)
        else:
            self._leave_unanswered(info)

    @flow("load")
    async def _answer_with(self, n_ctx: int, info: ErrorInfo) -> None:
        """Load the present model with a larger context, then answer the prompt that was refused."""
        choice = msgspec.structs.replace(self._controller.model.choice, n_ctx=n_ctx)
        if not await self._models.load_again(choice, then_answer=True):
            self._leave_unanswered(info)

    def _leave_unanswered(self, info: ErrorInfo) -> None:
        self._controller.put_back()
        self._transcript.add_notice(partial(phrases.unanswered, info, self.flows.keymap), "warning")
