"""The session of the screens in a host: screens join it, hear all that happens, and have what they want carried out.
One of them has the keys: who came last, or acted last."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import msgspec

from tui import words
from tui.chat.store import StoreError
from tui.host import operations as ops
from tui.host.event_log import EventLog
from tui.host.messages import Call, Closed, HostMessage, Join, KeysMoved, Returned
from tui.protocol.codec import command_decoder
from tui.protocol.wire import LENGTH, encode
from tui.session import events
from tui.session.controller import Controller
from tui.session.standing import ModelStands, SessionStands

_MOST_KEPT = 64
"""Answers to calls that are kept for a screen whose line broke before it heard them."""
_MOST_GONE = 8
"""Screens with a broken line that may come back."""
_QUIET = (events.AnswerGrew, events.PromptAdvanced, events.MachineRead, events.AnswerRecast)
"""Events that come often, and with which nothing changes that they do not tell themselves."""
_log = logging.getLogger("llmtui.host")

Say = Callable[[HostMessage], None]


class _Viewer:
    """One screen, also while its line is broken."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.say: Say | None = None
        self.end: Callable[[], None] = lambda: None
        """It hears no more."""
        self.n_called = 0
        """The last call that was begun."""
        self.answers: deque[Returned] = deque(maxlen=_MOST_KEPT)

    def tell(self, message: HostMessage) -> None:
        """Nothing happens while its line is broken."""
        if self.say is not None:
            self.say(message)


class Served:
    """Owns a `Controller`, which may have begun already. All of it on the event loop."""

    def __init__(self, controller: Controller, log: EventLog, on_change: Callable[[], None]) -> None:
        """What happens goes into `log`. `on_change` is called when somebody comes or goes, or something begins or
        ends."""
        self.controller, self.log, self._on_change = controller, log, on_change
        self._viewers: dict[str, _Viewer] = {}
        self._holder = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_load_coming = self._was_busy = False
        self._model_stands: ModelStands | None = None
        self._stands: SessionStands | None = None
        controller.queue.is_load_coming = lambda: self._is_load_coming
        self._keeping: asyncio.Task[None] | None = None
        controller.listen(self._hear)
        self._stand()

    @property
    def is_busy(self) -> bool:
        """Something runs, or waits to be answered."""
        return self.controller.is_busy

    @property
    def n_viewers(self) -> int:
        """Screens that are there."""
        return sum(viewer.say is not None for viewer in self._viewers.values())

    # Screens ----------------------------------------------------------------------------------------------------------

    def join(self, join: Join, say: Say) -> None:
        """Somebody is there, or there again."""
        gone = [name for name, viewer in self._viewers.items() if viewer.say is None and name != join.viewer]
        for name in gone[:-_MOST_GONE]:
            del self._viewers[name]
        viewer = self._viewers.setdefault(join.viewer, _Viewer(join.viewer))
        viewer.end()
        viewer.say = say
        viewer.end = self.log.follow(viewer.tell, join.after if join.session == self.log.session else -1)
        for answer in viewer.answers:  # those that were heard are passed over
            say(answer)
        self._give_keys(viewer)
        if join.language != words.language():
            words.use(join.language)
            self._do(self.controller.share_language())
        self._on_change()

    def lost(self, name: str, say: Say) -> None:
        """The line of a viewer is broken; it may come back, or has on another one."""
        viewer = self._viewers.get(name)
        if viewer is not None and viewer.say == say:
            viewer.end()
            viewer.say = None
            self._is_gone()

    def leave(self, name: str) -> None:
        """A viewer goes for good."""
        viewer = self._viewers.pop(name, None)
        if viewer is not None:
            viewer.end()
            self._is_gone()

    def _is_gone(self) -> None:
        """The load that a screen prepared does not come without it: what waited for that goes on."""
        self._is_load_coming = False
        self.controller.queue.send_next()
        self._on_change()

    def call(self, name: str, call: Call) -> None:
        """Carry it out, if that was not begun already. Raises `msgspec.MsgspecError`."""
        viewer = self._viewers[name]
        if call.id <= viewer.n_called:
            return
        operation = ops.operation_of(call.operation)
        viewer.n_called = call.id
        if operation.acts:
            self._give_keys(viewer)
        self._do(self._carry_out(viewer, call.id, operation))

    def _give_keys(self, viewer: _Viewer) -> None:
        if self._holder != viewer.name:
            self._holder = viewer.name
            for one in self._viewers.values():
                one.tell(KeysMoved(viewer=viewer.name))
        elif viewer.say is not None:
            viewer.say(KeysMoved(viewer=viewer.name))

    async def _carry_out(self, viewer: _Viewer, number: int, operation: ops.AnyOperation) -> None:
        try:
            answer = Returned(id=number, result=ops.encode(await self._done(operation)))
        except Exception as error:  # noqa: BLE001 - whoever asked gets it
            problem = ops.problem_of(error)
            if isinstance(problem, ops.Fault):
                _log.exception("Something was broken off")
            answer = Returned(id=number, problem=ops.encode(problem))
        self._stand()
        viewer.answers.append(answer)
        viewer.tell(answer)

    async def _done(self, operation: ops.AnyOperation) -> object:
        done = _CARRY_OUT[type(operation)](self, operation)
        return await done if isinstance(done, Awaitable) else done

    def load_is_coming(self, is_coming: bool) -> None:
        """Prompts wait for a load that a screen prepares, or do not any more."""
        self._is_load_coming = is_coming

    # What is told -----------------------------------------------------------------------------------------------------

    def _hear(self, event: events.AnySessionEvent) -> None:
        if not isinstance(event, _QUIET):
            self._stand()
        self.log.hear(event)
        if isinstance(event, events.QueueChanged) and self._keeping is None:
            self._keeping = self._do(self._keep_waiting())
        if self.is_busy != self._was_busy:
            self._was_busy = self.is_busy
            self._on_change()

    async def _keep_waiting(self) -> None:
        """What waits is kept for the next start, in case the host is killed."""
        self._keeping = None
        await self.controller.keep_draft()

    def saving(self, error: StoreError | None) -> None:
        """Conversations cannot be saved, or can again."""
        self._hear(events.SavingFailed(error=error.fault if error is not None else None))

    def _stand(self) -> None:
        model, session = _model_stands(self.controller), _session_stands(self.controller)
        if model != self._model_stands:
            self._model_stands = model
            self.log.hear(model)
        if session != self._stands:
            self._stands = session
            self.log.hear(session)

    # The end ----------------------------------------------------------------------------------------------------------

    def _do(self, work: Any) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def end(self) -> None:
        """Carry nothing out any more; the controller is closed after that."""
        for task in tuple(self._tasks):
            task.cancel()
        for viewer in self._viewers.values():
            viewer.tell(Closed(conversation=self.controller.opened.saved_id))


def _model_stands(controller: Controller) -> ModelStands:
    engine, model = controller.engine, controller.model
    paths = {str(model.path), engine.loaded.path if engine.loaded else ""}
    return ModelStands(
        alive=engine.alive,
        pid=engine.pid,
        hello=engine.hello,
        loaded=engine.loaded,
        devices=model.devices,
        path=model.path,
        name=model.name,
        choice=model.choice,
        fatal_choice=model.fatal_choice,
        headers={path: model.headers[path] for path in sorted(paths) if path in model.headers},
        prefill_tps=controller.speed.prefill_tps,
    )


def _session_stands(controller: Controller) -> SessionStands:
    return SessionStands(
        head=msgspec.structs.replace(controller.conversation, turns=()),
        is_saved=bool(controller.opened.saved_id),
        is_writing=controller.is_writing,
        can_answer=controller.can_answer,
        n_used=controller.context.n_used,
        n_system=controller.context.n_system,
        n_files=controller.context.n_files,
        n_unsaved=controller.store.n_unsaved,
    )


# What is carried out --------------------------------------------------------------------------------------------------

OperationT = TypeVar("OperationT", bound=ops.Operation[Any])
_CARRY_OUT: dict[type[ops.Operation[Any]], Callable[[Served, Any], object]] = {}


def _for(
    kind: type[OperationT],
) -> Callable[[Callable[[Served, OperationT], object]], Callable[[Served, OperationT], object]]:
    def register(carry_out: Callable[[Served, OperationT], object]) -> Callable[[Served, OperationT], object]:
        _CARRY_OUT[kind] = carry_out
        return carry_out

    return register


@_for(ops.StartEngine)
async def _start_engine(served: Served, _: ops.StartEngine) -> None:
    if not served.controller.engine.alive:
        await served.controller.start_engine()


@_for(ops.EngineLog)
async def _engine_log(served: Served, _: ops.EngineLog) -> tuple[str, ...]:
    return tuple(await served.controller.engine_log())


@_for(ops.AskEngine)
async def _ask_engine(served: Served, asked: ops.AskEngine) -> bytes:
    command = command_decoder().decode(asked.command)
    return encode(await served.controller.engine.ask(command))[LENGTH.size :]


@_for(ops.Load)
def _load(served: Served, asked: ops.Load) -> None:
    served.load_is_coming(False)
    served.controller.load(asked.request, asked.name, asked.info, then_answer=asked.then_answer)


@_for(ops.Retry)
def _retry(served: Served, _: ops.Retry) -> None:
    served.controller.retry()


@_for(ops.Restart)
def _restart(served: Served, asked: ops.Restart) -> None:
    served.controller.restart(**asked.changes)


@_for(ops.Unload)
async def _unload(served: Served, _: ops.Unload) -> None:
    await served.controller.unload()


@_for(ops.Speak)
async def _speak(served: Served, asked: ops.Speak) -> None:
    words.use(asked.language)
    await served.controller.share_language()


@_for(ops.New)
async def _new(served: Served, _: ops.New) -> None:
    await served.controller.new()


@_for(ops.Open)
async def _open(served: Served, asked: ops.Open) -> None:
    await served.controller.open(asked.conversation_id, keeps_prompts=asked.keeps_prompts)


@_for(ops.Delete)
async def _delete(served: Served, asked: ops.Delete) -> None:
    await served.controller.delete(asked.conversation_id)


@_for(ops.ShowBranch)
async def _show_branch(served: Served, asked: ops.ShowBranch) -> bool:
    return await served.controller.show_branch(asked.turn_id)


@_for(ops.RemoveTurn)
async def _remove_turn(served: Served, asked: ops.RemoveTurn) -> bool:
    return await served.controller.remove_turn(asked.turn_id)


@_for(ops.EditAnswer)
async def _edit_answer(served: Served, asked: ops.EditAnswer) -> bool:
    return await served.controller.edit_answer(asked.turn_id, asked.text)


@_for(ops.Configure)
def _configure(served: Served, asked: ops.Configure) -> None:
    served.controller.configure(**{field: getattr(asked.values, field) for field in asked.fields})


@_for(ops.Flush)
async def _flush(served: Served, _: ops.Flush) -> None:
    await served.controller.save_now()


@_for(ops.Settle)
async def _settle(served: Served, _: ops.Settle) -> None:
    await served.controller.settled()


@_for(ops.Answer)
def _answer(served: Served, asked: ops.Answer) -> None:
    served.controller.answer(drop_oldest=asked.drop_oldest, replaces=asked.replaces, goes_on=asked.goes_on)


@_for(ops.AnswerNow)
def _end_thought(served: Served, _: ops.AnswerNow) -> None:
    served.controller.end_thought()


@_for(ops.PutBack)
def _put_back(served: Served, _: ops.PutBack) -> None:
    served.controller.put_back()


@_for(ops.Interrupt)
def _interrupt(served: Served, _: ops.Interrupt) -> None:
    served.controller.interrupt()


@_for(ops.Send)
def _send(served: Served, asked: ops.Send) -> None:
    served.load_is_coming(asked.is_load_coming)
    served.controller.queue.send(asked.text, asked.replaces, asked.files)


@_for(ops.Release)
def _release(served: Served, asked: ops.Release) -> None:
    served.load_is_coming(asked.is_load_coming)
    served.controller.queue.release()


@_for(ops.SendNext)
def _send_next(served: Served, asked: ops.SendNext) -> None:
    served.load_is_coming(asked.is_load_coming)
    served.controller.queue.send_next()


@_for(ops.TakeBack)
async def _take_back(served: Served, _: ops.TakeBack) -> object:
    return await served.controller.take_back()


@_for(ops.LengthOf)
async def _length_of(served: Served, asked: ops.LengthOf) -> object:
    return await served.controller.length_of(asked.text, is_next=asked.is_next)


@_for(ops.MeasureContext)
async def _measure(served: Served, _: ops.MeasureContext) -> None:
    await served.controller.context.measure()
