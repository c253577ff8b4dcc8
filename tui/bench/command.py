"""`llmtui --bench`: from options to figures on stdout and an exit code; talk, progress and errors go to stderr."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

import msgspec

from tui.bench import render
from tui.bench.guard import TooLittleMemory, read_memory, settle
from tui.bench.pick import NoModel, pick
from tui.bench.progress import ProgressLine
from tui.bench.report import Report
from tui.bench.runner import Plan, Runner, context_for, plan_tests, tokens_needed
from tui.bench.trouble import death_sentence, error_sentence
from tui.cli_options import BenchOptions
from tui.config.load import AUTO, CPU, backend_devices, engine_settings, merge_load
from tui.config.problems import ConfigProblem
from tui.config.settings import LoadDefaults, Settings, load_settings
from tui.config.state import StateStore
from tui.engine.client import Engine, EngineError
from tui.engine.death import EngineDied
from tui.engine.messages import Device
from tui.engine.plan_client import Planner
from tui.engine.vulkan import engine_environment
from tui.exit_codes import ExitCode
from tui.models import format
from tui.models.library import LibraryModel
from tui.models.modelfile import ModelFileError


class UsageError(Exception):
    """The options ask for what cannot be on this machine; the message says what can."""


def bench(options: BenchOptions) -> ExitCode:
    """Measure, print the report to stdout, and say how it went."""
    settings, problems = load_settings(options.settings_file, software_vulkan=options.software_vulkan)
    state = StateStore()
    problems += state.read()
    _report(problems)
    try:
        picked = pick(options.model, settings, state.state)
        path = picked.model.path
        str(path).encode()
    except NoModel as error:
        return _fail(ExitCode.MODEL, str(error))
    except ModelFileError as error:
        return _fail(ExitCode.MODEL, f"{error.path}: {error.reason}")
    except UnicodeEncodeError:
        return _fail(ExitCode.MODEL, f"{path}: its name is not UTF-8, which llama.cpp cannot open. Rename the file.")
    if picked.reason:
        size = format.size(picked.model.info.size_bytes)
        print(f"Measuring {path}: {picked.reason}, {size}.", file=sys.stderr)
    return asyncio.run(_measure(options, picked.model, settings))


async def _measure(options: BenchOptions, model: LibraryModel, settings: Settings) -> ExitCode:
    code, message = ExitCode.FINE, ""
    line = ProgressLine(sys.stderr)
    runner: Runner | None = None
    environment = engine_environment(software=settings.engine.software_vulkan)
    planner = Planner(env=environment)
    try:
        async with Engine(env=environment) as engine:
            hello = await engine.start()
            plan = make_plan(options, model, settings.load, hello.devices)
            memory = await read_memory(hello.devices, settings.memory)
            plan = await settle(options, model.info, plan, hello.devices, memory, planner)
            await planner.close()
            runner = Runner(engine, plan, line.show)
            await runner.run()
    except asyncio.CancelledError:
        # asyncio.run cancels this task on Ctrl-C. The engine is gone already; what was measured by then is shown.
        code, message = ExitCode.INTERRUPTED, "interrupted."
    except UsageError as error:
        code, message = ExitCode.USAGE, str(error)
    except TooLittleMemory as error:
        code, message = ExitCode.MODEL, str(error)
    except EngineError as error:
        code = ExitCode.ENGINE if runner and runner.report else ExitCode.MODEL
        message = error_sentence(model.path, error.info)
    except EngineDied as died:
        code, message = ExitCode.ENGINE, death_sentence(died.death)
    finally:
        await planner.close()
        line.clear()
    report = runner.report if runner else None
    if report and report.results:
        _print(report, as_json=options.as_json)
    return _fail(code, message) if message else code


def make_plan(options: BenchOptions, model: LibraryModel, defaults: LoadDefaults, devices: Sequence[Device]) -> Plan:
    """What to measure on a machine with these devices. The context is as large as the largest test, unless the command
    line says more. Raises `UsageError`."""
    choice, problems = merge_load(defaults, None, options.load)
    if "backend" in options.load and backend_devices(choice.backend, devices) is None:
        have = ", ".join([AUTO, CPU, *(device.name for device in devices if device.kind != "cpu")])
        raise UsageError(f"--backend {choice.backend}: there is no such device here. There are: {have}.")
    tests = plan_tests(options.n_prompt, options.n_gen, options.n_depth)
    if "n_ctx" not in options.load:
        choice = msgspec.structs.replace(choice, n_ctx=context_for(tests))
    elif (n_ctx := choice.n_ctx or model.info.n_ctx_train) < (needed := tokens_needed(tests)):
        raise UsageError(f"--ctx {choice.n_ctx}: a context of {n_ctx} tokens is too small, these tests need {needed}.")
    load, problem = engine_settings(choice, devices)
    _report(problems + ([problem] if problem else []))
    return Plan(model=model.path, settings=load, tests=tests, repetitions=options.repetitions)


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        text = render.as_json(report)
    elif sys.stdout.isatty():
        text = render.terminal(report)
    else:
        text = render.markdown(report)
    print(render.for_encoding(text, sys.stdout.encoding), flush=True)


def _report(problems: Sequence[ConfigProblem]) -> None:
    for problem in problems:
        print(f"llmtui: {problem}", file=sys.stderr)


def _fail(code: ExitCode, message: str) -> ExitCode:
    print(f"llmtui: {message}", file=sys.stderr)
    return code
