"""MODEL on the command line: a file, or the name of a model of the library."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from tui.base.format import listed
from tui.base.userpath import user_path
from tui.cli.commands import meant_command
from tui.cli.parser import parser
from tui.config import paths
from tui.config.settings import load_settings
from tui.config.state import StateStore
from tui.models.folders import configured_folders
from tui.models.library import scan
from tui.models.named import Named, find, labels, named, near
from tui.words import tr, trn

_MOST_NAMES = 8


class NoSuchModel(Exception):
    """What was written is neither a file nor the name of one model; the message says what to write."""


def model_files(all_written: Sequence[str], settings_file: Path | None) -> tuple[Path, ...]:
    """The files that are meant; what is written as a path is one, whether there is such a file or not. The library is
    read once, for all that are names. Raises `NoSuchModel`."""
    files: list[Path] = []
    library: tuple[list[Named], list[Named]] | None = None
    for written in all_written:
        path = user_path(written)
        if os.sep not in written and not _is_file(path):
            library = library or _library(settings_file)
            path = of_name(written, *library)
        files.append(path)
    return tuple(files)


def _library(settings_file: Path | None) -> tuple[list[Named], list[Named]]:
    settings, _ = load_settings(settings_file)
    state = StateStore()
    state.read()  # what is wrong with it is told by whoever starts
    folders = configured_folders(settings.models, state.state.folders)
    return named(scan(folders, paths.library_cache_file()))


def of_name(written: str, models: Sequence[Named], others: Sequence[Named]) -> Path:
    """The file that is meant by a name, of chat models or of what is none. Raises `NoSuchModel`."""
    found = find(written, models) or find(written, others)
    if len(found) == 1:
        return found[0].path
    raise NoSuchModel(_several(written, found) if found else _none(written, near(written, models)))


def _is_file(path: Path) -> bool:
    """Whether something is there that is no folder: those are called like models where several files make one."""
    try:
        return not stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:  # whoever loads it says why
        return True


def is_missing(path: Path) -> bool:
    """Whether there is no such file for sure. Of one in a closed folder nobody knows: whoever loads it says so."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _several(written: str, found: list[Named]) -> str:
    shown, n_more = listed(*labels(found)[:_MOST_NAMES]), len(found) - _MOST_NAMES
    if n_more > 0:
        shown = tr("{names} and {n} more", names=shown, n=n_more)
    several = trn(
        "{n} model has {name} in its name.", "{n} models have {name} in their names.", len(found), name=repr(written)
    )
    return f"{several}\n{tr('Write one of these: {models}.', models=shown)}"


def _none(written: str, close: list[Named]) -> str:
    missing = tr("{name}: there is no such file, and no model of that name.", name=written)
    if meant := meant_command(written):
        return f"{missing}\n{tr('Did you mean {name}?', name=f'llmtui {meant}')}"
    if parser().has_option(option := f"--{written}"):
        return f"{missing}\n{tr('Did you mean {name}?', name=option)}"
    if not close:
        return f"{missing}\n{_listed_by_the_app()}"
    if len(close) == 1:
        return f"{missing}\n{tr('Did you mean {name}?', name=labels(close)[0])}"
    return f"{missing}\n{tr('Did you mean one of these: {names}?', names=listed(*labels(close)))}"


def _listed_by_the_app() -> str:
    return tr("Without a name, llmtui lists your models.")
