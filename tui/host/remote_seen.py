"""What can be read of a session elsewhere, each part as screens know it (`tui.session.interface`), from what was told
of it last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from tui.config.settings import ChosenLoad
from tui.files.attachment import Attachment
from tui.host import operations as ops
from tui.host.scene import Scene
from tui.models.info import ModelInfo
from tui.protocol.messages import AnswerT, Command, Hello, Loaded
from tui.protocol.records import Device
from tui.session.standing import ModelStands


class RemoteEngine:
    """The session's engine, an `EngineSeen`."""

    def __init__(self, now: Callable[[], ModelStands], ask: Callable[[Command[Any]], Awaitable[Any]]) -> None:
        self._now, self._ask = now, ask

    @property
    def alive(self) -> bool:
        return self._now().alive

    @property
    def pid(self) -> int | None:
        return self._now().pid

    @property
    def hello(self) -> Hello | None:
        return self._now().hello

    @property
    def loaded(self) -> Loaded | None:
        return self._now().loaded

    async def ask(self, command: Command[AnswerT]) -> AnswerT:
        """As `EngineSeen.ask`."""
        answer: AnswerT = await self._ask(command)
        return answer


class RemoteModel:
    """The session's model, a `ModelSeen`, and how fast it reads."""

    def __init__(self, now: Callable[[], ModelStands]) -> None:
        self._now = now

    @property
    def devices(self) -> tuple[Device, ...]:
        return self._now().devices

    @property
    def path(self) -> Path | None:
        return self._now().path

    @property
    def name(self) -> str:
        return self._now().name

    @property
    def choice(self) -> ChosenLoad:
        return self._now().choice

    @property
    def fatal_choice(self) -> ChosenLoad | None:
        return self._now().fatal_choice

    @property
    def info(self) -> ModelInfo | None:
        return self._now().info

    @property
    def headers(self) -> Mapping[str, ModelInfo]:
        return self._now().headers

    def of(self, loaded: Loaded | None) -> float:
        """As `KnowsPrefill.of`."""
        return self._now().prefill_tps if loaded is not None else 0.0


class RemotePrompts:
    """What waits there, a `PromptsSeen`."""

    def __init__(self, scene: Callable[[], Scene], do: Callable[[ops.Operation[None]], object]) -> None:
        self._scene, self._do = scene, do
        self.is_load_coming: Callable[[], bool] = lambda: False

    @property
    def texts(self) -> tuple[str, ...]:
        queue = self._scene().queue
        return queue.texts if queue is not None else ()

    @property
    def is_held(self) -> bool:
        queue = self._scene().queue
        return queue is not None and queue.is_held

    def send(self, text: str, replaces: str = "", files: tuple[Attachment, ...] = ()) -> None:
        """As `PromptsSeen.send`."""
        self._do(ops.Send(text=text, replaces=replaces, files=files, is_load_coming=self.is_load_coming()))

    def release(self) -> None:
        """As `PromptsSeen.release`."""
        self._do(ops.Release(is_load_coming=self.is_load_coming()))

    def send_next(self) -> None:
        """As `PromptsSeen.send_next`."""
        self._do(ops.SendNext(is_load_coming=self.is_load_coming()))


class RemoteContext:
    """How full the context is there, a `ContextSeen`."""

    def __init__(self, scene: Callable[[], Scene], measure: Callable[[], Awaitable[None]]) -> None:
        self._scene, self._measure = scene, measure
        self.n_growing = 0
        """Tokens in it, as an answer that is being written tells."""

    @property
    def n_used(self) -> int:
        stands = self._scene().stands
        return self.n_growing or (stands.n_used if stands is not None else 0)

    @property
    def n_system(self) -> int:
        stands = self._scene().stands
        return stands.n_system if stands is not None else 0

    @property
    def n_files(self) -> int:
        stands = self._scene().stands
        return stands.n_files if stands is not None else 0

    async def measure(self) -> None:
        """As `ContextSeen.measure`."""
        await self._measure()
