"""What a model is told: a conversation through its chat template to tokens. Only what the template writes becomes
control tokens; what people and the model said is text, whatever it looks like. Runs in the engine process only."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from tui.engine.alphabet import Alphabet
from tui.engine.builtin_template import find_template, fitting, short_reason
from tui.engine.chatformat import ChatFormat, learn
from tui.engine.splitter import Part, is_token
from tui.engine.template import SAID, ChatTemplate, TemplateError
from tui.engine.template_host import TemplateHost
from tui.engine.vocabulary import Vocabulary
from tui.protocol.records import Effort, Message
from tui.words import tr

_SAID = re.compile(SAID.format(r"(\d+)"))
_KEPT_TEXTS = 512

PLAIN, ENDS, LOOKED_AT = range(3)
"""What a token does to a run of the token loop (`enum token_kind` in tokenloop.c)."""


class ChatPrompt:
    """The chat side of one model: its template, and the format that was learned from it.

    A template that cannot be used never keeps a model from being loaded or from answering: `note` then says what is
    used instead.
    """

    def __init__(self, vocabulary: Vocabulary, source: str, host: TemplateHost, own: str = "", model: str = "") -> None:
        """`source` is that of the file's template, or what the file says in its place; empty where there is none. `own`
        is that of one of the user's, which goes before it. `host` renders them. `model` is the name that the file
        gives. Raises what the host's check raises."""
        self._vocabulary, self._host, self._model = vocabulary, host, model
        self.alphabet = Alphabet(lambda text: vocabulary.tokenize(text, is_whole=False), vocabulary.mark_text)
        self._own_source, self._source = own, source
        self._adopt(*(self._own(own) if own else self._find(source)))

    def _adopt(self, template: ChatTemplate, learned: ChatFormat, note: str) -> None:
        self.template, self.format, self.note = template, learned, note
        marks = self.format.marks
        texts = [mark for pair in (*marks.thoughts, *marks.answers) for mark in (pair.opens, pair.closes) if mark]
        self._marks = {self.alphabet.decode(text).strip() for text in texts}
        """What templates may look for in a message."""
        self._in_text: dict[str, frozenset[str]] = {}
        self.letters = self.alphabet.known()
        """The letter of each token that is a mark of this format."""

    def _own(self, own: str) -> tuple[ChatTemplate, ChatFormat, str]:
        try:
            template = self._compile(own)
            return template, learn(template, self.alphabet, self._model), ""
        except TemplateError as error:
            return self._instead_of_own(error)

    def _instead_of_own(self, error: TemplateError) -> tuple[ChatTemplate, ChatFormat, str]:
        template, learned, note = self._find(self._source)
        reason = short_reason(error)
        if not note:
            note = tr("Your chat template cannot be used ({reason}); the file's own is used.", reason=reason)
        else:
            note = f"{tr('Your chat template cannot be used ({reason}).', reason=reason)} {note}"
        return template, learned, note

    def _find(self, source: str) -> tuple[ChatTemplate, ChatFormat, str]:
        template, note = find_template(source, self._compile, has_token=self._vocabulary.has_token)
        try:
            return template, learn(template, self.alphabet, self._model), note
        except TemplateError as error:
            return self._fitting(error)

    def _fitting(self, error: TemplateError) -> tuple[ChatTemplate, ChatFormat, str]:
        template, note = fitting(error, self._vocabulary.has_token)
        return template, learn(template, self.alphabet, self._model), note

    def _replace(self, error: TemplateError) -> None:
        """A template that was good for all it was tried with has failed: from now on another is used. Raises the error
        where none of a stranger's is in use."""
        if self.template is not self._host:
            raise error
        own, self._own_source = self._own_source, ""
        self._adopt(*(self._instead_of_own(error) if own else self._fitting(error)))

    def _compile(self, source: str) -> ChatTemplate:
        self._host.compile(source, self._vocabulary.bos_text, self._vocabulary.eos_text)
        return self._host

    def tokens(self, messages: Sequence[Message], *, thinking: bool, effort: Effort = "") -> list[int]:
        """Tokens of the conversation up to where the model goes on. A template that fails is replaced; raises
        `TemplateError` when the one in its place fails too."""
        said: list[str] = []
        rendered = self._render(messages, said, thinking=thinking, effort=effort)
        tokens: list[int] = []
        for number, part in enumerate(_SAID.split(rendered)):
            if number % 2:
                tokens += self._text_tokens(said[int(part)], is_whole=not tokens)
            elif part or not number:
                tokens += self._vocabulary.tokenize(part, is_whole=not tokens)
        return tokens

    def part(self, messages: Sequence[Message], *, thinking: bool, effort: Effort = "") -> Part:
        """Where the answer begins: some templates open a thought themselves. Raises as `tokens` does."""
        prompt = self._render(messages, [], thinking=thinking, effort=effort)
        without = self._render(messages, [], thinking=thinking, effort=effort, opening=False)
        if prompt != without:
            opening = prompt[len(os.path.commonprefix([prompt, without])) :]  # noqa: RUF071 - not paths
        else:
            opening = prompt.rpartition(self._protected(messages[-1].content, []))[2] if messages else prompt
        return self.format.marks.part_after(self.alphabet.encode(opening))

    def openings(self) -> frozenset[int]:
        """Tokens that begin a thought."""
        tokens = self.alphabet.tokens
        return frozenset(tokens[mark] for mark in self.format.marks.opens if mark in tokens)

    def begun(self, messages: Sequence[Message], *, thinking: bool, effort: Effort = "") -> tuple[list[int], Part]:
        """Tokens of a conversation whose last message is an answer that is not complete, and where that goes on. The
        answer is as the model would have written it: what was thought with the marks of the format around it, then what
        was answered. What was thought by another model is left out where this one cannot; it is over where no thinking
        is wanted. Raises as `tokens` does."""
        *before, answer = messages
        reasoning = answer.reasoning if self.format.can_think else ""
        is_over = bool(answer.content) or not (thinking or not self.format.switch.has_effect)
        thinking = thinking or bool(reasoning)
        tokens = self.tokens(before, thinking=thinking, effort=effort)
        part = self.part(before, thinking=thinking, effort=effort)
        if reasoning:
            if part != "thinking":
                tokens += self._vocabulary.tokenize(self.format.open_text, is_whole=False)
            tokens += self._said(reasoning)
            if not is_over:
                return tokens, "thinking"
            tokens += self.end_of_thought()
        elif not answer.content:
            return tokens, part
        elif part == "thinking":
            tokens += self.end_of_thought()
        else:
            opened = self._render(before, [], thinking=thinking, effort=effort).rstrip()
            lead = self.format.answer_text
            if part == "between" and not lead and self.format.marks.answer_opens:
                lead = self.alphabet.decode(self.format.marks.answer_opens[0])
            if lead and not opened.endswith(lead.strip()):
                tokens += self._vocabulary.tokenize(lead, is_whole=False)
        return [*tokens, *self._said(answer.content)], "answer"

    def _said(self, text: str) -> list[int]:
        """Tokens of what was said, none of which is a mark."""
        said: list[str] = []
        tokens: list[int] = []
        for number, part in enumerate(_SAID.split(self._protected(text, said))):
            if number % 2:
                tokens += self._text_tokens(said[int(part)], is_whole=False)
            elif part:
                tokens += self._vocabulary.tokenize(part, is_whole=False)
        return tokens

    def end_of_thought(self) -> list[int]:
        """Tokens that end a thought as the template would, and lead to the answer."""
        return self._vocabulary.tokenize(self.format.close_text, is_whole=False)

    def token_kinds(self, stops: Sequence[str]) -> bytes:
        """For each token what it does to a run: it may end the turn; or what is written must be looked at behind it,
        because it ends a part, or `stops`, texts of the user's."""
        marks, tokens = self.format.marks, self.alphabet.tokens
        kinds = bytearray(self._vocabulary.n_tokens)
        inner = [mark for pair in (*marks.thoughts, *marks.answers) for mark in (pair.opens, pair.closes)]
        inside = {letter for mark in inner for letter in mark if is_token(letter)}
        for letter in inside:
            kinds[tokens[letter]] = LOOKED_AT
        for stop in marks.stops:
            for letter in filter(is_token, stop):
                if letter not in inside and not self._vocabulary.is_end(tokens[letter]):
                    kinds[tokens[letter]] = ENDS if letter == stop else LOOKED_AT
        texts = [stop for stop in (*marks.stops, *stops) if stop and not is_token(stop[-1])]
        for byte in {text.encode("utf-8", "replace")[-1] for text in texts}:
            for token in self._vocabulary.with_byte(byte):
                kinds[token] = kinds[token] or LOOKED_AT
        return bytes(kinds)

    # Rendering --------------------------------------------------------------------------------------------------------

    def _render(
        self,
        messages: Sequence[Message],
        said: list[str],
        *,
        thinking: bool,
        effort: Effort,
        opening: bool = True,
    ) -> str:
        """The prompt as text; what must stay text stands in `said`, by the number that stands for it. What was thought
        in earlier turns is left out: models are not trained to read it again."""
        while True:
            try:
                return self._rendered(messages, said, thinking=thinking, effort=effort, opening=opening)
            except TemplateError as error:
                said.clear()
                self._replace(error)

    def _rendered(
        self, messages: Sequence[Message], said: list[str], *, thinking: bool, effort: Effort, opening: bool
    ) -> str:
        variables = {**self.format.always, **self.format.switch.variables(thinking=thinking, effort=effort)}
        shaped = [(message.role, self._protected(message.content, said)) for message in messages]
        words = self.format.switch.words[not thinking]
        if words and self.format.switch.in_system:
            own = shaped.pop(0)[1] if shaped and shaped[0][0] == "system" else ""
            shaped.insert(0, ("system", f"{words}\n\n{own}" if own else words))
        elif words and shaped and shaped[-1][0] == "user":
            shaped[-1] = (shaped[-1][0], shaped[-1][1] + words)
        turns = self.format.turns(shaped)
        return self.template.render(turns, opening=opening, variables=variables)

    def _protected(self, content: str, said: list[str]) -> str:
        """The content with a number for each text in it that would become a mark."""
        marks = self._marks_in(content)
        if not marks:
            return content

        def number(found: re.Match[str]) -> str:
            said.append(found[0])
            return SAID.format(len(said) - 1)

        pattern = "|".join(re.escape(mark) for mark in sorted(marks, key=len, reverse=True))
        return re.sub(pattern, number, content)

    def _marks_in(self, content: str) -> frozenset[str]:
        if (known := self._in_text.get(content)) is not None:
            return known
        vocabulary, letters = self._vocabulary, self.letters
        found = {mark for mark in (*self._marks, *SAID.split("{}")) if mark and mark in content}
        for token in set(vocabulary.tokenize(content, is_whole=False)):
            if (token in letters or vocabulary.is_control(token)) and (text := vocabulary.mark_text(token)):
                found.add(text)
        if len(self._in_text) >= _KEPT_TEXTS:
            del self._in_text[next(iter(self._in_text))]
        self._in_text[content] = frozenset(found)
        return self._in_text[content]

    def _text_tokens(self, text: str, *, is_whole: bool) -> list[int]:
        """Tokens of what looks like a mark and is text."""
        tokens = self._vocabulary.tokenize(text, special=False, is_whole=is_whole)
        if any(
            token in self.letters for token in tokens
        ):  # llama.cpp takes some for marks all the same, but not in two
            first = self._vocabulary.tokenize(text[:1], special=False, is_whole=is_whole)
            return first + self._vocabulary.tokenize(text[1:], special=False, is_whole=False)
        return tokens
