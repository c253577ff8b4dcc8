"""What leads through dialogs about the open conversation and the saved ones: list, name, system prompt, sampling,
export, import, delete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tui.app import answer_phrases
from tui.app.bindings import title_of
from tui.app.screens.exchanging import Exchanging
from tui.app.screens.flows import Flows, flow
from tui.base.text import one_line
from tui.chat.conversation import encodable
from tui.chat.store import StoreError
from tui.config.settings import Settings
from tui.protocol.messages import Loaded
from tui.session.answer_settings import own_values
from tui.session.interface import Session
from tui.words import tr

if TYPE_CHECKING:
    pass


class ConversationFlows:
    """Dialogs are imported when they are first opened: the first paint does not wait for them."""

    def __init__(
        self,
        controller: Session,
        settings: Settings,
        flows: Flows,
        show_settings: Callable[[], None],
        look_up: Callable[[Sequence[str], str], None],
    ) -> None:
        """`show_settings` shows what the next prompt is sent with, `look_up` goes to a message in which words were
        found."""
        self.flows, self._look_up = flows, look_up
        self.exchanging = Exchanging(controller, flows, self.open_conversation)
        self._controller, self._settings, self._show_settings = controller, settings, show_settings

    @flow("dialog")
    async def action_conversations(self) -> None:
        """Choose a saved conversation and go on with it."""
        from tui.app.screens.conversation_rows import ORDERS
        from tui.app.screens.conversation_shelf import ConversationShelf
        from tui.app.screens.conversations import ConversationsScreen

        controller = self._controller
        picked = await self.flows.ask(
            ConversationsScreen(
                ConversationShelf(controller, Exchanging.write),
                self.flows.keymap,
                current=controller.conversation.id,
                order=next((order for order in ORDERS if order == controller.state.state.conversation_order), "used"),
                keep_order=lambda order: controller.remember(conversation_order=order),
            )
        )
        if picked is None:
            return
        if picked.conversation_id != controller.conversation.id:
            await self.open_conversation(picked.conversation_id)
        if picked.words and picked.conversation_id == controller.conversation.id:
            await self._show_branch_of(picked.turn_id)
            self._look_up(picked.words, picked.turn_id)

    async def _show_branch_of(self, turn_id: str) -> None:
        """Show a message that stands in another branch."""
        if not any(turn.id == turn_id for turn in self._controller.conversation.turns):
            try:
                await self._controller.show_branch(turn_id)
            except StoreError as error:
                self.flows.tell(str(error), bad=True)

    async def open_conversation(self, conversation_id: str, *, keeps_prompts: bool = False) -> None:
        """Show a saved conversation, or say why it cannot be read. With `keeps_prompts`, what waits is for it."""
        try:
            await self._controller.open(conversation_id, keeps_prompts=keeps_prompts)
        except StoreError as error:
            self.flows.tell(str(error), bad=True)

    @flow("dialog")
    async def action_rename(self) -> None:
        """Give the open conversation another name."""
        from tui.app.screens.text_edit import LineEditScreen

        before = self._controller.conversation.title
        name = await self.flows.ask(LineEditScreen(title_of("rename"), before, self.flows.keymap))
        if name:
            await self.take_name(name)

    async def take_name(self, name: str) -> None:
        """Call the open conversation this."""
        self._controller.configure(title=encodable(one_line(name)))
        self.flows.tell(tr("Renamed."))

    @flow("dialog")
    async def action_system_prompt(self) -> None:
        """Edit the system prompt of the open conversation."""
        from tui.app.screens.text_edit import TextEditScreen

        text = await self.flows.ask(
            TextEditScreen(
                tr("System prompt"),
                self._controller.conversation.system_prompt,
                self.flows.keymap,
                placeholder=tr("Such as: You are a helpful assistant. Answer in one paragraph."),
                hint=tr("Sent before everything else, in this conversation only. Leave it empty to send none."),
                default=self._settings.chat.system_prompt,
            )
        )
        if text is not None:
            await self.take_system_prompt(text)

    async def take_system_prompt(self, text: str) -> None:
        """Send this with the prompts of the open conversation; empty for none."""
        self._controller.configure(system_prompt=encodable(text))
        self.flows.tell(tr("The next answer has this system prompt.") if text else tr("No system prompt is sent now."))
        self._show_settings()
        await self._controller.context.measure()

    def action_toggle_thinking_mode(self) -> None:
        """Thinking on or off, or how much of it, as far as the model that is loaded can be asked for that; else say why
        nothing changes."""
        controller, loaded = self._controller, self._controller.engine.loaded
        conversation = controller.conversation
        if loaded is not None and loaded.efforts:
            self._choose_effort(loaded)
        elif loaded is not None and loaded.always_thinks:
            self.flows.tell(tr(answer_phrases.ALWAYS_THINKS))
        elif loaded is not None and not loaded.can_think:
            self.flows.tell(tr(answer_phrases.NEVER_THINKS))
        else:
            controller.configure(thinking=not conversation.thinking)
            self.flows.tell(answer_phrases.thinking_switched(controller.conversation, loaded))
            self._show_settings()

    @flow("dialog")
    async def _choose_effort(self, loaded: Loaded) -> None:
        from tui.app.screens.choice import Choice, ChoiceScreen

        controller = self._controller
        choices = [
            Choice(id=level, label=tr(label), note=tr(note), key=key)
            for level, (label, note, key) in answer_phrases.EFFORTS.items()
            if level == answer_phrases.DEFAULT_EFFORT or level in loaded.efforts
        ]
        if loaded.can_switch_thinking:
            choices.insert(0, Choice(id="off", label=tr("Off"), note=tr("answers at once"), key="o"))
        now = controller.conversation
        current = (
            "off" if loaded.can_switch_thinking and not now.thinking else now.effort or answer_phrases.DEFAULT_EFFORT
        )
        chosen = await self.flows.ask(ChoiceScreen(tr("Thinking"), choices, self.flows.keymap, current=current))
        if chosen == "off":
            controller.configure(thinking=False)
        elif chosen is not None:
            effort = "" if chosen == answer_phrases.DEFAULT_EFFORT else chosen
            controller.configure(thinking=True, effort=effort)
        if chosen is not None:
            self.flows.tell(answer_phrases.thinking_switched(controller.conversation, loaded))
            self._show_settings()

    @flow("dialog")
    async def action_sampling(self) -> None:
        """Edit how the next answers of this conversation are chosen."""
        from tui.app.screens.sampling import SamplingScreen

        own, defaults = own_values(self._controller.conversation), self._controller.default_values()
        chosen = await self.flows.ask(SamplingScreen(own, self.flows.keymap, defaults=defaults))
        if chosen is not None:
            self._controller.configure(**msgspec.structs.asdict(chosen))
            self.flows.tell(tr("The next answer is sampled with these values."))

    @flow("dialog")
    async def action_delete(self) -> None:
        """Delete the open conversation, after a question."""
        from tui.app.screens.confirm import ConfirmScreen

        conversation = self._controller.conversation
        name = conversation.title
        question = tr("Delete “{title}”?", title=name) if name else tr("Delete this conversation?")
        detail = tr("This deletes all its messages for good.")
        dialog = ConfirmScreen(question, self.flows.keymap, detail=detail, yes=tr("Delete"), no=tr("Keep"))
        if await self.flows.ask(dialog):
            try:
                # Whatever the user does meanwhile, it is deleted.
                await asyncio.shield(self._controller.delete(conversation.id))
            except StoreError as error:
                self.flows.tell(str(error), bad=True)
            else:
                self.flows.tell(tr("Deleted."))
