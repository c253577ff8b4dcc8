"""`llmtui rm`: deletes models, after it has said what that frees and what else it means."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import Toned, page, say, say_error, takes_colours
from tui.cli.output import Column, laid_out, put_json
from tui.cli.own_library import OwnLibrary
from tui.cli.parser import CommandLineError
from tui.models.modelfile import file_title
from tui.models.remove import Removal, RemovalError, carry_out, plan
from tui.models.stores.known import title_of
from tui.words import mark, tr, trn


def remove(arguments: argparse.Namespace) -> int:
    """Delete them. Raises `CommandLineError`, `NoSuchModel` and `ModelFileError`, all before anything is deleted."""
    if not arguments.models:
        raise CommandLineError(tr("name what to delete; {command} lists the models.", command="llmtui models"))
    own = OwnLibrary(arguments)
    found = {model.path: model for model in map(own.one_of, arguments.models)}
    removals = [plan(model) for model in found.values()]
    names = [own.names.get(path, model.store_name or file_title(path)) for path, model in found.items()]
    refused = [(name, one) for name, one in zip(names, removals, strict=True) if one.refused is not None]
    if refused:
        for name, one in refused:
            say_error(tr("{name}: {reason}", name=name, reason=one.refused))
        if arguments.json:
            put_json({"removed": [], "failed": [_failed(name, one, str(one.refused)) for name, one in refused]})
        return ExitCode.UNWRITTEN
    if not arguments.yes:
        _show(names, removals)
        if not _is_confirmed(len(removals)):
            say(tr("Nothing was deleted."))
            return ExitCode.FINE
    return _carry_out(names, removals, as_json=arguments.json)


def _show(names: Sequence[str], removals: Sequence[Removal]) -> None:
    """On stderr, where the question stands too."""
    models = [one.model for one in removals]
    lines = laid_out(
        [
            Column(title=mark("NAME"), cells=names),
            Column(title=mark("QUANT"), cells=[one.info.quant for one in models], worth=3),
            Column(title=mark("SIZE"), cells=[format.size(one.info.size_bytes) for one in models], right=True, worth=4),
            Column(title=mark("FREES"), cells=[format.size(one.frees_bytes) for one in removals], right=True),
            Column(title=mark("OF"), cells=[title_of(one.source) for one in removals], worth=2),
            Column(title=mark("WHERE"), cells=[format.path(one.path) for one in models], worth=1),
        ]
    )
    warnings = dict.fromkeys(
        tr("{name}: {reason}", name=name, reason=warning) if len(removals) > 1 else str(warning)
        for name, one in zip(names, removals, strict=True)
        for warning in one.warnings
    )
    told = [*lines, *(Toned(warning, "tight") for warning in warnings)]
    print(page(told, colours=takes_colours(sys.stderr)), file=sys.stderr)


def _is_confirmed(n: int) -> bool:
    """Asks on the terminal. Raises `CommandLineError` where there is none."""
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise CommandLineError(tr("without a terminal there is no way to ask: add --yes to delete."))
    question = trn("Delete this model? [y/N]", "Delete these {n} models? [y/N]", n)
    print(f"{question} ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline().strip().casefold()
    return answer in ("y", "yes", tr("yes").casefold(), "是")


def _carry_out(names: Sequence[str], removals: Sequence[Removal], *, as_json: bool) -> int:
    done: list[dict[str, object]] = []
    failed: list[dict[str, object]] = []
    freed = 0
    for name, removal in zip(names, removals, strict=True):
        try:
            frees = carry_out(removal)
        except RemovalError as error:
            say_error(tr("{name}: {reason}", name=name, reason=error))
            failed.append(_failed(name, removal, str(error)))
            continue
        freed += frees
        done.append(
            {
                "name": name,
                "path": str(removal.model.path),
                "files": [str(path) for path in removal.paths],
                "frees_bytes": frees,
            }
        )
    if as_json:
        put_json({"removed": done, "failed": failed})
    elif done:
        say(
            trn(
                "Deleted {n} model; {size} came free.",
                "Deleted {n} models; {size} came free.",
                len(done),
                size=format.size(freed),
            )
        )
    return ExitCode.UNWRITTEN if failed else ExitCode.FINE


def _failed(name: str, removal: Removal, reason: str) -> dict[str, object]:
    return {"name": name, "path": str(removal.model.path), "reason": reason}
