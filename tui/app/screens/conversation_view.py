"""The open conversation in the transcript: its messages, and the answer while it is written."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from tui.app import answer_phrases, attachment_phrases, phrases
from tui.app.bindings import Keymap
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import AnswerMessage, Record, Transcript, UserMessage
from tui.app.widgets.transcript_entries import Words
from tui.chat.conversation import Turn
from tui.chat.tree import forks
from tui.protocol.messages import Started
from tui.session import events
from tui.session.interface import Session
from tui.session.loads import Reload
from tui.words import tr

_ABOUT_TURNS = (
    events.ConversationOpened,
    events.ConversationChanged,
    events.ConversationReplaced,
    events.TurnsRemoved,
    events.UserSaid,
    events.AnswerBegan,
)


class _Growing:
    """The answer that is being written."""

    def __init__(self, turn_id: str, since: float, n_tokens: int) -> None:
        self.turn_id, self.since, self.n_tokens = turn_id, since, n_tokens
        self.step = 0


class ConversationView:
    """Follows the session. The prompt has the past prompts of the conversation to go back to."""

    def __init__(self, controller: Session, keymap: Keymap, transcript: Transcript, prompt: Prompt) -> None:
        self._controller, self._keymap, self._transcript, self._prompt = controller, keymap, transcript, prompt
        self._reloads: dict[str, tuple[Reload, ...]] = {}
        """What loading the model again in the middle of an answer took, by its turn."""
        self._growing: _Growing | None = None
        self.is_thinking = False
        """A thought is being written: it can be ended."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show what is said, and which messages have siblings."""
        if isinstance(event, events.AnswerGrew | events.AnswerEnded):
            self._note_thinking(isinstance(event, events.AnswerGrew) and event.delta.kind == "thinking")
        is_selecting = self._transcript.selected is not None
        self._hear(event)
        if isinstance(event, _ABOUT_TURNS):
            self._transcript.show_forks(forks(self._controller.conversation.places))
        if isinstance(event, events.ConversationChanged) and event.focus:
            self._transcript.go_to(event.focus, is_selected=is_selecting)

    def _note_thinking(self, is_thinking: bool) -> None:
        if is_thinking != self.is_thinking:
            self.is_thinking = is_thinking
            self._transcript.refresh_bindings()

    def _hear(self, event: events.AnySessionEvent) -> None:
        transcript = self._transcript
        match event:
            case events.ConversationOpened(conversation=conversation):
                self._reloads.clear()
                self._growing = None
                self._show_all(conversation.turns)
                self._remember_prompts(conversation.turns)
            case events.ConversationChanged(before=before, now=now, n_same=n_same):
                first = before[n_same].id if n_same < len(before) else None
                if n_same < max(len(before), len(now.turns)):
                    transcript.replace_from(first, map(record, now.turns[n_same:]))
                    self._remember_prompts(now.turns)
            case events.ConversationReplaced(now=now):
                self._show_all(now.turns)
            case events.TurnsRemoved(turn_id=turn_id):
                transcript.truncate_from(turn_id)
            case events.UserSaid(turn=turn):
                transcript.add_user(turn.id, turn.text, file_lines(turn))
            case events.AnswerBegan(turn=turn, started=started, goes_on=goes_on):
                self._begin(turn, started, goes_on=goes_on)
            case events.PromptAdvanced(turn_id=turn_id, progress=progress):
                transcript.set_progress(turn_id, partial(answer_phrases.prompt_progress, progress))
            case events.AnswerGrew(turn_id=turn_id, delta=delta):
                transcript.append(turn_id, delta.kind, delta.text)
                if self._growing is None or self._growing.turn_id != turn_id:
                    # One that is joined in its middle has been written for a while.
                    took_s = delta.n_decode / delta.decode_tps if delta.decode_tps else 0.0
                    self._growing = _Growing(turn_id, time.monotonic() - took_s, delta.n_decode)
                    self._show_growth()
                self._growing.n_tokens = delta.n_decode
            case events.MachineRead(speed=speed) if self._growing is not None and speed.is_decoding:
                self._show_growth()
            case events.AnswerRecast(turn_id=turn_id):
                transcript.recast(turn_id)
            case events.AnswerPaused(turn_id=turn_id):
                transcript.set_progress(turn_id, lambda: tr(phrases.PAUSED))
            case events.AnswerEnded(turn=turn):
                self._end(turn)
            case events.ModelReloaded(reload=reload, turn_id=turn_id):
                self._note(reload, turn_id)

    def _show_all(self, turns: Sequence[Turn]) -> None:
        self._transcript.load(map(record, turns))

    def _remember_prompts(self, turns: Sequence[Turn]) -> None:
        self._prompt.set_past([turn.text for turn in turns if turn.role == "user"])

    def _begin(self, turn: Turn, started: Started, *, goes_on: bool) -> None:
        if started.n_dropped:
            self._transcript.add_notice(partial(phrases.dropped, started, self._keymap), "warning")
        if goes_on:
            self._transcript.take_up_answer(turn.id, turn.model)
        else:
            self._transcript.begin_answer(turn.id, turn.model)
        self._transcript.set_progress(turn.id, partial(answer_phrases.prompt_begun, started))

    def _end(self, turn: Turn) -> None:
        self._growing = None
        self._transcript.set_thinking_label(turn.id, partial(answer_phrases.thinking_label, turn))
        reloads = self._reloads.get(turn.id, ())
        self._transcript.end_answer(turn.id, partial(answer_phrases.answer_footer, turn, reloads))
        if turn.is_loop:
            self._transcript.add_notice(partial(answer_phrases.went_in_circles, self._keymap), "warning")

    def _show_growth(self) -> None:
        """How the answer goes, once a second."""
        if (now := self._growing) is not None:
            now.step += 1
            seconds = time.monotonic() - now.since
            self._transcript.set_live(now.turn_id, partial(answer_phrases.so_far, now.n_tokens, seconds, now.step))

    def _note(self, reload: Reload, turn_id: str) -> None:
        if turn_id:
            self._reloads[turn_id] = (*self._reloads.get(turn_id, ()), reload)
        elif self._controller.conversation.turns:
            self._transcript.add_notice(lambda: phrases.reloaded(reload))


def record(turn: Turn) -> Record:
    """A saved turn as the transcript shows it."""
    if turn.role != "assistant":
        return UserMessage(turn.id, turn.text, files=file_lines(turn))
    return AnswerMessage(
        turn_id=turn.id,
        label=turn.model,
        text=turn.text,
        thinking=turn.reasoning,
        thinking_label=partial(answer_phrases.thinking_label, turn),
        footer=partial(_footer, turn),
    )


def file_lines(turn: Turn) -> tuple[Words, ...]:
    """A line for each file that a prompt is about."""
    return tuple(partial(attachment_phrases.file_label, file) for file in turn.files)


def _footer(turn: Turn) -> str:
    return tr(phrases.WRITTEN_ELSEWHERE) if turn.is_streaming else answer_phrases.answer_footer(turn)
