"""What is loaded in an engine process, and how something else comes in its place: the old model freed before or after,
its KV cache taken along, the old settings loaded again when the new ones fail."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tui.base.oserrors import about
from tui.base.splitfile import part_of
from tui.engine.answer import Paused
from tui.engine.cancelling import Cancelling
from tui.engine.checkpoints import Snapshot
from tui.engine.contextfile import ContextKey
from tui.engine.generate import Chat
from tui.engine.keepcontext import key_of
from tui.engine.keptprefixes import KeptPrefixes
from tui.engine.kvlayout import transpose_v
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.params import in_effect
from tui.engine.template_host import TemplateHost
from tui.engine.threadpool import CannotPlace, cpus_for
from tui.planning import loadcheck
from tui.planning.draftload import draft_path, why_no_draft
from tui.protocol.messages import Event, Generate, Load, Loaded, LoadProgress
from tui.protocol.records import LoadSettings
from tui.words.later import later

PROGRESS_EVERY_S = 0.05


@dataclass(frozen=True)
class _Kept:
    """A KV cache on its way from one session to the next, and how to go back."""

    path: Path
    settings: LoadSettings
    told: Loaded
    rope: str
    read: Snapshot
    paused: Paused | Generate | None
    save_s: float


class ModelSlot:
    """Room for one model; for two while one is loaded beside the other. Used on the main thread."""

    def __init__(self, cancelling: Cancelling, send: Callable[[Event], None]) -> None:
        self._cancelling, self._send = cancelling, send
        self._chat: Chat | None = None
        self._path = Path()
        self._settings = LoadSettings()
        self._context_key: ContextKey | None = None
        self.told: Loaded | None = None
        """What the front end knows to be loaded."""

    @property
    def chat(self) -> Chat:
        """The conversation with the model. Raises `LlamaError` when none is loaded."""
        if self._chat is None:
            raise LlamaError("no_model", later("no model is loaded"))
        return self._chat

    @property
    def context_key(self) -> ContextKey:
        """What the KV cache goes with. Raises `LlamaError` when no model is loaded."""
        if self._context_key is None:
            raise LlamaError("no_model", later("no model is loaded"))
        return self._context_key

    def unload(self) -> None:
        """Free the model, if there is one."""
        if templates := self._free():
            templates.close()

    def _free(self) -> TemplateHost | None:
        """Free the model, if there is one, but for what the next one can use of it."""
        if self._chat is None:
            return None
        templates = self._chat.session.leave_templates()
        self._chat = self._context_key = self.told = None
        return templates

    def load(self, command: Load) -> Loaded:
        """As `Load` says. Raises `LlamaError` and `Aborted`; `told` says what is loaded then."""
        path = Path(command.path)
        _check(path, command.settings)
        kept = self._carry_out(path) if command.keep_context else None
        before = self._chat if command.load_first else None
        templates = self._free() if before is None else None
        try:
            self._open(command.id, path, command.settings, templates)
        except Exception:  # whatever it was: it goes on from here, once the old model is back
            if kept is not None and before is None:
                self._go_back(command.id, kept)
            raise
        if before is not None:
            before.session.close()
        loaded = self.chat.session.loaded
        if kept is not None:
            started = time.perf_counter()
            n_kept = self._carry_in(kept)
            keep_s = kept.save_s + time.perf_counter() - started
            n_lost = len(kept.read.tokens) - n_kept
            loaded = msgspec.structs.replace(loaded, n_kept=n_kept, n_lost=n_lost, keep_s=keep_s)
        self.told = msgspec.structs.replace(loaded, id=command.id)
        return self.told

    def _go_back(self, command_id: int, kept: _Kept) -> None:
        """Load the old settings again, with their KV cache, after the new ones failed or were cancelled. From here on
        the command cannot be cancelled. Where that fails too, nothing is loaded."""
        self._cancelling.shield()
        try:
            self._open(command_id, kept.path, kept.settings)
        except LlamaError as error:
            print(f"llmtui: what was loaded before cannot be loaded again: {error.detail}", file=sys.stderr)
        else:
            self._carry_in(kept)
            self.told = kept.told

    def _open(self, command_id: int, path: Path, settings: LoadSettings, templates: TemplateHost | None = None) -> None:
        last = 0.0

        def progress(fraction: float) -> None:
            nonlocal last
            now = time.perf_counter()
            if now - last >= PROGRESS_EVERY_S or fraction >= 1.0:
                last = now
                self._send(LoadProgress(id=command_id, fraction=fraction))

        session = Session(path, settings, self._cancelling.switch, progress, templates)
        self._context_key = key_of(path, session)
        self._chat = Chat(session, settings.seed, KeptPrefixes(self._context_key))
        self._path, self._settings = path, settings

    def _carry_out(self, path: Path) -> _Kept | None:
        """What is to be taken along to the next session; None when another file is loaded, or nothing."""
        if self._chat is None or self.told is None or path != self._path:
            return None
        started = time.perf_counter()
        now = self._chat
        read = now.prefix.snapshot()
        save_s = time.perf_counter() - started
        return _Kept(self._path, self._settings, self.told, now.session.rope, read, now.paused, save_s)

    def _carry_in(self, kept: _Kept) -> int:
        """Take it over; how many tokens need not be evaluated again."""
        chat = self.chat
        session = chat.session
        chat.paused = kept.paused
        read: Snapshot | None = kept.read
        if not kept.read.state or len(kept.read.tokens) > session.n_ctx or kept.rope != session.rope:
            return 0
        if kept.told.llama.flash_attn != session.loaded.llama.flash_attn:
            read = _relaid(kept.read)
        if read is not None:
            chat.prefix.take_over(read)
        return len(chat.prefix.cached)


def _relaid(read: Snapshot) -> Snapshot | None:
    """What was read with flash attention as it would be without it, or the other way round; None where that is not
    known. Checkpoints are copied: they may just be written to a file."""
    if not transpose_v(read.state):
        return None
    parts = [msgspec.structs.replace(kept, state=bytearray(kept.state)) for kept in read.checkpoints]
    return msgspec.structs.replace(read, checkpoints=tuple(part for part in parts if transpose_v(part.state)))


def _check(path: Path, settings: LoadSettings) -> None:
    """Raises `LlamaError` where the file and its header already tell that it cannot be loaded."""
    try:
        is_file = path.is_file()
    except OSError as error:
        raise LlamaError("model_unreadable", about(str(path), error)) from error
    if not is_file:
        raise LlamaError("model_not_found", later("{path} is not a file", path=str(path)))
    try:
        loadcheck.check(part_of(path)[1], in_effect(settings))
        cpus_for(settings)
    except loadcheck.LoadRefused as error:
        raise LlamaError(error.kind, error.detail) from error
    except CannotPlace as error:
        raise LlamaError("bad_settings", error.why) from error
    draft = draft_path(settings)
    if draft is not None and (why := why_no_draft(path, draft)):
        raise LlamaError("bad_settings", why)
