"""A conversation with a model: prompts in, answers out as events. Owns the prefix cache, overflow and pauses; one
answer while it is made is in `answer`; everything that touches llama.cpp goes through `Session`."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Sequence

import msgspec

from tui.engine.abort import Aborted
from tui.engine.answer import AnswerInProgress, Paused, Send
from tui.engine.llama import LlamaError, Session
from tui.engine.sampler import Sampler
from tui.engine.tokenloop import token_loop
from tui.protocol.messages import Generate, Started
from tui.protocol.records import Effort, ErrorInfo, Message, Sampling

ANSWER_RESERVE = 256
"""Tokens kept free for an answer when deciding whether a prompt fits; less in a context under 2,048."""
AHEAD_STEP = 64
"""Tokens that are read ahead at once: on a GPU, what is asked meanwhile waits for the end of one step."""


class PromptTooLong(Exception):
    """The prompt leaves no room for an answer. `n_drop` oldest messages would have to go, 0 when that would not do."""

    def __init__(self, n_prompt: int, n_ctx: int, n_drop: int) -> None:
        super().__init__(f"the prompt has {n_prompt} tokens, the context {n_ctx}")
        self.n_prompt, self.n_ctx, self.n_drop = n_prompt, n_ctx, n_drop

    def info(self) -> ErrorInfo:
        return ErrorInfo(
            kind="context_overflow", detail=str(self), n_prompt=self.n_prompt, n_ctx=self.n_ctx, n_drop=self.n_drop
        )


class Chat:
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

    def prompt(self, messages: Sequence[Message], *, thinking: bool, effort: Effort) -> list[int]:
        """Tokens of the conversation up to where the model goes on. Raises `TemplateError`."""
        return self.session.chat.tokens(messages, thinking=thinking, effort=effort)

    def fit(self, command: Generate) -> tuple[list[int], int]:
        """The prompt's tokens and how many messages were left out of it. Raises `PromptTooLong` when it does not fit
        and nothing may be left out, or when even the last message alone is too long."""
        messages = list(command.messages)
        tokens = self.prompt(messages, thinking=command.thinking, effort=command.effort)
        room = self.session.n_ctx - min(ANSWER_RESERVE, self.session.n_ctx // 8)
        if len(tokens) <= room:
            return tokens, 0
        n_drop, shorter = self._shorten(messages, command, room)
        if not command.drop_oldest or not shorter:
            raise PromptTooLong(len(tokens), self.session.n_ctx, n_drop)
        return shorter, n_drop

    def _shorten(self, messages: list[Message], command: Generate, room: int) -> tuple[int, list[int]]:
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
            left = messages[:first] + messages[start:]
            tokens = self.prompt(left, thinking=command.thinking, effort=command.effort)
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
            AnswerInProgress(self, command, send, received).finish("cancelled")
            return
        n_cached = self._reuse(tokens)
        send(
            Started(
                id=command.id,
                n_prompt=len(tokens),
                n_cached=n_cached,
                n_dropped=n_dropped,
                n_ctx=self.session.n_ctx,
                template_note=self.session.chat.note,
            )
        )
        answer = AnswerInProgress(self, command, send, received)
        answer.tokens, answer.n_cached = list(tokens), n_cached
        sampler = self._sampler(command.sampling, paused)
        if paused is not None:
            answer.go_on(paused)
        else:
            part = self.session.chat.part(command.messages, thinking=command.thinking, effort=command.effort)
            answer.begin(part)
        is_paused = False
        try:
            answer.prefill(tokens)
            stop = answer.decode(token_loop(self.session, sampler, ignore_end=command.ignore_end), sampler)
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

    def read_ahead(self, messages: Sequence[Message], *, thinking: bool, effort: Effort) -> None:
        """Bring the KV cache to where the next prompt will go on, whatever is asked in it. Raises `Aborted`, the cache
        being some way there, and `TemplateError`; does nothing when that would not leave room for an answer."""
        one, other = (
            self.prompt([*messages, Message(role="user", content=c)], thinking=thinking, effort=effort) for c in "a1"
        )
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
        command,
        messages=before.messages,
        thinking=before.thinking,
        effort=before.effort,
        drop_oldest=before.drop_oldest,
    )
