"""The sentences about the user's files: what is wrong in them, and what could not be written."""

from __future__ import annotations

from collections.abc import Sequence

from tui.app.bindings import Keymap
from tui.app.phrases import hint
from tui.base import format
from tui.base.oserrors import os_reason
from tui.chat.store import StoreError
from tui.config import paths
from tui.config.problems import ConfigProblem
from tui.words import tr, trn


def unsaved(n: int, keymap: Keymap) -> str:
    """What is lost by quitting while the database cannot be written."""
    return trn(
        "The conversations cannot be written to the disk now: {n} change would be lost. Export{key} writes the open "
        "conversation to a file.",
        "The conversations cannot be written to the disk now: {n} changes would be lost. Export{key} writes the open "
        "conversation to a file.",
        n,
        key=hint(keymap, "export"),
    )


def not_saved(conversations: StoreError | None, draft: OSError | None, state: ConfigProblem | None) -> list[str]:
    """What could not be written at the end, and why."""
    sentences = [lost(conversations)] if conversations is not None else []
    if draft is not None:
        sentences.append(
            tr(
                "Your unsent text could not be kept: {reason} ({folder}).",
                reason=os_reason(draft),
                folder=paths.drafts_dir(),
            )
        )
    return sentences + ([str(state)] if state is not None else [])


def lost(error: StoreError) -> str:
    """That conversations could not be saved at the end."""
    return trn(
        "{n} change of conversations could not be saved: {reason} ({file}).",
        "{n} changes of conversations could not be saved: {reason} ({file}).",
        error.n_unsaved,
        reason=tr(error.detail),
        file=error.path,
    )


def problems(found: Sequence[ConfigProblem]) -> tuple[str, ...]:
    """What is wrong in the user's files, file by file."""
    lines: list[str] = []
    for file in dict.fromkeys(problem.file for problem in found):
        if file is not None:
            lines.append(format.path(file))
        lines += [f"{'  ' * (file is not None)}{_mistake(problem)}" for problem in found if problem.file == file]
    return tuple(lines) or (tr("Settings, themes and keys are all fine."),)


def first_problem(found: Sequence[ConfigProblem]) -> str:
    """That something is wrong in the user's files, for the start."""
    return trn(
        "{n} mistake in settings, themes or keys: {first}",
        "{n} mistakes in settings, themes or keys. The first: {first}",
        len(found),
        first=found[0],
    )


def _mistake(problem: ConfigProblem) -> str:
    return f"{problem.key}: {problem.text}" if problem.key else problem.text
