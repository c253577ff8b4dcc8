"""The queue by itself: what waits, for what, and who gets it back."""

from __future__ import annotations

from tui.session import events
from tui.session.prompt_queue import PromptQueue, QueuedPrompt


class Waiting:
    """A queue whose prompts can be sent when the test says so."""

    def __init__(self) -> None:
        self.can_send = False
        self.sent: list[QueuedPrompt] = []
        self.told: list[events.AnySessionEvent] = []
        self.queue = PromptQueue(can_send=lambda: self.can_send, send=self.sent.append, tell=self.told.append)


def test_prompts_wait_in_order_and_go_one_at_a_time() -> None:
    waiting = Waiting()
    waiting.queue.send("one")
    waiting.queue.send("two", replaces="turn")
    assert list(waiting.queue.texts) == ["one", "two"] and not waiting.sent
    waiting.can_send = True
    waiting.queue.send_next()
    assert waiting.sent == [QueuedPrompt("one")] and list(waiting.queue.texts) == ["two"]
    waiting.queue.send_next()
    assert waiting.sent[-1] == QueuedPrompt("two", "turn") and waiting.queue.texts == ()


def test_what_is_held_goes_only_when_somebody_asks() -> None:
    waiting = Waiting()
    waiting.queue.send("one")
    waiting.queue.hold()
    waiting.can_send = True
    waiting.queue.send_next()
    assert waiting.queue.is_held and not waiting.sent
    waiting.queue.release()
    assert waiting.sent == [QueuedPrompt("one")] and not waiting.queue.is_held


def test_every_change_is_told_with_what_waits() -> None:
    waiting = Waiting()
    waiting.queue.send("one")
    waiting.queue.hold()
    waiting.queue.take_back()
    assert waiting.told == [
        events.QueueChanged(texts=("one",), is_held=False),
        events.QueueChanged(texts=("one",), is_held=True),
        events.QueueChanged(texts=(), is_held=False),
    ]


def test_the_newest_comes_back_first_and_nothing_when_nothing_waits() -> None:
    waiting = Waiting()
    waiting.queue.send("one")
    waiting.queue.send("two", "turn")
    assert waiting.queue.take_back() == QueuedPrompt("two", "turn")
    assert waiting.queue.take_back() == QueuedPrompt("one")
    assert waiting.queue.take_back() is None


def test_what_waits_is_withdrawn_unless_it_is_for_the_conversation_that_comes() -> None:
    waiting = Waiting()
    waiting.queue.send("one")
    with waiting.queue.kept():
        assert waiting.queue.withdraw() == ()
    assert waiting.queue.withdraw() == ("one",) and waiting.queue.texts == ()
