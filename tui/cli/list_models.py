"""`llmtui models`: the models on this machine, with what each needs, how fast it is here, and where it lies."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from tui.app.moments import when
from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.format import listed
from tui.base.terminal_style import Toned, say
from tui.chat.last_used import last_used
from tui.cli.judging import Here, Judged, as_json, fit, here, needs, speed
from tui.cli.output import Column, laid_out, put_json, put_lines
from tui.cli.own_library import OwnLibrary
from tui.cli.parser import CommandLineError
from tui.config import paths
from tui.models.library import BrokenFile, LibraryModel, OtherFile
from tui.models.named import find, named
from tui.words import mark, tr, trn

_MOST_FILES = 5


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A model of the list."""

    name: str
    """What to write for it."""
    model: LibraryModel
    judged: Judged | None
    """None where nothing was judged."""
    used: float
    """Seconds since 1970; 0 for never."""


_ORDERS: dict[str, Callable[[Listed], float]] = {
    "params": lambda one: -one.model.info.n_params,
    "size": lambda one: -one.model.info.size_bytes,
    "needs": lambda one: one.judged.permission.outcome.plan.total_bytes if one.judged else 0,
    "speed": lambda one: -(one.judged.decode.tps if one.judged and one.judged.decode else 0.0),
    "used": lambda one: -one.used,
}
"""The greatest first, where that is what one looks for; what is not known last. By name they are already."""


def list_models(arguments: argparse.Namespace) -> int:
    """Print them. Raises `CommandLineError`."""
    if arguments.quick and (arguments.fits or arguments.sort in ("needs", "speed")):
        raise CommandLineError(tr("--quick does not find out what fits and how fast it is: leave it out."))
    own = OwnLibrary(arguments)
    models = _wanted(own, arguments)
    judged: dict[Path, Judged] = {}
    if models and not arguments.quick:
        judged = asyncio.run(_judged(own, models))
    used = last_used(paths.database_file())
    rows = [
        Listed(
            name=own.names[model.path],
            model=model,
            judged=judged.get(model.path),
            used=max((used.get(str(place.path), 0.0) for place in model.places), default=0.0),
        )
        for model in models
    ]
    if arguments.fits:
        rows = [one for one in rows if one.judged and one.judged.permission.fit != "no"]
    if order := _ORDERS.get(arguments.sort):
        rows.sort(key=order)
    if arguments.json:
        put_json(
            {
                "models": [model_json(one) for one in rows],
                "other": [_file_json(file) for file in own.found.other],
                "broken": [_file_json(file) for file in own.found.broken],
            }
        )
        return ExitCode.FINE
    if rows:
        put_lines([_headline(rows), *laid_out(_columns(rows))])
    else:
        say(_nothing(own, arguments))
    _tell_files(own)
    return ExitCode.FINE


def _wanted(own: OwnLibrary, arguments: argparse.Namespace) -> Sequence[LibraryModel]:
    models = own.found.models
    if arguments.models:
        found = {one.path for one in find(" ".join(arguments.models), named(own.found)[0])}
        models = tuple(one for one in models if one.path in found)
    if arguments.moe:
        models = tuple(one for one in models if one.info.is_moe)
    if arguments.thinking:
        models = tuple(one for one in models if one.info.can_think)
    return models


async def _judged(own: OwnLibrary, models: Sequence[LibraryModel]) -> dict[Path, Judged]:
    machine: Here | None = await here(own)
    if machine is None:
        return {}
    return {model.path: await machine.judged(model.info, model.path) for model in models}


def _headline(rows: Sequence[Listed]) -> Toned:
    size = format.size(sum(one.model.info.size_bytes for one in rows))
    return Toned(trn("{n} model · {size}", "{n} models · {size}", len(rows), size=size), "headline")


def _columns(rows: Sequence[Listed]) -> list[Column]:
    now = datetime.now()
    return [
        Column(title=mark("NAME"), cells=[one.name for one in rows]),
        Column(title=mark("PARAMS"), cells=[one.model.info.params_label for one in rows], right=True, worth=4),
        Column(title=mark("QUANT"), cells=[one.model.info.quant for one in rows], worth=5),
        Column(title=mark("SIZE"), cells=[format.size(one.model.info.size_bytes) for one in rows], right=True, worth=8),
        Column(title=mark("NEEDS"), cells=[needs(one.judged) for one in rows], right=True, worth=3),
        Column(title=mark("HERE"), cells=[fit(one.judged) for one in rows], worth=7),
        Column(title=mark("SPEED"), cells=[speed(one.judged) for one in rows], right=True, worth=6),
        Column(title=mark("USED"), cells=[when(one.used, now) if one.used else "" for one in rows], worth=2),
        Column(title=mark("WHERE"), cells=[format.path(one.model.path) for one in rows], worth=1),
    ]


def _nothing(own: OwnLibrary, arguments: argparse.Namespace) -> str:
    if own.found.models:
        return trn("The only model here does not match.", "None of the {n} models matches.", len(own.found.models))
    get, found = "llmtui search qwen3", format.path(paths.models_dir())
    return tr(
        "There is no model on this machine yet. Find one with {command}, or put a GGUF file into {folder}.",
        command=get,
        folder=found,
    )


def _tell_files(own: OwnLibrary) -> None:
    """Which files are left out: how many, and why of the first."""
    for heading, files in (
        (mark("No chat models: {files}."), own.found.other),
        (mark("Cannot be loaded: {files}."), own.found.broken),
    ):
        if files:
            names = listed(*(file.path.name for file in files[:_MOST_FILES]))
            if (n_more := len(files) - _MOST_FILES) > 0:
                names = tr("{names} and {n} more", names=names, n=n_more)
            say(tr(heading, files=names))


def model_json(one: Listed) -> dict[str, object]:
    """A model as a program gets it."""
    model, info = one.model, one.model.info
    return {
        "name": one.name,
        "title": info.name,
        "path": str(model.path),
        "files": [str(path) for path in model.paths],
        "source": model.source,
        "also": [str(place.path) for place in model.also],
        "arch": info.arch,
        "quant": info.quant,
        "size_bytes": info.size_bytes,
        "n_params": info.n_params,
        "n_params_active": info.n_params_active,
        "n_expert": info.n_expert,
        "n_expert_used": info.n_expert_used,
        "n_ctx_train": info.n_ctx_train,
        "can_think": info.can_think,
        "used_at": one.used or None,
        **as_json(one.judged),
    }


def _file_json(file: OtherFile | BrokenFile) -> dict[str, object]:
    return {"path": str(file.path), "reason": file.reason}
