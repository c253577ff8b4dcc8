"""What the arguments say about a model and the conversation with it, as records."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tui.base.oserrors import os_reason
from tui.base.smallfile import read_small
from tui.base.userpath import user_path
from tui.cli.named_model import NoSuchModel, model_files
from tui.cli.parser import CommandLineError
from tui.config.loadtable import LOAD_ROWS
from tui.config.modelrules import ChatOverrides, TemplateFileError, read_template
from tui.words import tr

NO_DRAFTS = ("auto", "off")
"""What a draft model may be beside a file or a name."""
_MAX_SYSTEM_BYTES = 1 << 20
"""More than any context holds."""


def load_fields(arguments: argparse.Namespace) -> dict[str, object]:
    """The load settings that were given, by the names that the settings file uses."""
    return {name: value for name in LOAD_ROWS if (value := getattr(arguments, name)) is not None}


def shared_options(arguments: argparse.Namespace, settings_file: Path | None) -> dict[str, Any]:
    """The fields of `Options`, which both front ends take. Raises `CommandLineError`."""
    load = load_fields(arguments)
    if (draft := load.get("model_draft")) not in (None, *NO_DRAFTS):
        try:
            load["model_draft"] = str(model_files([str(draft)], settings_file)[0])
        except NoSuchModel as error:
            raise CommandLineError(f"--model-draft {error}") from error
    return {
        "load": load,
        "fit": arguments.fit,
        "force": arguments.force,
        "chat_format": chat_format(arguments),
        "settings_file": settings_file,
        "software_vulkan": arguments.software_vulkan,
    }


def chat_format(arguments: argparse.Namespace) -> ChatOverrides:
    """The template and the stop strings that were given. Raises `CommandLineError`."""
    if "" in arguments.stop:
        raise CommandLineError(tr("--stop needs a text: an empty one would end every answer at once."))
    source = ""
    if arguments.chat_template is not None:
        try:
            source = read_template(user_path(arguments.chat_template))
        except TemplateFileError as error:
            raise CommandLineError(
                tr("{where}: {reason}.", where=f"--chat-template {arguments.chat_template}", reason=error)
            ) from error
    return ChatOverrides(chat_template=source, stop=tuple(arguments.stop))


def system_prompt(written: str | None) -> str | None:
    """The system prompt that was given, or what is in the file behind an "@"; None where none was given. Raises
    `CommandLineError`."""
    if written is None or not written.startswith("@"):
        return written
    return text_of_file(written.removeprefix("@"), "--system", written).strip()


def text_of_file(name: str, option: str, written: str = "") -> str:
    """The text in a file that an option names, as it was `written`. Raises `CommandLineError`."""
    said = f"{option} {written or name}"
    try:
        return read_small(user_path(name), _MAX_SYSTEM_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise CommandLineError(tr("{option}: this is not a text in UTF-8.", option=said)) from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte, which no name has
        reason = os_reason(error) if isinstance(error, OSError) else error
        raise CommandLineError(tr("{option}: {reason}.", option=said, reason=reason)) from error
