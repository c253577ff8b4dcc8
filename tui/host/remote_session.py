"""A session in a host, as the screens of another process know it: what can be read of it is mirrored here, what it is
asked to do goes over a line, and what happens there is told here."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from tui.chat.conversation import Conversation, finished
from tui.chat.store import Store, StoreError
from tui.config.options import Options
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.downloads.interface import Downloads
from tui.host import operations as ops
from tui.host.meeting import HostProblem
from tui.host.remote_line import Reached, RemoteLine, SessionLost
from tui.host.remote_seen import RemoteContext, RemoteEngine, RemoteModel, RemotePrompts
from tui.host.scene import Scene, after, retold
from tui.host.scene import decode as decode_scene
from tui.models.info import ModelInfo
from tui.protocol.codec import event_decoder, not_text
from tui.protocol.death import EngineDied, examine
from tui.protocol.messages import AnswerT, Command, Delta, DeltaKind
from tui.protocol.messages import Load as EngineLoad
from tui.protocol.records import LoadSettings
from tui.protocol.wire import LENGTH, encode
from tui.session import events
from tui.session.context_meter import TextLength
from tui.session.events import Phase
from tui.session.interface import Session
from tui.session.loads import LoadRequest
from tui.session.prompt_queue import QueuedPrompt
from tui.session.standing import ModelStands, SessionStands
from tui.words import language, tr

_END_S = 10.0
"""How long the end of a host may take."""
_FLUSH_S = 1.0
"""How long stopping this process waits for the host to save."""
_NOTHING = ModelStands()
_KINDS: tuple[DeltaKind, ...] = ("thinking", "answer")
_log = logging.getLogger("llmtui")
ResultT = TypeVar("ResultT")


class RemoteSession(Session):
    """Follows the session of a host that `reach` finds. All of it on the event loop."""

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        store: Store,
        options: Options,
        reach: Reached,
        *,
        is_separate: bool = False,
        otherwise: Reached | None = None,
        downloads: Downloads | None = None,
    ) -> None:
        """With `is_separate` it is a new session, whatever others there are. `otherwise` reaches a session of this
        process, for where there can be no host."""
        self._scene = Scene()
        self.engine: RemoteEngine = RemoteEngine(lambda: self._engine, self._ask_engine)
        self.model: RemoteModel = RemoteModel(lambda: self._engine)
        super().__init__(
            settings,
            state,
            store,
            options,
            engine=self.engine,
            model=lambda: self._engine,
            phase=lambda: self.phase,
            prefill_speeds=self.model,
            downloads=downloads,
        )
        self._line = RemoteLine(
            reach,
            on_caught=self._caught,
            on_happened=self._happened,
            on_lost=self._is_gone,
            on_broken=lambda why: self._say(events.LineBroken(why=why)),
            is_separate=is_separate,
        )
        self._line.on_keys = lambda has_keys: self._say(events.KeysMoved(are_here=has_keys))
        self.queue: RemotePrompts = RemotePrompts(lambda: self._scene, self._do)
        self.context: RemoteContext = RemoteContext(lambda: self._scene, self._measure)
        self.outlives = True
        self._grown: list[tuple[DeltaKind, str]] = []
        """The text of the answer that is being written."""
        self._otherwise = otherwise
        self._n_configuring = 0
        """Changes to the conversation that the host has not confirmed yet."""
        self._has_begun = False
        """Something was in it when it was joined."""
        self._is_lost = False
        self._going_on: asyncio.Task[None] | None = None
        self._closing: asyncio.Future[None] | None = None

    async def connect(self) -> bool:
        """As `Session.connect`. Raises `HostProblem` where no host can be reached or started, and nothing else can be
        either."""
        try:
            await self._line.open()
        except (HostProblem, SessionLost) as problem:
            if self._otherwise is None:
                raise
            self._say(events.NoHost(why=str(problem) or tr("The llmtui in the background has ended.")))
            self._line.reach, self._otherwise, self.outlives = self._otherwise, None, False
            await self._line.open()
        return self._has_begun

    async def start(self) -> None:
        self._begin_beside()
        if self.phase == "starting":
            await self._wait(ops.StartEngine(), None)

    # What can be read -------------------------------------------------------------------------------------------------

    @property
    def _engine(self) -> ModelStands:
        return self._scene.engine or _NOTHING

    @property
    def phase(self) -> Phase:
        return self._scene.phase

    @property
    def conversation(self) -> Conversation:
        return self._scene.conversation

    @property
    def is_writing(self) -> bool:
        return self._scene.stands is not None and self._scene.stands.is_writing

    @property
    def can_answer(self) -> bool:
        stands = self._scene.stands
        return stands is not None and stands.can_answer and not self.queue.is_load_coming()

    @property
    def has_keys(self) -> bool:
        return self._line.has_keys

    @property
    def n_unsaved(self) -> int:
        there = self._scene.stands.n_unsaved if self._scene.stands is not None else 0
        return there + self.store.n_unsaved

    async def engine_log(self) -> Sequence[str]:
        return await self._wait(ops.EngineLog(), ())

    # Model ------------------------------------------------------------------------------------------------------------

    def load(
        self, request: LoadRequest, name: str = "", info: ModelInfo | None = None, *, then_answer: bool = False
    ) -> None:
        given = request.chat_format or self.load_order.chat_format
        request = msgspec.structs.replace(request, chat_format=given)
        try:
            self._do(ops.Load(request=request, name=name, info=info, then_answer=then_answer))
        except UnicodeEncodeError:
            why = not_text(EngineLoad(path=str(request.path), settings=LoadSettings()))
            self._say(events.LoadFailed(path=request.path, info=why))

    def retry(self) -> None:
        self._do(ops.Retry())

    def restart(self, **changes: Any) -> None:
        if not self._is_lost:
            self._do(ops.Restart(changes=changes))
        elif self._going_on is None or self._going_on.done():
            self._going_on = asyncio.create_task(self._go_on(changes))

    async def unload(self) -> None:
        await self._wait(ops.Unload(), None)

    async def share_language(self) -> None:
        await self._wait(ops.Speak(language=language()), None)
        await self.planner.share_language()

    # Conversation -----------------------------------------------------------------------------------------------------

    async def new(self) -> None:
        await self._wait(ops.New(), None)

    async def open(self, conversation_id: str, *, keeps_prompts: bool = False) -> None:
        await self._store_wait(ops.Open(conversation_id=conversation_id, keeps_prompts=keeps_prompts))

    async def delete(self, conversation_id: str) -> None:
        await self._store_wait(ops.Delete(conversation_id=conversation_id))

    async def show_branch(self, turn_id: str) -> bool:
        return await self._wait(ops.ShowBranch(turn_id=turn_id), otherwise=False)

    async def remove_turn(self, turn_id: str) -> bool:
        return await self._wait(ops.RemoveTurn(turn_id=turn_id), otherwise=False)

    async def edit_answer(self, turn_id: str, text: str) -> bool:
        return await self._wait(ops.EditAnswer(turn_id=turn_id, text=text), otherwise=False)

    def configure(self, **changes: Any) -> None:
        now = msgspec.structs.replace(self.conversation, **changes)
        self._scene = msgspec.structs.replace(self._scene, conversation=now)
        self._n_configuring += 1
        configure = ops.Configure(fields=tuple(changes), values=msgspec.structs.replace(now, turns=()))
        self._do(configure).add_done_callback(self._configured)

    def _configured(self, _: asyncio.Future[None]) -> None:
        self._n_configuring -= 1

    async def save_now(self) -> None:
        await self.keep_draft()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._wait(ops.Flush(), None)

    async def settled(self) -> None:
        await self._wait(ops.Settle(), None)

    async def keep_draft(self) -> None:
        await self._keep(self.unsent())  # what waits is kept by the host

    # Answers ----------------------------------------------------------------------------------------------------------

    def answer(self, *, drop_oldest: bool = False, replaces: str = "", goes_on: bool = False) -> None:
        self._do(ops.Answer(drop_oldest=drop_oldest, replaces=replaces, goes_on=goes_on))

    def end_thought(self) -> None:
        self._do(ops.AnswerNow())

    def put_back(self) -> None:
        self._do(ops.PutBack())

    async def take_back(self) -> QueuedPrompt | None:
        return await self._wait(ops.TakeBack(), None)

    def interrupt(self) -> None:
        self._do(ops.Interrupt())

    async def length_of(self, text: str, *, is_next: bool = True) -> TextLength | None:
        return await self._wait(ops.LengthOf(text=text, is_next=is_next), None)

    async def _measure(self) -> None:
        await self._wait(ops.MeasureContext(), None)

    # Asking -----------------------------------------------------------------------------------------------------------

    def _do(self, operation: ops.Operation[ResultT]) -> asyncio.Future[ResultT]:
        """Ask for something that nobody waits for."""
        future = self._line.call(operation)
        future.add_done_callback(self._tell_fault)
        return future

    def _tell_fault(self, future: asyncio.Future[Any]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None and not isinstance(error, SessionLost | EngineDied):
            _log.error("The host could not do something", exc_info=error)
            self._say(events.FaultFound(kind=type(error).__name__, detail=str(error)))

    async def _wait(self, operation: ops.Operation[ResultT], otherwise: ResultT) -> ResultT:
        """What comes of it, or `otherwise` where the host is gone or has a fault, which is told. Raises what the
        session raises."""
        try:
            return await self._line.call(operation)
        except SessionLost:
            return otherwise
        except ops.HostFault as fault:
            self._say(events.FaultFound(kind=type(fault).__name__, detail=str(fault)))
            return otherwise

    async def _store_wait(self, operation: ops.Operation[None]) -> None:
        """As `_wait`, for what is not done then. Raises `StoreError`."""
        try:
            await self._line.call(operation)
        except SessionLost:
            raise StoreError("closed", self.store.path, tr("the llmtui in the background has ended")) from None

    async def _ask_engine(self, command: Command[AnswerT]) -> AnswerT:
        try:
            answer = await self._line.call(ops.AskEngine(command=encode(command)[LENGTH.size :]))
        except SessionLost:
            raise EngineDied(examine(0, (), "idle")) from None
        said: Any = event_decoder().decode(answer)
        result: AnswerT = said
        return result

    # What happens -----------------------------------------------------------------------------------------------------

    def _caught(self, data: bytes) -> None:
        self._scene, self._is_lost = decode_scene(data), False
        self._grown.clear()
        self._has_begun = bool(self.conversation.turns or self._engine.path or self.queue.texts)
        for event in tuple(retold(self._scene)):
            self._note(event)
            self._say(event)

    def _happened(self, data: bytes) -> None:
        event = events.decode(data)
        if isinstance(event, SessionStands):
            could_answer = self._scene.stands is not None and self._scene.stands.can_answer
            if self._n_configuring:  # what was changed here since is on its way
                event = msgspec.structs.replace(event, head=msgspec.structs.replace(self.conversation, turns=()))
            if event.can_answer and not could_answer:
                self.remember()  # the host may have kept what a load was asked for with: that is read again
        self._scene = after(self._scene, event, with_text=False)
        self._note(event)
        if not isinstance(event, SessionStands | ModelStands):
            self._say(event)

    def _note(self, event: events.AnySessionEvent) -> None:
        """Of an answer that grows, only what costs nothing."""
        match event:
            case events.AnswerGrew(delta=Delta(kind=kind, text=text, n_used=n_used)):
                self._grown.append((kind, text))
                self.context.n_growing = n_used
            case events.AnswerBegan(turn=turn):
                self._grown[:] = [("thinking", turn.reasoning), ("answer", turn.text)]  # of one that goes on
                self.context.n_growing = 0
            case events.AnswerEnded():
                self._grown.clear()
                self.context.n_growing = 0
            case events.AnswerRecast():
                self._grown[:] = [("thinking", text) for _, text in self._grown]

    def _say(self, event: events.AnySessionEvent) -> None:
        try:
            self._tell(event)
        except Exception as error:  # noqa: BLE001 - a screen's fault must not end the line
            _log.exception("Something that was told broke a screen")
            if not isinstance(event, events.FaultFound):
                self._say(events.FaultFound(kind=type(error).__name__, detail=str(error)))

    # The host is gone -------------------------------------------------------------------------------------------------

    def _is_gone(self, is_ended: bool) -> None:
        self._is_lost = True
        scene = self._scene
        stands = scene.stands and msgspec.structs.replace(scene.stands, is_writing=False, can_answer=False)
        engine = msgspec.structs.replace(self._engine, alive=False, pid=None, loaded=None)
        self._scene = msgspec.structs.replace(
            scene, engine=engine, stands=stands, phase="dead", loading=None, queue=None
        )
        was_writing = scene.answer is not None and scene.answer.is_streaming
        if was_writing and (turn := scene.answer) is not None:
            text = {kind: "".join(piece for one, piece in self._grown if one == kind) for kind in _KINDS}
            whole = finished(turn, text=text["answer"], reasoning=text["thinking"].rstrip(), stop="crashed")
            ended = events.AnswerEnded(turn=whole)
            self._scene = after(self._scene, ended)
            self._say(ended)
        self._say(events.PhaseChanged(phase="dead"))
        if scene.queue is not None and scene.queue.texts:
            self._say(events.QueueChanged(texts=(), is_held=False))
            self._say(events.PromptsWithdrawn(texts=scene.queue.texts))
        self._say(events.HostLost(was_writing=was_writing, is_ended=is_ended))

    async def _go_on(self, changes: Mapping[str, Any]) -> None:
        """Start another host, and bring there what was open and loaded."""
        before, stands = self._engine, self._scene.stands
        conversation_id = self.conversation.id if stands is not None and stands.is_saved else ""
        try:
            goes_on = await self.connect()
        except (HostProblem, SessionLost) as problem:
            self._say(events.HostLost(was_writing=False, why=str(problem)))
            return
        if goes_on:  # another window was quicker
            return
        await self._wait(ops.StartEngine(), None)
        if conversation_id:
            with contextlib.suppress(StoreError):  # the store tells
                await self.open(conversation_id)
        if before.path is not None:
            choice = msgspec.structs.replace(before.choice, **changes)
            request = LoadRequest.again(before.path, choice, before.name, None, remember=bool(changes))
            self.load(request, before.name, before.headers.get(str(before.path)))

    # The end ----------------------------------------------------------------------------------------------------------

    async def close(self, patience_s: float | None = None) -> None:
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close(patience_s))
        await asyncio.shield(self._closing)

    async def _close(self, patience_s: float | None) -> None:
        await self._close_beside(self.unsent)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_END_S if patience_s is None else patience_s):
                await self._line.leave(ends=not (self.outlives and self.leaves_running))
        self._line.close()
        await self.planner.close()
        self.state_lost = await self._remembered.flush()
        await self.store.close()
        if isinstance(self._line.lost_at_end, StoreError):
            raise self._line.lost_at_end
