"""What a model would be loaded with: defaults, what was tuned for another of its kind, what is remembered of it, what
was tuned for it, the command line, in this order; which of that somebody gave; and what the engine is asked for. How
they are laid over each other is in `tui.config.load` and `tui.config.modelrules`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tui.config.load import engine_settings, given_fields, merge_load
from tui.config.modelrules import ChatOverrides, chat_format
from tui.config.options import Options
from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import RememberedLoad, StateStore, TunedLoad
from tui.measure.machine import this_machine
from tui.models.info import ModelInfo
from tui.protocol.records import Device, LoadSettings


class LoadOrder:
    """Defaults, what is remembered of a model, and the command line."""

    def __init__(
        self,
        settings: Settings,
        state: StateStore,
        options: Options,
        on_problem: Callable[[ConfigProblem], None],
    ) -> None:
        self._defaults, self._state, self._cli_load, self._on_problem = settings.load, state, options.load, on_problem
        self._machine, self._written = this_machine().hardware, settings.written
        self._rules, self.chat_format = settings.model, options.chat_format

    def load_for(self, path: Path, info: ModelInfo | None = None) -> ChosenLoad:
        """The settings that this model would be loaded with. With its `info`, a default context that is larger than the
        model was trained for is cut to that, and what was tuned for another model of its kind counts."""
        remembered: dict[str, object] = {}
        if info is not None:
            if info.n_ctx_train:
                remembered["n_ctx"] = min(self._defaults.n_ctx, info.n_ctx_train)
            remembered |= self._taken_over(path, info)
        remembered |= self._state.load_of(path, self._machine)
        choice, problems = merge_load(self._defaults, remembered, self._cli_load, state_file=self._state.file)
        for problem in problems:
            self._on_problem(problem)
        return choice

    def tuned_for(self, path: Path, info: ModelInfo) -> tuple[Path, TunedLoad] | None:
        """What of `load_for` was tuned, and for which model: this one, or another of its kind. None without any."""
        from tui.measure.tuned import kind_of

        found = self._state.tuned_for(path, self._machine, kind_of(info))
        if found is None:
            return None
        source, tuned = Path(found[0]), found[1]
        if source == path:
            return source, tuned
        taken = self._taken_over(path, info)
        return (source, msgspec.structs.replace(tuned, load=taken)) if taken else None

    def before_tuning(self, path: Path, info: ModelInfo, choice: ChosenLoad) -> ChosenLoad:
        """`choice` without what it has from a search: another search begins there, so that its gain is that of all it
        finds."""
        if (found := self.tuned_for(path, info)) is None:
            return choice
        plain = merge_load(self._defaults, self._state.state.loads.get(str(path)), self._cli_load)[0]
        tuned = (name for name, value in found[1].load.items() if getattr(choice, name, None) == value)
        return msgspec.structs.replace(choice, **{name: getattr(plain, name) for name in tuned})

    def _taken_over(self, path: Path, info: ModelInfo) -> RememberedLoad:
        """What was tuned for another model of the same kind and holds for this one too: where neither the user's file
        nor the app has something else."""
        from tui.measure.tuned import OF_THE_MACHINE, kind_of

        found = self._state.tuned_for(path, self._machine, kind_of(info))
        if found is None or found[0] == str(path) or str(path) in self._state.state.loads:
            return {}
        backend = self._cli_load.get("backend") or self._defaults.backend
        tuned = found[1]
        if tuned.backend != backend or "backend" in tuned.load:
            return {}
        return {
            name: value
            for name, value in tuned.load.items()
            if name in OF_THE_MACHINE and f"load.{name}" not in self._written
        }

    def given_for(self, path: Path) -> frozenset[str]:
        """Fields of `load_for` that somebody gave: on the command line, in the app before, or in the settings."""
        return given_fields(self._defaults, self._state.load_of(path, self._machine), self._cli_load)

    def for_engine(
        self,
        path: Path,
        name: str,
        choice: ChosenLoad,
        devices: Sequence[Device],
        given: ChatOverrides | None = None,
    ) -> LoadSettings:
        """What the engine is to be asked for, with the chat template and the stop strings that somebody wants for the
        model of this name; `given` stands for those of the command line. What cannot be had is told as a problem."""
        settings, problem = engine_settings(choice, devices)
        wanted, problems = chat_format(self._rules, [name], path, given or self.chat_format)
        for wrong in [problem, *problems]:
            if wrong is not None:
                self._on_problem(wrong)
        return msgspec.structs.replace(settings, chat_template=wanted.chat_template, stop=wanted.stop)
