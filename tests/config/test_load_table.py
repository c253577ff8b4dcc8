"""The table of load settings: a row for each field of the record, in the order that people read everywhere."""

from __future__ import annotations

import tomllib

import msgspec
import pytest

from tui.config import paths
from tui.config.load import type_of
from tui.config.loadtable import LOAD_TABLE, LoadRow
from tui.config.settings import ChosenLoad
from tui.protocol.records import LoadSettings


def test_there_is_a_row_for_each_setting_in_the_order_of_the_settings_file() -> None:
    names = [row.name for row in LOAD_TABLE]
    assert sorted(names) == sorted(ChosenLoad.__struct_fields__)
    assert names == list(tomllib.loads(paths.default_settings_file().read_text())["load"])


def test_what_the_engine_is_asked_has_the_same_values_and_what_no_person_chooses_by_load() -> None:
    beside = {"devices", "chat_template", "stop", "n_parallel"}
    assert set(LoadSettings.__struct_fields__) - beside == set(ChosenLoad.__struct_fields__) - {"backend"}


def test_no_two_rows_share_an_option() -> None:
    options = [option for row in LOAD_TABLE for option in row.options]
    assert len(options) == len(set(options))
    assert all(row.option.startswith("--") for row in LOAD_TABLE)


@pytest.mark.parametrize("row", LOAD_TABLE, ids=lambda row: row.name)
def test_a_row_goes_with_the_type_of_its_setting(row: LoadRow) -> None:
    kind, default = msgspec.inspect.type_info(type_of(row.name)), getattr(ChosenLoad(), row.name)
    if isinstance(kind, msgspec.inspect.BoolType):
        assert row.switches == (not default), "an option that takes no value changes something"
    else:
        assert row.switches is None
    if isinstance(kind, msgspec.inspect.IntType):
        assert kind.ge is not None and kind.le is not None, "what is typed is held to a range"
    assert not row.offered or default in row.offered
    for value in (*row.offered, *row.examples):
        assert msgspec.convert(value, type_of(row.name)) == value


def test_a_row_that_stands_beside_another_is_not_the_first() -> None:
    assert not LOAD_TABLE[0].beside
