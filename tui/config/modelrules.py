"""The chat template and the stop strings that are to be used instead of, or beside, those of a model: from the command
line and from the user's `[[model]]` sections."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

from tui.base.oserrors import kept_reason
from tui.config.problems import ConfigProblem
from tui.config.settings import ModelRule, expand
from tui.words.later import Later, later

MAX_TEMPLATE_BYTES = 1 << 20
"""The largest templates have 20 KB: what is larger was named by mistake, such as the model itself."""


class ChatOverrides(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be used; empty values leave it to the model."""

    chat_template: str = ""
    """Source of a Jinja template."""
    stop: tuple[str, ...] = ()
    """Texts that end an answer."""


class TemplateFileError(Exception):
    """A file cannot be used as a template; `why`, and `str()`, say why, without the path."""

    def __init__(self, why: Later) -> None:
        super().__init__(why)
        self.why = why


def read_template(file: Path) -> str:
    """The source in `file`. Raises `TemplateFileError`."""
    try:
        if not file.is_file():
            raise TemplateFileError(
                later("is a folder or a device") if file.exists() else later("there is no such file")
            )
        with file.open("rb") as stream:
            raw = stream.read(MAX_TEMPLATE_BYTES + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero byte, which no name has
        raise TemplateFileError(
            later("cannot be read ({reason})", reason=kept_reason(error) if isinstance(error, OSError) else str(error))
        ) from error
    if len(raw) > MAX_TEMPLATE_BYTES:
        raise TemplateFileError(later("is larger than any template"))
    try:
        source = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TemplateFileError(later("is not UTF-8 text (line {line})", line=str(line))) from error
    if not source.strip():
        raise TemplateFileError(later("is empty"))
    return source


def chat_format(
    rules: Iterable[ModelRule], names: Sequence[str], path: Path, given: ChatOverrides
) -> tuple[ChatOverrides, list[ConfigProblem]]:
    """What is to be used for the model at `path` that is called by `names`: what was `given` on the command line goes
    before the rules that match, a later rule before an earlier one. A template that cannot be read is a problem, and
    the model's own is used."""
    template_file, stop = "", given.stop
    for rule in rules:
        if matches(rule, names, path):
            template_file = rule.chat_template or template_file
            stop = given.stop or rule.stop or stop
    if given.chat_template or not template_file:
        return ChatOverrides(chat_template=given.chat_template, stop=stop), []
    try:
        return ChatOverrides(chat_template=read_template(Path(template_file)), stop=stop), []
    except TemplateFileError as error:
        message = later(
            "{reason}, so the model's own template is used. Correct chat_template in [[model]] of your settings.",
            reason=error.why,
        )
        return ChatOverrides(stop=stop), [ConfigProblem(file=Path(template_file), key="", message=message)]


def matches(rule: ModelRule, names: Sequence[str], path: Path) -> bool:
    """Whether a rule is about a model: by one of its names, its file's name with or without the ending, or its path."""
    pattern = rule.match.casefold()
    candidates = [*names, path.name, path.stem, str(path)]
    patterns = {pattern, str(expand(rule.match)).casefold()} if pattern else ()
    return any(fnmatchcase(name.casefold(), one) for name in candidates for one in patterns)
