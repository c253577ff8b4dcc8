"""That a long answer is done is told to who looks at another window: what is sent, to which terminal, and when."""

from __future__ import annotations

import pytest

from tests.conftest import DENSE
from tests.on_pty import LLMTUI, on_pty, saved_answer
from tui.app.answer_notice import AnswerNotice, chosen_way, written
from tui.chat.conversation import answer_turn, finished, new_conversation
from tui.config import paths
from tui.config.settings import UiSettings
from tui.protocol.messages import Started
from tui.session.events import AnswerBegan, AnswerEnded

OUT, IN = b"\x1b[O", b"\x1b[I"


def test_a_terminal_that_lost_the_focus_is_told_and_one_that_has_it_is_not() -> None:
    settings = paths.user_settings_file()
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(
        '[ui]\nnotify = "osc777"\nnotify_after = 0.0\n[memory]\nreserve_gib = 0.0\nreserve_percent = 0.0\n'
    )
    with on_pty(*LLMTUI, "-m", DENSE, "-t", "1", "--backend", "cpu", "--temp", "0") as terminal:
        terminal.wait_for("KV f16")
        terminal.type(b"hello\r")
        terminal.wait_for(lambda: saved_answer("hello"))
        terminal.type(OUT + IN + b"again\r")
        terminal.wait_for(lambda: saved_answer("again"))
        engine = next(one for one in terminal.processes() if "tui.engine.worker" in one.cmdline())
        engine.suspend()
        terminal.type(b"and now\r")  # a key says that the terminal has the focus
        terminal.wait_for("and now")
        terminal.type(OUT)
        for _ in range(10):
            terminal.read(0.1)
        engine.resume()
        terminal.wait_for(lambda: b"]777;" in terminal.raw)
        assert terminal.raw.count(b"]777;") == 1
        assert b"\x1b]777;notify;llmtui;The answer is done: hello\x1b\\" in terminal.raw
        terminal.type(b"\x11")
        terminal.wait_for_end()


@pytest.mark.parametrize(
    ("wanted", "environ", "way"),
    [
        ("auto", {"TERM": "xterm-kitty"}, "osc9"),
        ("auto", {"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "osc9"),
        ("auto", {"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "osc9"),
        ("auto", {"TERM": "foot"}, "osc777"),
        ("auto", {"TERM": "xterm-256color"}, "bell"),
        ("auto", {"TERM": "tmux-256color", "TMUX": "/tmp/x", "LC_TERMINAL": "iTerm2"}, "bell"),
        ("osc9", {"TMUX": "/tmp/x"}, "osc9"),
        ("bell", {"TERM": "xterm-kitty"}, "bell"),
        ("off", {"TERM": "xterm-kitty"}, None),
    ],
)
def test_the_way_is_one_that_the_terminal_has(wanted: str, environ: dict[str, str], way: str | None) -> None:
    assert chosen_way(wanted, environ) == way


def test_what_is_around_the_terminal_passes_it_on() -> None:
    assert written("bell", "x", {"TMUX": "1"}) == "\a"
    assert written("osc9", "4;x", {}) == "\x1b]9;llmtui: 4,x\x1b\\"
    assert written("osc9", "x", {"TMUX": "1"}) == "\x1bPtmux;\x1b\x1b]9;llmtui: x\x1b\x1b\\\x1b\\"
    assert written("osc777", "x", {"TERM": "screen"}) == "\x1bP\x1b]777;notify;llmtui;x\a\x1b\\"


def test_short_and_stopped_answers_are_not_told_and_a_title_is_harmless() -> None:
    sent: list[str] = []
    now = [0.0]
    conversation = new_conversation(title="a\x1b]0;b\ac" + "长" * 200)
    notice = AnswerNotice(
        UiSettings(notify="osc9"),
        conversation=lambda: conversation,
        is_looked_at=lambda: False,
        send=sent.append,
        environ={},
        clock=lambda: now[0],
    )
    turn = answer_turn("Qwen3")
    began = AnswerBegan(turn=turn, started=Started(n_prompt=1, n_cached=0, n_dropped=0, n_ctx=8))
    for took, stop in ((9.0, "stop"), (60.0, "cancelled")):
        notice.hear(began)
        now[0] += took
        notice.hear(AnswerEnded(turn=finished(turn, text="x", stop=stop)))  # type: ignore[arg-type]
    assert sent == []
    notice.hear(began)
    now[0] += 60
    notice.hear(AnswerEnded(turn=finished(turn, text="x", stop="crashed")))
    (told,) = sent
    assert told.startswith("\x1b]9;llmtui: The answer was broken off: a") and told.endswith("…\x1b\\")
    assert told.count("\x1b") == 2 and "\a" not in told and len(told) < 140
