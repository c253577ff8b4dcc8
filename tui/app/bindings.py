"""Keys from the table of actions: the bridge between `tui.config.actions` and Textual's bindings. Every screen and
widget that has keys gets them here, so that keymap, footer, help and palette cannot disagree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode

from tui.config.actions import ACTIONS, BY_ID
from tui.config.keymap import display_keys
from tui.config.scopes import Scope
from tui.words import tr

Keymap = Mapping[str, tuple[str, ...]]
"""Action id to its keys, as `tui.config.keymap.resolve` gives it."""


def title_of(action_id: str) -> str:
    """What an action is called, in the language in use: in buttons, sentences and menus the same as in key bar and
    palette."""
    return tr(BY_ID[action_id].title)


def small_title_of(action_id: str) -> str:
    """The same where others stand beside it, as in a card: it begins with a small letter."""
    title = title_of(action_id)
    return title[:1].lower() + title[1:]


def bind(node: DOMNode, keymap: Keymap, *scopes: Scope, owners: Sequence[object] = ()) -> None:
    """Give `node` the keys of the actions of `scopes` that it has a method `action_<id>` for, or that one of `owners`
    has, which need not be nodes: the node gets that method then. Of several scopes with one key the first goes first.

    Call it in `__init__`, after `super().__init__`. Keys that the class declares itself are kept.
    """
    ours = BindingsMap()
    for action in sorted((action for action in ACTIONS if action.scope in scopes), key=lambda a: scopes.index(a.scope)):
        keys = keymap.get(action.id, ())
        if not _has_method(node, f"action_{action.id}", owners) or not keys:
            continue
        shown = display_keys(keys, limit=1)
        for key in keys:
            binding = Binding(
                key,
                action.id,
                action.title,
                action.footer,
                shown,
                action.has_priority(key),
                tooltip=action.description,
            )
            ours.key_to_bindings.setdefault(key, []).append(binding)
    # Textual offers no public way to add bindings to a screen or widget at run time; this is the only place that does.
    node._bindings = BindingsMap.merge([node._bindings, ours])


def _has_method(node: DOMNode, name: str, owners: Sequence[object]) -> bool:
    for owner in owners:
        if (method := getattr(owner, name, None)) is not None:
            setattr(node, name, method)
            return True
    return hasattr(node, name)
