"""An answer: one conversation in, events out. Owns the prefix cache, overflow, the split of thinking from answer,
stop reasons and timings; everything that touches llama.cpp goes through `Session`."""

from __future__ import annotations

import codecs
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from tui.engine.llama import Aborted, LlamaError, Session
from tui.engine.messages import Delta, DeltaKind, Done, Event, Generate, Prefill, Started
from tui.engine.records import ErrorInfo, Message, Sampling, StopReason, Timings, prefill_tps
from tui.engine.sampler import Sampler
from tui.engine.tokenloop import NO_TOKEN, TokenLoop, token_loop

Send = Callable[[Event], None]

ANSWER_RESERVE = 256
"""Tokens kept free for an answer when deciding whether a prompt fits; less in a context under 2,048."""
AHEAD_STEP = 64
"""Tokens that are read ahead at once: on a GPU, what is asked meanwhile waits for the end of one step."""
SPEED_WINDOW_S = 1.0


class PromptTooLong(Exception):
    """The prompt leaves no room for an answer. `n_drop` oldest messages would have to go, 0 when that would not do."""

    def __init__(self, n_prompt: int, n_ctx: int, n_drop: int) -> None:
        super().__init__(f"the prompt has {n_prompt} tokens, the context {n_ctx}")
        self.n_prompt, self.n_ctx, self.n_drop = n_prompt, n_ctx, n_drop

    def info(self) -> ErrorInfo:
        return ErrorInfo(
            kind="context_overflow", detail=str(self), n_prompt=self.n_prompt, n_ctx=self.n_ctx, n_drop=self.n_drop
        )


@dataclass(frozen=True)
class Paused:
    """An answer that was cancelled, as far as it must be known to go on with it, with another session too."""

    tokens: list[int]
    """Of prompt and answer; the last may not be in the KV cache."""
    n_prompt: int
    kind: DeltaKind
    is_blank: bool
    """Nothing but blanks was written since `kind` began."""
    pending: tuple[bytes, int]
    """State of the UTF-8 decoder: the beginning of a character."""
    sampler: Sampler
    """What chose the tokens, its random numbers drawn up to here."""


class Conversation:
    """A session together with the tokens that its KV cache holds."""

    def __init__(self, session: Session, default_seed: int) -> None:
        self.session = session
        self.default_seed = default_seed
        self.cached: list[int] = []
        self.n_warm = 0
        """The most tokens that were evaluated at once."""
        self.paused: Paused | Generate | None = None
        """The last answer, if it was cancelled; before its prompt was known, the question is all there is of it."""

    # Prompt -----------------------------------------------------------------------------------------------------------

    def prompt(self, messages: Sequence[Message], *, thinking: bool) -> list[int]:
        """Tokens of the conversation up to where the model goes on. Raises `TemplateError`."""
        return self.session.tokenize(self.session.template.render(messages, thinking=thinking))

    def fit(self, command: Generate) -> tuple[list[int], int]:
        """The prompt's tokens and how many messages were left out of it. Raises `PromptTooLong` when it does not fit
        and nothing may be left out, or when even the last message alone is too long."""
        messages = list(command.messages)
        tokens = self.prompt(messages, thinking=command.thinking)
        room = self.session.n_ctx - min(ANSWER_RESERVE, self.session.n_ctx // 8)
        if len(tokens) <= room:
            return tokens, 0
        n_drop, shorter = self._shorten(messages, command.thinking, room)
        if not command.drop_oldest or not shorter:
            raise PromptTooLong(len(tokens), self.session.n_ctx, n_drop)
        return shorter, n_drop

    def _shorten(self, messages: list[Message], thinking: bool, room: int) -> tuple[int, list[int]]:
        """Leave out the fewest oldest messages, whole turns (so that what stays begins with the user) and never the
        system prompt, that make the prompt fit. (0, []) when none do. Raises `Aborted`: a long conversation takes a
        while to render."""
        first = 1 if messages and messages[0].role == "system" else 0
        starts = [i for i in range(first + 1, len(messages)) if messages[i].role == "user"]
        shortest: list[int] = []

        def fits(start: int) -> bool:
            nonlocal shortest
            if self.session.abort.is_set:
                raise Aborted
            tokens = self.prompt(messages[:first] + messages[start:], thinking=thinking)
            if len(tokens) <= room:
                shortest = tokens  # each that fits is longer than the one before
            return len(tokens) <= room

        found = bisect_left(starts, True, key=fits)
        return (starts[found] - first, shortest) if found < len(starts) else (0, [])

    # Answer -----------------------------------------------------------------------------------------------------------

    def generate(self, command: Generate, send: Send) -> None:
        """Answer, telling everything through `send`. Leaves the KV cache and `cached` in step whatever happens."""
        received = time.perf_counter()
        paused = self._take_paused() if command.resume else None
        self.paused = paused  # an answer that cannot begin for want of memory can be tried again
        if isinstance(paused, Generate):
            command, paused = _asked_again(command, paused), None
        try:
            tokens, n_dropped = (paused.tokens, 0) if paused else self.fit(command)
        except Aborted:
            self.paused = command
            _Answer(self, command, send, received).finish("cancelled")
            return
        n_cached = self._reuse(tokens)
        send(
            Started(
                id=command.id,
                n_prompt=len(tokens),
                n_cached=n_cached,
                n_dropped=n_dropped,
                n_ctx=self.session.n_ctx,
            )
        )
        answer = _Answer(self, command, send, received)
        answer.tokens, answer.n_cached = list(tokens), n_cached
        sampler = self._sampler(command.sampling, paused)
        answer.begin(paused, thinking=paused is None and self._starts_thinking(command, tokens))
        is_paused = False
        try:
            answer.prefill(tokens)
            stop = answer.decode(token_loop(self.session, sampler, ignore_end=command.ignore_end))
            self.paused = None
        except Aborted:
            stop = "cancelled"
            self.paused = answer.pause(sampler)
            is_paused = True
        except LlamaError:
            answer.tell_rest()
            raise
        finally:
            if not is_paused:
                sampler.close()
            self._resynchronize()
        answer.finish(stop)

    def _sampler(self, sampling: Sampling, paused: Paused | None) -> Sampler:
        """One for a new answer; or one that goes on with the draws of a paused one, which stays as it is: it may be
        tried again."""
        if paused is not None and paused.sampler.sampling == sampling:
            return self.session.take_over(paused.sampler)
        seed = sampling.seed if sampling.seed >= 0 else self.default_seed
        sampler = self.session.sampler(sampling, seed if seed >= 0 else time.time_ns())
        for token in paused.tokens[paused.n_prompt :] if paused else ():
            sampler.accept(token)
        return sampler

    def _take_paused(self) -> Paused | Generate:
        if self.paused is None:
            raise LlamaError("internal", "there is no cancelled answer to go on with")
        if isinstance(self.paused, Paused) and len(self.paused.tokens) >= self.session.n_ctx:
            raise PromptTooLong(len(self.paused.tokens), self.session.n_ctx, 0)
        return self.paused

    def _starts_thinking(self, command: Generate, tokens: Sequence[int]) -> bool:
        """Some templates open the thinking themselves: the prompt then ends inside it. What the messages say of
        `<think>` is not that, though it becomes the same token."""
        session = self.session
        if session.think_open < 0 or session.think_open not in tokens:
            return False
        opening = session.tokenize(session.template.opening(command.messages, thinking=command.thinking))
        marks = [token for token in opening if token in (session.think_open, session.think_close)]
        return marks[-1:] == [session.think_open]

    def _reuse(self, tokens: Sequence[int]) -> int:
        """Keep the longest common prefix of the KV cache and the prompt, at least one token short of the whole prompt
        (its logits are needed). Returns how many tokens were kept."""
        n = 0
        for have, want in zip(self.cached, tokens[:-1], strict=False):
            if have != want:
                break
            n += 1
        if n < len(self.cached) and not self.session.truncate(n):
            n = 0
        self.cached = list(tokens[:n])
        return n

    def read_ahead(self, messages: Sequence[Message], *, thinking: bool) -> None:
        """Bring the KV cache to where the next prompt will go on, whatever is asked in it. Raises `Aborted`, the cache
        being some way there, and `TemplateError`; does nothing when that would not leave room for an answer."""
        one, other = (self.prompt([*messages, Message(role="user", content=c)], thinking=thinking) for c in "a1")
        n_same = next((i for i, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0)
        if n_same > self.session.n_ctx - min(ANSWER_RESERVE, self.session.n_ctx // 8):
            return
        n_known, step = self._reuse(one[: n_same + 1]), min(AHEAD_STEP, self.session.n_ubatch)
        try:
            for at in range(n_known, n_same, step):
                if self.session.abort.is_set:
                    raise Aborted
                self.evaluate(one[at : min(at + step, n_same)])
                self.session.synchronize()
        finally:
            self._resynchronize()

    def evaluate(self, tokens: Sequence[int]) -> None:
        """Decode tokens behind the cached ones and remember them."""
        self.session.decode(tokens)
        self.cached.extend(tokens)
        self.n_warm = max(self.n_warm, len(tokens))

    def _resynchronize(self) -> None:
        """After an abort or an error: believe what llama.cpp says that it kept, as far as our list reaches."""
        n = self.session.n_past
        if n == len(self.cached):
            return
        keep = min(n, len(self.cached))
        if not self.session.truncate(keep):
            keep = 0
        del self.cached[keep:]


def _asked_again(command: Generate, before: Generate) -> Generate:
    """The question that was cancelled before its prompt was known, asked by a command to go on."""
    return msgspec.structs.replace(
        command, messages=before.messages, thinking=before.thinking, drop_oldest=before.drop_oldest
    )


class _Answer:
    """One answer being made: text buffers, clocks and counters."""

    def __init__(self, conversation: Conversation, command: Generate, send: Send, received: float) -> None:
        self._conversation, self._session = conversation, conversation.session
        self._command, self._send = command, send
        self._received = received
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kind: DeltaKind = "answer"
        self._text: list[str] = []
        self._blank = True
        self._flushed = 0.0
        self._marks: list[tuple[float, int]] = []
        self.tokens: list[int] = []
        """Of the prompt, and what was chosen since."""
        self.n_cached = self._n_prompt = self._n_prefill = self._n_steady = self._n_decode = self._n_thinking = 0
        self._prefill_s = self._steady_s = self._thinking_s = 0.0
        self._thinking_since = self._first = self._last = 0.0

    def begin(self, paused: Paused | None, *, thinking: bool) -> None:
        """Before anything is computed: take up where `paused` stopped, or start at the prompt's end, inside of
        `thinking` or not."""
        if paused is None:
            self._n_prompt = len(self.tokens)
            self._kind = "thinking" if thinking else "answer"
            return
        self._n_prompt, self._kind, self._blank = paused.n_prompt, paused.kind, paused.is_blank
        self._decoder.setstate(paused.pending)

    def pause(self, sampler: Sampler) -> Paused:
        """Where this answer stopped. Before `finish`, which ends a character that is not complete."""
        return Paused(self.tokens, self._n_prompt, self._kind, self._blank, self._decoder.getstate(), sampler)

    def prefill(self, tokens: Sequence[int]) -> None:
        """Evaluate the prompt behind the cached prefix, one ubatch at a time, telling the progress."""
        rest = tokens[self.n_cached :]
        started = before = time.perf_counter()
        step = self._session.n_ubatch
        try:
            for at in range(0, len(rest), step):
                if self._session.abort.is_set:
                    raise Aborted
                chunk = rest[at : at + step]
                is_steady = len(chunk) <= self._conversation.n_warm
                self._conversation.evaluate(chunk)
                self._session.synchronize()
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

    def decode(self, loop: TokenLoop) -> StopReason:
        """Choose and decode tokens until something stops it; the text goes out in batches."""
        session, cached = self._session, self._conversation.cached
        limit, flush_s = self._command.max_tokens, self._command.flush_s
        self._thinking_since = time.perf_counter()
        pending: list[int] = []
        while True:
            n_most = session.n_ctx - len(cached) - len(pending) + 1
            if limit:
                n_most = min(n_most, limit - self._n_decode)
            due = self._flushed + flush_s
            run = loop.run(pending[0] if pending else NO_TOKEN, n_most, due)
            cached.extend([*pending, *run.tokens][: run.n_decoded])
            for token, chosen_at in zip(run.tokens, run.times, strict=True):
                self.tokens.append(token)
                self._n_decode += 1
                self._take(token, chosen_at)
            if run.tokens:
                self._first, self._last = self._first or run.times[0], run.times[-1]
            if run.error:
                raise run.error
            if run.is_end:
                self._first = self._first or time.perf_counter()
                return "stop"
            if self._last >= due:
                self._flush(self._last)
            if limit and self._n_decode >= limit:
                return "length"
            if len(cached) >= session.n_ctx:
                return "context"
            pending = run.tokens[-1:]

    def _take(self, token: int, now: float) -> None:
        if token == self._session.think_open and self._kind == "answer" and self._blank:
            self._switch("thinking", now)
        elif token == self._session.think_close and self._kind == "thinking":
            self._n_thinking += 1
            self._switch("answer", now)
            return
        else:
            text = self._decoder.decode(self._session.piece(token))
            if self._blank:
                text = text.lstrip("\n")
                self._blank = not text.strip()
            if text:
                self._text.append(text)
        if self._kind == "thinking":
            self._n_thinking += 1

    def _switch(self, kind: DeltaKind, now: float) -> None:
        self._flush(now)
        if self._kind == "thinking" and self._thinking_since:
            self._thinking_s += now - self._thinking_since
        self._kind, self._blank, self._thinking_since = kind, True, now

    def _flush(self, now: float) -> None:
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
                n_used=len(self._conversation.cached),
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

    def finish(self, stop: StopReason) -> None:
        """Send what is left and the closing event."""
        now = time.perf_counter()
        if stop != "cancelled":  # Else it may go on: the rest of a character may still come.
            self._text.append(self._decoder.decode(b"", True))
        self._switch("answer", self._last or now)
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
                ),
                n_used=len(self._conversation.cached),
                n_ctx=self._session.n_ctx,
            )
        )
