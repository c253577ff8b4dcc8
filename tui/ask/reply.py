"""An answer while it comes, for the shell: what the session tells becomes text on stdout, thoughts and progress on
stderr, and in the end what is to be said of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from tui.ask.output import Output
from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.terminal_style import takes_colours
from tui.base.text import clean_piece
from tui.chat.conversation import Turn
from tui.config.biastext import left_out
from tui.config.options import AskOptions
from tui.host.scene import Scene
from tui.protocol.messages import Delta, Loaded, Started
from tui.protocol.records import ErrorInfo
from tui.session import events
from tui.shell.progress_line import ProgressLine
from tui.shell.trouble import death_report, error_sentence, say
from tui.words import tr, trn

_QUIET, _PLAIN = "\x1b[2m", "\x1b[0m"
_ROOM = 1024
"""Tokens for an answer, beside a prompt for which a context is proposed."""


class Reply:
    """Hears one answer. At its end there is a `turn`, or a `failure`, or both."""

    def __init__(self, options: AskOptions, output: Output, line: ProgressLine) -> None:
        self._options, self._line = options, line
        self._answer = TextStream(output, sys.stdout)
        self._thoughts = TextStream(output, sys.stderr, is_quiet=True)
        self._name = ""
        self.loaded: Loaded | None = None
        self.started: Started | None = None
        self._written = ""
        """Of the answer so far."""
        self.turn: Turn | None = None
        """The answer as it is saved."""
        self.failure: tuple[ExitCode, str] | None = None
        """Why there is no whole answer."""

    def begin(self, name: str, loaded: Loaded | None) -> None:
        """The model of this name is going to answer, when it is loaded if it is not."""
        self._name, self.loaded = name, loaded
        if loaded is None:
            self._line.say(0, tr("loading {model}", model=name))

    def hear(self, event: events.AnySessionEvent) -> None:
        """Whatever the session tells."""
        match event:
            case events.TurnAwaited(n_before=n) if n:
                self._line.put(trn("waiting for {n} other question", "waiting for {n} other questions", n))
            case events.LoadAdvanced(fraction=fraction):
                self._line.say(fraction, tr("loading {model}", model=self._name))
            case events.ModelLoaded(loaded=loaded):
                self.loaded = loaded
                self._line.clear()
            case events.LoadFailed(path=path, info=info):
                others = tr("llmtui models lists those that can be asked.")
                self.fail(ExitCode.MODEL, error_sentence(path, info, others))
            case events.EngineLost(death=death):
                self.fail(ExitCode.ENGINE, death_report(death))
            case events.ProblemFound(problem=problem):
                self.say(str(problem))
            case events.FaultFound(kind=kind, detail=detail):
                error = f"{kind}: {detail}"
                self.fail(
                    ExitCode.ENGINE,
                    tr(
                        "Stopped by a bug in llmtui: {error}. Its log file says more; `llmtui --locate` shows where it "
                        "is.",
                        error=error,
                    ),
                )
            case events.AnswerBegan(started=started):
                self._started(started)
            case events.PromptAdvanced(progress=progress):
                share = progress.done / max(progress.total, 1)
                self._line.say(share, trn("reading {n} token", "reading {n} tokens", progress.total))
            case events.AnswerGrew(delta=delta):
                self._grow(delta)
            case events.AnswerRecast():
                self._recast()
            case events.AnswerEnded(turn=turn):
                self._end(turn)
            case events.AnswerRefused(info=info):
                self.fail(*self._refusal(info))

    def catch_up(self, scene: Scene) -> None:
        """What was missed while the line was broken is not all kept: take it from how it stands now."""
        turn = scene.answer
        if turn is None:
            return
        more = turn.text[len(self._written) :] if turn.text.startswith(self._written) else turn.text
        if more and not self._options.as_json:
            self._line.clear()
            self._thoughts.end()
            self._answer.write(more)
        self._written = turn.text
        if turn.stop is not None:
            self._end(turn)

    def fail(self, code: ExitCode, sentence: str) -> None:
        """There will be no whole answer. What is said first counts."""
        self.failure = self.failure or (code, sentence)

    def close(self) -> None:
        """Nothing more is heard."""
        self._line.clear()
        self._thoughts.end()
        self._answer.end()

    def _started(self, started: Started) -> None:
        self.started = started
        if note := left_out(started.biases_left_out):
            self.say(note)
        if started.n_dropped:
            self.say(
                trn(
                    "The oldest message is left out: the context is full.",
                    "The {n} oldest messages are left out: the context is full.",
                    started.n_dropped,
                )
            )
        self._line.say(0, trn("reading {n} token", "reading {n} tokens", started.n_prompt - started.n_cached))

    def _grow(self, delta: Delta) -> None:
        if delta.kind == "thinking" and self._options.think != "show":
            self._line.put(tr("thinking… {n} tok", n=f"{delta.n_decode:,}"))
            return
        self._line.clear()
        if delta.kind == "thinking":
            self._thoughts.write(delta.text)
            return
        self._written += delta.text
        if self._options.as_json:
            self._line.put(tr("answering… {n} tok", n=f"{delta.n_decode:,}"))
        else:
            self._thoughts.end()
            self._answer.write(delta.text)

    def _recast(self) -> None:
        self._written = ""
        if self._answer.has_begun:
            self._answer.end()
            self.say(tr("So far this was the model's thinking; its answer follows."))

    def _end(self, turn: Turn) -> None:
        self.turn = turn
        if turn.stop == "crashed":
            self.fail(
                ExitCode.ENGINE, tr("The answer was broken off: {reason}.", reason=(turn.error or "").rstrip(".。"))
            )

    def _refusal(self, info: ErrorInfo) -> tuple[ExitCode, str]:
        if info.kind == "context_overflow":
            return ExitCode.USAGE, self._too_long(info)
        detail = info.text.rstrip(".。")
        if info.kind == "bad_format":
            return ExitCode.USAGE, tr("There is no answer: {reason}.", reason=detail)
        advice = {
            "out_of_memory": tr("Try a smaller --ctx, fewer layers on the GPU (--ngl), or a smaller quantization."),
            "template": tr("Another chat template can be given with --chat-template FILE."),
        }.get(info.kind, tr("Try again; llmtui --locate names the log."))
        return ExitCode.ENGINE, f"{tr('There is no answer: {reason}.', reason=detail)}\n{advice}"

    def _too_long(self, info: ErrorInfo) -> str:
        why = tr(
            "Nothing was read: the prompt has {n_prompt} tokens, and the context only {n_ctx}.",
            n_prompt=f"{info.n_prompt:,}",
            n_ctx=f"{info.n_ctx:,}",
        )
        needed = -(-(info.n_prompt + _ROOM) // 1024) * 1024
        n_most = self.loaded.n_ctx_train if self.loaded else 0
        ways = [tr("ask about less")]
        if not n_most or needed <= n_most:
            ways.insert(0, tr("give {option}", option=f"--ctx {needed}"))
        if self._options.continue_last and info.n_drop:
            ways.append(tr("begin a new conversation, without --continue"))
        return f"{why}\n{tr('What would help: {ways}.', ways=format.listed(*ways))}"

    def say(self, sentence: str) -> None:
        """Something that a person should know."""
        self._line.clear()
        say(sentence)


class TextStream:
    """A text on one of the process's streams. A terminal gets nothing that it would take for a command but, for a
    `is_quiet` one, the colour; a pipe gets the text as it was written."""

    def __init__(self, output: Output, stream: TextIO, *, is_quiet: bool = False) -> None:
        self._output = output
        self._descriptor: Callable[[], int] = stream.fileno
        self._encoding = stream.encoding or "utf-8"
        self._is_terminal = stream.isatty()
        self._colour = _QUIET if is_quiet and takes_colours(stream) else ""
        self._last = ""
        self.has_begun = False

    def write(self, text: str) -> None:
        """More of it."""
        if not text:
            return
        if not self.has_begun:
            self._put(self._colour)
        self.has_begun, self._last = True, text[-1]
        self._put(clean_piece(text) if self._is_terminal else text)

    def end(self) -> None:
        """What comes next begins on a line of its own."""
        if self.has_begun:
            self._put(f"{'' if self._last == chr(10) else chr(10)}{_PLAIN if self._colour else ''}")
        self.has_begun = False

    def _put(self, text: str) -> None:
        self._output.write(self._descriptor(), text.encode(self._encoding, "replace"))
