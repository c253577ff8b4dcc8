"""One question to a session without a screen: its conversation, its load, its answer, and what of it is taken back when
there is none. Whoever asks hears the answer from the session itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.userpath import user_path
from tui.chat.conversation import Conversation, encodable
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.models.library import LibraryModel
from tui.models.modelfile import ModelFileError
from tui.models.named import find, labels, named
from tui.protocol.messages import Loaded
from tui.protocol.records import PartialSampling
from tui.session import events
from tui.session.controller import Controller
from tui.shell.answer_load import is_loaded, settle
from tui.shell.pick import NoModelFound, pick, scanned
from tui.shell.question import CannotAsk, Question
from tui.words import tr

_EXAMPLE = 'llmtui ask "…" -m model.gguf'
_MOST_NAMES = 8
_STOP_S = 10.0
"""How long an answer that nobody wants any more may take to stop."""
_ENDS = (events.AnswerEnded, events.AnswerRefused, events.LoadFailed, events.EngineLost, events.FaultFound)


class Asking:
    """Of one session, one question at a time. `on_model` is told the name of the model that answers, and
    what is loaded of it already, `say` what else a person should know."""

    def __init__(
        self,
        controller: Controller,
        settings: Settings,
        state: StateStore,
        *,
        on_model: Callable[[str, Loaded | None], None],
        say: Callable[[str], None],
    ) -> None:
        self._controller, self._settings, self._state = controller, settings, state
        self._on_model, self._say = on_model, say
        self._is_over = asyncio.Event()
        self._is_refused = False
        self._asked = ""
        """Id of the prompt that has no answer yet."""

    async def ask(self, question: Question) -> None:
        """Have it answered, and wait for the end of that, however it ends: events tell. Cancelling this stops the
        answer and waits for it. Raises `CannotAsk`, `EngineDied` and `StoreError` where nothing was begun."""
        self._is_over.clear()
        self._is_refused, self._asked = False, ""
        listening = self._controller.listen(self._hear)
        try:
            conversation = await self._last() if question.continue_last else None
            model = await asyncio.to_thread(self._pick, question, conversation)
            await self._take_up(question, conversation)
            await self._load(question, model)
            self._controller.queue.send(question.prompt, files=question.files)
            await self._is_over.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._controller.stop()
            raise
        finally:
            listening()
            self._controller.queue.take_all()  # what was not sent is no draft of the app
            if self._is_refused and self._asked:
                self._take_back()

    def _hear(self, event: events.AnySessionEvent) -> None:
        match event:
            case events.UserSaid(turn=turn):
                self._asked = turn.id
            case events.AnswerBegan():
                self._asked = ""
            case events.AnswerRefused():
                self._is_refused = True
        if isinstance(event, _ENDS):
            self._is_over.set()

    async def _last(self) -> Conversation:
        store = self._controller.store
        found = await store.list()
        conversation = await store.open(found[0].id) if found else None
        if conversation is None:
            raise CannotAsk(ExitCode.USAGE, tr("There is no conversation to go on with: leave out --continue."))
        if any(turn.is_streaming for turn in conversation.turns):
            raise CannotAsk(
                ExitCode.USAGE,
                tr("An answer is being written in that conversation: ask when it has ended, or leave out --continue."),
            )
        return conversation

    def _pick(self, question: Question, conversation: Conversation | None) -> LibraryModel:
        """The model that was named, what is loaded, the conversation's, or one by itself."""
        settings, state, loaded = self._settings, self._state.state, self._controller.engine.loaded
        if question.named:
            question = msgspec.structs.replace(question, model=str(self._named(question.named)))
        if not question.model:
            for path in (loaded.path if loaded else "", conversation.model_path if conversation else ""):
                if path:
                    with contextlib.suppress(ModelFileError):  # it has gone since
                        return pick(Path(path), settings, state, _EXAMPLE).model
        try:
            return pick(Path(question.model) if question.model else None, settings, state, _EXAMPLE).model
        except NoModelFound as error:
            raise CannotAsk(ExitCode.MODEL, str(error)) from error
        except ModelFileError as error:
            raise CannotAsk(ExitCode.MODEL, tr("{file}: {reason}", file=error.path, reason=error.reason)) from error

    def _named(self, written: str) -> Path:
        """The file that is meant by what was written on another machine."""
        path = user_path(written)
        if path.is_file():
            return path
        models, _ = named(scanned(self._settings, self._state.state))
        found = find(written, models)
        if len(found) == 1:
            return found[0].path
        names = format.listed(*labels(found)[:_MOST_NAMES])
        raise CannotAsk(
            ExitCode.MODEL,
            tr("{name} may be one of several models there: {names}. Write one of these.", name=written, names=names)
            if found
            else tr("There is no model {name} there. llmtui models --host lists those that are.", name=written),
        )

    async def _take_up(self, question: Question, conversation: Conversation | None) -> None:
        controller = self._controller
        controller.contexts.saves = question.keep and question.continue_last
        if conversation is not None and question.keep:
            await controller.open(conversation.id)
        else:
            await controller.new(is_kept=question.keep)
        if conversation is not None and not question.keep:
            controller.opened.take(conversation)
        if question.preset is not None:
            controller.configure(**question.preset.settings(self._settings))
        if question.system_prompt is not None:
            controller.configure(system_prompt=encodable(question.system_prompt))
        given: dict[str, Any] = dict(question.sampling.given)
        if question.temperature is not None:
            given["temperature"] = question.temperature
        if given:
            own = controller.conversation.sampling or PartialSampling()
            controller.configure(sampling=msgspec.structs.replace(own, **given))
        if question.answer_format is not None:
            controller.configure(answer_format=question.answer_format)
        if question.max_tokens is not None:
            controller.configure(max_tokens=question.max_tokens)
        if question.think:
            controller.configure(thinking=question.think != "off")

    async def _load(self, question: Question, model: LibraryModel) -> None:
        controller = self._controller
        suits = is_loaded(controller, model, question)
        self._on_model(model.info.name, controller.engine.loaded if suits else None)
        if suits:
            return
        if not controller.engine.alive or controller.engine.hello is None:  # one whose start was interrupted
            await controller.model.start()
        request = await settle(controller, model, question, self._settings, self._state, self._say)
        controller.model.headers[str(model.path)] = model.info
        controller.load(request)

    def _take_back(self) -> None:
        """A question that was refused is not part of a conversation."""
        controller = self._controller
        if len(controller.conversation.turns) == 1 and controller.opened.saved_id:
            controller.store.delete(controller.conversation.id).add_done_callback(lambda done: done.exception())
            controller.opened.start_new()
        else:
            controller.opened.cut_from(self._asked)
            controller.opened.settle()
