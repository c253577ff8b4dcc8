"""How the engine's tests ask: one answer, put together again from its events."""

from __future__ import annotations

from dataclasses import dataclass, field

from tui.engine.client import Engine
from tui.engine.messages import Delta, Done, Event, Message, Sampling, Started

GREEDY = Sampling(temperature=0)


@dataclass
class Reply:
    """Everything that one answer told."""

    thinking: str = ""
    text: str = ""
    started: Started | None = None
    done: Done | None = None
    events: list[Event] = field(default_factory=list)

    def add(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, Started):
            self.started = event
        elif isinstance(event, Delta) and event.kind == "thinking":
            self.thinking += event.text
        elif isinstance(event, Delta):
            self.text += event.text
        elif isinstance(event, Done):
            self.done = event


def user(text: str) -> Message:
    return Message(role="user", content=text)


def messages(dialog: dict) -> list[Message]:
    """A dialog of expected.json as messages."""
    return [
        Message(role=m["role"], content=m["content"], reasoning=m.get("reasoning_content")) for m in dialog["messages"]
    ]


async def ask(engine: Engine, *turns: Message, **options) -> Reply:
    """The greedy answer to a conversation."""
    reply = Reply()
    async for event in engine.generate(turns, GREEDY, **{"max_tokens": 600, **options}):
        reply.add(event)
    assert reply.done is not None
    return reply
