"""Why a download stands still, as a sentence with what to do. What a hub refuses comes with the hub's own."""

from __future__ import annotations

from collections.abc import Mapping

from tui.base import format
from tui.downloads.records import Problem, ProblemKind
from tui.hubs.known_hubs import HUBS
from tui.hubs.records import HubName
from tui.words import mark, tr

_OWN: Mapping[ProblemKind, str] = {
    "name": mark("A file of this model cannot be stored here, for its name: {detail}."),
    "disk_full": mark("The disk is full. Make room and resume."),
    "disk": mark("The file cannot be written: {detail}."),
    "sum": mark(
        "The file is not the one that {hub} lists (its SHA-256 differs), so it was deleted. Resume to download "
        "it again."
    ),
    "changed": mark("The file on {hub} has changed. Cancel this download and choose the model again."),
    "taken": mark("Another file has this name: {detail}. Move it away, then resume."),
    "elsewhere": mark("Another llmtui is downloading this file."),
    "process": mark("The download was interrupted ({detail}). Resume to continue."),
}


def problem_words(problem: Problem, hub: HubName) -> str:
    """One or two sentences, in the language in use. When it is tried again by itself is for whoever shows it."""
    kind, detail = problem.kind, problem.detail
    if problem.why is not None:
        return str(problem.why)
    if kind == "disk_full" and detail.isdecimal():
        missing = format.size(int(detail))
        return tr("The disk is full: {missing} more are needed. Make room and resume.", missing=missing)
    if kind == "process" and problem.retry_at:
        return tr("The download was interrupted and will continue by itself.")
    if kind not in _OWN:
        return tr("{hub} cannot be used ({reason}).", hub=HUBS[hub].title, reason=detail or kind)
    return tr(_OWN[kind], hub=HUBS[hub].title, detail=tr(detail) if detail else "–")
