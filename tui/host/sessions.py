"""The sessions of a host: each has its own open conversation and its own numbered events, and all share one engine.
What one of them loads is what the others find loaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

from tui.chat.store import Store, StoreError
from tui.config import paths
from tui.config.options import Options
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.engines.local import LocalEngine
from tui.engines.shared import EngineShare, SharedEngine
from tui.host.event_log import EventLog
from tui.host.messages import Begun, Closed, SessionKind, SessionStatus, State
from tui.host.served import Served
from tui.machine.vulkan import engine_environment
from tui.session.controller import Controller
from tui.session.events import AnySessionEvent, DownloadsChanged, PhaseChanged, QueueChanged
from tui.session.loads import InUse

MOST_OVER = 8
"""Questions that are over and can still be looked at."""
_END_S = 2.0
"""How long an answer may take to stop when its session is ended."""


class Session:
    """One of them."""

    def __init__(self, id: str, kind: SessionKind, share: EngineShare, controller: Controller, key: str = "") -> None:
        self.id, self.kind, self.share, self.controller, self.key = id, kind, share, controller, key
        self.started_at = time.time()
        self.log = EventLog()
        self.served: Served | None = None
        """Of a session for screens: what serves them."""
        self.answering: asyncio.Task[None] | None = None
        """Of a question: what answers it; done when that is over."""
        self.is_stopped = False
        """Somebody else than who asked wants no answer."""
        self.has_begun = False
        """It was the question's turn."""
        self.begun: Begun | None = None
        """What answers it, once that is known."""
        self.closed: Closed | None = None
        """How a question ended, once it has."""

    @property
    def is_over(self) -> bool:
        """A question that is done with: only what was told of it is left."""
        return self.closed is not None

    @property
    def is_busy(self) -> bool:
        """Something is done in it, or waits."""
        if self.is_over:
            return False
        controller = self.controller
        if self.served is not None and self.served.n_viewers:
            return True
        if self.answering is not None or controller.phase in ("loading", "answering") or self.share.turn.is_waiting:
            return True
        return controller.fetching.is_active or (bool(controller.queue.texts) and not controller.queue.is_held)

    @property
    def status(self) -> SessionStatus:
        """How it stands."""
        scene = self.log.scene
        return SessionStatus(
            id=self.id,
            kind=self.kind,
            title=scene.conversation.title if scene.conversation.turns else "",
            conversation=self.closed.conversation if self.closed else self.controller.opened.saved_id,
            model=self.begun.model if self.begun else self.controller.model.name,
            state=self._state,
            started_at=self.started_at,
            n_before=0 if self.is_over else self.share.turn.n_before,
            n_viewers=self.log.n_followers,
        )

    @property
    def _state(self) -> State:
        if self.closed is not None:
            answer = self.log.scene.answer
            is_whole = answer is not None and answer.stop not in (None, "crashed", "cancelled")
            return "done" if is_whole and not self.closed.code else "failed"
        return "waiting" if self.share.turn.is_waiting else self.controller.phase


class Sessions:
    """All of one host, the oldest first. All of it on the event loop."""

    def __init__(self, settings: Settings, on_change: Callable[[Session], None]) -> None:
        """`on_change` is called when one of them begins or ends to do something."""
        self._on_change = on_change
        env = engine_environment(software=settings.engine.software_vulkan)
        self.engine = SharedEngine(LocalEngine(env=env))
        self._all: dict[str, Session] = {}
        self._n_opened = 0
        self.in_use = InUse()
        """What is loaded, for sessions that come."""
        self._loading: Session | None = None

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._all.values()))

    def get(self, id: str) -> Session | None:
        """The one with this id, or with this name that is never given twice (`EventLog.session`)."""
        return self._all.get(id) or next((session for session in self if session.log.session == id), None)

    @property
    def newest(self) -> Session | None:
        """The one whose turn it is, else the newest that had one, else the newest."""
        newest_first = list(reversed(self._all.values()))
        for is_meant in (_has_turn, lambda one: one.has_begun or one.kind == "app", lambda _: True):
            if (found := next(filter(is_meant, newest_first), None)) is not None:
                return found
        return None

    def with_key(self, key: str) -> Session | None:
        """The question that was asked with this key."""
        return next((session for session in self if key and session.key == key), None)

    def open(
        self, kind: SessionKind, settings: Settings, state: StateStore, options: Options, key: str = ""
    ) -> Session:
        """A new one. Its store is not open yet."""
        share, store_trouble = self.engine.share(), _StoreTrouble()
        store = Store(paths.database_file(), store_trouble.tell)
        controller = Controller(settings, state, store, options, share, turn=share.turn)
        share.on_give_way = controller.contexts.give_way
        self._n_opened += 1
        session = Session(str(self._n_opened), kind, share, controller, key)
        self._all[session.id] = session
        if kind == "app":
            store.start().add_done_callback(_forget)  # what goes wrong is told, and tried again
            session.served = store_trouble.served = Served(controller, session.log, lambda: self._on_change(session))
        else:
            controller.listen(session.log.hear)
        controller.listen(lambda event: self._hear(session, event))
        if share.alive and share.hello is not None:
            controller.model.adopt(self.in_use)
        return session

    async def close(self, session: Session) -> None:
        """End it, and what it does; what there is of an answer is saved."""
        if session.answering is not None:
            session.answering.cancel()
            await asyncio.wait([session.answering])
        self.forget(session)
        if session.served is not None:
            session.served.end()
        await session.controller.close(_END_S)

    def over(self, session: Session, closed: Closed) -> None:
        """A question is done with; of those that are, the newest are kept."""
        session.closed, session.answering = closed, None
        over = [one for one in self if one.is_over]
        for one in over[:-MOST_OVER]:
            self.forget(one)
        self._on_change(session)

    def forget(self, session: Session) -> None:
        """It is not shown any more."""
        self._all.pop(session.id, None)
        self._on_change(session)

    async def unload(self) -> None:
        """Free what is loaded. Those who had it loaded have it again with their next question."""
        await self.engine.unload()
        self.in_use = InUse(devices=self.in_use.devices)
        for session in self:
            if not session.is_over:
                session.controller.model.adopt(self.in_use)

    def _hear(self, session: Session, event: AnySessionEvent) -> None:
        if isinstance(event, PhaseChanged) and session.share.turn.is_held:
            self._follow_load(session, event)
        if isinstance(event, PhaseChanged | QueueChanged | DownloadsChanged):
            self._on_change(session)

    def _follow_load(self, session: Session, event: PhaseChanged) -> None:
        others = [one.controller.model for one in self if one is not session and not one.is_over]
        if event.phase in ("loading", "starting"):
            self._loading = session
            for model in others:
                model.loads_elsewhere()
        elif self._loading is session or event.phase == "no_model":  # it has loaded, or freed what was loaded
            self._loading = None
            self.in_use = session.controller.model.in_use
            for model in others:
                model.adopt(self.in_use)


class _StoreTrouble:
    """What goes wrong with a store is told by what serves screens, once there is that."""

    def __init__(self) -> None:
        self.served: Served | None = None

    def tell(self, error: StoreError | None) -> None:
        """Why nothing is saved; None when it is again."""
        if self.served is not None:
            self.served.saving(error)


def _forget(future: asyncio.Future[Any]) -> None:
    """Nobody waits for it."""
    if not future.cancelled():
        future.exception()


def _has_turn(session: Session) -> bool:
    return not session.is_over and session.share.turn.is_held
