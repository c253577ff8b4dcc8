"""The figures of the sidebar and of the status line, as the session tells them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tui.app.widgets.readings import Figures, Readings
from tui.protocol.messages import Loaded
from tui.protocol.records import Placed
from tui.session import events
from tui.session.interface import Session


class LiveFigures:
    """Follows the session. `views` show the same; which of them is seen depends on the width of the terminal."""

    def __init__(self, controller: Session, views: Sequence[Readings], now: Figures | None = None) -> None:
        """`now` is what is known already."""
        self._controller, self._views = controller, views
        self.now = now or Figures()
        """What is shown, or will be with the next reading."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show other figures; while an answer comes, its own wait for the next reading."""
        match event:
            case events.MachineRead(host=host, gpus=gpus, npus=npus, speed=speed):
                self._change(host=host, gpus=gpus, npus=npus, speed=speed)
                for view in self._views:
                    if view.is_in_view:
                        view.show_at_once(self.now)
            case events.SpeedReset(speed=speed):
                self._show(speed=speed, n_prompt=0)
            case events.PhaseChanged(phase=phase):
                self._follow_model(phase)
            case events.ModelLoaded(loaded=loaded):
                self._show_model(loaded)
            case events.ContextUsed(n_used=n_used, n_ctx=n_ctx, n_system=n_system, n_files=n_files):
                self._show(context=(n_used, n_ctx), n_system=n_system, n_files=n_files)
            case events.AnswerBegan(started=started):
                self._show(context=(started.n_cached, started.n_ctx), n_prompt=started.n_prompt)
            case events.AnswerGrew(delta=delta):
                self._change(context=(delta.n_used, self.now.context[1]))

    def catch_up(self) -> None:
        """Show how things stand, where something else covered the views until now."""
        self._show()

    def _follow_model(self, phase: events.Phase) -> None:
        loaded = self._controller.engine.loaded
        if loaded is None or phase == "loading":
            self._show(context=(0, 0), placed=())
        elif not self.now.context[1]:  # a load that came to nothing
            self._show_model(loaded)

    def _show_model(self, loaded: Loaded) -> None:
        meter = self._controller.context
        self._show(
            context=(meter.n_used, loaded.n_ctx), n_system=meter.n_system, n_files=meter.n_files, placed=_placed(loaded)
        )

    def _change(self, **changes: Any) -> None:
        self.now = msgspec.structs.replace(self.now, **changes)

    def _show(self, **changes: Any) -> None:
        self._change(**changes)
        for view in self._views:
            view.show(self.now)


def _placed(loaded: Loaded) -> tuple[Placed, ...]:
    from tui.planning.taken import taken

    return tuple(taken(loaded, loaded.llama.devices).values())
