"""What `llmtui ask` asks, as a record: it may be answered here or by another process."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tui.base.exit_codes import ExitCode
from tui.config.modelrules import ChatOverrides
from tui.config.options import AskOptions, Think
from tui.config.presets import Preset
from tui.files.attachment import Attachment, with_files
from tui.planning.draftload import AUTO, OFF
from tui.protocol.records import AnswerFormat, PartialSampling


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked, and of what."""

    prompt: str
    files: tuple[Attachment, ...] = ()
    """What it is about."""
    model: str = ""
    """Path of the file that was named; empty takes one."""
    named: str = ""
    """In its place, a file or a name of the library where it is answered, as it was written."""
    load: Mapping[str, bool | int | float | str] = {}
    """Field of `ChosenLoad` to the value that was given."""
    fit: bool = False
    force: bool = False
    chat_format: ChatOverrides = ChatOverrides()
    continue_last: bool = False
    """In the conversation that was used last."""
    system_prompt: str | None = None
    temperature: float | None = None
    sampling: PartialSampling = PartialSampling()
    """What else is given of how tokens are chosen."""
    answer_format: AnswerFormat | None = None
    max_tokens: int | None = None
    think: Think = ""
    preset: Preset | None = None
    """What other options go before."""
    keep: bool = True
    """Save the conversation."""

    @classmethod
    def of(
        cls, options: AskOptions, prompt: str, files: tuple[Attachment, ...] = (), preset: Preset | None = None
    ) -> Question:
        """What the command line asks for, once its prompt is put together; `preset` is that of the settings."""
        load = dict(options.load)
        if (draft := load.get("model_draft", AUTO)) not in (AUTO, OFF):
            load["model_draft"] = str(Path(str(draft)).absolute())  # whoever answers may be in another folder
        return cls(
            prompt=prompt,
            files=files,
            model=str(options.model.absolute()) if options.model else "",
            named=options.named,
            preset=options.preset or preset,
            load=load,  # type: ignore[arg-type]  # by the types of the arguments
            fit=options.fit,
            force=options.force,
            chat_format=options.chat_format,
            continue_last=options.continue_last,
            system_prompt=options.system_prompt,
            temperature=options.temperature,
            sampling=msgspec.convert(options.sampling, PartialSampling),
            answer_format=options.answer_format,
            max_tokens=options.max_tokens,
            think=options.think,
            keep=options.keep,
        )

    @property
    def content(self) -> str:
        """What the model gets."""
        return with_files(self.files, self.prompt)


class CannotAsk(Exception):
    """There will be no answer; the message says why, and what to do."""

    def __init__(self, code: ExitCode, message: str) -> None:
        super().__init__(message)
        self.code = code
