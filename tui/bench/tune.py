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
from tui.bench.guard import others_to_measure
from tui.bench.render import default_format, show, table_of
from tui.config.load import backend_devices, merge_load
from tui.config.options import BenchOptions
from tui.config.settings import Settings
from tui.config.state import StateStore
from tui.engines.interface import Engine, EngineError
from tui.engines.local import LocalEngine
from tui.engines.plans import DryRunPlanner
from tui.machine.vulkan import engine_environment
from tui.measure.tune import Trial, TuneOutcome, TuneProgress, Tuner
from tui.measure.tune_candidates import changes
from tui.measure.tune_search import to_keep, tuner_for
from tui.measure.tune_words import label, left_out, outcome_of, verdict
from tui.models.library import LibraryModel
from tui.planning.exact import Confirmed
from tui.protocol.death import EngineDied
from tui.shell import signals
from tui.shell.load_guard import read_memory
from tui.shell.progress_line import ProgressLine
from tui.shell.trouble import complain, death_report, error_sentence, say
from tui.words import tr


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
            code, message = ExitCode.MODEL, error_sentence(self._model.path, error.info, others_to_measure())
        except EngineDied as died:
            code, message = ExitCode.ENGINE, death_report(died.death)
        finally:
            await planner.close()
            self._line.clear()
        if self._tuner and any(trial.speeds for trial in self._tuner.result.trials):
            found = self._tuner.result
            is_whole = code == ExitCode.FINE
            problem = self._remember(found) if is_whole else None
            if problem is not None:
                code, message = ExitCode.UNWRITTEN, tr("not remembered: {reason}", reason=problem)
            self._print(found, _told(found, is_kept=is_whole and found.is_better and problem is None))
        elif code == ExitCode.FINE:
            seconds = f"{self._seconds:g}"
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
        memory = await read_memory(devices, self._settings.memory)
        self._tuner = await tuner_for(
            engine,
            self._model,
            start,
            devices,
            Confirmed(planner, self._model.path, self._model.info, devices, memory),
            msgspec.structs.replace(self._settings.tune, seconds=self._seconds),
            on_progress=self._progressed,
            force=self._options.force,
        )
        await self._tuner.run()

    @property
    def _seconds(self) -> float:
        return self._options.tune_s or self._settings.tune.seconds

    def _progressed(self, progress: TuneProgress) -> None:
        self._line.say(
            progress.fraction,
            tr(
                "trying {settings} · {time} left at most",
                settings=label(progress.outcome.start, progress.choice),
                time=format.about(progress.left_s),
            ),
        )

    def _remember(self, found: TuneOutcome) -> object:
        """None when it is written, or there is nothing to write; else what is in the way."""
        tuned = to_keep(found, self._model.info)
        return None if tuned is None else self._state.remember_tuned(self._model.path.absolute(), tuned)

    def _print(self, found: TuneOutcome, sentence: str) -> None:
        output = self._options.output or default_format(sys.stdout)
        if output == "json":
            put(json.dumps(_record(found), indent=2))
            return
        name = Toned(self._model.path.name, "headline")
        show([name, "", *table_of(_rows(found), "<>>>><", output), "", sentence], sys.stdout)


class _NoDevice(Exception):
    """The backend that was asked for is not here."""


def _rows(found: TuneOutcome) -> list[tuple[Piece, ...]]:
    rows: list[tuple[Piece, ...]] = [(tr("settings"), "pp t/s", "tg t/s", tr("turn s"), tr("runs"), "")]
    for trial in sorted(found.trials, key=lambda trial: -trial.speed):
        n = len(trial.speeds)
        figures = (_mean(trial.prefill_tps), _mean(trial.decode_tps), f"{trial.turn_s:.2f}") if n else ("", "", "")
        rows.append((label(found.start, trial.choice), *figures, str(n), _said(trial)))
    return rows


def _mean(values: tuple[float, ...]) -> str:
    return format.full_speed(sum(values) / len(values))


def _said(trial: Trial) -> Piece:
    said = outcome_of(trial)
    return Toned(said, "good") if trial.outcome == "best" else said


def _told(found: TuneOutcome, *, is_kept: bool) -> str:
    """What came of it, in a few sentences."""
    kept = tr("Remembered for this model on this machine: the chat uses it.") if is_kept else ""
    return format.sentences(*(said for said in (verdict(found), kept, left_out(found)) if said))


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
