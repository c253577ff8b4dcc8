"""How the engine's tests ask: one answer, put together again from its events."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tui.engines.interface import Engine
from tui.protocol.messages import Delta, Done, Event, Generate, Loaded, Recast, Started
from tui.protocol.records import Message, Sampling

GREEDY = Sampling(temperature=0)


@dataclass
class Reply:
    """Everything that one answer told."""

    thinking: str = ""
    text: str = ""
    events: list[Event] = field(default_factory=list)
    _started: Started | None = None
    _done: Done | None = None

    @property
    def started(self) -> Started:
        """What the engine said at its start."""
        assert self._started is not None, "no answer was started"
        return self._started

    @property
    def done(self) -> Done:
        """What the engine said at its end."""
        assert self._done is not None, "the answer has not come to its end"
        return self._done

    def add(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Started):
            self._started = event
        elif isinstance(event, Delta) and event.kind == "thinking":
            self.thinking += event.text
        elif isinstance(event, Delta):
            self.text += event.text
        elif isinstance(event, Recast):
            self.thinking, self.text = self.thinking + self.text, ""
        elif isinstance(event, Done):
            self._done = event


def user(text: str) -> Message:
    return Message(role="user", content=text)


def on_the_cpu(loaded: Loaded) -> bool:
    """Whether all that llama.cpp reported lies in the host's memory, in whatever order this CPU wants it."""
    kinds = {buffer.device for buffer in loaded.llama.buffers} - set(loaded.llama.repacked)
    return bool(kinds) and kinds <= {"CPU", "CPU_Mapped"}


def messages(dialog: dict[str, Any]) -> list[Message]:
    """A dialog of expected.json as messages."""
    return [
        Message(role=m["role"], content=m["content"], reasoning=m.get("reasoning_content")) for m in dialog["messages"]
    ]


async def ask(engine: Engine, *turns: Message, **options: Any) -> Reply:
    """The answer to a conversation, the greedy one unless another is asked for."""
    reply = Reply()
    async for event in engine.generate(
        Generate(messages=tuple(turns), **{"sampling": GREEDY, "max_tokens": 600, **options})
    ):
        reply.add(event)
    assert reply.done
    return reply


async def paused(engine: Engine, question: Message, sampling: Sampling = GREEDY, **options: Any) -> Reply:
    """An answer that was cancelled in its middle. A model as small as this is sometimes done before."""
    for _ in range(30):
        reply = Reply()
        answer = engine.generate(Generate(messages=(question,), sampling=sampling, flush_s=0, **options))
        async for event in answer:
            reply.add(event)
            if isinstance(event, Delta):
                answer.cancel()
        if reply.done.stop == "cancelled":
            return reply
    raise AssertionError("the answer was always complete before it could be cancelled")


async def resumed(engine: Engine, reply: Reply, sampling: Sampling = GREEDY, **options: Any) -> Reply:
    """The same answer to its end; what came is added to `reply`."""
    async for event in engine.generate(Generate(sampling=sampling, resume=True, **options)):
        reply.add(event)
    return reply
