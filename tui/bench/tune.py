"""`llmtui --bench --tune`: runs the search of `tui.measure.tune`, shows what was tried, and has the chat use what came
of it."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.bench import signals
from tui.bench.guard import read_memory
from tui.bench.progress import ProgressLine
from tui.bench.render import default_format, show, table_of
from tui.bench.trouble import death_sentence, error_sentence, say
from tui.config.load import backend_devices, engine_settings, merge_load
from tui.config.loadtable import LOAD_ROWS
from tui.config.options import BenchOptions
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import StateStore, TunedLoad
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.measure.machine import this_machine
from tui.measure.tune import TURN_GEN, TURN_PROMPT, Trial, TuneOutcome, Tuner, changes
from tui.models.library import LibraryModel
from tui.planning.exact import Confirmed
from tui.planning.guardrail import may_load
from tui.protocol.death import EngineDied


def tune(options: BenchOptions, model: LibraryModel, settings: Settings, state: StateStore) -> ExitCode:
    """Search, print, and remember what was surely faster."""
    return signals.run(_Command(options, model, settings, state).run())


class _Command:
    def __init__(self, options: BenchOptions, model: LibraryModel, settings: Settings, state: StateStore) -> None:
        self._options, self._model, self._settings, self._state = options, model, settings, state
        self._line = ProgressLine(sys.stderr)
        self._tuner: Tuner | None = None

    async def run(self) -> ExitCode:
        """How it went. What was found before an interruption is shown, and not remembered."""
        code, message = ExitCode.FINE, ""
        environment = engine_environment(software=self._settings.engine.software_vulkan)
        planner = DryRunPlanner(env=environment)
        try:
            async with LocalEngine(env=environment) as engine:
                await self._search(engine, planner)
        except asyncio.CancelledError:
            code, message = ExitCode.INTERRUPTED, "interrupted; nothing is remembered of this."
        except _NoDevice as error:
            code, message = ExitCode.USAGE, str(error)
        except EngineError as error:
            code, message = ExitCode.MODEL, error_sentence(self._model.path, error.info)
        except EngineDied as died:
            code, message = ExitCode.ENGINE, death_sentence(died.death)
        finally:
            await planner.close()
            self._line.clear()
        if self._tuner and any(trial.speeds for trial in self._tuner.result.trials):
            found = self._tuner.result
            problem = self._remember(found) if code == ExitCode.FINE and found.is_better else None
            if problem is not None:
                code, message = ExitCode.UNWRITTEN, f"not remembered: {problem}"
            self._print(found, _verdict(found, is_whole=code == ExitCode.FINE))
        elif code == ExitCode.FINE:
            code, message = ExitCode.USAGE, f"nothing was measured within {self._options.tune_s:g} s; see --seconds."
        if message:
            say(message)
        return code

    async def _search(self, engine: Engine, planner: DryRunPlanner) -> None:
        devices = (await engine.start()).devices
        start, problems = merge_load(self._settings.load, None, self._options.load)
        for problem in problems:
            say(str(problem))
        if backend_devices(start.backend, devices) is None:
            raise _NoDevice(f"--backend {start.backend}: there is no such device here; see llmtui --devices.")
        if self._model.info.n_ctx_train and "n_ctx" not in self._options.load:
            start = msgspec.structs.replace(start, n_ctx=min(start.n_ctx, self._model.info.n_ctx_train))
        memory = await read_memory(devices, self._settings.memory)
        confirmed = Confirmed(planner, self._model.path, self._model.info, devices, memory)

        async def fits(choice: ChosenLoad) -> bool:
            permission = await may_load(confirmed, choice)
            return permission.is_given or (self._options.force and not permission.verdict.obstacle)

        fit = await confirmed.auto_fit(start, may_cut=False)
        if fit and not await fits(start):
            start = fit.choice
        self._tuner = Tuner(
            engine,
            self._model.path,
            self._model.info,
            start,
            devices,
            fits,
            fastest_fit=fit.choice if fit and engine_settings(fit.choice, devices)[0].devices else None,
            budget_s=self._options.tune_s,
            on_progress=lambda spent, choice: self._line.say(
                spent,
                f"trying {_label(start, choice)} · {format.about((1 - spent) * self._options.tune_s)} left at most",
            ),
        )
        await self._tuner.run()

    def _remember(self, found: TuneOutcome) -> object:
        """None when it is written; else what is in the way."""
        load = msgspec.convert(changes(found.start, found.best), dict[str, bool | int | str])
        tuned = TunedLoad(machine=this_machine().hardware, load=load)
        return self._state.remember_tuned(self._model.path.absolute(), tuned)

    def _print(self, found: TuneOutcome, sentence: str) -> None:
        output = self._options.output or default_format(sys.stdout)
        if output == "json":
            text = json.dumps(_record(found), indent=2)
        else:
            text = "\n".join([f"{self._model.path.name}", "", table_of(_rows(found), "<>>>><", output), "", sentence])
        show(text, sys.stdout)


class _NoDevice(Exception):
    """The backend that was asked for is not here."""


def _label(start: ChosenLoad, choice: ChosenLoad) -> str:
    differs = [f"{LOAD_ROWS[name].words} {value}" for name, value in changes(start, choice).items()]
    return ", ".join(differs) or "the settings as they are"


def _rows(found: TuneOutcome) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("settings", "pp t/s", "tg t/s", "turn s", "runs", "")]
    for trial in sorted(found.trials, key=lambda trial: -trial.speed):
        n = len(trial.speeds)
        figures = (_mean(trial.prefill_tps), _mean(trial.decode_tps), f"{trial.turn_s:.2f}") if n else ("", "", "")
        rows.append((_label(found.start, trial.choice), *figures, str(n), _said(trial)))
    return rows


def _mean(values: tuple[float, ...]) -> str:
    return f"{sum(values) / len(values):,.1f}"


def _said(trial: Trial) -> str:
    said = {
        "best": "best", "dropped": "dropped", "failed": "cannot be loaded", "start": "start",
        "stopped": "not over in time", "tried": "",
    }  # fmt: skip
    costs = " (costs a little quality)" if trial.choice.type_k != "f16" and trial.outcome != "start" else ""
    return f"{said[trial.outcome]}{costs}"


def _verdict(found: TuneOutcome, *, is_whole: bool) -> str:
    """What came of it, in a few sentences."""
    turn = f"a turn of {TURN_PROMPT} tokens read and {TURN_GEN} written"
    gain = found.gain
    if found.is_better and gain is not None:
        bounds = f"{gain.percent:.1f}% faster ({gain.low:.1f} to {gain.high:.1f})"
        said = f"{_label(found.start, found.best)}: {bounds} for {turn}."
        said += " Remembered for this model on this machine: the chat uses it." if is_whole else ""
    else:
        said = f"Nothing is surely faster than the settings as they are, for {turn}; they stay."
    if found.not_tried:
        said += f" Not tried for want of time: {'; '.join(_label(found.start, choice) for choice in found.not_tried)}."
    if found.n_too_large:
        said += f" Left out because they would leave too little memory: {found.n_too_large}."
    return said


def _record(found: TuneOutcome) -> dict[str, object]:
    """For programs: the settings as `settings.toml` names them."""
    gain = found.gain
    return {
        "start": msgspec.to_builtins(found.start),
        "best": msgspec.to_builtins(found.best),
        "changes": changes(found.start, found.best),
        "gain_percent": gain.percent if gain else None,
        "gain_low_percent": gain.low if gain else None,
        "gain_high_percent": gain.high if gain else None,
        "trials": [
            {
                "changes": changes(found.start, trial.choice),
                "samples_pp_ts": trial.prefill_tps,
                "samples_tg_ts": trial.decode_tps,
                "turn_s": trial.turn_s,
                "outcome": trial.outcome,
            }
            for trial in found.trials
        ],
        "not_tried": [changes(found.start, choice) for choice in found.not_tried],
    }
