"""What leads through the dialogs about presets, and about the format that answers keep to; gives new conversations
their preset."""

from __future__ import annotations

import asyncio
import json

from tui.app.screens.flows import Flows, flow
from tui.app.screens.model_flows import ModelFlows
from tui.base.text import one_line
from tui.base.userpath import user_path
from tui.config import paths, presets
from tui.config.presets import Preset
from tui.config.problems import ConfigProblem
from tui.config.settings import Settings
from tui.models.modelfile import file_title
from tui.protocol.records import AnswerFormat
from tui.session import events
from tui.session.interface import Session
from tui.words import tr


class PresetFlows:
    """Dialogs are imported when they are first opened: the first paint does not wait for them."""

    def __init__(self, controller: Session, settings: Settings, flows: Flows, models: ModelFlows) -> None:
        self.flows = flows
        self._controller, self._settings, self._models = controller, settings, models
        self._folder = paths.presets_dir()
        self._default: Preset | None = None
        """The preset of new conversations, once it was read."""

    @property
    def default_name(self) -> str:
        """The preset of new conversations; empty for none."""
        chosen = self._controller.state.state.preset
        return self._settings.chat.preset if chosen is None else chosen

    async def begin(self) -> None:
        """Give the conversation that the app begins with its preset, if it is a new one."""
        await self._read_default()
        self._give_default()

    async def _read_default(self) -> None:
        self._default, name = None, self.default_name
        if not name:
            return
        self._default, problems = await asyncio.to_thread(presets.read_preset, self._folder, name)
        if self._default is None and not problems:
            self.flows.tell(tr("There is no preset “{name}”.", name=one_line(name)), bad=True)
        self._tell_problems(problems)

    def _tell_problems(self, problems: list[ConfigProblem]) -> None:
        for problem in problems[:3]:
            self.flows.tell(str(problem), bad=True)

    def hear(self, event: events.AnySessionEvent) -> None:
        """A new conversation begins with the default preset."""
        if isinstance(event, events.ConversationOpened):
            self._give_default()

    def _give_default(self) -> None:
        conversation = self._controller.conversation
        if self._default is not None and not conversation.turns and not conversation.preset:
            self._controller.configure(**self._default.settings(self._settings))

    @flow("dialog")
    async def action_presets(self) -> None:
        """Choose a preset for the open conversation, or save its settings as one."""
        from tui.app.screens.presets import PresetsScreen

        folder = self._folder

        async def load() -> tuple[list[Preset], list[ConfigProblem]]:
            return await asyncio.to_thread(presets.read_presets, folder)

        async def save(name: str) -> None:
            await asyncio.to_thread(presets.write_preset, folder, self._as_it_is(name))
            self._controller.configure(preset=name)
            if name == self.default_name:
                await self._read_default()

        async def rename(before: str, after: str) -> None:
            await asyncio.to_thread(presets.rename_preset, folder, before, after)
            if self._controller.conversation.preset == before:
                self._controller.configure(preset=after)
            if self.default_name == before:
                await use(after)

        async def delete(name: str) -> None:
            await asyncio.to_thread(presets.delete_preset, folder, name)
            if self.default_name == name:
                await use("")

        async def use(name: str) -> None:
            self._controller.state.update(preset=name)
            await self._read_default()

        chosen = await self.flows.ask(
            PresetsScreen(
                load,
                save,
                rename,
                delete,
                use,
                self.flows.keymap,
                current=self._controller.conversation.preset,
                default=lambda: self.default_name,
            )
        )
        if chosen is not None:
            await self._take(chosen.preset)

    def _as_it_is(self, name: str) -> Preset:
        now, path = self._controller.conversation, self._controller.model.path
        return Preset(
            name=name,
            system_prompt=now.system_prompt,
            model=file_title(path) if path else "",
            thinking=now.thinking,
            effort=now.effort,
            max_tokens=now.max_tokens,
            thinking_budget=now.thinking_budget,
            answer_format=now.answer_format,
            sampling=now.sampling,
        )

    async def _take(self, preset: Preset | None) -> None:
        given = (preset or Preset(name="")).settings(self._settings)
        self._controller.configure(**given)
        if preset is None:
            self.flows.tell(tr("The next answer is as your settings say."))
        else:
            self.flows.tell(tr("The next answer is as the preset “{name}” says.", name=preset.name))
        await self._controller.context.measure()
        if preset is not None and preset.model:
            await self._load(preset.model)

    async def _load(self, wanted: str) -> None:
        """Load the model of a preset, unless it is loaded."""
        from tui.models.named import find, named

        now = self._controller.model.path
        if now is not None and wanted in (file_title(now), str(now)):
            return
        path = user_path(wanted)
        if not path.is_absolute():
            from tui.models.named import find, named  # takes time that the first paint does not have

            found = find(wanted, named(await asyncio.to_thread(self._models.scan_library))[0])
            if len(found) != 1:
                told = tr("There is no model, or more than one, called {name}.", name=one_line(wanted))
                self.flows.tell(told, bad=True)
                return
            path = found[0].path
        if path != now:
            self._models.open_model(path)

    @flow("dialog")
    async def action_answer_format(self) -> None:
        """Have answers of this conversation keep to a JSON schema or a grammar, or to nothing."""
        from tui.app.screens.choice import Choice, ChoiceScreen
        from tui.app.screens.text_edit import TextEditScreen

        now = self._controller.conversation.answer_format
        choices = [
            Choice(id="", label=tr("Text"), note=tr("as the model writes it"), key="t"),
            Choice(id="json_schema", label=tr("JSON schema"), note=tr("JSON, as the schema says"), key="j"),
            Choice(id="gbnf", label=tr("Grammar"), note=tr("in llama.cpp's notation, GBNF"), key="g"),
        ]
        current = now.kind if now else ""
        kind = await self.flows.ask(ChoiceScreen(tr("Format of answers"), choices, self.flows.keymap, current=current))
        if kind is None:
            return
        if not kind:
            self._controller.configure(answer_format=None)
            self.flows.tell(tr("The next answer is text."))
            return
        before = now.text if now and now.kind == kind else _EXAMPLES[kind]
        title = tr("JSON schema") if kind == "json_schema" else tr("Grammar")
        hint, written = tr("What the model thinks before it answers is free."), before
        while True:
            dialog = TextEditScreen(title, written, self.flows.keymap, hint=hint, default=_EXAMPLES[kind])
            text = await self.flows.ask(dialog)
            if text is None:
                return
            if problem := _problem(kind, text):
                hint, written = problem, text
                continue
            wanted = AnswerFormat(kind="json_schema" if kind == "json_schema" else "gbnf", text=text)
            self._controller.configure(answer_format=wanted if text.strip() else None)
            self.flows.tell(tr("The next answer keeps to it.") if text.strip() else tr("The next answer is text."))
            return


def _problem(kind: str, text: str) -> str:
    """Why the text is no schema, as far as that is told without the engine; empty where it may be one."""
    if kind == "json_schema" and text.strip():
        try:
            json.loads(text)
        except json.JSONDecodeError as error:
            return tr(
                "This is not JSON: line {line}, column {column}: {reason}",
                line=error.lineno,
                column=error.colno,
                reason=error.msg,
            )
        except RecursionError:
            return tr("This is nested too deeply.")
    return ""


_EXAMPLES = {
    "json_schema": """\
{
  "type": "object",
  "properties": {
    "answer": {"type": "string"}
  },
  "required": ["answer"]
}""",
    "gbnf": 'root ::= "yes" | "no"',
}
"""What the editor begins with."""
