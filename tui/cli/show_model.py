"""`llmtui show`: a repository of a hub with what each of its files would do here, or a model of this machine."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from tui.app.moments import when
from tui.base import format
from tui.base.columns import pad
from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import Line, Piece, Toned
from tui.base.text import cells
from tui.base.userpath import user_path
from tui.chat.last_used import last_used
from tui.cli.judging import TONES, Judged, as_json, fit, here, needs, speed
from tui.cli.list_models import Listed, model_json
from tui.cli.output import Column, laid_out, put_json, put_lines
from tui.cli.own_library import OwnLibrary
from tui.cli.parser import CommandLineError
from tui.cli.remote_models import RemoteModel, Suited, named_remotely, suited
from tui.cli.search_hubs import repo_json
from tui.config import paths
from tui.hubs.known_hubs import HUBS, page_of
from tui.hubs.records import RemoteFile, Variant
from tui.hubs.reference import is_reference
from tui.measure import forecast_words
from tui.models.detail_words import groups
from tui.models.details import ModelDetails, read_details
from tui.models.filesums import FileSums
from tui.models.library import LibraryModel
from tui.models.modelfile import file_title
from tui.planning import verdict_words
from tui.session.finding import on_machine
from tui.words import mark, tr, trn

_BAR = 20
"""Cells of a bar that stands for all weights."""


def show(arguments: argparse.Namespace) -> int:
    """Print it. Raises `CommandLineError`, `HubError`, `NoSuchModel` and `ModelFileError`."""
    if len(arguments.models) != 1:
        raise CommandLineError(tr("name one model, such as {name}.", name="Qwen/Qwen3-4B-GGUF"))
    (written,) = arguments.models
    own = OwnLibrary(arguments)
    if arguments.hub or (is_reference(written) and not user_path(written).exists()):
        return _show_remote(written, own, arguments)
    return _show_local(written, own, arguments)


# A repository ---------------------------------------------------------------------------------------------------------


def _show_remote(written: str, own: OwnLibrary, arguments: argparse.Namespace) -> int:
    remote = named_remotely(written, arguments)
    variants = (remote.asked,) if remote.asked else remote.content.variants
    found = Suited() if arguments.quick else suited(remote, own, variants)
    if arguments.json:
        put_json(_remote_json(remote, own, variants, found))
        return ExitCode.FINE
    put_lines(
        [
            *_about(remote, variants, found),
            "",
            *laid_out(_columns(own, variants, found)),
            *_ending(remote, variants, found),
        ]
    )
    return ExitCode.FINE


def _about(remote: RemoteModel, variants: Sequence[Variant], found: Suited) -> list[Line]:
    repo = remote.repo.found
    info = next(iter(found.infos.values()), None)
    told = [HUBS[repo.id.hub].title]
    if info is not None:
        told += [info.arch, info.experts_label, tr("context {n_ctx}", n_ctx=f"{info.n_ctx_train:,}")]
    elif repo.n_params:
        told.append(format.params(repo.n_params))
    told += [repo.licence] if repo.licence else []
    if repo.n_downloads is not None:
        told.append(trn("downloaded {n} time", "downloaded {n} times", repo.n_downloads))
    if repo.updated_at:
        told.append(tr("updated {when}", when=when(repo.updated_at, datetime.now())))
    lines: list[Line] = [
        Toned(repo.id.name, "headline"),
        Toned(" · ".join(told), "quiet"),
        Toned(page_of(repo.id), "quiet"),
    ]
    if repo.is_gated:
        lines.append(
            Toned(
                tr(
                    "Gated: accept its terms on that page, and set {token} to a token of yours.",
                    token=HUBS[repo.id.hub].token,
                ),
                "tight",
            )
        )
    return lines


def _columns(own: OwnLibrary, variants: Sequence[Variant], found: Suited) -> list[Column]:
    judged = [found.judged.get(one.label) for one in variants]
    return [
        Column(title=mark("VARIANT"), cells=[one.label for one in variants]),
        Column(title=mark("QUANT"), cells=[one.quant if one.quant != one.label else "" for one in variants], worth=2),
        Column(title=mark("SIZE"), cells=[format.size(one.size_bytes) for one in variants], right=True, worth=8),
        Column(
            title=mark("FILES"),
            cells=[str(len(one.files)) if len(one.files) > 1 else "" for one in variants],
            right=True,
            worth=1,
        ),
        Column(title=mark("NEEDS"), cells=[needs(one) for one in judged], right=True, worth=5),
        Column(title=mark("HERE"), cells=[fit(one) for one in judged], worth=7),
        Column(title=mark("SPEED"), cells=[speed(one) for one in judged], right=True, worth=6),
        Column(title="", cells=[_mark(one, own, found) for one in variants], worth=4),
    ]


def _mark(variant: Variant, own: OwnLibrary, found: Suited) -> Piece:
    if on_machine(variant, own.found.models):
        return Toned(tr("on this machine"), "good")
    if found.best and found.best.label == variant.label and len(found.infos) > 1:
        return Toned(tr("recommended"), "headline")
    return ""


def _ending(remote: RemoteModel, variants: Sequence[Variant], found: Suited) -> list[Line]:
    lines: list[Line] = []
    repo, best = remote.repo.id, found.best
    if len(variants) == 1:
        (only,) = variants
        if one := found.judged.get(only.label):
            lines.append(verdict_words.in_words(one.permission.outcome, one.permission.fit))
        label = only.label
    elif best is not None:
        lines.append(verdict_words.recommended_because(best))
        label = best.label
    else:
        if found.judged:
            lines.append(tr("None of them fits into this machine's memory now."))
        label = variants[0].label if variants else ""
    if remote.content.projectors and remote.asked is None:
        lines.append(tr("Also, for images or sound: {files}.", files=_files(remote.content.projectors)))
    if label:
        lines.append(Toned(tr("Download it: {command}", command=f"llmtui pull {repo.name}:{label}"), "quiet"))
    return ["", *lines] if lines else []


def _files(files: Sequence[RemoteFile]) -> str:
    return format.listed(*(f"{file.path} ({format.size(file.size_bytes)})" for file in files))


def _remote_json(remote: RemoteModel, own: OwnLibrary, variants: Sequence[Variant], found: Suited) -> dict[str, object]:
    return {
        **repo_json(remote.repo.found),
        "commit": remote.repo.commit,
        "recommended": found.best.label if found.best and remote.asked is None else None,
        "variants": [_variant_json(one, own, found) for one in variants],
        "projectors": [_file_json(file) for file in remote.content.projectors],
    }


def _variant_json(variant: Variant, own: OwnLibrary, found: Suited) -> dict[str, object]:
    local, info = on_machine(variant, own.found.models), found.infos.get(variant.label)
    return {
        "label": variant.label,
        "quant": variant.quant,
        "size_bytes": variant.size_bytes,
        "files": [_file_json(file) for file in variant.files],
        "path": str(local.path) if local else None,
        "arch": info.arch if info else None,
        "n_params": info.n_params if info else None,
        "n_params_active": info.n_params_active if info else None,
        "n_ctx_train": info.n_ctx_train if info else None,
        **as_json(found.judged.get(variant.label)),
    }


def _file_json(file: RemoteFile) -> dict[str, object]:
    return {"path": file.path, "size_bytes": file.size_bytes, "sha256": file.sha256}


# A model of this machine ----------------------------------------------------------------------------------------------


def _show_local(written: str, own: OwnLibrary, arguments: argparse.Namespace) -> int:
    model = own.model(written)
    details = read_details(model.path)
    judged = None if arguments.quick else asyncio.run(_judged(own, model))
    used = last_used(paths.database_file()).get(str(model.path), 0.0)
    name = own.names.get(model.path, file_title(model.path))
    if arguments.json:
        listed = Listed(name=name, model=model, judged=judged, used=used)
        put_json({**model_json(listed), "details": _details_json(details)})
        return ExitCode.FINE
    sums = FileSums(paths.sums_file())
    known = {str(path): sum for path in details.paths if (sum := sums.known(path))}
    all_groups = groups(details, known)
    wide = max(cells(row.label) for group in all_groups for row in group.rows)
    lines: list[Line] = [Toned(name, "headline")]
    if judged is not None:
        lines += ["", Toned(tr("On this machine"), "headline"), *_here(judged, wide)]
    for group in all_groups:
        lines += ["", Toned(group.title, "headline")]
        values = max((cells(row.value) for row in group.rows if row.share is not None), default=0)
        for row in group.rows:
            bar = "" if row.share is None else f"{' ' * (values - cells(row.value))}  {'━' * round(_BAR * row.share)}"
            lines.append((Toned(pad(row.label, wide), "quiet"), "  ", row.value, bar))
    put_lines(lines)
    return ExitCode.FINE


async def _judged(own: OwnLibrary, model: LibraryModel) -> Judged | None:
    machine = await here(own)
    return await machine.judged(model.info, model.path) if machine else None


def _here(judged: Judged, wide: int) -> list[Line]:
    permission, speed = judged.permission, judged.speed
    words = verdict_words.in_words(permission.outcome, permission.fit)
    rows: list[tuple[str, Piece]] = [(tr("memory"), Toned(words, TONES[permission.fit]))]
    if speed is not None and speed.decode_tps is not None:
        rows.append((tr("decode"), forecast_words.sentence(speed.decode_tps)))
    if speed is not None and speed.prompt_tps is not None:
        rows.append((tr("prefill"), forecast_words.sentence(speed.prompt_tps)))
    return [(Toned(pad(label, wide), "quiet"), "  ", value) for label, value in rows]


def _details_json(details: ModelDetails) -> dict[str, object]:
    """What `model_json` does not have."""
    told: dict[str, object] = msgspec.to_builtins(details, enc_hook=str)
    return {key: value for key, value in told.items() if key not in ("info", "paths")}
