"""`llmtui --bench --tune`: runs the search of `tui.measure.tune`, shows what was tried, and has the chat use what came
of it."""

from __future__ import annotations

import asyncio
import json
import sys

import msgspec

from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.stdout import put
from tui.base.terminal_style import Piece, Toned
from tui.bench import signals
from tui.bench.guard import read_memory
from tui.bench.progress import ProgressLine
from tui.bench.render import default_format, show, table_of
from tui.bench.trouble import complain, death_report, error_sentence, say
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
from tui.measure.tune import TURN_GEN, TURN_PROMPT, Outcome, Trial, TuneOutcome, Tuner, changes
from tui.models.library import LibraryModel
from tui.planning.exact import Confirmed
from tui.planning.guardrail import may_load
from tui.protocol.death import EngineDied
from tui.words import mark, tr


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
            code, message = ExitCode.INTERRUPTED, tr("interrupted; nothing was saved.")
        except _NoDevice as error:
            code, message = ExitCode.USAGE, str(error)
        except EngineError as error:
            code, message = ExitCode.MODEL, error_sentence(self._model.path, error.info)
        except EngineDied as died:
            code, message = ExitCode.ENGINE, death_report(died.death)
        finally:
            await planner.close()
            self._line.clear()
        if self._tuner and any(trial.speeds for trial in self._tuner.result.trials):
            found = self._tuner.result
            problem = self._remember(found) if code == ExitCode.FINE and found.is_better else None
            if problem is not None:
                code, message = ExitCode.UNWRITTEN, tr("not remembered: {reason}", reason=problem)
            self._print(found, _verdict(found, is_whole=code == ExitCode.FINE))
        elif code == ExitCode.FINE:
            seconds = f"{self._options.tune_s:g}"
            message = tr("nothing was measured within {seconds} s; see --seconds.", seconds=seconds)
            code = ExitCode.USAGE
        if message:
            (say if code == ExitCode.INTERRUPTED else complain)(message)
        return code

    async def _search(self, engine: Engine, planner: DryRunPlanner) -> None:
        devices = (await engine.start()).devices
        start, problems = merge_load(self._settings.load, None, self._options.load)
        for problem in problems:
            say(str(problem))
        if backend_devices(start.backend, devices) is None:
            raise _NoDevice(
                tr(
                    "{option}: there is no such device here; see {command}.",
                    option=f"--backend {start.backend}",
                    command="llmtui --devices",
                )
            )
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
                tr(
                    "trying {settings} · {time} left at most",
                    settings=_label(start, choice),
                    time=format.about((1 - spent) * self._options.tune_s),
                ),
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
            put(json.dumps(_record(found), indent=2))
            return
        name = Toned(self._model.path.name, "headline")
        show([name, "", *table_of(_rows(found), "<>>>><", output), "", sentence], sys.stdout)


_OUTCOMES: dict[Outcome, str] = {
    "best": mark("best"),
    "dropped": mark("dropped"),
    "failed": mark("cannot be loaded"),
    "start": mark("start"),
    "stopped": mark("not over in time"),
    "tried": "",
}


class _NoDevice(Exception):
    """The backend that was asked for is not here."""


def _label(start: ChosenLoad, choice: ChosenLoad) -> str:
    differs = (
        tr("{name} {value}", name=tr(LOAD_ROWS[name].words), value=value)
        for name, value in changes(start, choice).items()
    )
    return format.listed(*differs) or tr("the settings as they are")


def _rows(found: TuneOutcome) -> list[tuple[Piece, ...]]:
    rows: list[tuple[Piece, ...]] = [(tr("settings"), "pp t/s", "tg t/s", tr("turn s"), tr("runs"), "")]
    for trial in sorted(found.trials, key=lambda trial: -trial.speed):
        n = len(trial.speeds)
        figures = (_mean(trial.prefill_tps), _mean(trial.decode_tps), f"{trial.turn_s:.2f}") if n else ("", "", "")
        rows.append((_label(found.start, trial.choice), *figures, str(n), _said(trial)))
    return rows


def _mean(values: tuple[float, ...]) -> str:
    return format.full_speed(sum(values) / len(values))


def _said(trial: Trial) -> Piece:
    said = tr(_OUTCOMES[trial.outcome])
    if trial.choice.type_k != "f16" and trial.outcome != "start":
        said = tr("{outcome} (costs a little quality)", outcome=said).strip()
    return Toned(said, "good") if trial.outcome == "best" else said


def _verdict(found: TuneOutcome, *, is_whole: bool) -> str:
    """What came of it, in a few sentences."""
    turn = {"n_read": TURN_PROMPT, "n_written": TURN_GEN}
    gain = found.gain
    said = []
    if found.is_better and gain is not None:
        said.append(
            tr(
                "{settings}: {percent}% faster ({low} to {high}) for a turn of {n_read} tokens read and {n_written} "
                "written.",
                settings=_label(found.start, found.best),
                percent=f"{gain.percent:.1f}",
                low=f"{gain.low:.1f}",
                high=f"{gain.high:.1f}",
                **turn,
            )
        )
        if is_whole:
            said.append(tr("Remembered for this model on this machine: the chat uses it."))
    else:
        said.append(
            tr(
                "Nothing is reliably faster than the current settings, for a turn of {n_read} tokens read and "
                "{n_written} written; they stay.",
                **turn,
            )
        )
    if found.not_tried:
        left = "; ".join(_label(found.start, choice) for choice in found.not_tried)
        said.append(tr("Not tried, as there was no time: {settings}.", settings=left))
    if found.n_too_large:
        said.append(tr("Left out because they would leave too little memory: {n}.", n=found.n_too_large))
    return format.sentences(*said)


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
