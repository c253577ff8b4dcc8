"""Each load setting reaches llama.cpp: it changes the parameter that the table names, and no other."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import msgspec
import pytest

from tui.config.load import type_of
from tui.config.loadtable import LOAD_TABLE
from tui.protocol.records import LoadSettings

USUAL = LoadSettings(n_threads=2, n_threads_batch=2)
FOR_DEVICES = ("n_gpu_layers", "n_cpu_moe")
"""Without effect on the CPU alone."""


def another(name: str) -> LoadSettings:
    """With another value for this setting."""
    value = getattr(USUAL, name)
    values = get_args(type_of(name))
    changed: object = not value if isinstance(value, bool) else value + 1 if isinstance(value, int) else "small.gguf"
    if isinstance(value, str) and values:
        changed = values[-1]
    if name == "cpu_range":
        changed = "performance"
    if name == "swa_full":
        changed = "on"  # "auto" that reaches the engine is "off"
    return msgspec.structs.replace(USUAL, **{name: changed})


def asked(usual: LoadSettings, *others: LoadSettings) -> tuple[list[str], list[list[str]]]:
    """All of llama.cpp's parameters, and those that differ from the usual ones."""
    texts = [msgspec.json.encode(settings).decode() for settings in (usual, *others)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.engine.parameters_check", *texts],
        capture_output=True,
        text=True,
        check=True,
    )
    names, differ = msgspec.json.decode(done.stdout.splitlines()[-1])
    return names, differ


def test_each_row_of_the_table_names_a_parameter_of_llama_cpp() -> None:
    names, _ = asked(USUAL)
    assert [row.parameter for row in LOAD_TABLE if row.parameter and row.parameter not in names] == []


def test_a_setting_changes_its_own_parameter_and_no_other() -> None:
    rows = [row for row in LOAD_TABLE if row.name not in ("backend", *FOR_DEVICES)]
    _, differ = asked(USUAL, *(another(row.name) for row in rows))
    assert dict(zip([row.name for row in rows], differ, strict=True)) == {
        row.name: [row.parameter] if row.parameter else [] for row in rows
    }


@pytest.mark.parametrize("devices", [(), ("CPU",)], ids=["none", "one, which may be any"])
def test_where_layers_lie_is_told_to_llama_cpp_where_there_is_a_device(devices: tuple[str, ...]) -> None:
    usual, *others = (
        msgspec.structs.replace(settings, devices=devices) for settings in (USUAL, *map(another, FOR_DEVICES))
    )
    _, differ = asked(usual, *others)
    rows = [row for row in LOAD_TABLE if row.name in FOR_DEVICES]
    assert differ == [[row.parameter] if devices else [] for row in rows]
