"""The chat templates that llama.cpp has built in: for files that name one instead of holding one, that hold one that is
no Jinja, or none at all. Runs in the engine process only."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tui.engine.bindings import lib
from tui.engine.template import ChatMLTemplate, ChatTemplate, TemplateError, Turn
from tui.words import tr

_MARKS = (
    ("llama3", "<|start_header_id|>"),
    ("llama4", "<|header_start|>"),
    ("gemma", "<start_of_turn>"),
    ("phi4", "<|im_sep|>"),
    ("chatml", "<|im_start|>"),
    ("deepseek3", "<｜Assistant｜>"),
    ("command-r", "<|CHATBOT_TOKEN|>"),
    ("granite", "<|start_of_role|>"),
    ("chatglm4", "<|assistant|>"),
    ("mistral-v7-tekken", "[SYSTEM_PROMPT]"),
    ("mistral-v3", "[INST]"),
)
"""Built-in templates by a mark of theirs, for vocabularies that have it as a token; the first one counts."""


def names() -> frozenset[str]:
    """What llama.cpp calls its templates."""
    n = lib.llama_chat_builtin_templates(None, 0)
    array = (ctypes.c_char_p * n)()
    lib.llama_chat_builtin_templates(array, n)
    return frozenset(name.decode() for name in array if name)


class BuiltinTemplate:
    """One of llama.cpp's templates, by its name, or found by the marks in a source that is not Jinja. Raises
    `TemplateError` when llama.cpp knows neither."""

    source = ""
    variables: frozenset[str] = frozenset()

    def __init__(self, name: str) -> None:
        self._name = name.encode("utf-8", "replace")
        self.render([{"role": "user", "content": "a"}], opening=True, variables={})

    def render(self, turns: Sequence[Turn], *, opening: bool, variables: Mapping[str, Any]) -> str:
        """See `ChatTemplate`; variables are without effect."""
        chat = (lib.llama_chat_message * len(turns))()
        size = 256
        for place, turn in zip(chat, turns, strict=True):
            place.role = str(turn["role"]).encode()
            place.content = str(turn["content"]).replace("\0", "").encode("utf-8", "replace")
            size += 2 * len(place.content) + 256
        text = ctypes.create_string_buffer(size)
        n = lib.llama_chat_apply_template(self._name, chat, len(turns), opening, text, size)
        if n > size:
            text = ctypes.create_string_buffer(n + 1)
            n = lib.llama_chat_apply_template(self._name, chat, len(turns), opening, text, n + 1)
        if n < 0:
            raise TemplateError("unknown")
        return text.raw[:n].decode("utf-8", "replace")


def find_template(
    source: str, compile_own: Callable[[str], ChatTemplate], *, has_token: Callable[[str], bool]
) -> tuple[ChatTemplate, str]:
    """The template for a file that says `source` about it, and a note on what is used when that is not the file's own.

    `compile_own` makes one of the source, or raises `TemplateError`; `has_token` tells whether a text is one token of
    the vocabulary.
    """
    error = None
    if source.strip() in names():
        return BuiltinTemplate(source.strip()), ""
    if source.strip():
        try:
            return compile_own(source), ""
        except TemplateError as failed:
            error = failed
        try:
            template = BuiltinTemplate(source)
        except TemplateError:
            pass
        else:
            note = tr(
                "The file's chat template cannot be used ({reason}); llama.cpp's own for this format is used.",
                reason=short_reason(error),
            )
            return template, note
    return fitting(error, has_token)


def fitting(error: TemplateError | None, has_token: Callable[[str], bool]) -> tuple[ChatTemplate, str]:
    """A template that goes with a vocabulary, ChatML where none is known to, and a note on why the file's is not used:
    for `error`, or because there is none."""
    reason = short_reason(error) if error else ""
    for name, mark in _MARKS:
        if name != "chatml" and has_token(mark):
            if error is None:
                note = tr(
                    "The file holds no chat template; {name}, which goes with its vocabulary, is used.", name=name
                )
            else:
                note = tr(
                    "The file's chat template cannot be used ({reason}); {name}, which goes with its vocabulary, "
                    "is used.",
                    reason=reason,
                    name=name,
                )
            return BuiltinTemplate(name), note
    if error is None:
        note = tr("The file holds no chat template; ChatML is used.")
    else:
        note = tr("The file's chat template cannot be used ({reason}); ChatML is used.", reason=reason)
    return ChatMLTemplate(), note


def short_reason(error: TemplateError) -> str:
    """Why a template cannot be used, for brackets in a note."""
    return (error.reason.splitlines() or [""])[0][:120]
