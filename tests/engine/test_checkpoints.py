"""Which places a conversation can go back to, when there is not room for all."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.engine.memory_models import build
from tests.patience import PATIENCE_S
from tui.engine.checkpoints import Checkpoint, Checkpoints
from tui.models.library import inspect
from tui.planning.checkpointroom import one_bytes
from tui.protocol.records import LoadSettings

_BOOKS_BYTES = 1024
"""What llama.cpp writes beside the states: which tokens they are of."""


def at(n_past: int, n_bytes: int = 10, *, is_border: bool = False) -> Checkpoint:
    return Checkpoint(n_past=n_past, state=bytearray(n_bytes), is_border=is_border)


def places(kept: Checkpoints) -> list[int]:
    return [checkpoint.n_past for checkpoint in kept.kept]


def test_the_last_one_at_or_before_a_place_is_the_nearest() -> None:
    kept = Checkpoints([at(100), at(50)])
    for n, nearest in {49: None, 50: 50, 99: 50, 100: 100, 5000: 100}.items():
        found = kept.nearest(n)
        assert (found and found.n_past) == nearest


def test_what_was_read_behind_a_place_is_forgotten_with_it() -> None:
    kept = Checkpoints([at(50), at(100), at(150)])
    kept.forget_after(100)
    assert places(kept) == [50, 100]
    kept.add(at(80))
    assert places(kept) == [50, 80]
    kept.add(at(80, is_border=True))
    assert places(kept) == [50, 80] and kept.kept[-1].is_border


def test_borders_and_late_places_outlast_others() -> None:
    kept = Checkpoints([at(n, is_border=n % 1000 == 0) for n in range(500, 20_001, 500)])
    kept.fit(100)
    left = kept.kept
    assert len(left) == 10 and left[-1].n_past == 20_000
    assert all(checkpoint.is_border for checkpoint in left)
    gaps = [after.n_past - before.n_past for before, after in pairwise(left)]
    assert gaps[-1] <= gaps[0]


@given(st.lists(st.tuples(st.integers(1, 100_000), st.integers(1, 1000), st.booleans())), st.integers(0, 5000))
def test_what_is_kept_fits_and_nothing_goes_that_would_have_fitted(
    made: list[tuple[int, int, bool]], room_bytes: int
) -> None:
    kept = Checkpoints(at(n, size, is_border=border) for n, size, border in {n: (n, s, b) for n, s, b in made}.values())
    before = kept.n_bytes
    kept.fit(room_bytes)
    assert kept.n_bytes <= room_bytes
    assert places(kept) == sorted(places(kept))
    if before <= room_bytes:
        assert kept.n_bytes == before


@pytest.mark.parametrize("kind", ["window", "hybrid", "convolution", "recurrent"])
def test_one_takes_what_is_planned_for_it(tmp_path: Path, kind: str) -> None:
    model, n_ctx = build(tmp_path / "model.gguf", kind), 512
    command = [sys.executable, "-m", "tests.engine.checkpoint_bytes_check", str(model), str(n_ctx), "500"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    planned = one_bytes(inspect(model).info, LoadSettings(n_ctx=n_ctx, swa_full="off"), n_ctx)
    assert 0 < planned <= int(done.stdout) <= planned + _BOOKS_BYTES
