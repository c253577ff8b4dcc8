"""What several tokens at once cost, kept for each load of each machine."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tui.measure import kept_steps
from tui.measure.kept_steps import KeptSteps, load_key
from tui.measure.machine import Machine
from tui.protocol.messages import Hello, Loaded
from tui.protocol.records import LlamaLoad

HERE = Machine(cpu="a processor", n_cores=8, n_cpus=16, ram_bytes=1 << 35, os="Linux")
HELLO = Hello(pid=1, llama_cpp="0.3.36", devices=())
LOADED = Loaded(
    path="/models/a.gguf", description="qwen3 4B Q4_K - Medium", n_params=4_000_000_000, size_bytes=1 << 31,
    n_ctx=8192, n_ctx_train=40960, load_s=1.5, can_think=True, llama=LlamaLoad(n_threads=8, n_drafts=15),
)  # fmt: skip
COSTS = (1.0, 1.1, 1.2, 1.25)


def test_what_was_measured_comes_back_and_nothing_of_another_load(tmp_path: Path) -> None:
    file = tmp_path / "steps.json"
    KeptSteps(file, HERE).add(load_key(HELLO, LOADED), COSTS)
    kept = KeptSteps(file, HERE)
    longer = msgspec.structs.replace(LOADED, n_ctx=32768, load_s=0.2, n_kept=100)
    assert kept.known(load_key(HELLO, longer)) == COSTS, "neither depends on the context size nor on how it was loaded"
    others = [
        msgspec.structs.replace(LOADED, path="/models/b.gguf"),
        msgspec.structs.replace(LOADED, size_bytes=1 << 30),
        msgspec.structs.replace(LOADED, llama=LlamaLoad(n_threads=4, n_drafts=15)),
        msgspec.structs.replace(LOADED, llama=LlamaLoad(n_threads=8, n_drafts=15, devices=("Vulkan0",))),
    ]
    assert [kept.known(load_key(HELLO, other)) for other in others] == [None] * 4
    assert kept.known(load_key(msgspec.structs.replace(HELLO, llama_cpp="0.3.37"), LOADED)) is None
    assert KeptSteps(file, msgspec.structs.replace(HERE, n_cores=16)).known(load_key(HELLO, LOADED)) is None


def test_a_load_that_cannot_draft_is_known_too(tmp_path: Path) -> None:
    kept = KeptSteps(tmp_path / "steps.json", HERE)
    kept.add("key", ())
    assert kept.known("key") == ()


def test_the_oldest_go_where_there_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_steps, "MOST_LOADS", 3)
    kept = KeptSteps(tmp_path / "steps.json", HERE)
    for key in ("a", "b", "c", "a", "d"):
        kept.add(key, COSTS)
    assert [kept.known(key) for key in "abcd"] == [COSTS, None, COSTS, COSTS]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"machine": 1, "figures": {}}'])
def test_a_file_that_cannot_be_read_counts_for_nothing_and_is_replaced(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "steps.json"
    file.write_bytes(content)
    kept = KeptSteps(file, HERE)
    assert kept.known("key") is None
    kept.add("key", COSTS)
    assert kept.known("key") == COSTS
