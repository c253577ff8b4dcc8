"""What keys an action has: the defaults of `tui.config.actions` with the user's `[keys]` over them, checked, and how a
key is written for people. Key names are Textual's, in its spelling, so that the app binds them as they are."""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from functools import reduce
from pathlib import Path

from tui.config.action import Action
from tui.config.actions import ACTIONS, BY_ID
from tui.config.overlay import unknown_key
from tui.config.problems import ConfigProblem
from tui.config.scopes import live_together, takes_text
from tui.words import tr
from tui.words.later import Later, later

_MOST_PROBLEMS = 50
"""With unknown ids that are told: there are no more actions to mistake."""
Keymap = dict[str, tuple[str, ...]]

MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
"""In the order in which Textual writes them."""

_NAMED = {
    *("up", "down", "left", "right", "home", "end", "pageup", "pagedown", "insert", "delete", "backspace"),
    *("enter", "escape", "tab", "space", *(f"f{n}" for n in range(1, 25))),
}

_PUNCTUATION = {
    "!": "exclamation_mark", '"': "quotation_mark", "#": "number_sign", "$": "dollar_sign", "%": "percent_sign",
    "&": "ampersand", "'": "apostrophe", "(": "left_parenthesis", ")": "right_parenthesis", "*": "asterisk",
    "+": "plus", ",": "comma", "-": "minus", ".": "full_stop", "/": "slash", ":": "colon", ";": "semicolon",
    "<": "less_than_sign", "=": "equals_sign", ">": "greater_than_sign", "?": "question_mark", "@": "at",
    "[": "left_square_bracket", "\\": "backslash", "]": "right_square_bracket", "^": "circumflex_accent",
    "_": "underscore", "`": "grave_accent", "{": "left_curly_bracket", "|": "vertical_line",
    "}": "right_curly_bracket", "~": "tilde",
}  # fmt: skip

_SYMBOLS = {name: symbol for symbol, name in _PUNCTUATION.items()}

_ALIASES = {
    "esc": "escape", "return": "enter", "pgup": "pageup", "page_up": "pageup", "pgdn": "pagedown",
    "page_down": "pagedown", "del": "delete", "ins": "insert", "bs": "backspace",
    "control": "ctrl", "option": "alt", "opt": "alt", "cmd": "super",
}  # fmt: skip

_ARRIVES_AS = {
    "ctrl+i": "tab", "ctrl+m": "enter", "ctrl+h": "backspace", "ctrl+left_square_bracket": "escape",
    "alt+b": "ctrl+left", "alt+f": "ctrl+right",
}  # fmt: skip
"""Keys that reach a program as another one, in most terminals."""

_DISPLAY = {
    "escape": "esc", "pageup": "pgup", "pagedown": "pgdn", "delete": "del", "insert": "ins",
    "up": "↑", "down": "↓", "left": "←", "right": "→",
}  # fmt: skip


def default_keymap() -> Keymap:
    """Action id to its keys, as they are without a user's changes."""
    return {action.id: action.keys for action in ACTIONS}


def resolve(
    overrides: Mapping[str, str | Sequence[str]], *, file: Path | None = None
) -> tuple[Keymap, list[ConfigProblem]]:
    """The keys of every action with the user's `overrides` (`Settings.keys`) in them, and what was wrong with those.

    An override with an unknown id or key, with a letter where text is typed, or with a key that another action has
    in a scope that is live at the same time, leaves the action its default keys. An empty list takes the keys away.
    `file` is named in the problems.
    """
    keymap = default_keymap()
    changed: list[str] = []
    problems: list[ConfigProblem] = []

    def report(action_id: str, message: Later) -> None:
        problems.append(ConfigProblem(file=file, key=f"keys.{action_id}", message=message))

    for action_id, written in overrides.items():
        action = BY_ID.get(action_id)
        if action is None:
            if len(problems) < _MOST_PROBLEMS:
                report(action_id, unknown_key(action_id, BY_ID))
            continue
        keys, complaint = _read_keys(action, [written] if isinstance(written, str) else written)
        if complaint:
            report(
                action_id,
                later("{problem} The default ({keys}) is kept.", problem=complaint, keys=_listed(action.keys)),
            )
        elif keys != action.keys:
            keymap[action_id] = keys
            changed.append(action_id)

    while clash := _first_collision(keymap, changed):
        loser, other, key = clash
        message = later(
            'is "{key}", which is also the key of "{other}". The default ({keys}) is kept. Choose another key, or give '
            '"{other}" another one too.',
            key=key,
            other=other,
            keys=_listed(BY_ID[loser].keys),
        )
        report(loser, message)
        keymap[loser] = BY_ID[loser].keys
        changed.remove(loser)
    return keymap, problems


def collisions(keymap: Keymap) -> list[tuple[str, str, str]]:
    """Every (action id, action id, key) where two actions that are live at the same time have one key."""
    found = []
    for index, first in enumerate(ACTIONS):
        keys = keymap[first.id]
        for second in ACTIONS[index + 1 :] if keys else ():
            others = keymap[second.id]
            common = [(first.id, second.id, key) for key in keys if key in others]
            if common and live_together(first.scope, second.scope):
                found += common
    return found


def parse_key(written: str) -> str | None:
    """The key in Textual's spelling, from that or from what people write ("^o", "Ctrl+O", "esc", "?"); None when there
    is no such key."""
    text = written.strip()
    if len(text) == 2 and text[0] == "^":
        text = f"ctrl+{text[1]}"
    # "+" separates, and is a key itself when it comes last.
    head, base = (text[:-1].rstrip("+"), "+") if text.endswith("+") else (text.rpartition("+")[0], text.split("+")[-1])
    modifiers = {_ALIASES.get(part, part) for part in head.lower().split("+") if part}
    if not base or not modifiers <= set(MODIFIERS):
        return None

    if len(base) == 1:
        if base in string.ascii_uppercase and modifiers:
            base = base.lower()
        base = _PUNCTUATION.get(base, base)
        if len(base) == 1 and not base.isalnum():
            return None
    else:
        base = _ALIASES.get(base.lower(), base.lower())
        if base not in _NAMED and base not in _SYMBOLS:
            return None
    return "+".join([*(name for name in MODIFIERS if name in modifiers), base])


def display_key(key: str) -> str:
    """A key as footer and help show it: "^o", "f6", "alt+enter", "esc", "?"."""
    *modifiers, base = key.split("+")
    base = _DISPLAY.get(base, _SYMBOLS.get(base, base))
    if modifiers == ["ctrl"] and len(base) == 1:
        return f"^{base}"
    return "+".join([*modifiers, base])


def display_keys(keys: Sequence[str], *, limit: int = 0) -> str:
    """Several keys, "^j or alt+enter"; of more than `limit`, when that is not 0, only the first ones."""
    shown = [display_key(key) for key in keys[: limit or None]]
    return reduce(lambda first, second: tr("{first} or {second}", first=first, second=second), shown) if shown else ""


def _read_keys(action: Action, written: Sequence[str]) -> tuple[tuple[str, ...], Later | None]:
    """The keys, or what is wrong with one of them. An empty string counts as no key, as in `stop = ""`."""
    keys = []
    for text in written:
        if not text.strip():
            continue
        key = parse_key(text)
        if key is None:
            return (), later(
                'cannot be "{key}", which is not a key. Write it like "ctrl+o", "f6", "alt+enter" or "?".', key=text
            )
        if same := _ARRIVES_AS.get(key):
            return (), later(
                'cannot be "{key}": terminals send it as "{same}". Choose another key.', key=text, same=same
            )
        if takes_text(action.scope) and _types_text(key):
            return (), later(
                'cannot be "{key}": it would be typed as text. Add ctrl or alt, or choose a function key.', key=text
            )
        keys.append(key)
    return tuple(dict.fromkeys(keys)), None


def _types_text(key: str) -> bool:
    base = key.removeprefix("shift+")
    return len(base) == 1 or base == "space" or base in _SYMBOLS


def _first_collision(keymap: Keymap, changed: Sequence[str]) -> tuple[str, str, str] | None:
    """(the id whose change is to be given up, the other id, the key). Of two changed ones the later gives way."""
    for first, second, key in collisions(keymap):
        touched = [action_id for action_id in changed if action_id in (first, second)]
        if touched:
            loser = touched[-1]
            return loser, second if loser == first else first, key
    return None


def _listed(keys: Sequence[str]) -> str | Later:
    return ", ".join(keys) or later("no key")
