"""What the program remembers by itself between runs, in `state.toml`: read with tolerance, written atomically, only
when something changed, and never in the way of anything when the disk is full or read-only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import tomli_w

from tui.base import private
from tui.base.oserrors import kept_reason
from tui.config import paths
from tui.config.overlay import overlay
from tui.config.problems import ConfigProblem, read_toml
from tui.config.settings import ChosenLoad
from tui.words.later import later

MAX_MODELS = 200
"""Models whose load settings are kept; the one that was loaded longest ago goes first."""

RememberedLoad = dict[str, bool | int | str]
"""Fields of `ChosenLoad` by name. A version that knows others reads what it knows of it."""


class TunedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Load settings that a search found to be the fastest for a model on one machine."""

    machine: str = ""
    """That machine, as `tui.measure.machine.Machine.hardware` describes it: a home folder may be shared by several."""
    load: RememberedLoad = {}
    """Only the fields of `ChosenLoad` that it changed."""
    kind: str = ""
    """Models that it is good for too, as `tui.measure.tuned.kind_of` names them."""
    backend: str = ""
    """The backend that was asked for when it was tuned."""
    n_ctx: int = 0
    """The context that it was tuned with."""
    percent: float = 0.0
    """How much faster it was than what it began with; 0 where that was not kept."""
    low: float = 0.0
    """Where that lies at least."""
    high: float = 0.0
    """And at most."""


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered. Empty and None mean "nothing yet": the settings decide."""

    last_model: str = ""
    """Absolute path of the model that was loaded last."""
    theme: str = ""
    """Theme that was chosen in the app."""
    language: str = ""
    """Language that was chosen in the app: one of `tui.words.LANGUAGES`, or "auto"."""
    sidebar: bool | None = None
    """Whether the sidebar was shown or hidden by hand."""
    actions: tuple[str, ...] = ()
    """Ids of the actions that were run from the palette last, the newest first."""
    favourites: tuple[str, ...] = ()
    """Absolute paths of the models that the picker lists first."""
    sort: str = ""
    """Column that the picker is sorted by, with "-" before it for the other way round."""
    conversation_list: bool | None = None
    """Whether the conversations at the left of a wide screen were shown or hidden by hand."""
    folders: tuple[str, ...] = ()
    """Folders with models that were added in the app."""
    conversation_order: str = "used"
    """What the list of conversations was sorted by last."""
    conversation: str = ""
    """Id of the conversation that was open last."""
    preset: str | None = None
    """Name of the preset that new conversations were given in the app, empty for none."""
    loads: dict[str, RememberedLoad] = {}
    """Model path to the fields of `ChosenLoad` that it was loaded with, for `tui.config.load.merge_load`."""
    tuned: dict[str, TunedLoad] = {}
    """Model path to what was tuned for it, the newest last. What is chosen in the app afterwards takes its place."""
    offered: tuple[str, ...] = ()
    """Absolute paths of the models for which tuning was offered, the newest last."""


class StateStore:
    """The one owner of `state.toml` in a process. Writing blocks for the disk: use a thread when that matters; several
    threads may change it at once.

    Another llmtui may write the same file: a change is put on top of what the file holds by then.
    """

    def __init__(self, file: Path | None = None, *, is_kept: bool = True) -> None:
        """With `is_kept` off, what is changed holds for this process only."""
        self.file = file or paths.state_file()
        self._is_kept = is_kept
        self.state = State()
        self._signature: tuple[int, int, int] | None = None
        self._unwritten = False
        # A change is read, made and written as one: threads that change different fields would undo each other.
        self._lock = threading.RLock()

    def read(self) -> list[ConfigProblem]:
        """Read the file into `state`. One that cannot be understood is put aside as `state.toml.bad`."""
        self._signature = self._sign()
        table, problem = read_toml(self.file)
        if table is not None:
            self.state, problems = overlay(State(), table, file=self.file, report_unknown=False)
            return problems
        self.state = State()
        if problem is None:
            return []
        return [self._put_aside(problem)]

    def update(self, **changes: Any) -> ConfigProblem | None:
        """Set fields of `State` and write the file if that changes anything, or if it could not be written the last
        time; what kept it from being written, if something did: `state` then holds the change for this run all the
        same."""
        with self._lock:
            before = self._newest()
            self.state = msgspec.structs.replace(before, **changes)
            self._unwritten |= self.state != before
            return self._write() if self._unwritten else None

    def change(self, made_of: Callable[[State], Mapping[str, Any]]) -> ConfigProblem | None:
        """As `update`, with what is made of the newest state: what another window has added stays."""
        with self._lock:
            return self.update(**made_of(self._newest()))

    def remember_load(self, model: Path, load: ChosenLoad) -> ConfigProblem | None:
        """Remember that `model` was loaded last and with which settings. As `update` in all else."""
        key = str(model)
        if not is_text(key):
            message = later(
                "The name of this model is not UTF-8, so its load settings are not remembered. Rename the file."
            )
            return ConfigProblem(file=model, key="", message=message)
        with self._lock:
            loads = {path: table for path, table in self._newest().loads.items() if path != key}
            for oldest in list(loads)[: max(0, len(loads) + 1 - MAX_MODELS)]:
                del loads[oldest]
            loads[key] = msgspec.structs.asdict(load)
            chosen = loads[key]
            tuned = {
                path: found
                for path, found in self.state.tuned.items()
                if path != key or all(chosen.get(name) == value for name, value in found.load.items())
            }
            return self.update(last_model=key, loads=loads, tuned=tuned)

    def remember_tuned(self, model: Path, tuned: TunedLoad) -> ConfigProblem | None:
        """Load `model` so from now on, on the machine that it was tuned on. As `update` in all else."""
        with self._lock:
            before = self._newest().tuned
            kept = {path: found for path, found in before.items() if path != str(model)}
            for oldest in list(kept)[: max(0, len(kept) + 1 - MAX_MODELS)]:
                del kept[oldest]
            return self.update(tuned={**kept, str(model): tuned})

    def load_of(self, model: Path, machine: str = "") -> RememberedLoad:
        """What is remembered of `model`, with what was tuned for it on `machine` over it; empty without either."""
        tuned = self.state.tuned.get(str(model))
        found = tuned.load if tuned and machine and tuned.machine == machine else {}
        return {**self.state.loads.get(str(model), {}), **found}

    def tuned_for(self, model: Path, machine: str, kind: str = "") -> tuple[str, TunedLoad] | None:
        """What was tuned for `model` on `machine`, or else for another of its kind there, and the path of which it
        was."""
        kept = self.state.tuned
        own = kept.get(str(model))
        if own is not None and own.machine == machine:
            return str(model), own
        alike = (path for path in reversed(kept) if kind and (kept[path].kind, kept[path].machine) == (kind, machine))
        path = next(alike, None)
        return None if path is None else (path, kept[path])

    def _newest(self) -> State:
        """`state`, or what another process has written since."""
        signature = self._sign()
        if signature is not None and signature != self._signature:
            table, problem = read_toml(self.file)
            if table is not None and problem is None:
                self.state = overlay(self.state, table, report_unknown=False)[0]
                self._signature = signature
        return self.state

    def _write(self) -> ConfigProblem | None:
        """Write all of it; what is in the way of that, if something is."""
        if not self._is_kept:
            return None
        everything = msgspec.to_builtins(self.state)
        table = {key: value for key, value in everything.items() if value not in (None, "", {}, (), [])}
        try:
            data = f"# Written by llmtui; your own settings go into settings.toml.\n{tomli_w.dumps(table)}".encode()
            private.write_file(self.file, data)  # a link from someone's dotfiles stays a link
        except (OSError, UnicodeEncodeError) as error:
            message = later(
                "cannot be written ({reason}): what llmtui should remember is lost when it quits, unless that changes. "
                "Make room, or check permissions.",
                reason=kept_reason(error) if isinstance(error, OSError) else str(error),
            )
            return ConfigProblem(file=self.file, key="", message=message)
        self._signature = self._sign()
        self._unwritten = False
        return None

    def _put_aside(self, problem: ConfigProblem) -> ConfigProblem:
        aside = self.file.with_name(f"{self.file.name}.bad")
        try:
            self.file.replace(aside)
        except OSError as error:
            return msgspec.structs.replace(
                problem,
                message=later(
                    "{problem} It stays there ({reason}).", problem=problem.message, reason=kept_reason(error)
                ),
            )
        self._signature = None
        message = later(
            "{problem} It was kept as {name}; nothing in it is used.",
            problem=problem.message,
            name=aside.name,
        )
        return msgspec.structs.replace(problem, message=message)

    def _sign(self) -> tuple[int, int, int] | None:
        try:
            found = self.file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def with_favourite(favourites: tuple[str, ...], path: str, *, is_one: bool) -> tuple[str, ...]:
    """The paths of favourites when `path` has become one, or is one no longer."""
    others = tuple(one for one in favourites if one != path)
    return (*others, path) if is_one else others


def is_text(text: str) -> bool:
    """Whether it can be written to the file: the name of a file need not be UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
