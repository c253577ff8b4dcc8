"""What an action is: a row of the table of all that can be done in the app (`tui.config.actions`)."""

from __future__ import annotations

import msgspec

from tui.config.scopes import Scope


class Action(msgspec.Struct, frozen=True):
    """One thing that a person can do."""

    id: str
    """Name in `[keys]`; `action_<id>` is the method that does it."""
    title: str
    """A verb and what it is done to, the same in buttons, footer, palette and help; shown through `tr`, as description
    and group are."""
    description: str
    """One sentence, for the help screen and the palette."""
    keys: tuple[str, ...]
    """Default keys in Textual's spelling, the one to show first; none is reached through the palette only."""
    group: str
    """Heading in the help screen."""
    scope: Scope
    """Where the keys work."""
    footer: bool = False
    """Shown in the footer of its scope."""
    palette: bool = False
    """Listed in the command palette."""

    def has_priority(self, key: str) -> bool:
        """Whether this key of it must be bound with priority: the prompt, which has the focus most of the time, would
        take it for editing. Not so escape, which a menu that is open over the prompt closes first."""
        return self.scope in ("app", "chat") and key != "escape"


def rows(group: str, scope: Scope, *rows: tuple[str, ...]) -> tuple[Action, ...]:
    """Actions of id, title, description, keys separated by spaces, and flags: "footer", "hidden" from the palette."""
    found = []
    for action_id, title, description, keys, *flags in rows:
        palette = scope in ("app", "chat") and "hidden" not in flags
        found.append(
            Action(action_id, title, description, tuple(keys.split()), group, scope, "footer" in flags, palette)
        )
    return tuple(found)
