"""Stopping an answer in every phase, and every way in which the engine process can go: the front end knows and goes
on."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.conftest import DENSE, TINY, pid_of, until
from tests.engine.asking import GREEDY, Reply, ask, user
from tests.engine.model_files import N_VOCAB, with_vocabulary
from tests.engine.preloaded import Processor
from tests.models.gguf_files import Shape
from tui.engine.template_requests import Compile
from tui.engines import client
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.protocol.death import Computing, EngineDied, examine, look_at
from tui.protocol.loadlog import Stage
from tui.protocol.messages import Count, Delta, Done, Generate, ListDevices, Prefill, RestoreContext
from tui.protocol.records import Device, Doing, LoadSettings
from tui.protocol.wire import encode


async def test_cancel_while_answering_keeps_what_was_said_and_the_next_answer_is_right(tiny: Engine) -> None:
    reply, answer = (
        Reply(),
        tiny.generate(Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, flush_s=0.0)),
    )
    async for event in answer:
        reply.add(event)
        if isinstance(event, Delta) and event.n_decode == 5:
            answer.cancel()
    assert reply.done.stop == "cancelled" and reply.text.startswith("1, 2")
    assert reply.done.timings.n_decode < 390
    again = await ask(tiny, user("Count to 100"), thinking=False)
    assert again.text.endswith("100") or "99, 100" in again.text


async def test_cancel_inside_a_prompt_chunk_stops_before_the_prompt_is_read(engine: Engine) -> None:
    await engine.load(DENSE, LoadSettings(n_ctx=4096, n_threads=1, n_batch=128, n_ubatch=128))
    reply, answer = (
        Reply(),
        engine.generate(Generate(messages=(user("one two three " * 250),), sampling=GREEDY, thinking=False)),
    )
    async for event in answer:
        reply.add(event)
        if isinstance(event, Prefill) and event.done == 128:
            answer.cancel()
    assert reply.done.stop == "cancelled" and reply.done.timings.n_decode == 0
    assert 0 < reply.done.timings.n_prefill < reply.started.n_prompt
    # What was read stays in the cache, in step with what llama.cpp holds.
    again = await ask(engine, user("one two three " * 250), thinking=False, max_tokens=4)
    assert again.started.n_cached >= reply.done.timings.n_prefill


async def test_cancel_before_the_engine_has_begun(tiny: Engine) -> None:
    reply, answer = Reply(), tiny.generate(Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False))
    answer.cancel()
    async for event in answer:
        reply.add(event)
    # The engine may have begun before it hears of that; the answer alone would be hundreds of tokens long.
    assert reply.done.stop == "cancelled" and reply.done.timings.n_decode < 200


async def test_only_who_insists_ends_an_engine_that_does_not_stop(
    tiny: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "CANCEL_GRACE_S", 0.01)
    long_after = asyncio.Event()
    answer = tiny.generate(Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False))
    os.kill(pid_of(tiny), signal.SIGSTOP)  # as on a GPU that computes a large ubatch
    answer.cancel(insist=False)
    asyncio.get_running_loop().call_later(10 * client.CANCEL_GRACE_S, long_after.set)
    await long_after.wait()
    assert tiny.alive and not any("did not stop" in line for line in tiny.log)
    answer.cancel()
    with pytest.raises(EngineDied) as died:
        async for _ in answer:
            pass
    death = died.value.death
    assert death.cause == "not_stopped" and "did not stop" in death.last_words and death.last_words == tiny.log[-1]
    await tiny.restart()
    os.kill(pid_of(tiny), signal.SIGKILL)
    with pytest.raises(EngineDied) as died:
        await tiny.ask(Count(messages=(user("hello"),)))
    assert died.value.death.cause == "killed"


async def test_a_pause_that_takes_its_time_ends_with_what_was_written(tiny: Engine) -> None:
    reply, answer = (
        Reply(),
        tiny.generate(Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, flush_s=0.0)),
    )
    async for event in answer:
        reply.add(event)
        if isinstance(event, Delta):
            answer.cancel(insist=False)
    assert reply.done.stop == "cancelled" and reply.text.startswith("1")


async def test_leaving_the_loop_over_an_answer_cancels_it(tiny: Engine) -> None:
    async for event in tiny.generate(
        Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, flush_s=0.0)
    ):
        if isinstance(event, Delta):
            break
    assert (await ask(tiny, user("ping"), thinking=False)).text == "pong"


async def test_devices_answer_while_the_engine_is_busy(tiny: Engine) -> None:
    seen: tuple[Device, ...] = ()
    async for event in tiny.generate(
        Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, flush_s=0.0)
    ):
        if isinstance(event, Delta) and not seen:
            seen = (await tiny.ask(ListDevices())).devices
            assert tiny.alive
    assert seen[0].name == "CPU" and seen[0].total_bytes >= seen[0].free_bytes > 0
    assert isinstance(event, Done)


async def test_killed_while_answering_the_front_end_knows_and_a_new_process_answers(tiny: Engine) -> None:
    with pytest.raises(EngineDied) as died:
        async for event in tiny.generate(
            Generate(messages=(user("Count to 100"),), sampling=GREEDY, thinking=False, flush_s=0.0)
        ):
            if isinstance(event, Delta):
                os.kill(pid_of(tiny), signal.SIGKILL)
    assert died.value.death.signal_name == "SIGKILL"
    assert died.value.death.cause == "killed" and died.value.death.running == "answering"
    assert not tiny.alive and tiny.loaded is None
    await tiny.restart()
    await tiny.load(DENSE, TINY)
    assert (await ask(tiny, user("ping"), thinking=False)).text == "pong"


async def test_killed_while_idle_the_owner_is_told() -> None:
    deaths: list[EngineDied] = []
    async with LocalEngine(on_death=deaths.append) as engine:
        os.kill(pid_of(engine), signal.SIGSEGV)
        await until(lambda: deaths)
        assert deaths[0].death.running == "idle" and deaths[0].death.signal_name == "SIGSEGV"
        with pytest.raises(EngineDied):
            await engine.ask(Count(messages=(user("hello"),)))


async def test_what_is_asked_just_when_it_ended_hears_of_it_after_the_owner() -> None:
    deaths: list[EngineDied] = []
    async with LocalEngine(on_death=deaths.append) as engine:
        os.kill(pid_of(engine), signal.SIGKILL)
        await until(lambda: not engine.alive)
        assert not deaths  # its last words are being read
        with pytest.raises(EngineDied):
            await engine.ask(Count(messages=(user("hello"),)))
        assert deaths


async def test_a_close_that_nobody_waits_for_any_more_ends_it_all_the_same() -> None:
    engine = LocalEngine()
    await engine.start()
    process = psutil.Process(engine.pid)
    closing = asyncio.create_task(engine.close())
    await asyncio.sleep(0)  # lets it begin
    closing.cancel()
    await until(lambda: not process.is_running())
    await asyncio.wait([closing])
    assert not engine.alive
    await engine.start()
    await engine.close()


async def test_a_process_for_templates_that_was_killed_is_started_again(tiny: Engine) -> None:
    for process in psutil.Process(tiny.pid).children():
        process.kill()
    assert (await ask(tiny, user("ping"), thinking=False)).text == "pong"


def test_a_process_for_templates_whose_engine_has_ended_has_no_last_words() -> None:
    command = [sys.executable, "-P", "-m", "tui.engine.template_process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin and process.stdout and process.stderr
        process.stdout.close()
        process.stdin.write(encode(Compile("{{ messages }}", "", "")))
        process.stdin.flush()
        assert process.stderr.read() == b"" and process.wait() == 0


async def test_a_model_file_cut_short_while_loaded_is_named_as_the_cause(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    shutil.copy(DENSE, path)
    await engine.load(path, TINY)
    os.truncate(path, 4096)
    with pytest.raises(EngineDied) as died:
        await ask(engine, user("hello"))
    assert died.value.death.cause == "file_changed" and died.value.death.signal_name == "SIGBUS"


async def test_the_engine_ends_when_its_front_end_is_killed() -> None:
    script = """
        import asyncio, sys
        from tui.engines.interface import Engine
        from tui.engines.local import LocalEngine
        async def main():
            engine = LocalEngine()
            await engine.start()
            print(engine.pid, flush=True)
            await asyncio.Event().wait()
        asyncio.run(main())
    """
    front = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(script), stdout=asyncio.subprocess.PIPE
    )
    assert front.stdout
    engine_pid = int(await front.stdout.readline())
    assert psutil.pid_exists(engine_pid)
    front.kill()
    await front.wait()
    await until(lambda: not psutil.pid_exists(engine_pid) or psutil.Process(engine_pid).status() == "zombie")


async def test_a_fault_in_a_command_costs_that_command_and_not_the_model(tiny: Engine) -> None:
    with pytest.raises(EngineError) as error:
        await tiny.ask(RestoreContext(path=str(Path("no\0path"))))  # no `OSError`, as of all other paths
    assert error.value.info.kind == "internal"
    assert "ValueError: " in error.value.info.text and "embedded null" in error.value.info.text  # as Python words it
    assert tiny.alive and (await ask(tiny, user("ping"), thinking=False)).text == "pong"


async def test_a_python_that_cannot_be_started_is_a_death_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EngineDied) as died:
        await LocalEngine().start()
    assert died.value.death.cause == "not_started" and "/nowhere/python" in died.value.death.last_words


@pytest.mark.parametrize(
    ("code", "log", "cause"),
    [
        (-6, ["terminate called", "ggml_vulkan: vk::Queue::submit: ErrorDeviceLost"], "device_lost"),
        (-6, ["vk::Device::allocateMemory: ErrorOutOfDeviceMemory"], "out_of_memory"),
        (-6, ["ggml.c:1234: GGML_ASSERT(n_dims <= 4) failed"], "assertion"),
        (-9, [], "killed"),
        (-signal.SIGTERM, [], "ended"),
        (-signal.SIGXCPU, [], "ended"),
        (-7, [], "file_changed"),
        (1, ["ModuleNotFoundError: No module named 'llama_cpp'"], "crashed"),
    ],
)
def test_the_cause_is_read_from_the_last_words(code: int, log: list[str], cause: str) -> None:
    death = examine(code, log, "answering")
    assert death.cause == cause
    assert not log or death.last_words == log[-1]


def test_what_was_stopped_before_is_no_last_word() -> None:
    stopped = [
        "graph_compute: ggml_backend_sched_graph_compute_async failed with error 1",
        "process_ubatch: failed to compute graph, compute status: 1",
        "llama_decode: failed to decode, ret = 2",
    ]
    assert examine(-9, stopped, "idle").last_words == ""
    assert examine(-6, ["GGML_ASSERT(x) failed", *stopped], "idle").last_words == "GGML_ASSERT(x) failed"


COMPUTING = Computing(on_cpu=True, path=str(DENSE), files=look_at(str(DENSE)))


@pytest.mark.parametrize(
    ("number", "running", "computing", "cause"),
    [
        (signal.SIGILL, "loading", COMPUTING, "cpu_code"),
        (signal.SIGFPE, "answering", COMPUTING, "cpu_code"),
        (signal.SIGSEGV, "answering", COMPUTING, "cpu_code"),
        (signal.SIGSEGV, "benchmark", COMPUTING, "cpu_code"),
        (signal.SIGBUS, "loading", COMPUTING, "cpu_code"),
        (signal.SIGBUS, "loading", msgspec.structs.replace(COMPUTING, files=((1, 1),)), "file_changed"),
        (signal.SIGBUS, "answering", msgspec.structs.replace(COMPUTING, on_cpu=False), "file_changed"),
        # A GPU's driver crashes too, but executes what its processor knows.
        (signal.SIGSEGV, "answering", msgspec.structs.replace(COMPUTING, on_cpu=False), "crashed"),
        (signal.SIGILL, "answering", msgspec.structs.replace(COMPUTING, on_cpu=False), "cpu_code"),
        # What computes nothing was ended from outside.
        (signal.SIGSEGV, "idle", COMPUTING, "crashed"),
        (signal.SIGABRT, "answering", COMPUTING, "crashed"),
        (signal.SIGILL, "starting", Computing(), "cpu_code"),
    ],
    ids=str,
)
def test_what_the_processor_refuses_is_told_from_what_others_break(
    number: signal.Signals, running: Doing, computing: Computing, cause: str
) -> None:
    assert examine(-number, [], running, computing=computing).cause == cause


def test_llama_cpps_own_words_go_before_a_guess() -> None:
    log = ["ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 17179869184"]
    assert examine(-signal.SIGSEGV, log, "loading", computing=COMPUTING).cause == "out_of_memory"


ON_A_GPU, REPACKED = msgspec.structs.replace(COMPUTING, on_cpu=False), ("CPU_REPACK",)


@pytest.mark.parametrize(
    ("number", "stage", "computing", "cause"),
    [
        (signal.SIGSEGV, "reading", COMPUTING, "bad_file"),
        (signal.SIGFPE, "reading", ON_A_GPU, "bad_file"),
        (signal.SIGABRT, "reading", msgspec.structs.replace(COMPUTING, repacked=REPACKED), "bad_file"),
        (signal.SIGSEGV, "placing", COMPUTING, "bad_file"),
        (signal.SIGFPE, "placing", COMPUTING, "bad_file"),
        # Weights are repacked, or go to a device, by code that may be wrong itself.
        (signal.SIGSEGV, "placing", msgspec.structs.replace(COMPUTING, repacked=REPACKED), "cpu_code"),
        (signal.SIGSEGV, "placing", ON_A_GPU, "crashed"),
        (signal.SIGSEGV, "computing", COMPUTING, "cpu_code"),
        # The whole of llama.cpp may be made for another processor, a disk may fail, the system may end it.
        (signal.SIGILL, "reading", COMPUTING, "cpu_code"),
        (signal.SIGBUS, "placing", COMPUTING, "cpu_code"),
        (signal.SIGKILL, "reading", COMPUTING, "killed"),
    ],
    ids=str,
)
def test_what_a_file_brings_about_is_told_from_what_computing_does(
    number: signal.Signals, stage: Stage, computing: Computing, cause: str
) -> None:
    death = examine(-number, [], "loading", computing=msgspec.structs.replace(computing, stage=stage))
    assert death.cause == cause


def test_memory_that_runs_out_for_what_a_file_says_of_itself_is_its_doing_and_for_its_weights_is_not() -> None:
    log = ["terminate called after throwing an instance of 'std::bad_alloc'"]
    for stage, cause in (("reading", "bad_file"), ("placing", "out_of_memory")):
        computing = msgspec.structs.replace(COMPUTING, stage=stage)
        assert examine(-signal.SIGABRT, log, "loading", computing=computing).cause == cause


def test_last_words_are_those_of_the_load_that_ended_and_not_of_one_before() -> None:
    log = ["llmtui: loading 'one.gguf'", "failed to allocate buffer", "llmtui: loading 'two.gguf'", "a line"]
    death = examine(-signal.SIGSEGV, log, "loading", computing=COMPUTING)
    assert (death.cause, death.last_words) == ("cpu_code", "")


@pytest.mark.parametrize("number", [signal.SIGILL, signal.SIGSEGV, signal.SIGFPE, signal.SIGBUS], ids=lambda n: n.name)
async def test_an_engine_whose_code_crashes_says_what_it_computed_with(tmp_path: Path, number: signal.Signals) -> None:
    processor = Processor(tmp_path, number, "always")
    model = with_vocabulary(Shape(n_vocab=N_VOCAB), tmp_path / "model.gguf")
    async with LocalEngine(env=processor.environment) as engine:
        loaded = await engine.load(model, TINY)
        plain = await engine.load(model, msgspec.structs.replace(TINY, repack="off"))
        assert plain.llama.repacked == ()
        processor.fail()
        with pytest.raises(EngineDied) as died:
            await engine.load(model, TINY)
        death = died.value.death
        assert (death.cause, death.signal_name, death.running) == ("cpu_code", number.name, "loading")
        # It died while it warmed up; what it had loaded is known from its log.
        assert death.computing.on_cpu and death.computing.repacked == loaded.llama.repacked
        processor.recover()
        await engine.restart()
        await engine.load(model, msgspec.structs.replace(TINY, repack="off"))
        processor.fail()
        with pytest.raises(EngineDied) as died:
            await ask(engine, user("hello"))
        death = died.value.death
        assert (death.cause, death.running, death.computing.repacked) == ("cpu_code", "answering", ())


async def test_a_new_process_takes_the_place_of_one_that_lives() -> None:
    async with LocalEngine() as engine:
        await engine.load(DENSE, TINY)
        before = engine.pid
        hello = await engine.restart()
        assert hello.pid == engine.pid != before
        assert engine.loaded is None
        await engine.load(DENSE, TINY)
        assert (await ask(engine, user("ping"), thinking=False)).text == "pong"


async def test_whoever_waits_for_an_engine_that_is_closed_is_told() -> None:
    async with LocalEngine() as engine:
        os.kill(pid_of(engine), signal.SIGSTOP)
        waiting = asyncio.create_task(engine.ask(ListDevices()))
        await asyncio.sleep(0)  # lets the command go out
        await engine.close()
        with pytest.raises(EngineDied):
            await waiting


async def test_starting_twice_at_once_starts_one_process() -> None:
    engine = LocalEngine()
    first, second = await asyncio.gather(engine.start(), engine.start())
    assert first.pid == second.pid == engine.pid
    await engine.close()
