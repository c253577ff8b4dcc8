"""Answers of a chat in all that can happen to them, without drafts, with those of text that repeats, and with a draft
model; prints as JSON what each came to. A program of its own, as only the engine's process may hold llama.cpp.

usage: python -m tests.engine.drafted_answers_check MODEL [DRAFT [DEVICE]]
"""

from __future__ import annotations

import ctypes
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tui.engine import generate
from tui.engine.abort import AbortSwitch
from tui.engine.generate import Chat
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.engine.looprun import TokenLoop
from tui.engine.sampler import Sampler
from tui.engine.tokenloop import CompiledLoop, token_loop
from tui.machine.vulkan import show_software_devices
from tui.protocol.messages import Delta, Done, Event, Generate, Started
from tui.protocol.records import LoadSettings, Message, Sampling

CHEAP = tuple(1 + 0.01 * n for n in range(16))
"""Costs with which any guess is worth a draft."""
GREEDY, SEEDED = Sampling(temperature=0), Sampling(seed=3)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def free_to_draft(session: Session, sampler: Sampler, *, ignore_end: bool, costs: Sequence[float] = ()) -> TokenLoop:
    """As `token_loop`; what drafts lose is never too much: these models are so small that nothing is won."""
    loop = token_loop(session, sampler, ignore_end=ignore_end, costs=costs)
    assert isinstance(loop, CompiledLoop)
    loop._loop.balance_s, loop._loop.learns = 1e9, 0.0
    if session.draft is not None:
        state = session.draft.state
        state.step, state.read, state.learns = 0.02, 0.001, 0.0
    return loop


class Way:
    """One way to answer."""

    def __init__(self, model: Path, draft: Path | None, costs: tuple[float, ...], device: str) -> None:
        self._model, self._draft, self._costs = model, draft, costs
        self._devices = (device,) if device else ()
        self.n_drafted = self.n_accepted = self.n_failed = 0

    def chat(self, n_ctx: int = 1024, **settings: Any) -> Chat:
        """A new session."""
        self.abort = AbortSwitch()
        asked = LoadSettings(
            n_ctx=n_ctx, n_threads=1, model_draft=str(self._draft or "off"), devices=self._devices, **settings
        )
        return Chat(Session(self._model, asked, self.abort, lambda _: None), 7)

    def ask(self, chat: Chat, *turns: Message, stop_at: int = 0, **how: Any) -> list[Any]:
        """What was said, how it ended and how many messages were left out; stopped at the `stop_at`-th token."""
        command = Generate(id=1, messages=turns, step_costs=self._costs, flush_s=0.0, sampling=GREEDY, max_tokens=120)
        told: list[Any] = ["", "", 0]

        def hear(event: Event) -> None:
            if isinstance(event, Delta):
                told[0] += event.text
                if stop_at and event.n_decode >= stop_at:
                    self.abort.set()
            elif isinstance(event, Started):
                told[2] = event.n_dropped
            elif isinstance(event, Done):
                told[1] = event.stop
                self.n_drafted += event.timings.n_drafted
                self.n_accepted += event.timings.n_accepted
                self.n_failed += event.draft_failed

        chat.generate(msgspec.structs.replace(command, **how), hear)
        self.abort.clear()
        return told


def conversation(way: Way) -> Any:
    """Two turns, and the second asked in other words, which goes back."""
    chat = way.chat()
    first = way.ask(chat, user("Show a table"))
    turns = (user("Show a table"), Message(role="assistant", content=first[0]))
    return first, way.ask(chat, *turns, user("Show it again")), way.ask(chat, *turns, user("Tell me a story"))


def thinking_budget(way: Way) -> Any:
    """A thought that is ended from outside."""
    return way.ask(way.chat(), user("Tell me a story"), thinking_budget=9, ignore_end=True)


def short(way: Way) -> Any:
    """The same in few tokens, for devices that are slow."""
    return way.ask(way.chat(n_ctx=256), user("Show a table"), thinking_budget=4, ignore_end=True, max_tokens=16)


def overflow(way: Way) -> Any:
    """A conversation that does not fit, whose oldest turns are left out."""
    old = [
        turn for i in range(12) for turn in (user(f"Show table {i}"), Message(role="assistant", content="| a | b |"))
    ]
    chat = way.chat(n_ctx=256)
    return way.ask(chat, *old, user("Show a table"), drop_oldest=True, max_tokens=0, ignore_end=True)


def stopped(way: Way) -> Any:
    """Stopped in the middle and gone on with, by another session with another context."""
    parts, chat = [], way.chat()
    parts.append(way.ask(chat, user("Show a table"), stop_at=20, sampling=SEEDED, ignore_end=True)[0])
    for n_ctx in (768, 1280):
        other = way.chat(n_ctx)
        other.paused, read = chat.paused, chat.prefix.snapshot()
        assert other.prefix.take_over(read)
        chat.session.close()
        chat = other
        n_left = 120 - len(chat.session.vocabulary.tokenize("".join(parts)))
        stop_at = 20 if n_ctx == 768 else 0
        resumed = way.ask(chat, resume=True, sampling=SEEDED, stop_at=stop_at, max_tokens=n_left, ignore_end=True)
        parts.append(resumed[0])
    return "".join(parts)[:150]


def failing(way: Way) -> Any:
    """Three answers, before the second of which the draft model begins to fail."""
    chat, said = way.chat(), []
    for text in ("Show a table", "Show it again", "Show a table"):
        said.append(way.ask(chat, user(text)))
        if chat.session.draft is not None:
            chat.session.draft.state.decode = ctypes.cast(_FAILS, ctypes.c_void_p).value
    return said


_FAILS = ctypes.CFUNCTYPE(ctypes.c_int32)(lambda: 1)
CASES: tuple[Callable[[Way], Any], ...] = (conversation, thinking_budget, overflow, stopped)


def main(model: Path, draft: Path | None = None, device: str = "") -> None:
    show_software_devices()
    backend_init()
    vars(generate)["token_loop"] = free_to_draft
    told: dict[str, Any] = {}
    ways: dict[str, tuple[Path | None, tuple[float, ...]]] = {"plain": (None, ())}
    if not device:
        ways["repeats"] = None, CHEAP
    if draft is not None:
        ways["draft model"] = draft, CHEAP
    for case in (short,) if device else CASES:
        for name, (beside, costs) in ways.items():
            way = Way(model, beside, costs, device)
            told[f"{case.__name__} {name}"] = [case(way), way.n_drafted, way.n_accepted]
    if draft is not None and not device:
        for name in ("plain", "draft model"):
            way = Way(model, *ways[name], device)
            told[f"failing {name}"] = [failing(way), way.n_failed]
    print(json.dumps(told))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None, *sys.argv[3:])
