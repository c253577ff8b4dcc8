"""The command palette: every action of the table that is live now, found by its title or description."""

from __future__ import annotations

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.app.bindings import Keymap
from tui.config.actions import ACTIONS, Action
from tui.config.keymap import display_keys
from tui.words import tr


class ActionCommands(Provider):
    """Searches the table of actions. The app must have `keymap` and its screens `action_<id>`."""

    async def discover(self) -> Hits:
        """Everything, before anything is typed."""
        for action in self._live():
            yield DiscoveryHit(self._title(action), self._run(action), help=tr(action.description))

    async def search(self, query: str) -> Hits:
        """The actions whose title or description matches."""
        matcher = self.matcher(query)
        for action in self._live():
            title, description = tr(action.title), tr(action.description)
            # By its English name too, which may be easier to type.
            score = max(matcher.match(title), matcher.match(action.title), matcher.match(description) * 0.7)
            if score > 0:
                yield Hit(score, matcher.highlight(self._title(action)), self._run(action), help=description)

    def _live(self) -> list[Action]:
        return [action for action in ACTIONS if action.palette]

    def _title(self, action: Action) -> str:
        keymap: Keymap = self.app.keymap  # type: ignore[attr-defined]
        keys = display_keys(keymap.get(action.id, ()), limit=1)
        return f"{tr(action.title)}  {keys}" if keys else tr(action.title)

    def _run(self, action: Action):  # type: ignore[no-untyped-def]
        async def run() -> None:
            await self.app.run_action(action.id if action.scope == "app" else f"screen.{action.id}")

        return run
