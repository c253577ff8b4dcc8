"""A small file of what was measured on this machine, and holds for no other."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from tui.base import private
from tui.base.smallfile import read_small
from tui.measure.machine import Machine, is_same, this_machine

_LOG = logging.getLogger(__name__)
_MOST_BYTES = 1 << 20
FiguresT = TypeVar("FiguresT")


class _Kept(msgspec.Struct, Generic[FiguresT], frozen=True, kw_only=True):
    machine: Machine
    figures: FiguresT


class MachineFile(Generic[FiguresT]):
    """Figures in a file. Blocking; for a thread. What cannot be read, and what is of another machine, is as if it was
    never measured; what cannot be written is for the log."""

    def __init__(self, file: Path, kind: type[FiguresT], machine: Machine | None = None) -> None:
        """`machine` is the one that this runs on, unless a test says otherwise."""
        self._file, self._kind, self._machine = file, kind, machine

    def load(self) -> FiguresT | None:
        """What is kept; None where nothing is, or nothing that holds here."""
        kind: type[_Kept[FiguresT]] = _Kept[self._kind]  # type: ignore[name-defined]
        try:
            kept = msgspec.json.decode(read_small(self._file, _MOST_BYTES), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            _LOG.info("nothing kept at %s: %s", self._file, error)
            return None
        return kept.figures if is_same(kept.machine, self._machine or this_machine()) else None

    def save(self, figures: FiguresT) -> None:
        """Keep these in place of what is there."""
        kept = _Kept(machine=self._machine or this_machine(), figures=figures)
        try:
            private.write_file(self._file, msgspec.json.encode(kept), is_durable=False)
        except OSError as error:
            _LOG.warning("what was measured could not be written to %s: %s", self._file, error)
