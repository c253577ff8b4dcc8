"""What memory there is for a model: cards of their own, integrated GPUs with a carve-out, and what the loaded model
gives back. The drivers' figures come through the real readers from the /sys trees of `tests/data/sysfs`."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import TINY
from tests.engine.asking import ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.loads import but
from tests.models.gguf_files import Shape
from tests.places import CHECKOUT, SYSFS
from tests.planning.shapes import CPU, GIB, GPU, IGPU, MIB, QWEN3_8B
from tests.recorded import LOADED
from tui.config import paths
from tui.config.settings import ChosenLoad, MemorySettings
from tui.engines.interface import Engine
from tui.machine.gpu import GpuReader
from tui.machine.readings import GpuSample, HostSample
from tui.planning.formula import Cost, MemoryPlan
from tui.planning.now import MemoryNow, memory_now
from tui.planning.placement import HOST
from tui.planning.taken import context_bytes
from tui.planning.verdict import judge, judge_plan
from tui.planning.verdict_words import pool_name
from tui.protocol.messages import Loaded, SaveContext
from tui.protocol.records import Buffer, Device, Footprint, Placed, ProcessMemory

TREES = SYSFS
RESERVES = MemorySettings(reserve_gib=1, reserve_percent=0, gpu_reserve_gib=0.5)


def gpus(tree: str) -> tuple[GpuSample, ...]:
    return GpuReader(TREES / tree, load_nvml=lambda: None).read()


def host(available: int, total: int = 32 * GIB) -> HostSample:
    return HostSample(time=0, ram_total_bytes=total, ram_available_bytes=available)


def loaded(*buffers: Buffer) -> Loaded:
    return but(LOADED, buffers=buffers)


def on(device: str, n_bytes: int, purpose: str = "weights") -> Buffer:
    return Buffer(device=device, purpose=purpose, n_bytes=n_bytes)  # type: ignore[arg-type]


@pytest.mark.parametrize("available", [2 * GIB, 8 * GIB, 14 * GIB])
@pytest.mark.parametrize("tree", ["radeon-860m-512m", "radeon-860m-16g"])
def test_an_apu_may_use_its_carve_out_and_what_gtt_and_ram_both_have(tree: str, available: int) -> None:
    (sample,) = gpus(tree)
    memory = memory_now(host(available, 16 * GIB), (CPU, IGPU), RESERVES, gpus=(sample,))
    carve_out_free = (sample.dedicated_total_bytes or 0) - (sample.dedicated_used_bytes or 0)
    gtt_free = (sample.shared_total_bytes or 0) - (sample.shared_used_bytes or 0)
    assert memory.usable("Vulkan0") == carve_out_free + min(gtt_free, available - GIB)
    assert memory.own_free("Vulkan0") == carve_out_free
    assert memory.own_total["Vulkan0"] == sample.dedicated_total_bytes
    assert memory.shared_total["Vulkan0"] == sample.shared_total_bytes


@given(
    carve_out=st.integers(0, 16),
    own_used=st.integers(0, 16),
    gtt=st.integers(0, 16),
    gtt_used=st.integers(0, 16),
    available=st.integers(0, 32),
    planned=st.integers(1, 40),
)
def test_the_verdict_on_an_apu_follows_that_formula(
    carve_out: int, own_used: int, gtt: int, gtt_used: int, available: int, planned: int
) -> None:
    sample = GpuSample(
        name="Radeon",
        kind="igpu",
        source="amdgpu",
        dedicated_total_bytes=carve_out * GIB,
        dedicated_used_bytes=min(own_used, carve_out) * GIB,
        shared_total_bytes=gtt * GIB,
        shared_used_bytes=min(gtt_used, gtt) * GIB,
    )
    memory = memory_now(host(available * GIB), (CPU, IGPU), RESERVES, gpus=(sample,))
    plan = MemoryPlan(
        host=Cost(device=HOST),
        devices=(Cost(device="Vulkan0", weights_bytes=planned * GIB),),
        n_gpu_layers=1,
        n_layers=1,
        n_ctx=256,
    )
    left_of_carve_out = carve_out - min(own_used, carve_out)
    usable = left_of_carve_out + max(0, min(gtt - min(gtt_used, gtt), available - 1))
    # Whatever the load leaves alone, a host below its reserve is tight already.
    assert (judge_plan(plan, memory).fit == "fits") == (planned <= usable and available >= 1)


def test_what_the_loaded_model_holds_of_an_apu_comes_back_to_where_it_was_taken() -> None:
    (sample,) = gpus("radeon-860m-512m")
    devices = (CPU, IGPU)
    before = memory_now(host(4 * GIB), devices, RESERVES, gpus=(sample,))
    after = memory_now(host(4 * GIB), devices, RESERVES, loaded(on("Vulkan0", 5 * GIB)), gpus=(sample,))
    # 401 MB of the carve-out were in use, at most that much of the model is there; the rest was RAM.
    of_carve_out = sample.dedicated_used_bytes or 0
    assert after.own_free("Vulkan0") - before.own_free("Vulkan0") == of_carve_out
    assert after.host_free_bytes - before.host_free_bytes == 5 * GIB - of_carve_out
    assert before.shared_used["Vulkan0"] - after.shared_used["Vulkan0"] == 5 * GIB - of_carve_out


REST = (on("CPU", GIB, "kv"), on("CPU", 100 * MIB, "compute"), on("CPU", 4 * MIB, "output"))
BACK = GIB + 104 * MIB
HELD = Placed(device="CPU", weights_bytes=5 * GIB, kv_bytes=GIB, compute_bytes=100 * MIB, output_bytes=4 * MIB)


@pytest.mark.parametrize(
    ("weights", "back"),
    [
        ((on("CPU_Mapped", 3 * GIB),), 0),
        ((on("CPU_Mapped", 2 * GIB), on("CPU_REPACK", 3 * GIB)), 3 * GIB),
        ((on("CPU", 3 * GIB),), 3 * GIB),
        ((on("Vulkan_Host", 3 * GIB),), 3 * GIB),
    ],
    ids=["mapped", "repacked", "without mmap", "pinned for a GPU"],
)
def test_what_the_loaded_model_holds_on_the_host_comes_back_but_for_mapped_weights(
    weights: tuple[Buffer, ...], back: int
) -> None:
    gpu = msgspec.structs.replace(GPU, free_bytes=20 * GIB)
    memory = memory_now(host(4 * GIB), (CPU, gpu), RESERVES, loaded(*weights, *REST, on("Vulkan0", 2 * GIB)))
    assert memory.host_free_bytes == 4 * GIB + BACK + back
    assert memory.device_free == {"Vulkan0": 22 * GIB}
    assert memory.shared_free == {}


@pytest.mark.parametrize(("mapped", "repacked"), [(5 * GIB, 0), (2 * GIB, 3 * GIB), (0, 0)])
def test_llama_cpps_books_go_before_what_its_log_said(mapped: int, repacked: int) -> None:
    idle = ProcessMemory(resident_bytes=0, file_bytes=0)
    booked = msgspec.structs.replace(HELD, mapped_bytes=mapped, repacked_bytes=repacked)
    on_card = Placed(device="Vulkan0", weights_bytes=GIB, kv_bytes=GIB)
    footprint = Footprint(
        before=idle, after=idle, device_free_before={}, device_free_after={}, placed=(booked, on_card)
    )
    now = but(LOADED, footprint=footprint)
    gpu = msgspec.structs.replace(GPU, free_bytes=20 * GIB)
    memory = memory_now(host(4 * GIB), (CPU, gpu), RESERVES, now)
    assert memory.host_free_bytes == 4 * GIB + BACK + 5 * GIB - mapped
    assert memory.device_free == {"Vulkan0": 22 * GIB}


@pytest.mark.parametrize("use_mmap", [True, False])
async def test_a_real_load_gives_back_what_is_not_mapped(engine: Engine, tmp_path: Path, use_mmap: bool) -> None:
    model = with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf")
    model_now = await engine.load(model, msgspec.structs.replace(TINY, use_mmap=use_mmap))
    assert model_now.llama.footprint is not None
    (booked,) = model_now.llama.footprint.placed
    back = memory_now(host(4 * GIB), (CPU,), RESERVES, model_now).host_free_bytes - 4 * GIB
    rest = booked.kv_bytes + booked.compute_bytes + booked.output_bytes
    assert back == rest + (booked.repacked_bytes if use_mmap else booked.weights_bytes)
    # The log says the same, to a hundredth of a MiB for each buffer.
    by_log = memory_now(host(4 * GIB), (CPU,), RESERVES, but(model_now, footprint=None))
    assert by_log.host_free_bytes - 4 * GIB == pytest.approx(back, abs=MIB // 10)


def test_a_copy_of_the_context_is_as_large_as_what_is_in_it_wherever_that_lies() -> None:
    now = loaded(
        on("CPU_Mapped", GIB), on("CPU", GIB, "kv"), on("Vulkan0", 3 * GIB, "kv"), on("Vulkan0", GIB, "compute")
    )
    assert [context_bytes(now, n) for n in (0, 2048, 8192, 9000)] == [0, GIB, 4 * GIB, 4 * GIB]


async def test_the_real_copy_is_of_that_size(tiny: Engine) -> None:
    reply = await ask(tiny, user("ping"), thinking=False)
    saved = await tiny.ask(SaveContext(path=str(Path(paths.contexts_dir()) / "copy.kv")))
    assert tiny.loaded is not None and reply.done is not None
    copy = context_bytes(tiny.loaded, reply.done.n_used)
    assert saved.n_bytes == pytest.approx(copy, rel=0.05, abs=4096)


@pytest.mark.parametrize("tree", ["intel-igpu-i915", "intel-igpu-xe"])
def test_an_igpu_of_which_no_driver_says_more_takes_all_its_memory_from_the_host(tree: str) -> None:
    (sample,) = gpus(tree)
    memory = memory_now(host(6 * GIB), (CPU, IGPU), RESERVES, gpus=(sample,))
    assert memory.own_free("Vulkan0") == 0
    assert memory.shared_free["Vulkan0"] == 6 * GIB
    assert memory.usable("Vulkan0") == 5 * GIB


def test_a_cards_own_memory_is_apart_from_the_hosts_whatever_the_driver_shares_with_it() -> None:
    (sample,) = gpus("radeon-rx-7900-xtx")
    memory = memory_now(host(6 * GIB), (CPU, GPU), RESERVES, gpus=(sample,))
    assert memory.shared_free == {} and memory.own_free("Vulkan0") == 24 * GIB
    assert memory.usable("Vulkan0") == 23 * GIB + 512 * MIB


def test_free_memory_that_llama_cpp_makes_more_of_than_there_is_counts_only_as_far_as_ram_goes() -> None:
    underflown = msgspec.structs.replace(IGPU, free_bytes=2**64 - GIB)
    memory = memory_now(host(6 * GIB), (CPU, underflown), RESERVES)
    assert memory.shared_free["Vulkan0"] == 6 * GIB
    assert memory.usable("Vulkan0") == 5 * GIB


def test_two_igpus_leave_in_doubt_whose_the_carve_out_is_so_it_is_left_out() -> None:
    (sample,) = gpus("radeon-860m-16g")
    other = msgspec.structs.replace(IGPU, name="Vulkan1")
    memory = memory_now(host(6 * GIB), (CPU, IGPU, other), RESERVES, gpus=(sample,))
    assert memory.own_free("Vulkan0") == memory.own_free("Vulkan1") == 0


@pytest.mark.parametrize(
    ("gib", "percent", "total", "expected"),
    [(1, 5, 8, 1.0), (1, 5, 20, 1.0), (1, 5, 64, 3.2), (4, 5, 64, 4.0), (0, 0, 64, 0.0)],
)
def test_the_reserve_is_the_larger_of_the_two_settings(gib: float, percent: float, total: int, expected: float) -> None:
    reserves = MemorySettings(reserve_gib=gib, reserve_percent=percent)
    memory = memory_now(host(4 * GIB, total * GIB), (CPU,), reserves)
    assert memory.reserve_bytes == pytest.approx(expected * GIB)


def test_a_load_on_an_apu_is_shown_as_one_pool_each_for_ram_dedicated_and_shared() -> None:
    (sample,) = gpus("radeon-860m-512m")
    memory = memory_now(host(12 * GIB), (CPU, IGPU), RESERVES, gpus=(sample,))
    ram, dedicated, shared = judge(QWEN3_8B, ChosenLoad(), (CPU, IGPU), memory).pools
    assert [pool_name(pool) for pool in (ram, dedicated, shared)] == ["RAM", "Vulkan0 dedicated", "Vulkan0 shared"]
    assert dedicated.total_bytes == 512 * MIB and dedicated.left_bytes == 0
    assert shared.planned_bytes > 4 * GIB and shared.used_bytes == sample.shared_used_bytes
    assert ram.planned_bytes > shared.planned_bytes  # what is shared is RAM


def pools_of(device: Device, memory: MemoryNow) -> list[str]:
    return [pool_name(pool) for pool in judge(QWEN3_8B, ChosenLoad(), (CPU, device), memory).pools]


def test_a_card_is_one_pool_and_graphics_without_a_carve_out_too() -> None:
    assert pools_of(GPU, memory_now(host(12 * GIB), (CPU, GPU), RESERVES)) == ["RAM", "Vulkan0"]
    assert pools_of(IGPU, memory_now(host(12 * GIB), (CPU, IGPU), RESERVES)) == ["RAM", "Vulkan0 shared"]


def table_of_settings() -> list[list[float]]:
    """The rows of the table in docs/memory.md on what the BIOS gives to the GPU."""
    lines = (CHECKOUT / "docs/memory.md").read_text().splitlines()
    start = lines.index("| total | setting | dedicated | system | shared | usable |")
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([float(cell) for cell in line.strip("|").split("|")])
    return rows


@pytest.mark.parametrize("row", table_of_settings(), ids=lambda row: f"{row[0]:g} with {row[1]:g}")
def test_the_table_in_the_documentation_is_what_the_planner_counts_with(row: list[float]) -> None:
    total, setting, dedicated, system, shared, usable = row
    sample = GpuSample(
        name="Radeon",
        kind="igpu",
        source="amdgpu",
        dedicated_total_bytes=int(setting * GIB),
        dedicated_used_bytes=0,
        shared_total_bytes=int((total - setting) / 2 * GIB),
        shared_used_bytes=0,
    )
    ram = int((total - setting) * GIB)
    memory = memory_now(host(ram - 2 * GIB, ram), (CPU, IGPU), MemorySettings(), gpus=(sample,))
    assert (dedicated, system) == (setting, total - setting)
    assert memory.shared_total["Vulkan0"] / GIB == pytest.approx(shared, abs=0.051)
    assert memory.usable("Vulkan0") / GIB == pytest.approx(usable, abs=0.051)
