"""What the app needs soon after its first paint, and not for it."""

from __future__ import annotations


def import_what_comes() -> None:
    """Import what a load, an answer and the first dialogs take, so that no key waits for that. Blocking, for a
    thread."""
    import tui.app.markdown.stream
    import tui.app.screens.picker
    import tui.files.gathering
    import tui.models.library
    import tui.planning.drafts
    import tui.planning.guardrail
    import tui.planning.verdict_words  # noqa: F401
