"""A conversation with a model: prompts in, answers out as events. Owns overflow and pauses; what was read is in
`prefixcache`, one answer while it is made in `answer`; everything that touches llama.cpp goes through `Session`."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tui.engine.abort import Aborted
from tui.engine.answer import AnswerInProgress, Paused, Send
from tui.engine.biases import token_biases
from tui.engine.costcurve import CostCurve
from tui.engine.keptprefixes import KeptPrefixes
from tui.engine.llama import Session
from tui.engine.llamalog import LlamaError
from tui.engine.prefixcache import PrefixCache, shared
from tui.engine.sampler import LAST_SEED, Sampler
from tui.engine.schemagrammar import grammar_text
from tui.engine.splitter import Part
from tui.engine.tokenloop import token_loop
from tui.protocol.messages import Aside, AskAside, Delta, Done, Event, Generate, ReadAhead, Recast, Started
from tui.protocol.records import Effort, ErrorInfo, Message, Sampling

if TYPE_CHECKING:
    from tui.engine.odds import OddsWatcher

ANSWER_RESERVE = 256
"""Tokens kept free for an answer when deciding whether a prompt fits; less in a context under 2,048."""
WORTH_A_STEP = 32
"""Tokens behind the last checkpoint, or from the beginning, for which one more is taken on the way."""
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
    """A session that answers, and what it has read."""

    def __init__(self, session: Session, default_seed: int, kept: KeptPrefixes | None = None) -> None:
        """`kept` finds beginnings of prompts in files."""
        self.session = session
        self.default_seed = default_seed
        self.prefix = PrefixCache(session)
        self._kept = kept
        self.paused: Paused | Generate | None = None
        """The last answer, if it was cancelled; before its prompt was known, the question is all there is of it."""

        self._costs = CostCurve(())

    # Prompt -----------------------------------------------------------------------------------------------------------

    def prompt(
        self, messages: Sequence[Message], *, thinking: bool, effort: Effort, goes_on: bool = False
    ) -> list[int]:
        """Tokens of the conversation up to where the model goes on, which is in its last message where that `goes_on`.
        Raises `TemplateError`."""
        chat = self.session.chat
        if goes_on:
            return chat.begun(messages, thinking=thinking, effort=effort)[0]
        return chat.tokens(messages, thinking=thinking, effort=effort)

    def fit(self, command: Generate) -> tuple[list[int], int]:
        """The prompt's tokens and how many messages were left out of it. Raises `PromptTooLong` when it does not fit
        and nothing may be left out, or when even the last message alone is too long."""
        messages = list(command.messages)
        tokens = self.prompt(messages, thinking=command.thinking, effort=command.effort, goes_on=command.goes_on)
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
        first = _n_fixed(messages)
        starts = [i for i in range(first + 1, len(messages)) if messages[i].role == "user"]
        shortest: list[int] = []

        def fits(start: int) -> bool:
            nonlocal shortest
            if self.session.abort.is_set:
                raise Aborted
            shorter = left(messages, start - first)
            tokens = self.prompt(shorter, thinking=command.thinking, effort=command.effort, goes_on=command.goes_on)
            if len(tokens) <= room:
                shortest = tokens  # each that fits is longer than the one before
            return len(tokens) <= room

        found = bisect_left(starts, True, key=fits)
        return (starts[found] - first, shortest) if found < len(starts) else (0, [])

    # Answer -----------------------------------------------------------------------------------------------------------

    def generate(self, command: Generate, send: Send, is_thought_over: Callable[[], bool] = lambda: False) -> None:
        """Answer, telling everything through `send`. Leaves the prefix cache in step whatever happens.
        `is_thought_over` says whether the answer is to come now."""
        received = time.perf_counter()
        paused = self._take_paused() if command.resume else None
        self.paused = paused  # an answer that cannot begin for want of memory can be tried again
        if isinstance(paused, Generate):
            command, paused = _asked_again(command, paused), None
        try:
            tokens, n_dropped = (paused.tokens, 0) if paused else self.fit(command)
            self._bring(command.contexts, tokens)
        except Aborted:
            self.paused = command
            AnswerInProgress(self.prefix, command, send, received).finish("cancelled")
            return
        part = self._part(command)
        seed = self._seed(command.sampling)
        sampler = self._sampler(command, part, paused, seed)
        if command.n_alternatives:
            sampler.watch(self._watcher(command.n_alternatives))
        n_cached = self.prefix.reuse(tokens)
        if self.prefix.needs_borders and paused is None and not command.goes_on:
            self.prefix.expect(self._borders(command, n_dropped, tokens))
        send(
            Started(
                id=command.id,
                n_prompt=len(tokens),
                n_cached=n_cached,
                n_dropped=n_dropped,
                n_ctx=self.session.n_ctx,
                template_note=self.session.chat.note,
                seed=seed if paused is None else -1,
                biases_left_out=self._biases_left_out(command.sampling),
            )
        )
        answer = AnswerInProgress(self.prefix, command, send, received, is_thought_over)
        answer.tokens, answer.n_cached = list(tokens), n_cached
        if paused is not None:
            answer.go_on(paused)
        else:
            answer.begin(part)
        loop = token_loop(
            self.session, sampler, ignore_end=command.ignore_end, costs=self._costs_of(command.step_costs)
        )
        is_paused = False
        try:
            answer.prefill(tokens)
            stop = answer.decode(loop, sampler)
            self.paused = None
        except Aborted:
            stop = "cancelled"
            self.paused = answer.pause(sampler)
            is_paused = True
        except LlamaError:
            answer.tell_rest()
            raise
        finally:
            if self._kept is not None:
                self._kept.prefill_tps = answer.prefill_tps or self._kept.prefill_tps
            if not is_paused:
                sampler.close()
            self.prefix.resynchronize()
            self._costs.learn(loop.step_costs())
        answer.finish(stop, is_incomplete=sampler.is_incomplete)

    def _part(self, command: Generate) -> Part:
        """Where what is to be written begins."""
        chat, messages = self.session.chat, command.messages
        if command.goes_on:
            return chat.begun(messages, thinking=command.thinking, effort=command.effort)[1]
        return chat.part(messages, thinking=command.thinking, effort=command.effort)

    def _bring(self, contexts: str, tokens: Sequence[int]) -> None:
        """Have what begins as these tokens do from this folder, where that is worth it. Raises `Aborted`."""
        if self._kept is not None and contexts:
            self._kept.bring(Path(contexts), tokens, self.prefix, self.session.raise_if_aborted)

    def _seed(self, sampling: Sampling) -> int:
        """Of 32 bits, as llama.cpp takes them: the one that is asked for, that of the load, or one by chance."""
        seed = sampling.seed if sampling.seed >= 0 else self.default_seed
        return int(min((seed if seed >= 0 else time.time_ns()) & 0xFFFFFFFF, LAST_SEED))

    def _sampler(self, command: Generate, part: Part, paused: Paused | None, seed: int) -> Sampler:
        """One for a new answer; or one that goes on with the draws of a paused one, which stays as it is: it may be
        tried again. Raises `LlamaError` for a format that no answer can keep to."""
        sampling, wanted = command.sampling, command.answer_format
        grammar = grammar_text(wanted) if wanted else ""
        if paused is not None and (paused.sampler.sampling, paused.sampler.grammar) == (sampling, grammar):
            return self.session.take_over(paused.sampler)
        is_thought_first = command.thinking and part == "answer"
        openings = self.session.chat.openings() if is_thought_first else frozenset[int]()
        sampler = self.session.sampler(sampling, seed, grammar, openings)
        if paused is not None:
            sampler.take_up(paused.sampler, paused.tokens[paused.n_prompt :])
        return sampler

    def _watcher(self, n: int) -> OddsWatcher:
        from tui.engine.odds import OddsWatcher  # brings numpy, which takes long to import

        vocabulary = self.session.vocabulary
        return OddsWatcher(n, lambda token: vocabulary.piece(token, special=True))

    def _biases_left_out(self, sampling: Sampling) -> tuple[str, ...]:
        return tuple(token_biases(self.session.vocabulary, sampling.logit_bias)[1])

    def _costs_of(self, measured: tuple[float, ...]) -> tuple[float, ...]:
        """What several tokens at once cost, by what was measured and what answers took since."""
        if measured != self._costs.measured:
            self._costs = CostCurve(measured)
        return self._costs.now

    def _take_paused(self) -> Paused | Generate:
        if self.paused is None:
            raise LlamaError("internal", "there is no cancelled answer to go on with")
        if isinstance(self.paused, Paused) and len(self.paused.tokens) >= self.session.n_ctx:
            raise PromptTooLong(len(self.paused.tokens), self.session.n_ctx, 0)
        return self.paused

    def _borders(self, command: Generate, n_dropped: int, tokens: Sequence[int]) -> list[int]:
        """Where later prompts will part from this one: the next turn's, which has no thoughts; that of another last
        message, where it is worth a step of its own; and the same once more, all but its last token."""
        messages = left(command.messages, n_dropped)
        *before, last = messages
        other = Message(role=last.role, content="1" if last.content.startswith("a") else "a")

        def parts(then: Sequence[Message]) -> int:
            return shared(tokens, self.prompt(then, thinking=command.thinking, effort=command.effort))

        answer, question = (Message(role=role, content="a") for role in ("assistant", "user"))
        asked, edited = parts([*messages, answer, question]), parts([*before, other])
        borders = [min(asked, len(tokens) - 1)]
        if edited >= len(self.prefix.cached) + WORTH_A_STEP:
            borders.append(edited)
        return borders

    def read_ahead(self, command: ReadAhead) -> None:
        """Bring the KV cache to where the next prompt will go on, however what is written of it does. Raises `Aborted`,
        the cache being some way there, and `TemplateError`; does nothing when that would not leave room for an
        answer."""
        # A memory that cannot be cut at any place would have to go back to its last checkpoint for each changed word.
        text = "" if self.prefix.needs_borders else command.text
        one, other = (
            self.prompt(
                [*command.messages, Message(role="user", content=f"{text}{end}")],
                thinking=command.thinking,
                effort=command.effort,
            )
            for end in "a1"
        )
        n_same = shared(one, other)
        if n_same > self.session.n_ctx - min(ANSWER_RESERVE, self.session.n_ctx // 8):
            return
        prefix, step = self.prefix, min(AHEAD_STEP, self.session.n_ubatch)
        self._bring(command.contexts, one[: n_same + 1])
        n_known = prefix.reuse(one[: n_same + 1])
        prefix.expect([n_same])
        try:
            for at in range(n_known, n_same, step):
                if self.session.abort.is_set:
                    raise Aborted
                prefix.evaluate(one[at : min(at + step, n_same)])
                self.session.synchronize()
                prefix.mark()
        finally:
            prefix.resynchronize()

    def aside(self, command: AskAside) -> Aside:
        """Answer something that is no part of the conversation. Raises as `generate` does, and `Aborted`."""
        *known, _ = command.messages
        # In small steps, up to where the next prompt will go on: that stays, also where a memory cannot be cut.
        self.read_ahead(ReadAhead(messages=tuple(known), thinking=command.thinking, effort=command.effort))
        heard: list[Event] = []
        read = list(self.prefix.cached)
        before = self.paused
        try:
            self.generate(
                Generate(
                    messages=command.messages,
                    sampling=Sampling(temperature=0.0),
                    thinking=self._thinks_aside(command),
                    effort=command.effort,
                    thinking_budget=1,
                    max_tokens=command.max_tokens,
                    step_costs=self._costs.measured,
                ),
                heard.append,
            )
        finally:
            self._keep_paused(before)
            self.prefix.reuse([*read, -1])  # no prompt goes on behind the question
        text, done = "", heard[-1]
        if not isinstance(done, Done) or done.stop == "cancelled":
            raise Aborted
        for event in heard:
            if isinstance(event, Recast):
                text = ""
            elif isinstance(event, Delta) and event.kind == "answer":
                text += event.text
        return Aside(text=text, is_whole=done.stop == "stop")

    def _keep_paused(self, before: Paused | Generate | None) -> None:
        """What was paused `before` can still be gone on with, and nothing else."""
        if isinstance(self.paused, Paused) and self.paused is not before:
            self.paused.sampler.close()
        self.paused = before

    def _thinks_aside(self, command: AskAside) -> bool:
        """Whether to render the question with thoughts all the same: some templates would begin otherwise without."""
        if not command.thinking:
            return False
        with_thoughts, without = (
            shared(self.prompt(command.messages, thinking=thinking, effort=command.effort), self.prefix.cached)
            for thinking in (True, False)
        )
        return with_thoughts > without


def left(messages: Sequence[Message], n_dropped: int) -> list[Message]:
    """A conversation without its oldest messages, the system prompt not counted."""
    first = _n_fixed(messages)
    return [*messages[:first], *messages[first + n_dropped :]]


def _n_fixed(messages: Sequence[Message]) -> int:
    return 1 if messages and messages[0].role == "system" else 0


def _asked_again(command: Generate, before: Generate) -> Generate:
    """The question that was cancelled before its prompt was known, asked by a command to go on."""
    return msgspec.structs.replace(
        command,
        messages=before.messages,
        thinking=before.thinking,
        effort=before.effort,
        drop_oldest=before.drop_oldest,
        goes_on=before.goes_on,
    )
