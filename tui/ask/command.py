"""`llmtui ask`: from options to an answer on stdout and an exit code; thoughts, progress and errors go to stderr."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import signal
import sys

from tui.ask.material import NothingToAsk, files_of, prompt_of, read_piped
from tui.ask.output import Output
from tui.ask.record import record
from tui.ask.reply import Reply
from tui.base import format
from tui.base.exit_codes import ExitCode
from tui.base.oserrors import os_reason
from tui.base.stdout import CannotWrite
from tui.chat.conversation import Turn, encodable, new_id
from tui.chat.store import Store, StoreError
from tui.config import paths
from tui.config.logfile import log_to_file
from tui.config.options import AskOptions
from tui.config.presets import Preset, read_preset
from tui.config.settings import Settings, load_settings
from tui.config.state import StateStore
from tui.files.reading import MOST_BYTES
from tui.host import client
from tui.host.client import HostEnded, HostLine, Reached, reached_again
from tui.host.meeting import HostProblem
from tui.host.messages import AskHost, Begun, Caught, Closed, Happened, Remark, StopAsking
from tui.host.scene import decode as decode_scene
from tui.protocol.death import EngineDied
from tui.session.aside import aside
from tui.session.events import decode
from tui.shell import signals
from tui.shell.progress_line import ProgressLine
from tui.shell.question import CannotAsk, Question
from tui.shell.trouble import complain, death_report, say
from tui.words import language, tr

_STOP_S, _END_S = 10.0, 1.0
"""How long an answer may take to stop, and a session to end, after an interruption."""
_PATIENCE_S = 1.0
"""After so long it says that it waits for the end of what is piped in."""
_READ_S = 0.5
"""How long whoever reads may take for the last words of an answer that was interrupted."""


def ask(options: AskOptions) -> ExitCode:
    """Ask, print the answer while it comes, and say how it went. Raises `CannotWrite`, and `BrokenPipeError` when
    whoever read has left."""
    settings, problems = load_settings(options.settings_file, software_vulkan=options.software_vulkan)
    state = StateStore(is_kept=False)
    problems += [*state.read(), *log_to_file(settings.log.level)]
    for problem in problems:
        say(str(problem))
    asking = _Ask(options, settings, state)
    return signals.run(asking.run(), asking.heard)


class _Ask:
    """One question."""

    def __init__(self, options: AskOptions, settings: Settings, state: StateStore) -> None:
        self._options, self._settings, self._state = options, settings, state
        self._line = ProgressLine(sys.stderr)
        self._unwritten: OSError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._is_terminal_lost = False
        """Nobody is there any more who could want the answer to stop."""
        self._saved_id = ""
        """Of the conversation; empty while it is not saved."""
        self._reach: Reached = client.reach
        self._key, self._number = new_id(), 0
        """Of the question, for a host, and of the last event of it that was heard."""

    async def run(self) -> ExitCode:
        """How it went."""
        self._output = Output(sys.stdout.fileno(), self._cannot_write)
        self._reply = reply = Reply(self._options, self._output, self._line)
        code, message = ExitCode.FINE, ""
        try:
            prompt = await self._prompt()
            files = await aside(lambda: files_of(self._options.files, MOST_BYTES - len(prompt)))
            question = Question.of(self._options, prompt, files, await self._preset())
            self._asking = asyncio.create_task(self._answered(question))
            await self._asking
        except asyncio.CancelledError:
            if self._unwritten is None:
                code, message = ExitCode.INTERRUPTED, tr("interrupted.")
        except NothingToAsk as error:
            code, message = ExitCode.USAGE, str(error)
        except CannotAsk as error:
            code, message = error.code, str(error)
        except HostProblem as error:
            code, message = ExitCode.ENGINE, str(error)
        except EngineDied as died:
            code, message = ExitCode.ENGINE, death_report(died.death)
        except StoreError as error:
            code, message = ExitCode.UNWRITTEN, str(error)
        reply.close()
        if self._options.as_json and reply.turn is not None:
            self._put_record(reply, reply.turn)
        try:
            await self._output.written(_READ_S if code == ExitCode.INTERRUPTED else None)
        except asyncio.CancelledError:  # whoever reads did not read all of it
            code, message = ExitCode.INTERRUPTED, tr("interrupted.")
        if self._unwritten is not None:
            raise (
                self._unwritten
                if isinstance(self._unwritten, BrokenPipeError)
                else CannotWrite(os_reason(self._unwritten))
            ) from self._unwritten
        if reply.failure is not None and code == ExitCode.FINE:
            code, message = reply.failure
        if message:
            (say if code == ExitCode.INTERRUPTED else complain)(message)
        elif reply.turn is not None and code == ExitCode.FINE and (cut := self._cut_short(reply)):
            say(cut)
        return code

    def _put_record(self, reply: Reply, turn: Turn) -> None:
        encoding = sys.stdout.encoding or "ascii"
        text = json.dumps(record(reply, turn, self._saved_id), indent=2, ensure_ascii=encoding.lower() != "utf-8")
        self._output.write(sys.stdout.fileno(), f"{text}\n".encode(encoding, "replace"))

    def heard(self, number: int) -> None:
        """A signal is why this is about to be cancelled."""
        self._is_terminal_lost |= number == signal.SIGHUP

    def _cannot_write(self, error: OSError) -> None:
        self._unwritten = error
        self._is_terminal_lost |= error.errno == errno.EIO  # what Linux says of a terminal that was closed
        if self._asking is not None:
            self._asking.cancel()

    async def _prompt(self) -> str:
        """What to ask. Raises `NothingToAsk`."""
        piped = b""
        if sys.stdin is not None and not sys.stdin.isatty():
            descriptor = sys.stdin.fileno()
            self._line.put(tr("reading what is piped in"))
            reading = asyncio.ensure_future(aside(lambda: read_piped(descriptor)))
            try:
                if not (await asyncio.wait([reading], timeout=_PATIENCE_S))[0]:
                    self._line.put(tr("waiting for the end of what is piped in; </dev/null pipes nothing"))
                piped = await reading
            finally:
                reading.cancel()
            self._line.clear()
        return encodable(prompt_of(self._options.question, piped, bool(self._options.files)))

    async def _preset(self) -> Preset | None:
        """That of new conversations, where the settings have one."""
        name = self._settings.chat.preset
        if not name or self._options.continue_last or self._options.preset is not None:
            return None
        preset, problems = await aside(lambda: read_preset(paths.presets_dir(), name))
        for problem in problems:
            self._reply.say(str(problem))
        return preset

    async def _answered(self, question: Question) -> None:
        """By the host that runs, or is wanted, else here."""
        if (host := await self._host()) is None:
            await self._ask(question)
            return
        first = host
        while True:
            try:
                async with host:
                    await self._ask_there(host, question)
            except HostEnded as ended:  # or only the line to it
                host = await self._again(first, ended)
            else:
                return

    async def _ask_there(self, host: HostLine, question: Question) -> None:
        try:
            host.send(AskHost(question=question, language=language(), key=self._key, after=self._number))
        except UnicodeEncodeError:  # bytes of the command line that are no text
            raise CannotAsk(ExitCode.USAGE, tr("The question is not UTF-8 text. Type it again.")) from None
        try:
            await self._hear(host)
        except asyncio.CancelledError:
            if self._is_terminal_lost:  # it is written to its end, for who attaches
                raise
            host.send(StopAsking())
            with contextlib.suppress(TimeoutError, CannotAsk, HostProblem):
                async with asyncio.timeout(_STOP_S):
                    await self._hear(host)
            raise

    async def _again(self, first: HostLine, ended: HostEnded) -> HostLine:
        """Another line to the same host; another machine is tried until it is reached. Raises `HostEnded`."""
        line = await reached_again(self._reach, self._options.host, lambda text: self._line.put(text))
        if line is None or line.pid != first.pid:
            raise ended
        self._line.clear()
        return line

    async def _host(self) -> HostLine | None:
        """None where none is wanted, or for settings that are not its own. Raises `HostProblem`."""
        if self._options.host:
            from tui.host.ssh import Far, reached

            self._line.put(tr("connecting to {target}", target=self._options.host))
            self._reach = reached(Far.of(self._options.host, self._settings.session), may_ask_again=True)
            line = await self._reach(is_made=True)
            self._line.clear()
            return line
        is_wanted = self._options.stays_loaded or self._settings.session.keep_loaded
        if self._options.settings_file is not None or self._options.software_vulkan:
            if self._options.stays_loaded:
                raise CannotAsk(
                    ExitCode.USAGE,
                    tr("--keep works only with your own settings.toml: leave out --settings and --software-vulkan."),
                )
            return None
        try:
            return await (client.start() if is_wanted else client.find())
        except HostProblem as error:  # it can be done without
            if self._options.stays_loaded:
                why = format.sentences(str(error), tr("Without --keep it is answered all the same."))
                raise CannotAsk(ExitCode.ENGINE, why) from error
            self._reply.say(str(error))
            return None

    async def _hear(self, host: HostLine) -> None:
        """Up to the end of what is asked there. Raises `CannotAsk` and `HostProblem`."""
        reply = self._reply
        while True:
            match await host.next():
                case Begun(model=name, loaded=loaded):
                    reply.begin(name, loaded)
                case Remark(sentence=sentence):
                    reply.say(sentence)
                case Happened(event=event, number=number):
                    self._number = number
                    reply.hear(decode(event))
                case Caught(scene=scene, number=number):
                    self._number = number
                    reply.catch_up(decode_scene(scene))
                case Closed(code=code, sentence=sentence, conversation=conversation):
                    self._saved_id = conversation
                    if code:
                        raise CannotAsk(_exit_code(code), sentence)
                    if reply.failure is None and (reply.turn is None or reply.turn.stop == "cancelled"):
                        raise HostProblem(
                            tr("The llmtui in the background has ended. What it has written is saved; ask again.")
                        )
                    return

    async def _ask(self, question: Question) -> None:
        """Have it answered by a session that ends with it."""
        # A host makes them unnecessary, and they take half of the time in which this starts.
        from tui.session.controller import Controller
        from tui.shell.asking import Asking

        store = Store(paths.database_file())
        if question.keep or question.continue_last:
            await self._open(store)
        controller = Controller(self._settings, self._state, store, self._options)
        controller.listen(self._reply.hear)
        asking = Asking(controller, self._settings, self._state, on_model=self._reply.begin, say=self._reply.say)
        is_over = False
        try:
            await asking.ask(question)
            is_over = True
        finally:
            self._saved_id = controller.opened.saved_id
            await controller.close(None if is_over else _END_S)

    async def _open(self, store: Store) -> None:
        try:
            opened = await store.start()
        except StoreError as error:  # it keeps trying, and says at the end what came of it
            say(str(error))
        else:
            if opened.set_aside is not None:
                say(tr("The saved conversations are damaged and were set aside as {file}.", file=opened.set_aside))

    def _cut_short(self, reply: Reply) -> str:
        """Why an answer that is no failure is not whole; empty for one that is."""
        turn = reply.turn
        if turn is None or self._options.as_json:
            return ""
        if turn.is_incomplete:
            return tr("The answer ended before it was complete, so it is not in the format that was asked for.")
        if turn.is_loop:
            return tr("The answer kept repeating itself.")
        if turn.stop == "context":
            return tr("The context is full: the answer ends here. A larger --ctx gives it more room.")
        if turn.stop == "length" and not self._options.max_tokens:
            return (
                tr("The answer ends at the limit of {n} tokens, max_tokens.", n=f"{turn.timings.n_decode:,}")
                if (turn.timings)
                else ""
            )
        return ""


def _exit_code(code: int) -> ExitCode:
    return next((one for one in ExitCode if one == code), ExitCode.ENGINE)
