"""What a chat template does with a conversation, learned by rendering marked ones with it: how thinking and answer are
marked, what ends a turn, how thinking is switched, and which messages it takes. What templates do not show is in a
short table. Knows no llama.cpp."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.engine.alphabet import Alphabet
from tui.engine.efforts import Efforts
from tui.engine.splitter import Marks, Pair, is_token
from tui.engine.template import ChatTemplate, TemplateError, Turn
from tui.engine.thoughtswitch import (
    DETAILED,
    KEEPS_THOUGHTS,
    LEVELS,
    NEMOTRON,
    SWITCHES,
    WORDS,
    Switch,
)
from tui.models.thinking import KNOWN_THOUGHTS
from tui.protocol.records import Effort

_USER, _NEXT, _ANSWER, _THOUGHT, _SYSTEM = "Qjuu", "Qjvv", "Qjaa", "Qjtt", "Qjss"
"""Texts of the marked messages: no template holds them, and nothing in them is cut or changed."""

KNOWN_ANSWERS = (
    ("<|channel|>final<|message|>", ""),
    ("<|START_RESPONSE|>", "<|END_RESPONSE|>"),
    ("<|begin_of_solution|>", "<|end_of_solution|>"),
    ("<response>", "</response>"),
    ("<answer>", "</answer>"),
    ("<SOLUTION>", "</SOLUTION>"),
    ("", "[END FINAL RESPONSE]"),
)
"""What answers are put into, where the template names it."""
_SPELLINGS: tuple[Mapping[str, Any], ...] = (
    {"reasoning_content": _THOUGHT},
    {"reasoning": _THOUGHT},
    {"thinking": _THOUGHT},
    {"content": [{"type": "thinking", "thinking": _THOUGHT}, {"type": "text", "text": _ANSWER}]},
)
"""How templates want to be given what was thought."""
LEARN_S = 5.0
"""A template that takes so long to render a few short conversations is of no use."""
_UNITS = "[\ud800-\udfff]"
_UNIT = rf"(?:{_UNITS}[^\s\ud800-\udfff]{{1,40}}{_UNITS}|{_UNITS}|<[^<>\n]{{1,60}}>|\[[^\[\]\n]{{1,60}}\])"
_TAG = re.compile(r"<[^<>]+>|\[[^\[\]]+\]|◁[^▷]+▷")
_FIRST_UNIT, _LAST_UNIT = re.compile(_UNIT), re.compile(rf"{_UNIT}$")
_NAMED_END = re.compile(rf"{_UNITS}[^\s\ud800-\udfff]{{1,40}}{_UNITS}$")


_NO_MARKS, _NO_SWITCH = Marks(), Switch()


@dataclass(frozen=True)
class ChatFormat:
    """All that was learned of a template. Marks are in the letters of an `Alphabet`."""

    marks: Marks = _NO_MARKS
    switch: Switch = _NO_SWITCH
    always_thinks: bool = False
    can_think: bool = False
    close_text: str = "\n</think>\n\n"
    """What stands between a thought and its answer, as text: written to end a thought early."""
    open_text: str = "<think>\n"
    """What the model writes before a thought that the prompt does not begin, as text."""
    answer_text: str = ""
    """What the model writes before an answer without a thought, as text, where that is more than blanks."""
    always: Mapping[str, Any] = field(default_factory=dict)
    """Variables that the template cannot do without."""
    takes_system: bool = True
    """Else the system prompt goes in front of the first message of the user."""
    takes_repeats: bool = True
    """Two messages of one role may follow each other; else they are put together."""
    takes_parts: bool = False
    """The content of a message is a list of parts, and not text."""

    def turns(self, messages: Sequence[tuple[str, str]]) -> list[Turn]:
        """Messages (role, content) as the template takes them."""
        shaped: list[tuple[str, str]] = []
        for role, content in messages:
            if role == "system" and not self.takes_system:
                role = "user"
                repeats = True
            else:
                repeats = bool(shaped) and shaped[-1][0] == role and (not self.takes_repeats or not self.takes_system)
            if shaped and repeats and shaped[-1][0] == role:
                shaped[-1] = (role, f"{shaped[-1][1]}\n\n{content}")
            else:
                shaped.append((role, content))
        return [self._turn(role, content) for role, content in shaped]

    def _turn(self, role: str, content: str) -> Turn:
        return {"role": role, "content": [{"type": "text", "text": content}] if self.takes_parts else content}


def learn(template: ChatTemplate, alphabet: Alphabet, model: str = "") -> ChatFormat:
    """Render marked conversations with the template and see what it makes of them. Takes some milliseconds. Never
    fails: what cannot be learned is as for ChatML. `model` is the name that the file gives. Raises `TemplateError`
    where no conversation at all can be rendered."""
    return _Learner(template, alphabet, model).learn()


class _Learner:
    def __init__(self, template: ChatTemplate, alphabet: Alphabet, model: str) -> None:
        self._template, self._alphabet, self._model = template, alphabet, model.lower()
        self._always: Mapping[str, Any] = {"tools": None}
        self._parts = False
        self._until = time.monotonic() + LEARN_S
        self._error: TemplateError | None = None

    def learn(self) -> ChatFormat:
        self._find_basics()
        self._leave_out_thoughts()
        shape = ChatFormat(
            always=self._always,
            takes_parts=self._parts,
            takes_system=self._shows([("system", _SYSTEM), ("user", _USER)], _SYSTEM, _USER),
            takes_repeats=self._shows([("user", _USER), ("user", _NEXT)], _USER, _NEXT),
        )
        switch = self._find_switch()
        marks, close_text = self._find_marks(switch)
        open_text, answer_text = self._find_leads(switch, marks, close_text)
        if answer_text.strip() not in close_text and _last_unit(self._alphabet.encode(answer_text).strip()):
            close_text += answer_text
        opening = self._alphabet.encode(self._opening(switch.on))
        names_thinking = any(
            (thought.opens and self._alphabet.decode(thought.opens) in self._template.source)
            or self._alphabet.decode(thought.closes) in self._template.source
            for thought in marks.thoughts
        )
        learned = marks.part_after(opening) == "thinking" or self._learned_thought
        can_think = names_thinking or learned or switch.has_effect or any(map(is_token, marks.opens))
        must = marks.part_after(opening) == "thinking" or (learned and marks.has_headers)
        return ChatFormat(
            marks=marks,
            switch=switch,
            can_think=can_think,
            always_thinks=must and not switch.has_effect,
            close_text=close_text,
            open_text=open_text,
            answer_text=answer_text,
            always=shape.always,
            takes_system=shape.takes_system,
            takes_repeats=shape.takes_repeats,
            takes_parts=shape.takes_parts,
        )

    # Rendering --------------------------------------------------------------------------------------------------------

    def _render(self, messages: Sequence[tuple[str, str]], *, opening: bool = False, **variables: Any) -> str:
        """The prompt of messages (role, content); "" where the template refuses them."""
        shape = ChatFormat(takes_parts=self._parts)
        return self._render_turns(shape.turns(messages), opening=opening, variables=variables)

    def _render_turns(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        if time.monotonic() > self._until:
            raise TemplateError("slow", f"{LEARN_S:.0f}")
        try:
            return self._template.render(turns, opening=opening, variables={**self._always, **variables})
        except TemplateError as error:
            self._error = error
            return ""

    def _shows(self, messages: Sequence[tuple[str, str]], *texts: str) -> bool:
        prompt = self._render(messages, opening=True)
        return all(text in prompt for text in texts)

    def _opening(self, variables: Mapping[str, Any]) -> str:
        """What the template writes behind the last message for the model to go on from."""
        prompt = self._prompt(variables)
        without = self._render([("user", _USER)], **variables)
        if prompt == without:  # it writes it always
            return prompt.rpartition(_USER)[2]
        return prompt[len(os.path.commonprefix([prompt, without])) :]  # noqa: RUF071 - not paths

    # What it takes ----------------------------------------------------------------------------------------------------

    def _find_basics(self) -> None:
        """Which variables must be there, and whether content is text or a list."""
        bare: tuple[Mapping[str, Any], ...] = (
            {"tools": None},
            {},
            {"tools": [], "documents": []},
            {"tools": [], "functions": "[]", "datetime": "", "documents": []},
        )
        for self._parts in (False, True):
            for self._always in bare:
                if self._shows([("user", _USER)], _USER):
                    return
        raise self._error or TemplateError("ignores_user")

    def _leave_out_thoughts(self) -> None:
        """What was thought is no part of later prompts, and a template that wants it there would write empty thoughts,
        from which a model learns to think nothing."""
        talk = [("user", _USER), ("assistant", _ANSWER), ("user", _NEXT)]
        for name in self._template.variables.intersection(KEEPS_THOUGHTS):
            without = self._render(talk, opening=True, **{name: False})
            if without and without != self._render(talk, opening=True):
                self._always = {**self._always, name: False}

    # How thinking is switched -----------------------------------------------------------------------------------------

    def _prompt(self, variables: Mapping[str, Any]) -> str:
        return self._render([("user", _USER)], opening=True, **variables)

    def _find_switch(self) -> Switch:
        known, efforts = self._template.variables, Efforts(self._template, self._prompt)
        on = {name: yes for name, yes, _ in SWITCHES if name in known and yes is not None}
        off = {name: no for name, _, no in SWITCHES if name in known}
        # A variable that the template sets itself, or uses for something else, may make it fail.
        for name in list(off):
            if not (self._prompt({name: on[name]} if name in on else {}) and self._prompt({name: off[name]})):
                on.pop(name, None)
                del off[name]
        if self._prompt(on) != self._prompt(off):
            return Switch(on, off, True, levels=efforts.levels(on))
        levels = efforts.levels({})
        if off := self._no_effort(efforts, levels):
            # Without a level some do not think either: the highest one says that they shall.
            on = {} if self._prompt({}) != self._prompt(off) else dict(levels[max(levels, key=LEVELS.index)])
            return Switch(on, off, True, levels=levels if len(levels) > 1 else {})
        whose, *words = self._find_words()
        return Switch(has_effect=bool(whose), words=(words[0], words[1]), in_system=whose == "system", levels=levels)

    def _no_effort(self, efforts: Efforts, levels: dict[Effort, Mapping[str, Any]]) -> dict[str, Any]:
        """As `Efforts.none`."""
        if not efforts.name:
            return {}
        marks, _ = self._find_marks(Switch())
        return efforts.none(levels, lambda asked: _closes_thought(marks, self._alphabet.encode(self._opening(asked))))

    def _find_words(self) -> tuple[str, str, str]:
        """Whose message takes words that the template itself reacts to, or that its model is known for; the words."""
        source = self._template.source
        for whose, on, off in WORDS:
            if off.strip() not in source:
                continue
            messages = [("user", _USER)] if whose == "user" else [("system", _SYSTEM), ("user", _USER)]
            plain = self._render(messages, opening=True)
            told = self._render([(messages[0][0], messages[0][1] + off), *messages[1:]], opening=True)
            if told and told.replace(off, "") != plain:
                return whose, on, off
        name, *marks = NEMOTRON
        if "detailed thinking" in source or (name in self._model and all(mark in source for mark in marks)):
            return "system", *DETAILED
        return "", "", ""

    # Marks ------------------------------------------------------------------------------------------------------------

    def _known_thoughts(self) -> list[tuple[str, str]]:
        """The pairs of the table that this template or this vocabulary has, encoded."""
        source, found = self._template.source, []
        for opens, closes in KNOWN_THOUGHTS:
            if (opens or closes) in source or (opens and self._is_all_tokens(opens)) or opens == "<think>":
                found.append((self._alphabet.encode(opens), self._alphabet.encode(closes)))
        return found

    def _is_all_tokens(self, mark: str) -> bool:
        """Whether the vocabulary has a token for each part of the mark but the words in it."""
        words = _TAG.sub("", mark)
        return words != mark and len(words) == len(re.sub(_UNITS, "", self._alphabet.encode(mark)))

    def _find_marks(self, switch: Switch) -> tuple[Marks, str]:
        encode, source = self._alphabet.encode, self._template.source
        prompt, answered = self._prompt(switch.on), self._final(switch.on, {})
        thoughts, answers, has_headers, close_text = self._find_thought(prompt, answered, switch)
        own = [closes for _, closes in thoughts]
        thoughts += [pair for pair in self._known_thoughts() if pair[1] not in own]
        lead = self._lead(prompt, answered)
        if lead and not any(mark in lead for pair in thoughts for mark in pair if mark):
            answers.append((lead, ""))
        harmony = encode(KNOWN_THOUGHTS[0][0])
        has_headers = has_headers or (is_token(harmony) and any(opens == harmony for opens, _ in thoughts))
        for opens, closes in KNOWN_ANSWERS:
            if (opens or closes) in source or (has_headers and opens and self._is_all_tokens(opens)):
                answers.append((encode(opens), encode(closes)))
        inner = [mark for pair in (*thoughts, *answers) for mark in pair]
        header = prompt.removeprefix(self._render([("user", _USER)], **switch.on))
        stops, wraps = self._find_stops(
            switch, [*inner, encode(close_text), encode(header if header != prompt else "")]
        )
        answers += [("", mark) for mark in wraps]
        ends = {opens[-1] for opens, _ in (*thoughts, *answers) if len(opens) > 1 and is_token(opens[-1])}
        marks = Marks(
            thoughts=tuple(Pair(*pair) for pair in dict.fromkeys(thoughts)),
            answers=tuple(Pair(*pair) for pair in dict.fromkeys(answers)),
            stops=stops,
            has_headers=has_headers,
            header_ends=ends.pop() if has_headers and len(ends) == 1 else "",
        )
        closes = self._alphabet.decode(thoughts[0][1])
        return marks, close_text or (f"\n{closes}\n\n" if closes.startswith("</") else closes)

    def _find_thought(
        self, prompt: str, answered: str, switch: Switch
    ) -> tuple[list[tuple[str, str]], list[tuple[str, str]], bool, str]:
        """The marks of a thought and of the answer behind it, as the template writes them; whether that is a message of
        its own; and all that stands between the two, as text."""
        self._learned_thought = False
        for spelling in _SPELLINGS:
            final = self._final(switch.on, spelling)
            if _THOUGHT not in final or _ANSWER not in final.partition(_THOUGHT)[2] or _looks_like_data(final):
                continue
            between = final.partition(_THOUGHT)[2].partition(_ANSWER)[0]
            closes, rest = _split_first(self._alphabet.encode(between).strip())
            if not closes:
                continue
            self._learned_thought = True
            lead = self._lead(prompt, answered)
            answers = [(_last_unit(rest) or rest, "")] if rest and not (lead and rest.endswith(lead)) else []
            return [(self._opens(prompt, answered, final), closes)], answers, bool(rest), between
        return [], [], False, ""

    def _find_leads(self, switch: Switch, marks: Marks, close_text: str) -> tuple[str, str]:
        """`ChatFormat.open_text` and `answer_text`, as the template writes them, blanks included."""
        encode, prompt = self._alphabet.encode, self._prompt(switch.on)

        def lead(final: str, text: str) -> str:
            before, found, _ = final.partition(text)
            return before[len(prompt) :] if found and prompt and before.startswith(prompt) else ""

        thoughts = (lead(self._final(switch.on, spelling), _THOUGHT) for spelling in _SPELLINGS)
        opens = next(iter(marks.opens), "")
        open_text = next((text for text in thoughts if opens and encode(text).strip() == opens), "")
        if not open_text:
            # A word goes on until something ends it, and those who end a thought with a new line begin it with one.
            is_word = bool(opens) and not _last_unit(opens)
            open_text = self._alphabet.decode(opens) + ("\n" if is_word or close_text.startswith("\n") else "")
        answer_text = lead(self._final(switch.on, {}), _ANSWER)
        is_thought = any(mark in encode(answer_text) for mark in (*marks.opens, *marks.closes) if mark)
        return open_text, answer_text if answer_text.strip() and not is_thought else ""

    def _lead(self, prompt: str, answered: str) -> str:
        """What the model itself writes before an answer without a thought."""
        if not answered.startswith(prompt):
            return ""
        lead = self._alphabet.encode(answered[len(prompt) :].partition(_ANSWER)[0])
        # The blanks behind words belong to them: "all" alone may be the beginning of an answer.
        return lead.strip() if _last_unit(lead.strip()) else lead.lstrip()

    def _final(self, variables: Mapping[str, Any], spelling: Mapping[str, Any]) -> str:
        """A conversation that ends with an answer."""
        asked, answer = ChatFormat(takes_parts=self._parts).turns([("user", _USER), ("assistant", _ANSWER)])
        return self._render_turns([asked, {**answer, **spelling}], opening=False, variables=variables)

    def _opens(self, prompt: str, answered: str, final: str) -> str:
        """What opens the thought in `final`; empty where that stands in the prompt and is no mark."""
        encode = self._alphabet.encode
        header = os.path.commonprefix([prompt, final.partition(_THOUGHT)[0]])  # noqa: RUF071 - not paths
        if own := encode(final.partition(_THOUGHT)[0][len(header) :]).strip():
            return own
        behind = encode(final.partition(_THOUGHT)[0].rpartition(_USER)[2]).strip()
        if (named := _NAMED_END.search(behind)) and not _is_role(named[0]):
            return named[0]
        lead = encode(answered.partition(_ANSWER)[0].rpartition(_USER)[2]).strip()
        unit = _last_unit(behind)
        return "" if behind == lead else unit

    # Ends -------------------------------------------------------------------------------------------------------------

    def _find_stops(self, switch: Switch, inner: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
        """What ends a turn, by what the template writes between an answer and the next question; and marks that end
        the answer alone. `inner` are marks that stand inside of a turn."""
        talk = [("user", _USER), ("assistant", _ANSWER), ("user", _NEXT)]
        tail = self._render(talk, **switch.on).rpartition(_ANSWER)[2].partition(_NEXT)[0]
        encoded = self._alphabet.encode(tail)
        text = encoded.strip()
        if not text:
            return (), []
        inside = {letter for mark in inner for letter in mark if is_token(letter)}
        stops: list[str] = []
        wrap: list[str] = []
        line = text.partition("\n")[0]
        if token := re.search(_UNITS, line):
            text = text[token.start() :]
            units = list(_FIRST_UNIT.finditer(text))
            own = next((unit for unit in units if unit[0][0] not in inside), None)
            if own is None:
                stops.append(units[0][0])
                header = text[units[0].end() :].strip()
            else:  # before it, such as <|close|>response<|sep|>: the answer ends, and the turn with what follows
                wrap += [unit[0] for unit in units if unit.end() <= own.start()]
                stops.append(own[0][0])
                header = text[own.start() + 1 :].strip()
        else:
            header = text.partition("\n")[2]
            mark = _FIRST_UNIT.match(line)
            stops.append(mark[0] if mark else _as_line(encoded, line))
            header = text[len(mark[0]) :].strip() if mark else header.strip()
        if is_token(header):  # of the user's next turn; a token that does not begin the assistant's too says it alone
            stops.append(header[0] if header[0] not in inside else header)
        elif header.startswith(("<|", "<｜")):
            stops.append(header)
        return tuple(stop for stop in dict.fromkeys(stops) if stop), wrap


def _closes_thought(marks: Marks, opening: str) -> bool:
    last_close = max((opening.rfind(mark) for mark in marks.closes), default=-1)
    return last_close > max((opening.rfind(mark) for mark in marks.opens), default=-1)


def _split_first(text: str) -> tuple[str, str]:
    """The mark that a text begins with, and what is behind it; a text without marks is one."""
    found = _FIRST_UNIT.match(text)
    return (found[0], text[found.end() :].strip()) if found else (text, "")


def _last_unit(text: str) -> str:
    found = _LAST_UNIT.search(text)
    return found[0] if found else ""


def _is_role(unit: str) -> bool:
    return bool(re.search(r"assistant|model|bot|ai", unit, re.IGNORECASE))


def _looks_like_data(final: str) -> bool:
    """The template wrote the list of parts out as it is, instead of looking into it."""
    return "'thinking':" in final or '"thinking":' in final


def _as_line(encoded: str, line: str) -> str:
    """Words that begin a turn, such as "User:", only count at the beginning of a line."""
    return f"\n{line}" if encoded[: encoded.find(line)].endswith("\n") else line
