"""How fast a model will be: by runs of it, of models like it, of others, and by the bandwidth of memory alone; how sure
that is, and how it is said."""

from __future__ import annotations

import random
import statistics
from collections.abc import Mapping

import msgspec
import pytest

from tests.measure.known import ON_CPU, ON_GPU, decoding, machine_run, run_of
from tests.models.gguf_files import Shape
from tests.planning.shapes import QWEN3_8B, QWEN3_30B_A3B, described
from tui.measure import forecast_words
from tui.measure.forecast import Forecast, Range, forecast
from tui.measure.known_speeds import KnownPrefill, KnownRun, KnownSpeeds
from tui.measure.reached import layer_s
from tui.models.info import ModelInfo
from tui.planning.formula import estimate, reads
from tui.protocol.records import LoadSettings

QWEN3_06B = described(Shape(1024, 28, 16, 8, 128, 3072, 151936))
QWEN3_17B = described(Shape(2048, 28, 16, 8, 128, 6144, 151936))
QWEN3_4B = described(Shape(2560, 36, 32, 8, 128, 9728, 151936))
QWEN3_14B = described(Shape(5120, 40, 40, 8, 128, 17408, 151936))
SMALL_MOE = described(Shape(1024, 24, 16, 4, 128, 3072, 151936, n_expert=32, n_expert_used=4, n_ff_expert=512))
DENSE_MODELS = (QWEN3_06B, QWEN3_17B, QWEN3_4B, QWEN3_8B, QWEN3_14B)
MEMORY = {"CPU": 60e9, "Vulkan0": 250e9}


def of(
    info: ModelInfo,
    *runs: KnownRun,
    settings: LoadSettings = ON_CPU,
    n_past: int = 0,
    bandwidth: Mapping[str, float] | None = None,
    n_threads: int = 8,
) -> Forecast | None:
    """What is to be expected after these runs."""
    known = KnownSpeeds(runs=runs, bandwidth=bandwidth or {}, n_threads=n_threads)
    return forecast(info, estimate(info, settings), known, n_past=n_past)


def decode(*args: object, **more: object) -> Range:
    """What is expected to be written, which is known."""
    found = of(*args, **more)  # type: ignore[arg-type]
    assert found is not None and found.decode_tps is not None
    return found.decode_tps


def prompt(*args: object, **more: object) -> Range:
    """The same of a prompt."""
    found = of(*args, **more)  # type: ignore[arg-type]
    assert found is not None and found.prompt_tps is not None
    return found.prompt_tps


# Runs of the model itself ---------------------------------------------------------------------------------------------


def test_runs_of_the_model_say_most_surely_how_fast_it_is() -> None:
    own = run_of(QWEN3_8B, decoding(QWEN3_8B, 10.0), prefills=(KnownPrefill(tps=90, n_prompt=512),))
    found = of(QWEN3_8B, own)
    assert found is not None and found.decode_tps is not None and found.prompt_tps is not None
    assert found.decode_tps.tps == pytest.approx(10.0) and found.decode_tps.basis == "own"
    assert found.prompt_tps.tps == pytest.approx(90.0) and found.basis == "own"
    assert found.decode_tps.width < 0.2
    again = decode(QWEN3_8B, own, own, own)
    assert again.width < found.decode_tps.width and again.n_runs == 3


def test_the_newest_run_of_the_model_counts_most() -> None:
    new, old = (run_of(QWEN3_8B, decoding(QWEN3_8B, tps)) for tps in (12.0, 10.0))
    assert decode(QWEN3_8B, new, old).tps > decode(QWEN3_8B, old, new).tps
    assert decode(QWEN3_8B, new, old).width > decode(QWEN3_8B, new, new).width, "they disagree"


def test_a_longer_context_is_slower_by_what_it_makes_a_token_read() -> None:
    own = run_of(QWEN3_8B, decoding(QWEN3_8B, 10.0))
    shallow, deep = (decode(QWEN3_8B, own, n_past=n) for n in (0, 16_384))
    ratio = sum(reads(QWEN3_8B, ON_CPU, 16_384).values()) / sum(reads(QWEN3_8B, ON_CPU).values())
    assert deep.tps == pytest.approx(10.0 / ratio, rel=0.01)
    assert deep.width > shallow.width


def test_of_tests_at_several_depths_the_nearest_one_is_taken() -> None:
    own = run_of(QWEN3_8B, decoding(QWEN3_8B, 10.0, n_past=64), decoding(QWEN3_8B, 6.0, n_past=8192))
    assert decode(QWEN3_8B, own, n_past=0).tps == pytest.approx(10.0, rel=0.01)
    assert decode(QWEN3_8B, own, n_past=8192).tps == pytest.approx(6.0, rel=0.01)


@pytest.mark.parametrize(
    "other",
    [
        run_of(QWEN3_8B, decoding(QWEN3_8B, 10.0), n_threads=4),
        run_of(QWEN3_8B, decoding(QWEN3_8B, 40.0, ON_GPU), settings=ON_GPU),
        run_of(msgspec.structs.replace(QWEN3_8B, quant="Q3_K_L"), decoding(QWEN3_8B, 10.0)),
    ],
    ids=["threads", "device", "quantization"],
)
def test_a_run_in_another_way_is_no_run_of_this_load(other: KnownRun) -> None:
    found = of(QWEN3_8B, other)
    assert found is None or found.basis != "own"


def test_on_a_device_the_threads_of_the_cpu_do_not_matter() -> None:
    run = run_of(QWEN3_8B, decoding(QWEN3_8B, 40.0, ON_GPU), settings=ON_GPU, n_threads=4)
    assert decode(QWEN3_8B, run, settings=ON_GPU).basis == "own"


# Runs of other models -------------------------------------------------------------------------------------------------


def test_a_model_like_those_that_were_measured_reads_memory_as_they_did() -> None:
    runs = [machine_run(info, MEMORY) for info in (QWEN3_4B, QWEN3_14B)]
    found = decode(QWEN3_8B, *runs)
    expected = MEMORY["CPU"] / sum(reads(QWEN3_8B, ON_CPU).values())
    assert found.basis == "like" and found.n_runs == 2
    assert found.tps == pytest.approx(expected, rel=0.02)
    assert found.width <= 1 / 2
    surer = decode(QWEN3_8B, *(machine_run(info, MEMORY) for info in (QWEN3_06B, QWEN3_17B, QWEN3_4B, QWEN3_14B)))
    assert surer.width <= 1 / 3, "two runs tell little of how sure they are"


def test_what_each_layer_costs_is_learned_from_models_of_several_sizes() -> None:
    layer_s = 2e-4  # a small model on a graphics card spends more time between its reads than with them
    runs = [machine_run(info, MEMORY, settings=ON_GPU, layer_s=layer_s) for info in (QWEN3_06B, QWEN3_4B, QWEN3_8B)]
    for info in (QWEN3_17B, QWEN3_14B):
        real = machine_run(info, MEMORY, settings=ON_GPU, layer_s=layer_s).decodes[0].tps
        found = decode(info, *runs, settings=ON_GPU)
        assert found.holds(real) and found.tps == pytest.approx(real, rel=0.06)


def test_the_bar_holds_nine_times_of_ten_and_is_mostly_no_wider_than_a_third() -> None:
    chance = random.Random(4)
    held, widths = 0, []
    for _ in range(60):
        machine = {"CPU": chance.uniform(20e9, 90e9)}
        layer_s = chance.uniform(0, 1e-4)

        def run(info: ModelInfo, machine: dict[str, float] = machine, layer_s: float = layer_s) -> KnownRun:
            return machine_run(info, machine, layer_s=layer_s, factor=chance.gauss(1, 0.03))

        learned = chance.sample(DENSE_MODELS, 3)
        runs = [run(info) for info in learned]
        for info in DENSE_MODELS:
            if info not in learned:
                found = decode(info, *runs)
                held += found.holds(run(info).decodes[0].tps)
                widths.append(found.width)
    assert held >= 0.9 * len(widths)
    assert statistics.median(widths) <= 1 / 3


def test_another_quantization_and_a_mixture_of_experts_are_less_sure() -> None:
    run = machine_run(QWEN3_8B, MEMORY)
    like = decode(QWEN3_4B, run)
    coarse = decode(msgspec.structs.replace(QWEN3_4B, quant="IQ2_XS"), run)
    mixture = decode(SMALL_MOE, run)
    assert like.basis == "like" and coarse.basis == mixture.basis == "others"
    assert coarse.width > like.width and mixture.width > like.width
    assert decode(SMALL_MOE, run, machine_run(QWEN3_30B_A3B, MEMORY)).basis == "like"


def test_a_mixture_reads_the_experts_that_it_uses() -> None:
    run = machine_run(QWEN3_30B_A3B, MEMORY)
    found = decode(SMALL_MOE, run)
    assert found.tps == pytest.approx(MEMORY["CPU"] / sum(reads(SMALL_MOE, ON_CPU).values()), rel=0.05)


def test_layers_on_host_and_device_take_their_times_one_after_the_other() -> None:
    runs = [machine_run(QWEN3_4B, MEMORY), machine_run(QWEN3_4B, MEMORY, settings=ON_GPU)]
    half = LoadSettings(n_ctx=4096, devices=("Vulkan0",), n_gpu_layers=18)
    read_bytes = reads(QWEN3_8B, half)
    found = decode(QWEN3_8B, *runs, settings=half)
    assert found.tps == pytest.approx(1 / sum(n / MEMORY[place] for place, n in read_bytes.items()), rel=0.04)


def test_a_run_on_several_places_tells_of_each_what_it_reads_alone() -> None:
    half = LoadSettings(n_ctx=4096, devices=("Vulkan0",), n_gpu_layers=18)
    runs = [machine_run(QWEN3_4B, MEMORY, settings=settings) for settings in (ON_CPU, ON_GPU, half)]
    found = decode(QWEN3_8B, *runs, settings=half)
    assert found.n_runs == 2 and found.basis == "like"


def test_a_prompt_is_read_as_fast_as_models_like_it_compute() -> None:
    runs = [machine_run(info, MEMORY, flops=2e12) for info in (QWEN3_4B, QWEN3_14B)]
    found = prompt(QWEN3_8B, *runs)
    assert found.basis == "like"
    assert found.tps == pytest.approx(2e12 / (2 * QWEN3_8B.n_layer_params), rel=0.02)
    assert prompt(SMALL_MOE, *runs).width > 1, "of a mixture, others say little"


def test_where_a_device_was_never_used_its_bandwidth_is_what_is_known() -> None:
    bandwidth = {"CPU": 80e9, "Vulkan0": 300e9}
    found = decode(QWEN3_8B, settings=ON_GPU, bandwidth=bandwidth)
    most = bandwidth["Vulkan0"] / sum(reads(QWEN3_8B, ON_GPU).values())
    assert found.basis == "roofline" and found.n_runs == 0
    assert found.width > 1 / 3 and found.low < found.tps < found.high <= 1.1001 * most
    learned = decode(QWEN3_8B, machine_run(QWEN3_4B, MEMORY), settings=ON_GPU, bandwidth=bandwidth)
    seconds = 80 / 60 / most + (QWEN3_8B.n_layers + 1) * layer_s("Vulkan0")
    assert learned.tps == pytest.approx(1 / seconds, rel=0.02), "this machine reaches as much of it as elsewhere"
    assert learned.width < found.width


def test_on_a_fast_device_the_layers_take_a_good_part_of_the_time_and_on_a_slow_one_little() -> None:
    fast, slow = 3e12, 50e9
    of_fast = decode(QWEN3_4B, settings=ON_GPU, bandwidth={"Vulkan0": fast}).tps
    of_slow = decode(QWEN3_4B, settings=ON_GPU, bandwidth={"Vulkan0": slow}).tps
    assert of_fast < 0.7 * of_slow * fast / slow
    assert 0 < layer_s("Vulkan0") * (QWEN3_4B.n_layers + 1) * of_slow < 0.1
    assert layer_s("CPU") == 0
    # So one run on a fast device does not promise that a larger model is slower by all that it reads more.
    run = machine_run(QWEN3_4B, {"CPU": 60e9, "Vulkan0": fast}, settings=ON_GPU, layer_s=layer_s("Vulkan0"))
    real = machine_run(QWEN3_14B, {"CPU": 60e9, "Vulkan0": fast}, settings=ON_GPU, layer_s=layer_s("Vulkan0"))
    assert decode(QWEN3_14B, run, settings=ON_GPU).tps == pytest.approx(real.decodes[0].tps, rel=0.05)


def test_where_nothing_was_measured_nothing_is_said() -> None:
    assert of(QWEN3_8B) is None
    assert of(QWEN3_8B, machine_run(QWEN3_4B, MEMORY), settings=ON_GPU) is None, "nothing is known of the device"


# Words ----------------------------------------------------------------------------------------------------------------


def test_a_forecast_says_how_sure_it_is_and_why() -> None:
    found = Range(tps=30.2, low=26.3, high=34.4, basis="like", n_runs=3)
    assert forecast_words.sentence(found) == "≈ 30 tok/s (26 to 34), from 3 runs of models like it"
    assert forecast_words.short(found) == "≈30 tok/s"
    own = Range(tps=31.4, low=29.8, high=33.1, basis="own", n_runs=1)
    assert forecast_words.sentence(own) == "31.4 tok/s (30 to 33), from 1 run of it"
    assert forecast_words.short(own) == "31.4 tok/s"
    told = forecast_words.lines(Forecast(decode_tps=found, prompt_tps=None))
    assert told == ("decode ≈ 30 tok/s (26 to 34), from 3 runs of models like it",)


def test_after_a_run_the_forecast_stands_beside_what_came_of_it() -> None:
    found = Range(tps=30.0, low=26.0, high=34.0, basis="like", n_runs=3)
    assert forecast_words.beside(found, 32.0) == "forecast 30 (26 to 34), 6% too low"
    assert forecast_words.beside(found, 24.0) == "forecast 30 (26 to 34), 25% too high"
    assert forecast_words.beside(found, 30.0) == "forecast 30 (26 to 34), right"


@pytest.mark.parametrize(
    ("tps", "text"),
    [
        (0.0, "–"),
        (0.123, "0.12"),
        (4.13, "4.1"),
        (9.96, "10"),
        (31.4, "31"),
        (412, "410"),
        (1234, "1,200"),
        (99.6, "100"),
    ],
)
def test_what_is_not_known_better_has_two_digits(tps: float, text: str) -> None:
    assert forecast_words.two_digits(tps) == text
