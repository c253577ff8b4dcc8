"""Which settings a model would be loaded with, and which of them somebody chose. The order of what is laid over what is
that of `tui.config.load`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tui.config.load import chosen_fields, merge_load
from tui.config.problems import ConfigProblem
from tui.config.settings import LoadDefaults
from tui.config.state import StateStore
from tui.measure.machine import this_machine


class LoadChoices:
    """Defaults, what is remembered of a model, and the command line."""

    def __init__(
        self,
        defaults: LoadDefaults,
        state: StateStore,
        cli_load: Mapping[str, object],
        on_problem: Callable[[ConfigProblem], None],
    ) -> None:
        self._defaults, self._state, self._cli_load, self._on_problem = defaults, state, cli_load, on_problem
        self._machine = this_machine().hardware

    def of(self, path: Path, n_ctx_train: int = 0) -> LoadDefaults:
        """The settings that this model would be loaded with. A default context that is larger than the model was
        trained for is cut to that."""
        remembered: dict[str, object] = {"n_ctx": min(self._defaults.n_ctx, n_ctx_train)} if n_ctx_train else {}
        remembered |= self._state.load_of(path, self._machine)
        choice, problems = merge_load(self._defaults, remembered, self._cli_load, state_file=self._state.file)
        for problem in problems:
            self._on_problem(problem)
        return choice

    def chosen(self, path: Path) -> frozenset[str]:
        """Fields of `of` that somebody chose: on the command line, in the app before, or in the settings."""
        return chosen_fields(self._defaults, self._state.load_of(path, self._machine), self._cli_load)
