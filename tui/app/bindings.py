"""Keys from the table of actions: the bridge between `tui.config.actions` and Textual's bindings. Every screen and
widget that has keys gets them here, so that keymap, footer, help and palette cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode

from tui.config.actions import ACTIONS, Scope
from tui.config.keymap import display_keys

Keymap = Mapping[str, tuple[str, ...]]
"""Action id to its keys, as `tui.config.keymap.resolve` gives it."""


def bind(node: DOMNode, keymap: Keymap, *scopes: Scope, namespace: str = "") -> None:
    """Give `node` the keys of every action of `scopes`; it must have a method `action_<id>` for each of them, or, with
    `namespace` "screen.", its screen must.

    Call it in `__init__`, after `super().__init__`. Keys that the class declares itself are kept.
    """
    ours = BindingsMap()
    for action in ACTIONS:
        keys = keymap.get(action.id, ())
        if action.scope not in scopes or not keys:
            continue
        shown = display_keys(keys, limit=1)
        for key in keys:
            binding = Binding(
                key,
                namespace + action.id,
                action.title,
                action.footer,
                shown,
                action.has_priority(key),
                tooltip=action.description,
            )
            ours.key_to_bindings.setdefault(key, []).append(binding)
    # Textual offers no public way to add bindings to a screen or widget at run time; this is the only place that does.
    node._bindings = BindingsMap.merge([node._bindings, ours])
