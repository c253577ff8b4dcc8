"""One answer while it is made: prompt evaluated, tokens chosen, their text split into thinking and answer, stop reasons
and timings; told as events. What it leaves in the prefix cache is the business of `Chat`."""

from __future__ import annotations

import codecs
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tui.engine.abort import Aborted
from tui.engine.looprun import NO_TOKEN, Drafted, TokenLoop
from tui.engine.prefixcache import PrefixCache
from tui.engine.prompt import ENDS
from tui.engine.repetition import Repetition
from tui.engine.sampler import NoNumbers, Sampler
from tui.engine.splitter import AnswerSplitter, Part, Segments
from tui.protocol.messages import Delta, DeltaKind, Done, Event, Generate, Odds, Prefill, Recast
from tui.protocol.records import StopReason, Timings, TokenOdds, prefill_tps

Send = Callable[[Event], None]

SPEED_WINDOW_S = 1.0
MOST_TO_COMPLETE = 4
"""Tokens that a thought may go on behind its budget, to complete a character."""


@dataclass(frozen=True)
class Paused:
    """An answer that was cancelled, as far as it must be known to go on with it, with another session too."""

    tokens: list[int]
    """Of prompt and answer; the last may not be in the KV cache."""
    n_prompt: int
    splitter: AnswerSplitter
    pending: tuple[bytes, int]
    """State of the UTF-8 decoder: the beginning of a character."""
    sampler: Sampler
    """What chose the tokens, its random numbers drawn up to here."""


class AnswerInProgress:
    """Text buffers, clocks and counters of one answer."""

    def __init__(
        self,
        cache: PrefixCache,
        command: Generate,
        send: Send,
        received: float,
        is_thought_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """`received` is when the command came, by `time.perf_counter`; `is_thought_over` says whether somebody wants
        the answer now."""
        self._is_thought_over = is_thought_over
        self._cache, self._session = cache, cache.session
        self._command, self._send = command, send
        self._received = received
        chat = self._session.chat
        self._letters, self._show = chat.letters, chat.alphabet.decode
        self._piece = self._session.vocabulary.piece
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._splitter = self._new_splitter("answer")
        self._kind: DeltaKind = "answer"
        self._text: list[str] = []
        self._flushed = 0.0
        self._marks: list[tuple[float, int]] = []
        self._repetition = Repetition()
        self.tokens: list[int] = []
        """Of the prompt, and what was chosen since."""
        self.n_cached = self._n_prompt = self._n_prefill = self._n_steady = self._n_decode = self._n_thinking = 0
        self._prefill_s = self._steady_s = self._thinking_s = 0.0
        self._thinking_since = self._first = self._last = 0.0
        self._thinking_cut = False
        self._wanted_at = 0
        """Tokens of the thought when somebody first wanted its end; 0 before that."""
        self._drafted = Drafted()
        self._odds: list[TokenOdds] = []

    def _new_splitter(self, part: Part) -> AnswerSplitter:
        marks, stops = self._session.chat.format.marks, self._session.stops
        if self._command.ignore_end:
            marks, stops = dataclasses.replace(marks, stops=()), ()
        return AnswerSplitter(marks, part, stops)

    def begin(self, part: Part) -> None:
        """Before anything is computed: the prompt ends in `part`."""
        self._n_prompt = len(self.tokens)
        self._splitter = self._new_splitter(part)
        self._kind = self._splitter.kind

    def go_on(self, paused: Paused) -> None:
        """Before anything is computed: take up where `paused` stopped."""
        self._n_prompt, self._splitter = paused.n_prompt, paused.splitter.copy()
        self._kind = self._splitter.kind
        self._decoder.setstate(paused.pending)

    def pause(self, sampler: Sampler) -> Paused:
        """Where this answer stopped. Before `finish`, which ends a character that is not complete."""
        return Paused(self.tokens, self._n_prompt, self._splitter.copy(), self._decoder.getstate(), sampler)

    def prefill(self, tokens: Sequence[int]) -> None:
        """Evaluate the prompt behind the cached prefix, one ubatch at a time, telling the progress."""
        rest = tokens[self.n_cached :]
        started = before = time.perf_counter()
        try:
            while self._n_prefill < len(rest):
                if self._session.abort.is_set:
                    raise Aborted
                step = self._cache.step(self._session.n_ubatch)
                chunk = rest[self._n_prefill : self._n_prefill + step]
                is_steady = len(chunk) <= self._cache.n_warm
                self._cache.evaluate(chunk)
                self._session.synchronize()
                self._cache.mark()
                self._n_prefill += len(chunk)
                now = time.perf_counter()
                if is_steady:
                    self._n_steady += len(chunk)
                    self._steady_s += now - before
                before, tps = now, prefill_tps(self._n_steady, self._steady_s)
                self._send(
                    Prefill(
                        id=self._command.id,
                        done=self._n_prefill,
                        total=len(rest),
                        tps=tps,
                        eta_s=(len(rest) - self._n_prefill) / tps if tps else 0.0,
                    )
                )
        finally:
            self._prefill_s = time.perf_counter() - started

    @property
    def prefill_tps(self) -> float:
        """As `prefill_tps` says of this prompt."""
        return prefill_tps(self._n_steady, self._steady_s)

    def decode(self, loop: TokenLoop, sampler: Sampler) -> StopReason:
        """Choose and decode tokens until something stops it; the text goes out in batches."""
        loop.read(self.tokens)
        with self._session.whole_steps():
            return self._decode(loop, sampler)

    def _decode(self, loop: TokenLoop, sampler: Sampler) -> StopReason:
        session, cached = self._session, self._cache.cached
        limit, flush_s, budget = self._command.max_tokens, self._command.flush_s, self._command.thinking_budget
        self._thinking_since = time.perf_counter()
        pending: list[int] = []
        while True:
            n_most = session.n_ctx - len(cached) - len(pending) + 1
            if limit:
                n_most = min(n_most, limit - self._n_decode)
            if budget and self._kind == "thinking":
                n_most = min(n_most, max(1, budget - self._n_thinking))
            sampler.is_free = self._splitter.part != "answer"
            if sampler.grammar and sampler.is_free:
                n_most = 1  # the answer may begin behind each token
            due = self._flushed + flush_s
            run = loop.run(pending[0] if pending else NO_TOKEN, len(cached), n_most, due)
            self._drafted = loop.drafted
            cached.extend([*pending, *run.tokens][: run.n_decoded])
            odds = sampler.watcher.take() if sampler.watcher is not None else ()
            for number, (token, chosen_at) in enumerate(zip(run.tokens, run.times, strict=True)):
                self.tokens.append(token)
                self._n_decode += 1
                self._note_odds(odds[number : number + 1])
                self._take(token, chosen_at)
                if self._splitter.ended:
                    break
            else:
                self._note_odds(odds[len(run.tokens) :])  # of the token that ends the answer
            if run.tokens:
                self._first, self._last = self._first or run.times[0], run.times[-1]
            if isinstance(run.error, Aborted) and self._is_stuck:
                return self._end_or_raise(run.error, sampler)
            if run.error:
                raise run.error
            if run.is_end or self._splitter.ended:
                self._first = self._first or time.perf_counter()
                return "stop"
            if self._last >= due:
                self._flush(self._last)
                self._cache.mark()
            if limit and self._n_decode >= limit:
                return "length"
            if len(cached) >= session.n_ctx:
                return "context"
            pending = run.tokens[-1:]
            if self._kind == "thinking" and (end := self._end_of_thought(budget)) and self._may_cut(end):
                pending = self._cut_thought(pending, sampler, loop)

    def _end_of_thought(self, budget: int) -> int:
        """After how many tokens the thought that goes on was to end; 0 while it may go on."""
        if self._is_thought_over():
            self._wanted_at = self._wanted_at or max(1, self._n_thinking)
            return self._wanted_at
        return budget if budget and self._n_thinking >= budget else 0

    @property
    def _is_stuck(self) -> bool:
        """All that was chosen is in a memory that cannot give back the last token, and its logits do not travel."""
        return self._session.memory.is_recurrent and len(self._cache.cached) == len(self.tokens)

    def _end_or_raise(self, aborted: Aborted, sampler: Sampler) -> StopReason:
        """Choose one more token, while its logits are there. Raises `aborted` unless that one ends the answer."""
        session = self._session
        try:
            token = sampler.sample()
        except NoNumbers:
            raise aborted from None
        is_end = session.vocabulary.is_end(token) or session.token_kinds[token] == ENDS
        if is_end and not self._command.ignore_end:
            return "stop"
        self.tokens.append(token)
        self._n_decode += 1
        self._take(token, time.perf_counter())
        if self._splitter.ended:
            return "stop"
        raise aborted

    def _may_cut(self, budget: int) -> bool:
        """Not in the middle of a character, unless that lasts."""
        return not self._decoder.getstate()[0] or self._n_thinking >= budget + MOST_TO_COMPLETE

    def _cut_thought(self, pending: list[int], sampler: Sampler, loop: TokenLoop) -> list[int]:
        """Write what ends a thought in the model's place; gives what is to be decoded next."""
        ending = self._session.chat.end_of_thought()
        room = self._session.n_ctx - len(self._cache.cached) - len(pending)
        if not ending or len(ending) >= room:
            return pending
        now = time.perf_counter()
        for token in ending:
            self.tokens.append(token)
            sampler.accept(token)
            self._take(token, now)
        loop.read(ending)
        self._thinking_cut = True
        self._cache.evaluate([*pending, *ending[:-1]])
        return ending[-1:]

    def _take(self, token: int, now: float) -> None:
        """Split the text of a token, and count it for the part that it began or ended in."""
        was_thinking = self._kind == "thinking"
        letter = self._letters.get(token)
        if letter is not None and self._decoder.getstate()[0]:
            letter = self._decoder.decode(b"", True) + letter
        text = letter if letter is not None else self._decoder.decode(self._piece(token))
        self._tell(self._splitter.feed(text), now)
        if was_thinking or self._kind == "thinking":
            self._n_thinking += 1
        self._repetition.add(token)

    def _tell(self, segments: Segments, now: float) -> None:
        for kind, text in segments:
            if kind == "recast":
                self._flush(now)
                self._n_thinking, self._thinking_s = self._n_decode, now - (self._first or now)
                self._send(Recast(id=self._command.id))
                continue
            if kind != self._kind:
                self._switch(kind, now)
            self._text.append(self._show(text))
        if self._splitter.kind != self._kind:
            self._switch(self._splitter.kind, now)

    def _switch(self, kind: DeltaKind, now: float) -> None:
        self._flush(now)
        if self._kind == "thinking" and self._thinking_since:
            self._thinking_s += now - self._thinking_since
        self._kind, self._thinking_since = kind, now

    def _note_odds(self, odds: Sequence[TokenOdds]) -> None:
        is_thought = self._kind == "thinking"
        self._odds += [msgspec.structs.replace(one, is_thought=is_thought) for one in odds]

    def _flush(self, now: float) -> None:
        if self._odds:
            self._send(Odds(id=self._command.id, tokens=tuple(self._odds)))
            self._odds.clear()
        if not self._text:
            return
        self._flushed = now
        self._send(
            Delta(
                id=self._command.id,
                kind=self._kind,
                text="".join(self._text),
                n_decode=self._n_decode,
                decode_tps=self._speed(now),
                n_used=len(self._cache.cached),
                is_loop=self._repetition.is_loop,
                n_drafted=self._drafted.n_drafted,
                n_accepted=self._drafted.n_accepted,
            )
        )
        self._text.clear()

    def _speed(self, now: float) -> float:
        """Tokens per second over about the last second."""
        self._marks.append((now, self._n_decode))
        while len(self._marks) > 2 and now - self._marks[1][0] >= SPEED_WINDOW_S:
            self._marks.pop(0)
        since, count = self._marks[0]
        return (self._n_decode - count) / (now - since) if now > since else 0.0

    def tell_rest(self) -> None:
        """Send the text that waits for the next batch."""
        self._flush(time.perf_counter())

    def finish(self, stop: StopReason, *, is_incomplete: bool = False) -> None:
        """Send what is left and the closing event; `is_incomplete` as `Done` has it."""
        now = time.perf_counter()
        if stop != "cancelled":  # Else it may go on: the rest of a character, or of a mark, may still come.
            self._tell(self._splitter.feed(self._decoder.decode(b"", True)), now)
            self._tell(self._splitter.rest(), now)
        self._switch("answer", self._last or now)
        self._repetition.check()
        self._send(
            Done(
                id=self._command.id,
                stop=stop,
                timings=Timings(
                    n_prompt=self._n_prompt,
                    n_cached=self.n_cached,
                    n_prefill=self._n_prefill,
                    prefill_s=self._prefill_s,
                    n_steady=self._n_steady,
                    steady_s=self._steady_s,
                    ttft_s=self._first - self._received if self._first else 0.0,
                    n_decode=self._n_decode,
                    decode_s=self._last - self._first if self._last else 0.0,
                    n_thinking=self._n_thinking,
                    thinking_s=self._thinking_s,
                    n_drafted=self._drafted.n_drafted,
                    n_accepted=self._drafted.n_accepted,
                    n_alone=self._drafted.n_alone,
                ),
                n_used=len(self._cache.cached),
                n_ctx=self._session.n_ctx,
                draft_failed=self._session.draft is not None and self._session.draft.has_failed_since(),
                is_loop=self._repetition.is_loop,
                is_incomplete=is_incomplete,
                thinking_cut=self._thinking_cut,
            )
        )
