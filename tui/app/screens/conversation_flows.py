"""What leads through dialogs about the open conversation and the saved ones: list, name, system prompt, sampling,
export, import, delete, and the question before anything is left out of a prompt."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
from textual import work

from tui.app import answer_phrases, phrases
from tui.app.screens.model_flows import ModelFlows
from tui.base import format
from tui.base.userpath import typed_path
from tui.chat import export
from tui.chat.conversation import Conversation
from tui.chat.store import StoreError
from tui.config import paths
from tui.protocol.messages import Loaded
from tui.protocol.records import ErrorInfo
from tui.session.answer_settings import own_values


class ConversationFlows(ModelFlows):
    """Dialogs are imported when they are first opened: the first paint does not wait for them."""

    @work(exclusive=True, group="dialog")
    async def action_conversations(self) -> None:
        """Choose a saved conversation and go on with it."""
        from tui.app.screens.conversations import ConversationsScreen

        controller, store = self.controller, self.controller.store

        async def rename(conversation_id: str, title: str) -> None:
            if conversation_id == controller.conversation.id:
                controller.configure(title=title)
            await store.rename(conversation_id, title)

        async def write(conversation_id: str, kind: export.Kind) -> str:
            return await asyncio.to_thread(self._write, await store.open(conversation_id), kind)

        chosen = await self.ask(
            ConversationsScreen(
                store.list,
                rename,
                self._delete,
                write,
                self.keymap,
                current=controller.conversation.id,
                unread=lambda: store.unread,
            )
        )
        if chosen is not None and chosen != controller.conversation.id:
            await self.open_conversation(chosen)

    async def open_conversation(self, conversation_id: str) -> None:
        """Show a saved conversation, or say why it cannot be read."""
        try:
            await self.controller.open(conversation_id)
        except StoreError as error:
            self.tell(str(error), bad=True)

    @work(exclusive=True, group="dialog")
    async def action_rename(self) -> None:
        """Give the open conversation another name."""
        from tui.app.screens.text_edit import LineEditScreen

        title = await self.ask(LineEditScreen("Rename", self.controller.conversation.title, self.keymap))
        if title:
            self.controller.configure(title=title)

    @work(exclusive=True, group="dialog")
    async def action_system_prompt(self) -> None:
        """Edit the system prompt of the open conversation."""
        from tui.app.screens.text_edit import TextEditScreen

        text = await self.ask(
            TextEditScreen(
                "System prompt",
                self.controller.conversation.system_prompt,
                self.keymap,
                placeholder="Such as: You are a helpful assistant. Answer in one paragraph.",
                hint="Sent before everything else, in this conversation only. Empty sends none.",
                default=self.settings.chat.system_prompt,
            )
        )
        if text is not None:
            self.controller.configure(system_prompt=text)
            await self.controller.context.measure()

    def action_toggle_thinking_mode(self) -> None:
        """Thinking on or off, or how much of it, as far as the model that is loaded can be asked for that; else say why
        nothing changes."""
        controller, loaded = self.controller, self.controller.engine.loaded
        conversation = controller.conversation
        if loaded is not None and loaded.efforts:
            self._choose_effort(loaded)
        elif loaded is not None and loaded.always_thinks:
            self.tell(answer_phrases.ALWAYS_THINKS)
        elif loaded is not None and not loaded.can_think:
            self.tell(answer_phrases.NEVER_THINKS)
        else:
            controller.configure(thinking=not conversation.thinking)
            self.tell(answer_phrases.thinking_switched(controller.conversation, loaded))
            self.show_header()

    @work(exclusive=True, group="dialog")
    async def _choose_effort(self, loaded: Loaded) -> None:
        from tui.app.screens.choice import Choice, ChoiceScreen

        controller = self.controller
        choices = [
            Choice(id=level, label=label, note=note, key=label[0].casefold())
            for level, (label, note) in answer_phrases.EFFORTS.items()
            if level == answer_phrases.DEFAULT_EFFORT or level in loaded.efforts
        ]
        if loaded.can_switch_thinking:
            choices.insert(0, Choice(id="off", label="Off", note="answers at once", key="o"))
        now = controller.conversation
        current = (
            "off" if loaded.can_switch_thinking and not now.thinking else now.effort or answer_phrases.DEFAULT_EFFORT
        )
        chosen = await self.ask(ChoiceScreen("Thinking", choices, self.keymap, current=current))
        if chosen == "off":
            controller.configure(thinking=False)
        elif chosen is not None:
            effort = "" if chosen == answer_phrases.DEFAULT_EFFORT else chosen
            controller.configure(thinking=True, effort=effort)
        if chosen is not None:
            self.tell(answer_phrases.thinking_switched(controller.conversation, loaded))
            self.show_header()

    @work(exclusive=True, group="dialog")
    async def action_sampling(self) -> None:
        """Edit how the next answers of this conversation are chosen."""
        from tui.app.screens.sampling import SamplingScreen

        own, defaults = own_values(self.controller.conversation), self.controller.default_values()
        chosen = await self.ask(SamplingScreen(own, self.keymap, defaults=defaults))
        if chosen is not None:
            self.controller.configure(**msgspec.structs.asdict(chosen))

    @work(exclusive=True, group="dialog")
    async def action_export(self) -> None:
        """Write the open conversation to a file."""
        if self.controller.conversation.turns:
            await self._export(self.controller.conversation)
        else:
            self.tell("There is nothing to export yet.")

    async def _export(self, conversation: Conversation) -> None:
        from tui.app.screens.choice import ChoiceScreen
        from tui.app.screens.conversations import EXPORTS

        chosen = await self.ask(ChoiceScreen("Export as", EXPORTS, self.keymap))
        if chosen is not None:
            kind: export.Kind = "json" if chosen == "json" else "markdown"
            try:
                file = await asyncio.to_thread(self._write, conversation, kind)
            except OSError as error:
                self.tell(f"Not exported: {error.filename or paths.exports_dir()}: {error.strerror}", bad=True)
            else:
                self.tell(f"Exported to {file}")

    @staticmethod
    def _write(conversation: Conversation, kind: export.Kind) -> str:
        """Where it is now, and what is not in it."""
        file = export.write(conversation, paths.exports_dir(), kind, stats=True)
        return phrases.with_harmless(str(file), export.n_left_out(conversation, kind))

    @work(exclusive=True, group="dialog")
    async def action_import(self) -> None:
        """Open a conversation from a file, of which the path is asked for until it is one or the dialog is closed."""
        from tui.app.screens.text_edit import LineEditScreen

        hint, written = "The path of a conversation that was exported as JSON.", ""
        place = f"{format.path(paths.exports_dir())}/….json"
        while True:
            dialog = LineEditScreen("Import", written, self.keymap, placeholder=place, hint=hint, save="Import")
            if (answer := await self.ask(dialog)) is None:
                break
            try:
                await self._import(typed_path(answer))
                break
            except export.ImportProblem as problem:
                hint, written = str(problem), answer

    async def import_file(self, file: Path) -> None:
        """Open a conversation from a file, or say why not."""
        try:
            await self._import(file)
        except export.ImportProblem as problem:
            self.tell(f"{file} was not imported. {problem}", bad=True)

    async def _import(self, file: Path) -> None:
        conversation = await asyncio.to_thread(export.read, file)
        try:
            await self.controller.store.create(conversation)
        except StoreError as error:
            self.tell(str(error), bad=True)
            if not error.is_retried:
                return
        await self.open_conversation(conversation.id)

    @work(exclusive=True, group="dialog")
    async def action_delete(self) -> None:
        """Delete the open conversation, after a question."""
        from tui.app.screens.confirm import ConfirmScreen

        conversation = self.controller.conversation
        question = f"Delete “{conversation.title or 'this conversation'}”?"
        detail = "All its messages are gone for good."
        if await self.ask(ConfirmScreen(question, self.keymap, detail=detail, yes="Delete", no="Keep")):
            try:
                await self._delete(conversation.id)
            except StoreError as error:
                self.tell(str(error), bad=True)

    async def _delete(self, conversation_id: str) -> None:
        """Delete a conversation for good. An answer that is being written in it is stopped before, which may take a
        moment: whatever the user does meanwhile, it is deleted then."""
        controller = self.controller

        async def delete() -> None:
            controller.contexts.forget(conversation_id)
            if conversation_id == controller.conversation.id:
                await controller.new()
            await controller.store.delete(conversation_id)

        await asyncio.shield(delete())

    @work(exclusive=True, group="overflow")
    async def ask_about_overflow(self, info: ErrorInfo) -> None:
        """The prompt does not fit: leave out the oldest turns, raise the context, or do neither. It is asked when the
        dialog that is open was closed, and what was chosen there is done, if the prompt is the last word still."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        controller = self.controller
        refused = controller.conversation.id, controller.conversation.turns
        await self.end_of("dialog")
        await self.uncovered()
        if refused != (controller.conversation.id, controller.conversation.turns):
            return
        loaded = controller.engine.loaded
        wanted = phrases.context_for(info.n_prompt)
        choices = [Choice(id="drop", label="Leave out the oldest", note=f"{info.n_drop} messages", key="l")]
        if loaded is not None and loaded.n_ctx < wanted <= loaded.n_ctx_train:
            note = f"{wanted:,} tokens; takes more memory"
            choices.append(Choice(id="raise", label="Load with a larger context", note=note, key="c"))
        choices.append(Choice(id="leave", label="Do neither", note="the prompt stays unanswered", key="n"))
        chosen = await self.ask(
            ChoiceScreen("The context is full", choices, self.keymap, question=phrases.overflow_question(info))
        )
        if chosen == "drop" and controller.phase == "ready":  # not so if a load that was prepared meanwhile has begun
            controller.answer(drop_oldest=True)
        elif chosen == "raise":
            self._answer_with(wanted, info)
        else:
            self._leave_unanswered(info)

    @work(exclusive=True, group="load")
    async def _answer_with(self, n_ctx: int, info: ErrorInfo) -> None:
        """Load the present model with a larger context, then answer the prompt that was refused."""
        choice = msgspec.structs.replace(self.controller.model.choice, n_ctx=n_ctx)
        if not await self.load_again(choice, then_answer=True):
            self._leave_unanswered(info)

    def _leave_unanswered(self, info: ErrorInfo) -> None:
        self.controller.replacing.put_back()
        self.transcript.add_notice(phrases.unanswered(info, self.keymap), "warning")

    @work(exclusive=True, group="dialog")
    async def action_theme(self) -> None:
        """Choose a theme while seeing each of them."""
        from tui.app.screens.choice import Choice, ChoiceScreen

        app = self.app
        choices = [
            Choice(id=name, label=name, note="dark" if theme.dark else "light")
            for name, theme in sorted(app.available_themes.items())
        ]

        def preview(name: str) -> None:
            app.theme = name

        chosen = await self.ask(ChoiceScreen("Theme", choices, self.keymap, current=app.theme, on_highlight=preview))
        if chosen is not None:
            app.theme = chosen
            self.controller.remember(theme=chosen)
