"""The search for the fastest settings: what it tries, when it stops, what it takes, and that the chat then uses it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE, MOE
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.models.gguf_files import Shape
from tests.running import llmtui, on_terminal
from tui.base.exit_codes import ExitCode
from tui.config.options import AppOptions
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import State, StateStore, TunedLoad
from tui.engines.interface import Engine
from tui.engines.local import LocalEngine
from tui.machine.cpus import usable_cpus
from tui.measure import tune_candidates
from tui.measure.machine import this_machine
from tui.measure.tune import Trial, Tuner, halved
from tui.measure.tune_candidates import Candidates, changes
from tui.measure.tuned import kind_of
from tui.models.library import inspect
from tui.protocol.bench_messages import BenchSample, BenchTest
from tui.protocol.messages import Loaded
from tui.protocol.records import Device, LoadSettings, Repack
from tui.session.load_order import LoadOrder

START = ChosenLoad(backend="cpu", n_ctx=512, n_threads=1)
HERE = this_machine().hardware


def trial(ubatch: int, speed: float) -> Trial:
    return Trial(choice=ChosenLoad(n_ubatch=ubatch), prefill_tps=(512 * speed * 2,), decode_tps=(256 * speed * 2,))


async def has_room(choice: ChosenLoad) -> bool:
    return True


async def tuned(engine: Engine, model: Path = DENSE, start: ChosenLoad = START, **more: Any) -> Tuner:
    found = inspect(model)
    devices = (await engine.start()).devices
    candidates = Candidates(found.info, devices, cache_types=more.pop("cache_types", False))
    settings = {"fits": has_room, "budget_s": 8.0, **more}
    tuner = Tuner(engine, found.path, start, devices, candidates, **settings)
    await tuner.run()
    return tuner


def test_the_faster_half_stays_and_one_at_least() -> None:
    fast, middle, slow = trial(1, 3.0), trial(2, 2.0), trial(3, 1.0)
    assert halved([slow, fast, middle]) == ([fast, middle], [slow])
    assert halved([slow, fast]) == ([fast], [slow]) and halved([slow]) == ([slow], [])


def test_a_turn_takes_the_time_of_its_prompt_and_of_its_answer() -> None:
    assert trial(1, 2.0).speed == pytest.approx(2.0) and trial(1, 2.0).turn_s == pytest.approx(0.5)
    assert Trial(choice=START).speed == 0 and Trial(choice=START).turn_s == 0


async def test_it_tries_threads_and_single_changes_and_keeps_within_its_time(engine: Engine) -> None:
    tuner = await tuned(engine)
    result = tuner.result
    tried = [one.choice for one in result.trials]
    assert START in tried and not set(tried) & set(result.not_tried)
    # On a busy machine there may be time for little; what there was none for is told.
    assert {256, 1024, 128, 2048} <= {choice.n_ubatch for choice in (*tried, *result.not_tried)}
    assert all(len(one.prefill_tps) == len(one.decode_tps) for one in result.trials)
    assert result.best == START or (result.gain is not None and result.gain.low > 0)


@pytest.mark.parametrize("repack", ["auto", "on", "off"])
async def test_on_a_cpu_repacking_is_the_first_thing_that_is_changed(
    engine: Engine, tmp_path: Path, repack: Repack
) -> None:
    model = with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf")
    start = msgspec.structs.replace(START, repack=repack)
    result = (await tuned(engine, model, start, budget_s=3.0)).result
    await engine.start()  # where time ran out in a measurement, it was ended with its engine
    repacks = bool((await engine.load(model, LoadSettings(n_ctx=512, n_threads=1))).llama.repacked)
    # On a busy machine there may be time for little; what there was none for is named in the same order.
    looked_at = [*(trial.choice for trial in result.trials), *result.not_tried]
    (first, *_) = [choice for choice in looked_at if set(changes(start, choice)) - {"n_threads", "n_threads_batch"}]
    if repack == "off" or repacks:
        assert first.repack == ("on" if repack == "off" else "off")
        assert set(changes(start, first)) <= {"repack", "n_threads", "n_threads_batch"}
    else:
        assert {choice.repack for choice in looked_at} == {repack}, "on and off are the same here"


async def test_beside_a_gpu_the_cpu_is_tried_both_ways_and_the_gpu_in_one(engine: Engine) -> None:
    gpu = Device(name="Vulkan0", description="a GPU", kind="gpu", total_bytes=1, free_bytes=1)
    start = msgspec.structs.replace(START, backend="auto")
    candidates = Candidates(inspect(DENSE).info, (gpu,))
    loaded = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1))
    found = [changes(start, choice) for choice in candidates.with_one_change(start, loaded)]
    assert {"backend": "cpu"} in found and {"backend": "cpu", "repack": "off"} in found
    assert {"repack": "off"} not in found


async def test_where_cores_are_unlike_and_memory_has_nodes_both_are_tried_and_elsewhere_neither(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1))
    candidates = Candidates(inspect(DENSE).info, (await engine.start()).devices)
    for is_such in (True, False):
        monkeypatch.setattr(tune_candidates, "has_two_kinds", lambda: is_such)  # noqa: B023 - used in this turn
        monkeypatch.setattr(tune_candidates, "n_nodes", lambda: 1 + is_such)  # noqa: B023
        found = [changes(START, choice) for choice in candidates.with_one_change(START, loaded)]
        assert ({"cpu_range": "performance"} in found) == ({"numa": "distribute"} in found) == is_such
    gpus = [Device(name=f"CUDA{n}", description="a GPU", kind="gpu", total_bytes=1, free_bytes=1) for n in range(2)]
    start = msgspec.structs.replace(START, backend="auto")
    rows = Candidates(inspect(DENSE).info, gpus).with_one_change(start, loaded)
    assert {"split_mode": "row"} in [changes(start, choice) for choice in rows]


async def test_there_are_never_more_threads_than_cpus_that_they_may_run_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They spin while they wait for each other."""
    one = min(usable_cpus())
    loaded = await engine.load(DENSE, LoadSettings(n_ctx=512, n_threads=1))
    candidates = Candidates(inspect(DENSE).info, (await engine.start()).devices)
    pinned = msgspec.structs.replace(START, cpu_range=str(one))
    assert [choice.n_threads for choice in candidates.with_threads(pinned, 1)] == [1]
    monkeypatch.setattr(tune_candidates, "has_two_kinds", lambda: True)
    monkeypatch.setattr(tune_candidates, "performance_cpus", lambda: frozenset((one,)))
    many = msgspec.structs.replace(START, n_threads=4, n_threads_batch=6)
    found = [changes(many, choice) for choice in candidates.with_one_change(many, loaded)]
    assert {"n_threads": 1, "n_threads_batch": 1, "cpu_range": "performance"} in found


async def test_of_several_gpus_one_alone_is_tried_and_experts_in_halves(engine: Engine) -> None:
    gpus = [Device(name=f"Vulkan{n}", description="a GPU", kind="gpu", total_bytes=1, free_bytes=1) for n in range(2)]
    start = msgspec.structs.replace(START, backend="auto")
    loaded = await engine.load(MOE, LoadSettings(n_ctx=512, n_threads=1))
    info = inspect(MOE).info
    found = [changes(start, choice) for choice in Candidates(info, gpus).with_one_change(start, loaded)]
    assert {"backend": "Vulkan0"} in found and {"split_mode": "row"} not in found, "Vulkan cannot"
    assert {"n_cpu_moe": info.n_layers} in found and {"n_cpu_moe": info.n_layers // 2} in found


async def test_what_does_not_go_with_the_model_is_not_even_tried(engine: Engine, tmp_path: Path) -> None:
    shape = Shape(n_embd=160, n_head=2, n_head_kv=2, head=80, n_ff=64, n_vocab=N_VOCAB, kind="F32")
    tuner = await tuned(engine, with_vocabulary(shape, tmp_path / "model.gguf"), cache_types=True)
    result = tuner.result
    considered = (*(trial.choice for trial in result.trials), *result.not_tried)
    assert {choice.type_k for choice in considered} == {"f16"} and result.n_too_large == 0
    assert "failed" not in {trial.outcome for trial in result.trials}


async def test_no_measurement_is_longer_than_a_small_context_holds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = engine.ask

    async def noted(test: BenchTest) -> BenchSample:
        asked.append(test.n_prompt + test.n_gen)
        return await ask(test)

    monkeypatch.setattr(engine, "ask", noted)
    result = (await tuned(engine, budget_s=60.0, start=msgspec.structs.replace(START, n_ctx=256))).result
    assert 200 < max(asked) <= 256 and not [one for one in result.trials if one.outcome == "failed"]


async def test_prompts_are_read_with_the_threads_that_the_settings_have_for_them(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: set[tuple[int, int]] = set()
    ask = engine.ask

    async def noted(test: BenchTest) -> BenchSample:
        asked.add((test.n_threads, test.n_threads_batch))
        return await ask(test)

    monkeypatch.setattr(engine, "ask", noted)
    await tuned(engine, budget_s=6.0, start=msgspec.structs.replace(START, n_threads_batch=2))
    assert (1, 2) in asked and (1, 0) not in asked


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the CPUs of a process are chosen on Linux only")
async def test_no_more_threads_are_tried_than_cpus_may_be_used() -> None:
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(before)})
        async with LocalEngine() as engine:
            result = (await tuned(engine, budget_s=2.0)).result
    finally:
        os.sched_setaffinity(0, before)
    assert {one.n_threads for one in (*(trial.choice for trial in result.trials), *result.not_tried)} == {1}


async def test_a_measurement_that_takes_too_long_is_stopped(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    trying = [START]
    ask = engine.ask

    async def endless_but_for_the_start(test: BenchTest) -> BenchSample:
        while trying[-1] != START:
            await ask(test)
        return await ask(test)

    monkeypatch.setattr(engine, "ask", endless_but_for_the_start)
    tuner = tuned(engine, budget_s=4.0, on_progress=lambda progress: trying.append(progress.choice))
    result = (await asyncio.wait_for(tuner, 60)).result
    stopped = [trial for trial in result.trials if trial.choice != START]
    assert stopped or result.not_tried  # on a busy machine the start may have taken all the time
    assert {(trial.outcome, trial.speeds) for trial in stopped} <= {("stopped", ())}
    assert result.best == START and not {trial.choice for trial in stopped} & set(result.not_tried)


async def test_what_leaves_too_little_memory_is_not_tried(engine: Engine) -> None:
    async def small_batches_only(choice: ChosenLoad) -> bool:
        return choice.n_ubatch <= 512

    result = (await tuned(engine, MOE, fits=small_batches_only)).result
    assert result.n_too_large >= 2 and all(one.choice.n_ubatch <= 512 for one in result.trials)


async def test_with_no_time_at_all_the_settings_stay_and_what_was_not_tried_is_named(engine: Engine) -> None:
    result = (await tuned(engine, budget_s=0.01)).result
    assert result.best == START and result.gain is None and result.not_tried and not result.is_better


def test_the_command_shows_what_it_tried_and_remembers_only_what_is_surely_faster(home: Path) -> None:
    done = llmtui("--tune", DENSE, "--seconds", "8", "--json", "--backend", "cpu", "-c", "512", "-t", "1")
    assert done.returncode == ExitCode.FINE, done.stderr
    found = json.loads(done.stdout)
    store = StateStore()
    assert store.read() == []
    kept = store.state.tuned.get(str(DENSE))
    assert (kept is not None) == bool(found["changes"])
    assert kept is None or (kept.machine, kept.load) == (HERE, found["changes"])
    # How many more there is time for depends on what else the machine does.
    assert any(trial["outcome"] == "start" for trial in found["trials"])
    assert len(found["trials"]) + len(found["not_tried"]) >= 3


def test_an_interrupted_search_shows_what_it_has_and_remembers_nothing() -> None:
    with on_terminal("--bench", "--tune", DENSE, "--seconds", "1000", "--backend", "cpu", "-t", "1") as running:
        running.read_until("ubatch")
        running.process.send_signal(signal.SIGINT)
        code, _ = running.end()
    assert code == ExitCode.INTERRUPTED and "nothing was saved" in running.seen
    assert re.search(r"the settings as they are +[\d,.]+ +[\d,.]+", running.seen)
    assert StateStore().state == State()


@pytest.mark.parametrize(("arguments", "said"), [(("-p", "5"), "-p"), (("-o", "svg"), "svg"), (("--all",), "--all")])
def test_what_does_not_go_with_it_is_bad_usage(arguments: tuple[str, ...], said: str) -> None:
    done = llmtui("--tune", *(() if said == "--all" else (DENSE,)), *arguments)
    assert done.returncode == ExitCode.USAGE and said in done.stderr


async def test_a_quantized_cache_is_tried_only_where_the_settings_allow_it(engine: Engine) -> None:
    for is_allowed in (False, True):
        result = (await tuned(engine, budget_s=1.0, cache_types=is_allowed)).result
        considered = (*(trial.choice for trial in result.trials), *result.not_tried)
        assert ("q8_0" in {choice.type_k for choice in considered}) == is_allowed


async def test_threads_are_chosen_apart_for_prompts_and_for_answers(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that reads fastest with three threads and writes fastest with two."""

    async def timed(test: BenchTest) -> BenchSample:
        n_read = test.n_threads_batch or test.n_threads
        prefill_s = test.n_prompt / (300 if n_read == 3 else 100)
        decode_s = test.n_gen / (30 if test.n_threads == 2 else 10)
        return BenchSample(elapsed_s=prefill_s + decode_s, prefill_s=prefill_s, ttft_s=prefill_s)

    monkeypatch.setattr(tune_candidates, "n_usable_cpus", lambda among: 3)
    monkeypatch.setattr(tune_candidates, "physical_cores", lambda among: 3)
    monkeypatch.setattr(engine, "ask", timed)
    result = (await tuned(engine, budget_s=60.0)).result
    assert changes(START, result.best) == {"n_threads": 2, "n_threads_batch": 3}
    assert result.gain is not None and result.gain.low > 50


async def test_settings_that_end_the_engine_are_a_candidate_less(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = engine.load

    async def dies_with_small_ubatches(path: Path, settings: LoadSettings) -> Loaded:
        if settings.n_ubatch == 256 and engine.pid is not None:
            os.kill(engine.pid, signal.SIGKILL)
        return await load(path, settings)

    monkeypatch.setattr(engine, "load", dies_with_small_ubatches)
    result = (await tuned(engine, budget_s=20.0)).result
    outcomes = {trial.choice.n_ubatch: trial.outcome for trial in result.trials if trial.choice.repack == "auto"}
    assert outcomes.get(256, "failed") == "failed" and any(trial.speeds for trial in result.trials)


def test_repacking_left_to_auto_is_what_was_tuned_for_the_model_on_this_machine(home: Path) -> None:
    store = StateStore()
    order = LoadOrder(Settings(), store, AppOptions(), lambda problem: None)
    assert order.load_for(DENSE).repack == "auto"
    store.remember_tuned(DENSE, TunedLoad(machine=HERE, load={"repack": "off"}))
    assert order.load_for(DENSE).repack == "off" and order.load_for(MOE).repack == "auto"
    on_the_command_line = LoadOrder(Settings(), store, AppOptions(load={"repack": "on"}), lambda problem: None)
    assert on_the_command_line.load_for(DENSE).repack == "on"


def test_the_chat_takes_what_was_tuned_on_this_machine_until_something_is_chosen_by_hand(home: Path) -> None:
    store = StateStore()
    order = LoadOrder(Settings(), store, AppOptions(), lambda problem: None)
    store.remember_load(DENSE, ChosenLoad(n_ubatch=64, n_ctx=1024))
    store.remember_tuned(DENSE, TunedLoad(machine=HERE, load={"n_ubatch": 256}))
    assert (order.load_for(DENSE).n_ubatch, order.load_for(DENSE).n_ctx) == (256, 1024)
    again = StateStore()
    assert again.read() == [] and again.load_of(DENSE, HERE)["n_ubatch"] == 256
    assert again.load_of(DENSE, "another machine")["n_ubatch"] == 64
    store.remember_load(DENSE, ChosenLoad(n_ubatch=128))
    assert order.load_for(DENSE).n_ubatch == 128 and store.state.tuned == {}


INFO = inspect(DENSE).info
KIND = kind_of(INFO)


def order_of(store: StateStore, settings: Settings | None = None, **load: object) -> LoadOrder:
    return LoadOrder(settings or Settings(), store, AppOptions(load=load), lambda problem: None)


def test_a_model_of_the_same_kind_takes_up_what_is_of_the_machine(home: Path) -> None:
    store, other = StateStore(), DENSE.with_name("other.gguf")
    tuned = TunedLoad(machine=HERE, kind=KIND, backend="auto", load={"repack": "off", "n_threads": 3, "n_ubatch": 256})
    store.remember_tuned(other, tuned)
    order = order_of(store)
    choice = order.load_for(DENSE, INFO)
    assert (choice.repack, choice.n_threads, choice.n_ubatch) == ("off", 3, 512)
    found = order.tuned_for(DENSE, INFO)
    assert found is not None and found[0] == other and found[1].load == {"repack": "off", "n_threads": 3}
    assert order.before_tuning(DENSE, INFO, choice) == ChosenLoad(n_ctx=choice.n_ctx)


@pytest.mark.parametrize("what", ["kind", "machine", "backend", "chosen by hand"])
def test_what_is_of_another_kind_machine_or_backend_or_was_chosen_by_hand_is_not_taken_up(
    home: Path, what: str
) -> None:
    store = StateStore()
    tuned = TunedLoad(machine=HERE, kind=KIND, backend="auto", load={"repack": "off"})
    if what == "chosen by hand":
        store.remember_load(DENSE, ChosenLoad())
    else:
        tuned = msgspec.structs.replace(tuned, **{what: "another"})
    store.remember_tuned(DENSE.with_name("other.gguf"), tuned)
    order = order_of(store)
    assert order.load_for(DENSE, INFO).repack == "auto" and order.tuned_for(DENSE, INFO) is None


def test_what_the_users_file_gives_goes_before_what_another_model_was_tuned_to(home: Path) -> None:
    store = StateStore()
    tuned = TunedLoad(machine=HERE, kind=KIND, backend="auto", load={"repack": "off", "n_threads": 3})
    store.remember_tuned(DENSE.with_name("other.gguf"), tuned)
    settings = Settings(load=ChosenLoad(n_threads=2), written=frozenset({"load.n_threads"}))
    choice = order_of(store, settings).load_for(DENSE, INFO)
    assert (choice.n_threads, choice.repack) == (2, "off")


def test_settings_chosen_by_hand_that_are_those_that_were_tuned_leave_the_gain_known(home: Path) -> None:
    store = StateStore()
    store.remember_tuned(DENSE, TunedLoad(machine=HERE, load={"n_ubatch": 256}, percent=12.0))
    store.remember_load(DENSE, ChosenLoad(n_ubatch=256, n_ctx=1024))
    assert store.state.tuned[str(DENSE)].percent == 12.0


def test_kinds_are_of_one_architecture_and_quantization_and_of_about_one_size() -> None:
    def sized(n_params: float, quant: str = "Q4_K_M") -> str:
        return kind_of(msgspec.structs.replace(INFO, n_params=int(n_params), quant=quant))

    assert sized(7.6e9) == sized(8.2e9) != sized(14e9)
    assert sized(8e9) != sized(8e9, "Q8_0") and sized(0)
