"""What a model would be loaded with: defaults, what is remembered of it, the command line, in this order; which of that
somebody gave; and what the engine is asked for. How they are laid over each other is in `tui.config.load` and
`tui.config.modelrules`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tui.config.load import engine_settings, given_fields, merge_load
from tui.config.modelrules import chat_format
from tui.config.options import Options
from tui.config.problems import ConfigProblem
from tui.config.settings import ChosenLoad, Settings
from tui.config.state import StateStore
from tui.measure.machine import this_machine
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
        self._machine = this_machine().hardware
        self._rules, self.chat_format = settings.model, options.chat_format

    def load_for(self, path: Path, n_ctx_train: int = 0) -> ChosenLoad:
        """The settings that this model would be loaded with. A default context that is larger than the model was
        trained for is cut to that."""
        remembered: dict[str, object] = {"n_ctx": min(self._defaults.n_ctx, n_ctx_train)} if n_ctx_train else {}
        remembered |= self._state.load_of(path, self._machine)
        choice, problems = merge_load(self._defaults, remembered, self._cli_load, state_file=self._state.file)
        for problem in problems:
            self._on_problem(problem)
        return choice

    def given_for(self, path: Path) -> frozenset[str]:
        """Fields of `load_for` that somebody gave: on the command line, in the app before, or in the settings."""
        return given_fields(self._defaults, self._state.load_of(path, self._machine), self._cli_load)

    def for_engine(self, path: Path, name: str, choice: ChosenLoad, devices: Sequence[Device]) -> LoadSettings:
        """What the engine is to be asked for, with the chat template and the stop strings that somebody wants for the
        model of this name. What cannot be had is told as a problem."""
        settings, problem = engine_settings(choice, devices)
        wanted, problems = chat_format(self._rules, [name], path, self.chat_format)
        for wrong in [problem, *problems]:
            if wrong is not None:
                self._on_problem(wrong)
        return msgspec.structs.replace(settings, chat_template=wanted.chat_template, stop=wanted.stop)
