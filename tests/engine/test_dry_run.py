"""What a dry run says is what a load takes: on the stub, on the file itself, and really."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE, MOE, TINY
from tests.engine.asking import ask, user
from tests.engine.memory_models import build
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.engine.vulkan import vulkan_engine
from tests.models.gguf_files import Shape, header
from tui.engines.interface import Engine, EngineError
from tui.machine.vulkan import engine_environment
from tui.models.gguf import read_header
from tui.models.library import inspect
from tui.models.source import FileSource
from tui.models.stub import stub
from tui.planning.formula import estimate
from tui.protocol.messages import DryRun
from tui.protocol.records import LoadSettings, Placed

ON_CPU: list[dict[str, Any]] = [
    {},
    {"n_ctx": 1000, "n_ubatch": 128},
    {"flash_attn": "on", "type_k": "q8_0", "type_v": "q4_0"},
    {"flash_attn": "off", "type_k": "q4_0"},
    {"use_mmap": False},
    {"repack": "off"},
    {"repack": "on", "use_mmap": False},
]
ON_VULKAN: list[dict[str, Any]] = [
    {},
    {"n_gpu_layers": 2},
    {"n_gpu_layers": 0},
    {"n_gpu_layers": 0, "use_mmap": False},
    {"n_cpu_moe": 2},
    {"n_gpu_layers": 3, "n_ubatch": 64, "type_k": "q8_0"},
]
SLACK = 64
"""Bytes: a driver that pins no memory aligns in another way than one that does."""


def changed(**changes: object) -> LoadSettings:
    return msgspec.structs.replace(TINY, **changes)


def on_the_file_itself(model: Path, settings: list[LoadSettings]) -> list[tuple[tuple[Placed, ...], int]]:
    command = ["-m", "tests.engine.real_file_dry_run", str(model), msgspec.json.encode(settings).decode()]
    environment = {**engine_environment(software=True), "PATH": ""}
    done = subprocess.run(
        [sys.executable, *command], env=environment, check=True, capture_output=True, text=True, cwd=Path.cwd()
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=list[tuple[tuple[Placed, ...], int]])


def figures(placed: tuple[Placed, ...]) -> dict[str, dict[str, object]]:
    fields = {place.device: msgspec.structs.asdict(place) for place in placed}
    return {device: {key: pytest.approx(n, abs=SLACK) for key, n in of.items() if key != "device"}
            for device, of in fields.items()}  # fmt: skip


async def check(engine: Engine, model: Path, settings: list[LoadSettings]) -> None:
    for one, (on_file, n_ctx) in zip(settings, on_the_file_itself(model, settings), strict=True):
        planned = await engine.ask(DryRun(path=str(model), settings=one))
        assert (planned.placed, planned.n_ctx) == (on_file, n_ctx), one
        loaded = await engine.load(model, one)
        assert loaded.n_ctx == planned.n_ctx
        assert loaded.llama.footprint is not None
        real = {place.device: msgspec.structs.asdict(place) for place in loaded.llama.footprint.placed}
        assert real == {device: {"device": device, **of} for device, of in figures(planned.placed).items()}, one


@pytest.mark.parametrize("model", [DENSE, MOE], ids=lambda path: path.stem)
@pytest.mark.asyncio(loop_scope="module")
async def test_on_the_cpu_stub_file_and_load_agree(shared: Engine, model: Path) -> None:
    await check(shared, model, [changed(**changes) for changes in ON_CPU])


@pytest.mark.parametrize("model", [DENSE, MOE], ids=lambda path: path.stem)
async def test_on_vulkan_stub_file_and_load_agree(model: Path) -> None:
    async with vulkan_engine() as engine:
        await check(engine, model, [changed(devices=("Vulkan0",), **changes) for changes in ON_VULKAN])


async def test_a_full_cache_of_sliding_windows_and_a_small_one_are_foreseen(engine: Engine, tmp_path: Path) -> None:
    model = build(tmp_path / "window.gguf", "window")
    full, small = changed(n_ctx=4096, swa_full="on"), changed(n_ctx=4096, swa_full="off")
    await check(engine, model, [full, small])
    info = inspect(model).info
    found = []
    for settings in (full, small, changed(n_ctx=4096)):
        plan = estimate(info, settings)
        planned = await engine.ask(DryRun(path=str(model), settings=settings))
        assert planned.placed[0].kv_bytes == plan.kv_bytes
        found.append(plan.kv_bytes)
    assert found[0] - found[1] == estimate(info, full).window_saves_bytes > 0
    assert found[2] == found[1], "what no plan has decided is small, as in llama.cpp's own programs"


async def test_two_devices_share_the_layers_as_is_free() -> None:
    """The one device, seen twice."""
    settings = changed(devices=("Vulkan0", "Vulkan1"))
    async with vulkan_engine(GGML_VK_VISIBLE_DEVICES="0,0") as engine:
        planned, loaded = (
            await engine.ask(DryRun(path=str(DENSE), settings=settings)),
            await engine.load(DENSE, settings),
        )
        assert loaded.llama.footprint is not None
        for plan, real in zip(planned.placed, loaded.llama.footprint.placed, strict=True):
            assert (plan.device, plan.weights_bytes, plan.kv_bytes) == (real.device, real.weights_bytes, real.kv_bytes)
            assert plan.compute_bytes == pytest.approx(real.compute_bytes, rel=0.05)
        # Four layers and the output layer: what is free decides who gets how many of them.
        for free, layers in (((30, 10), [4, 0]), ((10, 30), [2, 2]), ((20, 20), [3, 1])):
            placed = (
                await engine.ask(DryRun(path=str(DENSE), settings=settings, device_free=tuple([n << 30 for n in free])))
            ).placed
            assert [place.kv_bytes // (512 << 10) for place in placed[1:]] == layers
            info = inspect(DENSE).info
            formula = estimate(info, settings, dict(zip(settings.devices, (n << 30 for n in free), strict=True)))
            assert [place.weights_bytes for place in placed[1:]] == [cost.weights_bytes for cost in formula.devices]


@pytest.mark.parametrize("tied", [False, True], ids=["untied", "tied"])
@pytest.mark.asyncio(loop_scope="module")
async def test_weights_that_the_cpu_repacks_are_foreseen(shared: Engine, tmp_path: Path, tied: bool) -> None:
    model = with_vocabulary(Shape(n_vocab=N_VOCAB, tied=tied), tmp_path / "model.gguf")
    await check(shared, model, [changed(), changed(use_mmap=False), changed(repack="off")])
    placed = (await shared.ask(DryRun(path=str(model), settings=changed()))).placed[0]
    assert placed.mapped_bytes + placed.repacked_bytes == placed.weights_bytes
    whole = sum(tensor.n_bytes for tensor in read_header(model).tensors)
    # A tied output layer that is repacked is there twice, and Intel's AMX keeps sums beside each block.
    assert whole <= placed.weights_bytes <= whole + (placed.repacked_bytes if tied else placed.repacked_bytes // 8)
    as_in_the_file = (await shared.ask(DryRun(path=str(model), settings=changed(repack="off")))).placed[0]
    assert as_in_the_file.weights_bytes == as_in_the_file.mapped_bytes == whole


@pytest.mark.asyncio(loop_scope="module")
async def test_the_header_alone_is_enough(shared: Engine, tmp_path: Path) -> None:
    start = tmp_path / "download.gguf"
    start.write_bytes(DENSE.read_bytes()[: read_header(DENSE).data_offset])
    assert (await shared.ask(DryRun(path=str(start), settings=TINY))).placed == (
        await shared.ask(DryRun(path=str(DENSE), settings=TINY))
    ).placed


@pytest.mark.asyncio(loop_scope="module")
async def test_a_split_model_is_planned_as_a_whole(shared: Engine, tmp_path: Path) -> None:
    shape = Shape(n_layers=4)
    whole = shape.write(tmp_path / "whole.gguf")
    tensors = shape.tensors()
    for number, part in enumerate((tensors[:20], tensors[20:])):
        of_split = {"split.no": number, "split.count": 2, "split.tensors.count": len(tensors)}
        metadata = shape.metadata() | of_split if number == 0 else of_split
        raw, _ = header(metadata, part)
        (tmp_path / f"model-{number + 1:05d}-of-00002.gguf").write_bytes(raw)
    parts = await shared.ask(DryRun(path=str(tmp_path / "model-00001-of-00002.gguf"), settings=TINY))
    assert parts.placed == (await shared.ask(DryRun(path=str(whole), settings=TINY))).placed


@pytest.mark.asyncio(loop_scope="module")
async def test_a_changed_file_is_planned_anew(shared: Engine, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    before = (await shared.ask(DryRun(path=str(Shape(n_layers=2).write(path)), settings=TINY))).placed[0]
    after = (await shared.ask(DryRun(path=str(Shape(n_layers=4).write(path)), settings=TINY))).placed[0]
    assert after.kv_bytes == 2 * before.kv_bytes


@pytest.mark.asyncio(loop_scope="module")
async def test_more_models_than_stubs_are_kept_do_no_harm(shared: Engine, tmp_path: Path) -> None:
    paths = [Shape(n_layers=n).write(tmp_path / f"{n}.gguf") for n in range(1, 20)]
    kv = [(await shared.ask(DryRun(path=str(path), settings=TINY))).placed[0].kv_bytes for path in paths]
    assert kv == [kv[0] * n for n in range(1, 20)]
    assert (await shared.ask(DryRun(path=str(paths[0]), settings=TINY))).placed[0].kv_bytes == kv[0]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_loaded_stays_as_it_is(shared_tiny: Engine) -> None:
    before = shared_tiny.loaded
    await shared_tiny.ask(DryRun(path=str(MOE), settings=changed(n_ctx=4096)))
    assert shared_tiny.loaded is before
    assert (await ask(shared_tiny, user("ping"), thinking=False)).text == "pong"


@pytest.mark.parametrize(
    ("changes", "kind"),
    [({"devices": ("Vulkan7",)}, "bad_settings"), ({"type_v": "q8_0", "flash_attn": "off"}, "bad_settings")],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_settings_that_llama_cpp_refuses_are_refused(
    shared: Engine, changes: dict[str, object], kind: str
) -> None:
    with pytest.raises(EngineError) as refused:
        await shared.ask(DryRun(path=str(DENSE), settings=changed(**changes)))
    assert refused.value.info.kind == kind


@pytest.mark.asyncio(loop_scope="module")
async def test_files_that_are_no_models_are_refused(shared: Engine, tmp_path: Path) -> None:
    text, alien = tmp_path / "text.gguf", tmp_path / "alien.gguf"
    text.write_text("Not a model.")
    raw, _ = header(Shape().metadata() | {"general.architecture": "alien"}, Shape().tensors())
    alien.write_bytes(raw)
    for path, kind in (
        (text, "model_unreadable"),
        (tmp_path / "none", "model_unreadable"),
        (alien, "model_unsupported"),
    ):
        with pytest.raises(EngineError) as refused:
            await shared.ask(DryRun(path=str(path), settings=TINY))
        assert refused.value.info.kind == kind


def test_a_stub_is_small_and_has_no_vocabulary() -> None:
    with FileSource(DENSE) as source:
        raw, size = stub([(source, read_header(source))])
    rebuilt, real = read_header(raw, check_data=False), read_header(DENSE)
    assert rebuilt.tensors == real.tensors
    assert real.file_size is not None
    assert size == rebuilt.data_offset + real.file_size - real.data_offset
    assert len(raw) < 16_384 < real.data_offset
    assert rebuilt.metadata["tokenizer.ggml.model"] == "no_vocab"
    assert rebuilt.metadata["qwen3.vocab_size"] == 1982
    assert "tokenizer.ggml.tokens" not in rebuilt.metadata
    kept = {key for key in real.metadata if not key.startswith("tokenizer.")}
    assert {key: rebuilt.metadata[key] for key in kept} == {key: real.metadata[key] for key in kept}
