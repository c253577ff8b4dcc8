"""What a question is answered with: the load that the app would take, with a context in which the question has room, if
it leaves enough memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import msgspec

from tui.base.exit_codes import ExitCode
from tui.chat.conversation import Conversation, to_messages
from tui.config.modelrules import ChatOverrides
from tui.config.options import Options
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import StateStore
from tui.models.info import ModelInfo
from tui.models.library import LibraryModel
from tui.planning import verdict_words
from tui.planning.draftload import OFF
from tui.planning.drafts import auto_draft, may_have_draft
from tui.planning.exact import Confirmed
from tui.planning.guardrail import may_load, no_others
from tui.planning.verdict import Verdict
from tui.session.controller import Controller
from tui.session.load_order import LoadOrder
from tui.session.loads import LoadRequest
from tui.shell.load_guard import no_such_device, options_of, read_memory
from tui.shell.pick import scanned
from tui.shell.question import CannotAsk, Question
from tui.words import tr

_BYTES_PER_TOKEN = 2.5
"""Fewer than texts have, numbers and rare scripts left aside: a context with a little too much room costs less than
one with too little."""
_ANSWER = 2048
"""Tokens of room for an answer."""
_STEP = 1024


def is_loaded(controller: Controller, model: LibraryModel, question: Question) -> bool:
    """Whether the model is loaded in a way that suits the question: with what was given, and room for it."""
    loaded, now = controller.engine.loaded, controller.model
    if loaded is None or loaded.path != str(model.path) or controller.phase != "ready":
        return False
    if question.fit and not now.is_fitted:
        return False
    if (now.chat_format or ChatOverrides()) != question.chat_format:
        return False
    given = {name: value for name, value in question.load.items() if name != "n_ctx"}
    if any(getattr(now.choice, name) != value for name, value in given.items()):
        return False
    if n_ctx := question.load.get("n_ctx"):
        return loaded.n_ctx >= int(n_ctx)
    now_here = msgspec.structs.replace(now.choice, n_ctx=loaded.n_ctx)
    return loaded.n_ctx >= n_ctx_for(controller.conversation, question.prompt, now_here, model.info, {})


async def settle(
    controller: Controller,
    model: LibraryModel,
    question: Question,
    settings: Settings,
    state: StateStore,
    say: Callable[[str], None],
) -> LoadRequest:
    """How to load the model for this question, whose session has an engine; what differs from what was asked for is
    said. Raises `CannotAsk` when it would leave too little memory, and nothing was forced."""
    devices, info, path, load = controller.model.devices, model.info, model.path, question.load
    if "backend" in load and (missing := no_such_device(str(load["backend"]), devices)):
        raise CannotAsk(ExitCode.USAGE, missing)
    order = LoadOrder(settings, state, Options(load=load), lambda problem: say(str(problem)))
    choice, chosen = order.load_for(path, info), order.given_for(path)
    n_ctx = n_ctx_for(controller.conversation, question.content, choice, info, load)
    if n_ctx != choice.n_ctx:
        choice, chosen = msgspec.structs.replace(choice, n_ctx=n_ctx), chosen - {"n_ctx"}
    memory = await read_memory(devices, settings.memory, controller.engine.loaded)
    confirmed = Confirmed(controller.planner, path, info, devices, memory)

    async def loaded_so(choice: ChosenLoad, verdict: Verdict) -> LoadRequest:
        return LoadRequest(
            path=path,
            choice=choice,
            name=info.name,
            remember=False,
            swa_full="on" if verdict.plan.swa_full else "off",
            model_draft=await auto_draft(confirmed, model, choice, library) if may_have_draft(choice, info) else OFF,
            chat_format=question.chat_format,
            is_fitted=question.fit,
        )

    async def library() -> Sequence[LibraryModel]:
        return await asyncio.to_thread(lambda: scanned(settings, state.state).models)

    if question.fit and (found := await confirmed.auto_fit(choice, may_cut="n_ctx" not in load)):
        if found.is_cut:
            say(verdict_words.context_cut(choice.n_ctx or info.n_ctx_train, found.choice.n_ctx))
        choice = found.choice
    if question.force:
        return await loaded_so(choice, await confirmed.judge(choice))
    permission = await may_load(confirmed, choice, chosen=chosen, others=no_others)
    if permission.instead is not None:
        say(verdict_words.loaded_instead(permission.instead))
        choice = permission.instead.choice
    elif not permission.is_given:
        ways = options_of(permission.remedies)
        would = (
            tr("What would fit: {options}. --force loads it anyway.", options=ways)
            if ways
            else tr("No option makes it fit. --force loads it anyway.")
        )
        sentence = tr("{model}: {reason}", model=info.name, reason=verdict_words.sentence(permission.verdict))
        raise CannotAsk(ExitCode.MODEL, f"{sentence}\n{would}")
    return await loaded_so(choice, permission.outcome)


def n_ctx_for(
    conversation: Conversation, prompt: str, choice: ChosenLoad, info: ModelInfo, given: Mapping[str, object]
) -> int:
    """The context of `choice`, or a larger one where the prompt, what goes before it and an answer may need that; never
    more than the model was trained for, nor other than what the command line gives."""
    if "n_ctx" in given or not choice.n_ctx:
        return choice.n_ctx
    texts = (prompt, *(message.content for message in to_messages(conversation)))
    needed = int(sum(len(text.encode()) for text in texts) / _BYTES_PER_TOKEN) + _ANSWER
    if needed <= choice.n_ctx:
        return choice.n_ctx
    needed = -(-needed // _STEP) * _STEP
    return max(choice.n_ctx, min(needed, info.n_ctx_train or needed))
