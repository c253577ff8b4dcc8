"""The llmtui in the background, as far as the app has to do with it: the memory that its model takes."""

from __future__ import annotations

from tui.app.screens.flows import Flows
from tui.words import tr


async def freed_in_background(flows: Flows) -> bool:
    """Have a model that is loaded there freed, unless it answers somebody; whether there is more memory now, which is
    said."""
    from tui.host.client import make_room

    name = await make_room()
    if name:
        flows.tell(tr("{model}, which was loaded in the background, is unloaded to make room.", model=name))
    return bool(name)
