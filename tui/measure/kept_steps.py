"""What decoding several tokens at once costs with each load, kept in a file once it was measured: a second is not spent
at every start."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from tui.measure.machine import Machine
from tui.measure.machine_file import MachineFile
from tui.protocol.messages import Hello, Loaded

MOST_LOADS = 200
"""The oldest go."""
_Costs = dict[str, tuple[float, ...]]


class KeptSteps:
    """The costs by load, as `StepCosts` tells them. Blocking; for a thread."""

    def __init__(self, file: Path, machine: Machine | None = None) -> None:
        """`machine` is the one that this runs on, unless a test says otherwise."""
        self._file = MachineFile(file, _Costs, machine)

    def known(self, key: str) -> tuple[float, ...] | None:
        """What was measured of this load; None where nothing was."""
        return (self._file.load() or {}).get(key)

    def add(self, key: str, costs: tuple[float, ...]) -> None:
        """Keep what was measured of a load."""
        kept = self._file.load() or {}
        kept.pop(key, None)
        self._file.save(dict([*kept.items(), (key, tuple(round(cost, 3) for cost in costs))][-MOST_LOADS:]))


def load_key(hello: Hello, loaded: Loaded) -> str:
    """The same for all loads that compute alike: of the same file, by the same llama.cpp, in the same places."""
    facts = (hello.llama_cpp, hello.build_commit, loaded.alike)
    return hashlib.sha256(msgspec.json.encode(facts)).hexdigest()[:24]
