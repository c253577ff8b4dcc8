"""Actions and keys: the table is sound, the keys arrive and leave the prompt's editing alone, and a user's changes are
taken or refused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual._xterm_parser import XTermParser
from textual.events import Key
from textual.keys import _character_to_key
from textual.widgets import TextArea

from tui.config.actions import ACTIONS, BY_ID
from tui.config.keymap import collisions, default_keymap, display_key, display_keys, parse_key, resolve
from tui.config.scopes import SCOPE_PARENTS, live_together, takes_text

KEYS = sorted({(action.id, key) for action in ACTIONS for key in action.keys})


def refused(overrides: dict[str, str | list[str]], action_id: str) -> str:
    """The one complaint about `overrides`, after checking that the action kept its default."""
    keymap, problems = resolve(overrides)
    assert keymap[action_id] == BY_ID[action_id].keys
    assert [problem.key for problem in problems] == [f"keys.{action_id}"]
    return problems[0].text


# The table


def test_every_action_has_an_id_of_its_own_and_words_for_people() -> None:
    assert len(BY_ID) == len(ACTIONS)
    assert all(action.id.isidentifier() and action.id.islower() for action in ACTIONS)
    assert all(action.title and action.description.endswith(".") and action.group for action in ACTIONS)


def test_no_key_means_two_things_at_one_time() -> None:
    assert collisions(default_keymap()) == []


def test_every_action_can_be_reached() -> None:
    assert [action.id for action in ACTIONS if not action.keys and not action.palette] == []


def test_what_the_footer_shows_has_a_key() -> None:
    assert [action.id for action in ACTIONS if action.footer and not action.keys] == []


def test_default_keys_are_in_textuals_spelling() -> None:
    assert [(action_id, key) for action_id, key in KEYS if parse_key(key) != key] == []


def test_default_keys_leave_multiplexers_and_editing_alone() -> None:
    taken = {f"ctrl+{letter}" for letter in "abcekuvwxhim"}
    assert [pair for pair in KEYS if pair[1] in taken] == []


def test_letters_are_keys_only_where_nothing_is_typed() -> None:
    assert [
        action.id for action in ACTIONS if takes_text(action.scope) and any(len(key) == 1 for key in action.keys)
    ] == []


def test_keys_that_the_prompt_would_take_are_bound_with_priority() -> None:
    editing = {key for binding in TextArea.BINDINGS for key in binding.key.split(",")}  # type: ignore[union-attr]
    hidden = [
        action.id
        for action in ACTIONS
        if action.scope in ("app", "chat") and not all(map(action.has_priority, editing & set(action.keys)))
    ]
    assert hidden == []
    assert BY_ID["switch_backend"].has_priority("f6") and not BY_ID["stop"].has_priority("escape")


def test_keys_are_defaults_that_plain_terminals_send() -> None:
    """At least one key of every action arrives without the kitty protocol and without alt, through Textual's parser."""
    sent = [chr(code) for code in range(1, 127)]
    sent += [f"\x1bO{final}" for final in "PQRS"]
    sent += [f"\x1b[{number}~" for number in (2, 3, 5, 6, 15, 17, 18, 19, 20, 21, 23, 24)]
    sent += [f"\x1b[{final}" for final in "ABCDHF"]
    sent += [f"\x1b[1;5{final}" for final in "ABCDHF"]
    sent += ["\x1b[5;5~", "\x1b[6;5~"]
    sent += [f"\x1b[1;2{final}" for final in "PQRS"]  # shift with f1 to f4
    sent += [f"\x1b[{number};2~" for number in (15, 17, 18, 19, 20, 21, 23, 24)]  # and with f5 to f12
    arrive = set()
    for sequence in sent:
        parser = XTermParser()
        arrive |= {event.key for event in [*parser.feed(sequence), *parser.feed("")] if isinstance(event, Key)}
    assert [action.id for action in ACTIONS if action.keys and not arrive & set(action.keys)] == []


def test_scopes_within_each_other_are_live_together_and_neighbours_are_not() -> None:
    assert live_together("app", "input")
    assert live_together("chat", "transcript")
    assert not live_together("chat", "picker")
    assert not live_together("transcript", "card")
    assert {action.scope for action in ACTIONS} == {"app", *SCOPE_PARENTS}


# A user's changes


def test_without_changes_the_defaults_hold() -> None:
    assert resolve({}) == (default_keymap(), [])


def test_keys_are_changed_added_and_taken_away() -> None:
    keymap, problems = resolve({"help": "f21", "stop": ["esc", "F22"], "log_view": [], "export": ""})
    assert problems == []
    assert (keymap["help"], keymap["stop"]) == (("f21",), ("escape", "f22"))
    assert (keymap["log_view"], keymap["export"]) == ((), ())
    assert keymap["quit"] == ("ctrl+q",)


def test_two_actions_may_swap_their_keys() -> None:
    keymap, problems = resolve({"pick_model": "ctrl+l", "load_settings": "ctrl+o"})
    assert problems == []
    assert (keymap["pick_model"], keymap["load_settings"]) == (("ctrl+l",), ("ctrl+o",))


def test_an_unknown_action_is_reported_with_the_nearest_one() -> None:
    keymap, problems = resolve({"pick_modell": "f21"}, file=Path("settings.toml"))
    assert keymap == default_keymap()
    assert str(problems[0]) == (
        'settings.toml: keys.pick_modell: is unknown, so it is ignored. Did you mean "pick_model"?'
    )


def test_an_unknown_key_is_refused() -> None:
    assert '"ctrl+foo"' in refused({"help": ["f21", "ctrl+foo"]}, "help")
    assert "is kept" in refused({"help": "hyperspace+x"}, "help")


def test_a_letter_is_refused_where_text_is_typed_and_taken_where_it_is_not() -> None:
    assert "typed as text" in refused({"help": "h"}, "help")
    assert "typed as text" in refused({"stop": "?"}, "stop")
    assert "typed as text" in refused({"stop": "space"}, "stop")
    assert resolve({"message_copy": "Y"})[0]["message_copy"] == ("Y",)


def test_a_key_that_arrives_as_another_one_is_refused() -> None:
    assert 'as "tab"' in refused({"help": "ctrl+i"}, "help")
    assert 'as "ctrl+right"' in refused({"help": "alt+f"}, "help")


def test_a_key_of_another_action_is_refused_and_says_whose_it_is() -> None:
    message = refused({"help": "^o"}, "help")
    assert 'is "ctrl+o", which is also the key of "pick_model"' in message
    assert "f1, ctrl+g" in message


def test_a_key_may_be_used_again_in_a_scope_that_is_never_live_with_it() -> None:
    keymap, problems = resolve({"card_cpu": "y"})
    assert (keymap["card_cpu"], problems) == (("y",), [])


def test_of_two_changes_to_one_key_the_first_is_taken() -> None:
    keymap, problems = resolve({"help": "f21", "theme": "f21"})
    assert (keymap["help"], keymap["theme"]) == (("f21",), ("f8",))
    assert [problem.key for problem in problems] == ["keys.theme"]


def test_a_refused_change_that_takes_its_key_back_refuses_the_next_one_too() -> None:
    keymap, problems = resolve({"help": "f8", "theme": "ctrl+q", "quit": "ctrl+q"})
    assert collisions(keymap) == []
    assert keymap["theme"] == ("f8",)
    assert {problem.key for problem in problems} == {"keys.help", "keys.theme"}


# Spelling


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("^o", "ctrl+o"),
        ("Ctrl+O", "ctrl+o"),
        ("shift+alt+Up", "alt+shift+up"),
        ("esc", "escape"),
        ("PgUp", "pageup"),
        ("?", "question_mark"),
        ("ctrl++", "ctrl+plus"),
        ("+", "plus"),
        ("^\\", "ctrl+backslash"),
        ("question_mark", "question_mark"),
        ("option+x", "alt+x"),
        ("G", "G"),
        ("é", "é"),
        ("f24", "f24"),
        ("f25", None),
        ("", None),
        ("ctrl+", "ctrl+plus"),
        ("ctrl", None),
        ("blah+o", None),
        ("\t", None),
    ],
)
def test_keys_are_understood_as_people_write_them(written: str, key: str | None) -> None:
    assert parse_key(written) == key


def test_punctuation_has_the_names_that_textual_gives_it() -> None:
    marks = [chr(code) for code in range(33, 127) if not chr(code).isalnum()]
    assert {mark: parse_key(mark) for mark in marks} == {mark: _character_to_key(mark) for mark in marks}


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("ctrl+o", "^o"),
        ("f6", "f6"),
        ("alt+enter", "alt+enter"),
        ("escape", "esc"),
        ("question_mark", "?"),
        ("ctrl+backslash", "^\\"),
        ("alt+up", "alt+↑"),
        ("ctrl+shift+s", "ctrl+shift+s"),
        ("ctrl+home", "ctrl+home"),
    ],
)
def test_keys_are_shown_as_people_read_them(key: str, shown: str) -> None:
    assert display_key(key) == shown


def test_of_several_keys_the_footer_shows_the_first() -> None:
    keys = BY_ID["newline"].keys
    assert display_keys(keys) == "^j or alt+enter or shift+enter"
    assert display_keys(keys, limit=1) == "^j"
    assert display_keys(()) == ""
