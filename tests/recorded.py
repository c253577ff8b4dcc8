"""The app on a machine of records: an engine that answers what is written here, a computer whose memory never changes,
models that are only headers. So a screen is the same on every machine; nothing of it says how the engine behaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import MOE
from tests.loads import loaded_as
from tests.scripted_downloads import ScriptedDownloads
from tests.scripted_engine import ScriptedEngine
from tui.app.screens import model_records
from tui.chat.conversation import Conversation, Turn
from tui.chat.store import Store
from tui.machine.readings import GpuSample, HostSample
from tui.measure.known_speeds import KnownDecode, KnownPrefill, KnownRun, KnownSpeeds
from tui.models.folders import Folder
from tui.models.info import Layer, ModelInfo
from tui.models.library import BrokenFile, Library, LibraryModel, OtherFile, inspect
from tui.protocol.death import Computing, Death, EngineDied
from tui.protocol.messages import (
    AnyCommand,
    ContextSaved,
    Count,
    Counted,
    Delta,
    Done,
    Event,
    Generate,
    Hello,
    Load,
    LoadProgress,
    Prefill,
    SaveContext,
    Started,
)
from tui.protocol.records import Buffer, Device, ErrorInfo, Footprint, ProcessMemory, Timings
from tui.session import beside, controller, fetching, live_speed, tuning
from tui.session.monitoring import Monitoring
from tui.session.speed import SpeedHistory
from tui.words.later import Later

GIB = 2**30
FOLDER = Path("/srv/models")

HOST = HostSample(
    time=0,
    cpu_percent=11,
    ram_total_bytes=round(31.2 * GIB),
    ram_available_bytes=round(17.3 * GIB),
    core_percents=(98, 95, 12, 3, 0, 0, 5, 61, 0, 0, 2, 0, 0, 0, 8, 0),
    engine_cpu_percent=9,
    engine_rss_bytes=round(1.1 * GIB),
    engine_private_bytes=round(0.7 * GIB),
    engine_shared_bytes=round(0.4 * GIB),
    swap_total_bytes=8 * GIB,
    swap_used_bytes=0,
    cpu_temperature_c=58,
)
RADEON = GpuSample(
    name="Radeon 860M",
    kind="igpu",
    source="amdgpu",
    dedicated_used_bytes=round(13.6 * GIB),
    dedicated_total_bytes=16 * GIB,
    shared_used_bytes=round(0.4 * GIB),
    shared_total_bytes=8 * GIB,
    busy_percent=92,
    temperature_c=64,
    power_w=24,
    clock_mhz=2800,
    throttled_by=(),
)
IDLE_RADEON = msgspec.structs.replace(
    RADEON, dedicated_used_bytes=round(0.3 * GIB), shared_used_bytes=round(0.1 * GIB), busy_percent=0
)
"""Before the model is loaded."""
HELLO = Hello(
    pid=1,
    llama_cpp="0.3.36",
    devices=(
        Device(name="CPU", description="AMD Ryzen AI 7", kind="cpu", total_bytes=32 * GIB, free_bytes=17 * GIB),
        Device(name="Vulkan0", description="Radeon 860M", kind="igpu", total_bytes=24 * GIB, free_bytes=18 * GIB),
    ),
)


def _model(name: str, n_layers: int, size_gib: float, n_params: int, **changes: Any) -> LibraryModel:
    """A model of that size, its weights and caches spread evenly over the layers."""
    size = round(size_gib * GIB)
    base = inspect(MOE).info
    layer = Layer(
        weights_bytes=size * 19 // 20 // n_layers,
        expert_bytes=0,
        largest_tensor_bytes=size // 4 // n_layers,
        k_width=512,
        v_width=512,
        window=0,
        state_bytes=0,
    )
    fields: dict[str, Any] = {
        "arch": "qwen3",
        "n_params_active": n_params,
        "n_expert": 0,
        "n_expert_used": 0,
        "n_ctx_train": 40960,
        "n_embd": 2048,
        "n_ff": 6144,
        "n_head": 32,
        "n_head_kv": 4,
        "n_embd_head_k": 128,
        "n_embd_head_v": 128,
        "n_vocab": 151936,
        "input_bytes": size // 40,
        "output_bytes": size // 40,
        "tied_bytes": 0,
        **changes,
    }
    info: ModelInfo = msgspec.structs.replace(
        base,
        name=name,
        size_bytes=size,
        weights_bytes=size,
        n_params=n_params,
        n_layers=n_layers,
        layers=(layer,) * n_layers,
        **fields,
    )
    path = FOLDER / f"{name}-{info.quant}.gguf"
    return LibraryModel(path=path, paths=(path,), info=info, source="folder")


QWEN = _model(
    "Qwen3-30B-A3B",
    48,
    13.5,
    30_500_000_000,
    quant="Q3_K_L",
    arch="qwen3moe",
    n_params_active=3_300_000_000,
    n_expert=128,
    n_expert_used=8,
    n_ff_expert=768,
)
LIBRARY = Library(
    models=(
        _model("Qwen3-235B-A22B", 94, 132.4, 235_000_000_000, quant="Q4_K_M", n_params_active=22_000_000_000),
        QWEN,
        _model("Qwen3-32B", 64, 18.4, 32_800_000_000, quant="Q4_K_M"),
        _model("Qwen3-4B 中文微調", 36, 2.3, 4_000_000_000, quant="Q4_K_M"),
    ),
    other=(OtherFile(path=FOLDER / "mmproj-F16.gguf", kind="mmproj", why=Later("A projector: it goes with a model.")),),
    broken=(
        BrokenFile(path=FOLDER / "half.gguf", why=Later("Incomplete: 2.1 of 4.7 GiB are there. Finish the download.")),
    ),
)
LOADED = loaded_as(
    path=str(QWEN.path),
    description="qwen3moe 30B.A3B Q3_K - Large",
    n_params=QWEN.info.n_params,
    size_bytes=QWEN.info.size_bytes,
    n_layers=49,
    n_gpu_layers=49,
    devices=("Vulkan0",),
    n_ctx=8192,
    n_ctx_train=40960,
    n_batch=2048,
    n_ubatch=512,
    n_threads=8,
    n_threads_batch=8,
    flash_attn=True,
    type_k="f16",
    type_v="f16",
    can_think=True,
    buffers=(
        Buffer(device="Vulkan0", purpose="weights", n_bytes=round(13.0 * GIB)),
        Buffer(device="Vulkan0", purpose="kv", n_bytes=round(0.4 * GIB)),
        Buffer(device="Vulkan0", purpose="compute", n_bytes=round(0.2 * GIB)),
        Buffer(device="CPU_Mapped", purpose="weights", n_bytes=round(0.3 * GIB)),
        Buffer(device="Vulkan_Host", purpose="compute", n_bytes=round(0.02 * GIB)),
    ),
    load_s=4.2,
    footprint=Footprint(
        before=ProcessMemory(resident_bytes=0, file_bytes=0),
        after=ProcessMemory(resident_bytes=round(0.6 * GIB), file_bytes=round(0.4 * GIB)),
        device_free_before={"Vulkan0": 18 * GIB},
        device_free_after={"Vulkan0": round(4.3 * GIB)},
    ),
)

TABLE = """Because only **8 of 128 experts** are read for each token. What a token costs is `n_active`, not `n_params`:

| Model | read per token | speed |
|---|---:|---:|
| 30B-A3B | 1.9 GB | 31 tok/s |
| 32B | 17 GB | 4 tok/s |
"""
CHINESE = """冒泡排序反复比较**相邻**的两个数：

```python
def bubble_sort(numbers: list[int]) -> None:
    for end in range(len(numbers), 1, -1):  # 每轮少看一个
        for i in range(end - 1):
            if numbers[i] > numbers[i + 1]:
                numbers[i], numbers[i + 1] = numbers[i + 1], numbers[i]
```

- 时间复杂度 O(n²)
- 原地排序 👍
"""
QUESTION = "用 Python 写冒泡排序。"
CONVERSATION = Conversation(
    id="c1",
    created_at=0,
    updated_at=0,
    title="Why is a mixture of experts fast?",
    system_prompt="You are a patient teacher.\nAnswer in the language of the question. 请简短。",
    turns=(
        Turn(id="t1", role="user", text="Why is a mixture-of-experts model fast on a laptop?", created_at=0),
        Turn(
            id="t2",
            role="assistant",
            text=TABLE,
            created_at=0,
            reasoning="Memory bandwidth decides.",
            reasoning_s=3.2,
            n_reasoning=96,
            timings=Timings(n_prompt=24, n_prefill=24, prefill_s=0.1, ttft_s=0.61, n_decode=128, decode_s=4.05),
            stop="stop",
            model="Qwen3-30B-A3B",
            backend=("Vulkan0",),
        ),
    ),
)
ANSWER = (
    Started(n_prompt=1076, n_cached=664, n_dropped=0, n_ctx=8192),
    Delta(kind="thinking", text="写一个函数。", n_decode=40, decode_tps=31.0, n_used=1116),
    Delta(kind="answer", text=CHINESE, n_decode=128, decode_tps=31.4, n_used=1204),
    Done(
        stop="stop",
        timings=Timings(
            n_prompt=1076,
            n_cached=664,
            n_prefill=412,
            prefill_s=1.0,
            n_steady=412,
            steady_s=1.0,
            ttft_s=1.04,
            n_decode=128,
            decode_s=4.05,
            n_thinking=40,
            thinking_s=1.3,
        ),
        n_used=1204,
        n_ctx=8192,
    ),
)
PROMPT_HALF_READ = (
    Started(n_prompt=7348, n_cached=1204, n_dropped=0, n_ctx=8192),
    Prefill(done=2560, total=6144, tps=412.0, eta_s=8.7),
)
DEATH = Death(
    cause="device_lost",
    exit_code=None,
    signal_name="SIGABRT",
    last_words="ggml_vulkan: vk::Queue::submit: ErrorDeviceLost",
    log=(),
    running="answering",
)
CPU_CRASH = Death(
    cause="cpu_code",
    exit_code=None,
    signal_name="SIGSEGV",
    last_words="",
    log=(),
    running="answering",
    computing=Computing(on_cpu=True, repacked=("AMX",), gpus=("Vulkan0",)),
)
LOG = (
    *(f"load_tensors: layer {n:3} assigned to device Vulkan0" for n in range(49)),
    "llama_context: n_ctx = 8192, flash_attn = auto, 上下文",
    "sched_reserve: Vulkan0 compute buffer size = 304.75 MiB",
)


class RecordedEngine(ScriptedEngine):
    """It has loaded `LOADED` at once, whatever is asked for, and answers with `events`. If these do not end with
    `Done`, the answer goes on until it is cancelled, or the engine dies."""

    def __init__(
        self, *, env: Mapping[str, str] | None = None, on_death: Callable[[EngineDied], None] | None = None
    ) -> None:
        super().__init__(on_death=on_death, held=(), hello=HELLO)
        self.events: tuple[Event, ...] = ANSWER
        self.load_stops_at: float | None = None
        """The next load gets that far, 0 to 1, and goes on until it is cancelled."""
        self.load_error: ErrorInfo | None = None
        """The next load fails with this."""
        self.loads = LOADED
        """What every load comes to."""
        self._facts: Death | None = None

    async def start(self) -> Hello:
        hello = await super().start()
        self.log.extend(LOG)
        return hello

    def die_of(self, facts: Death = DEATH) -> None:
        """In the middle of an answer, as a process that the driver took down."""
        self._facts = facts
        self.die()

    def _death(self) -> EngineDied:
        return EngineDied(self._facts) if self._facts else super()._death()

    def _refusal(self, command: AnyCommand) -> ErrorInfo | None:
        return self.load_error if isinstance(command, Load) else None

    def _reply(self, command: Generate) -> None:
        self._n_used = self._n_decode = 0
        self.tell(*self.events)

    def _answers(self, command: AnyCommand) -> Iterable[Event]:
        match command:
            case Load():
                return (self.loads,) if self.load_stops_at is None else (LoadProgress(fraction=self.load_stops_at),)
            case Count(messages=messages):
                few = sum(4 + len(message.content) // 4 for message in messages)
                return (Counted(n_tokens=few if len(messages) <= 2 else 664, n_ctx=LOADED.n_ctx),)
            case SaveContext():
                return (ContextSaved(problem="empty"),)
        return super()._answers(command)


class RecordedHistory(SpeedHistory):
    """Stays the same, also where the app would begin a new one."""

    @property
    def values(self) -> tuple[float, ...]:
        return (0, 0, 12, 24, 30, 31, 31.4, 30.8, 31.2, 0, 0, 0, 18, 29, 31.4)


class RecordedMonitoring(Monitoring):
    """Reads the same figures whenever it is asked."""

    async def _read(self) -> tuple[HostSample, tuple[GpuSample, ...]]:
        self._npus = ()
        return HOST, (RADEON,)

    async def newest(self) -> tuple[HostSample, tuple[GpuSample, ...]]:
        return HOST, (RADEON if self._engine.loaded else IDLE_RADEON,)

    def swap_used(self) -> int | None:
        return HOST.swap_used_bytes


RECORDS = model_records.ModelRecords(
    speeds=KnownSpeeds(
        runs=(
            KnownRun(
                name=QWEN.info.name,
                quant=QWEN.info.quant,
                n_params=QWEN.info.n_params,
                n_layer_params=QWEN.info.n_layer_params,
                is_moe=True,
                devices=("Vulkan0",),
                n_gpu_layers=49,
                n_layers=49,
                n_threads=8,
                decodes=(KnownDecode(tps=31.4, n_past=64, read_bytes={"Vulkan0": 1_900_000_000}),),
                prefills=(KnownPrefill(tps=412, n_prompt=512),),
            ),
        ),
        bandwidth={"CPU": 60e9, "Vulkan0": 90e9},
    ),
    used={str(model.path): datetime(2024, 11, 5 + day).timestamp() for day, model in enumerate(LIBRARY.models[1:3])},
)
"""Of a year that is over, so that its days are shown as dates."""


async def recorded_records(_: Store) -> model_records.ModelRecords:
    """In place of what this machine's benchmarks and conversations tell."""
    return RECORDS


def replace_machine(monkeypatch: pytest.MonkeyPatch, library: Library = LIBRARY) -> None:
    """Put the records in the place of engine, monitors and model files."""
    by_path = {model.path: model for model in library.models}
    for module in (controller, beside):
        monkeypatch.setattr(module, "LocalEngine", RecordedEngine)
    monkeypatch.setattr(beside, "LocalDownloads", ScriptedDownloads)
    monkeypatch.setattr(fetching, "free_bytes", lambda _: 214 * GIB)
    monkeypatch.setattr(beside, "Monitoring", RecordedMonitoring)
    monkeypatch.setattr(tuning, "LEAST_BYTES", 2**60)  # else every picture would have its offer
    monkeypatch.setattr(live_speed, "SpeedHistory", RecordedHistory)
    monkeypatch.setattr(model_records, "model_records", recorded_records)
    monkeypatch.setattr("tui.models.library.scan", lambda *_: library)
    monkeypatch.setattr("tui.models.library.inspect", by_path.__getitem__)
    monkeypatch.setattr("tui.models.folders.configured_folders", lambda *_: (Folder(path=FOLDER),))
    monkeypatch.setattr("tui.app.screens.load_settings.physical_cores", lambda **_: 8)
    monkeypatch.delenv("NO_COLOR", raising=False)
