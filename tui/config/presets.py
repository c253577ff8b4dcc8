"""Presets: a system prompt, sampling, thinking, a format and a model under one name, each in a TOML file of the user's
that can be read, written by hand and shared. What a preset does not give is as in a new conversation."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import tomli_w
from msgspec import Meta

from tui.base import private
from tui.config.overlay import overlay
from tui.config.problems import ConfigProblem, read_toml
from tui.config.settings import SamplingValues, Section, Settings
from tui.protocol.records import AnswerFormat, Effort, Natural, PartialSampling
from tui.words import tr
from tui.words.later import later

MOST_PRESETS = 500
"""Files of a folder that are read."""
_SUFFIX = ".toml"
_LONGEST_NAME = 60
_SIMPLE = ("system_prompt", "model", "thinking", "effort", "max_tokens", "thinking_budget")
"""Fields of a preset that stand in its file as they are."""
_HEADER = "# A preset of llmtui: its name is that of this file. What is not given is as in a new conversation.\n"


class Preset(msgspec.Struct, frozen=True, kw_only=True):
    """What a preset gives; None is not given."""

    name: str
    system_prompt: str | None = None
    model: str = ""
    """File, or name in the library; empty leaves the model that is loaded."""
    thinking: bool | None = None
    effort: Effort | None = None
    max_tokens: int | None = None
    """0 for no limit."""
    thinking_budget: int | None = None
    """0 for none."""
    answer_format: AnswerFormat | None = None
    sampling: PartialSampling | None = None

    def settings(self, settings: Settings) -> dict[str, Any]:
        """The fields of a conversation with this preset, those that it does not give among them."""
        chat = settings.chat
        return {
            "preset": self.name,
            "system_prompt": chat.system_prompt if self.system_prompt is None else self.system_prompt,
            "thinking": chat.thinking if self.thinking is None else self.thinking,
            "effort": chat.effort if self.effort is None else self.effort,
            "max_tokens": self.max_tokens,
            "thinking_budget": self.thinking_budget,
            "answer_format": self.answer_format,
            "sampling": self.sampling,
        }


class _File(Section, frozen=True):
    """A preset's file. Of each value it counts whether it is there."""

    system_prompt: str = ""
    model: str = ""
    thinking: bool = True
    effort: Effort = ""
    max_tokens: Natural = 0
    thinking_budget: Natural = 0
    json_schema: Annotated[str, Meta(max_length=1 << 18)] = ""
    grammar: Annotated[str, Meta(max_length=1 << 18)] = ""
    sampling: SamplingValues = SamplingValues()


def name_problem(name: str) -> str:
    """Why no preset can be called so; empty where one can."""
    if not name or len(name) > _LONGEST_NAME or len(name.encode("utf-8", "replace")) > 200:
        return tr("A name has at most {n} characters.", n=_LONGEST_NAME)
    if name.startswith(".") or any(char == "/" or not char.isprintable() for char in name):
        return tr("A name has no slash, and no dot at its beginning.")
    return ""


def read_presets(folder: Path) -> tuple[list[Preset], list[ConfigProblem]]:
    """All presets by name, and what is wrong with their files. Blocks for the disk."""
    try:
        files = sorted(file for file in folder.iterdir() if file.suffix == _SUFFIX and not name_problem(file.stem))
    except OSError:
        return [], []
    presets, problems = list[Preset](), list[ConfigProblem]()
    for file in files[:MOST_PRESETS]:
        preset, found = _read(file)
        problems += found
        if preset is not None:
            presets.append(preset)
    presets.sort(key=lambda one: one.name.casefold())
    return presets, problems


def read_preset(folder: Path, name: str) -> tuple[Preset | None, list[ConfigProblem]]:
    """The preset of this name, None where there is none that can be read. Blocks for the disk."""
    if name_problem(name):
        return None, []
    return _read(folder / f"{name}{_SUFFIX}")


def _read(file: Path) -> tuple[Preset | None, list[ConfigProblem]]:
    table, problem = read_toml(file)
    if table is None:
        return None, [problem] if problem else []
    found, problems = overlay(_File(), table, file=file)
    bad = {problem.key for problem in problems}
    given = {name: getattr(found, name) for name in table.keys() - bad if name in _File.__struct_fields__}
    sampling, written = None, table.get("sampling")
    if isinstance(written, Mapping):
        names = [name for name in written if name in SamplingValues.__struct_fields__ and f"sampling.{name}" not in bad]
        sampling = PartialSampling(**{name: getattr(found.sampling, name) for name in names})
    answer_format = None
    if found.json_schema.strip():
        answer_format = AnswerFormat(kind="json_schema", text=found.json_schema)
    elif found.grammar.strip():
        answer_format = AnswerFormat(kind="gbnf", text=found.grammar)
    if found.json_schema.strip() and found.grammar.strip():
        message = later("is ignored: json_schema is given too, and goes before it.")
        problems.append(ConfigProblem(file=file, key="grammar", message=message))
    fields = {name: given[name] for name in _SIMPLE if name in given}
    return Preset(name=file.stem, answer_format=answer_format, sampling=sampling, **fields), problems


def write_preset(folder: Path, preset: Preset) -> Path:
    """Write its file, in place of one of that name; gives it. Raises OSError, and ValueError for a bad name."""
    if problem := name_problem(preset.name):
        raise ValueError(problem)
    table = {name: value for name in _SIMPLE if (value := getattr(preset, name)) is not None}
    if not preset.model:
        del table["model"]
    if preset.answer_format is not None:
        key = "json_schema" if preset.answer_format.kind == "json_schema" else "grammar"
        table[key] = _pretty(preset.answer_format)
    if preset.sampling is not None and preset.sampling.given:
        table["sampling"] = {name: value for name, value in preset.sampling.given.items() if name != "seed"}
    file = folder / f"{preset.name}{_SUFFIX}"
    private.write_file(file, (_HEADER + tomli_w.dumps(table, multiline_strings=True)).encode("utf-8", "replace"))
    return file


def _pretty(wanted: AnswerFormat) -> str:
    """As people read it."""
    if wanted.kind == "json_schema":
        with contextlib.suppress(ValueError, RecursionError):
            return json.dumps(json.loads(wanted.text), indent=2, ensure_ascii=False) + "\n"
    return wanted.text


def rename_preset(folder: Path, before: str, after: str) -> None:
    """Give a preset another name. Raises OSError, FileExistsError for one that is taken, and ValueError."""
    if problem := name_problem(after):
        raise ValueError(problem)
    # A link first: a name that is taken is not replaced.
    os.link(folder / f"{before}{_SUFFIX}", folder / f"{after}{_SUFFIX}")
    (folder / f"{before}{_SUFFIX}").unlink()


def delete_preset(folder: Path, name: str) -> None:
    """Delete a preset's file. Raises OSError."""
    (folder / f"{name}{_SUFFIX}").unlink(missing_ok=True)
