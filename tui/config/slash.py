"""Actions that can be typed: "/" and one of these names at the beginning of the prompt."""

from __future__ import annotations

from collections.abc import Mapping

from tui.config.action import Action
from tui.config.actions import BY_ID

_NAMES = {
    "model": "pick_model",
    "models": "find_models",
    "downloads": "downloads",
    "backend": "switch_backend",
    "load": "load_settings",
    "tune": "tune",
    "unload": "unload_model",
    "think": "toggle_thinking_mode",
    "new": "new_chat",
    "clear": "new_chat",
    "again": "regenerate",
    "edit": "edit_last",
    "editor": "edit_outside",
    "history": "find_prompt",
    "files": "reread_files",
    "system": "system_prompt",
    "sampling": "sampling",
    "preset": "presets",
    "format": "answer_format",
    "find": "find_text",
    "branches": "branches",
    "rename": "rename",
    "summarize": "summarize",
    "save": "export",
    "export": "export",
    "import": "import",
    "delete": "delete",
    "open": "conversations",
    "copy": "copy_message",
    "monitor": "monitor",
    "theme": "theme",
    "language": "language",
    "bench": "bench",
    "memory": "memory_report",
    "log": "log_view",
    "help": "help",
    "quit": "quit",
}

COMMANDS: Mapping[str, Action] = {name: BY_ID[action_id] for name, action_id in _NAMES.items()}
"""Every command without its slash, and what it does."""
