"""The main screen: transcript, prompt, sidebar, header and key bar. It hears of everything from the controller and
decides what is shown; the widgets only show it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from textual import on
from textual._callback import invoke
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical

from tui.app import answer_phrases, death_card, memory_phrases, phrases
from tui.app.bindings import Keymap, bind
from tui.app.screens.conversation_flows import ConversationFlows
from tui.app.screens.sending import Sending
from tui.app.widgets.header import EngineStopped, Header, HeaderState, LoadingModel, ModelInUse, NoModelLoaded
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.status_line import StatusLine
from tui.app.widgets.transcript import AnswerMessage, Record, Transcript, UserMessage
from tui.base import format
from tui.chat.conversation import Conversation, Turn
from tui.chat.store import StoreError
from tui.config.keymap import display_keys
from tui.config.load import CPU, auto_devices, backend_devices, backend_name
from tui.config.options import AppOptions
from tui.config.settings import ChosenLoad, Settings, expand
from tui.planning.placement import experts_on_cpu
from tui.protocol.death import Death
from tui.protocol.messages import MLOCK_FAILED, Delta, Loaded, Started
from tui.protocol.records import ErrorInfo
from tui.session import events
from tui.session.controller import Controller
from tui.session.events import Phase
from tui.session.loads import Reload

NARROW_COLUMNS = 100


class MainScreen(ConversationFlows, Sending):
    """One conversation with one model."""

    CSS_PATH = "main.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW_COLUMNS, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "Prompt"

    def __init__(self, controller: Controller, keymap: Keymap, settings: Settings, options: AppOptions) -> None:
        super().__init__(controller, keymap, settings)
        controller.listen(self.hear)
        self._options = options
        self.is_shown = False
        """It has been painted, and its prompt has had the focus."""
        self._context_now = (0, 0)
        self._context_before = (0, 0)
        """What is right again if a load comes to nothing."""
        self._last_loaded: Loaded | None = None
        self._death: Death | None = None
        """How the engine died last."""
        self._looping = ""
        """The answer of which was said last that it repeats itself."""
        self._told: set[tuple[str, str]] = set()
        """Paths of models and what was said about them."""
        self._moves: dict[str, tuple[str, ...]] = {}
        """What the moves in the middle of an answer took, by its turn."""

    def compose(self) -> ComposeResult:
        yield Header()
        with Horizontal(id="middle"):
            with Vertical(id="chat"):
                yield Transcript(expanded=None if self.settings.ui.fold_thinking else True)
                yield QueuedPrompts()
                yield Prompt(self.keymap, history_size=self.settings.chat.history_size, placeholder=self._placeholder())
            yield Sidebar()
        yield StatusLine()
        yield KeyBar()

    def _placeholder(self) -> str:
        keys = self.keymap.get("newline", ())
        return "Ask anything…" + (f" ({display_keys(keys, limit=1)} for a new line)" if keys else "")

    def on_mount(self) -> None:
        remembered = self.controller.state.state.sidebar
        self.set_class(not (self.settings.ui.sidebar if remembered is None else remembered), "-no-sidebar")
        bind(self.transcript, self.keymap, "card", "transcript", owners=(self,))
        self.show_header()
        self.call_after_refresh(self._first_paint)

    # Live figures -----------------------------------------------------------------------------------------------------

    def _views(self) -> tuple[Sidebar, StatusLine]:
        """Both show the same; which of them is seen depends on the width."""
        return self.query_one(Sidebar), self.query_one(StatusLine)

    def machine_read(self, now: events.MachineRead) -> None:
        """Once a second: everything that is read, and the speed, so that the sidebar is painted once."""
        for view in self._views():
            if view.display:
                view.show_context(*self._context_now)
                view.show_all(now.host, now.gpus, now.npus, now.speed)

    def context_used(self, n_used: int, n_ctx: int) -> None:
        self._context_now = (n_used, n_ctx)
        for view in self._views():
            view.show_context(n_used, n_ctx)

    # The start --------------------------------------------------------------------------------------------------------

    def _first_paint(self) -> None:
        self.is_shown = True
        self.run_worker(self._begin(), group="begin")

    async def _begin(self) -> None:
        """After the first paint: open the store, start the engine, and load what the command line or the last run
        asks for."""
        try:
            opened = await self.controller.store.start()
        except StoreError as error:
            self.tell(str(error), bad=True)
        else:
            if opened.set_aside is not None:
                self.tell(
                    f"The conversations were damaged and are kept as {opened.set_aside}. New ones start.", bad=True
                )
        await self.bring_draft()
        last = self.controller.state.state.conversation
        with self.controller.queue.kept():
            if self._options.import_file is not None:
                await self.import_file(self._options.import_file)
            elif self._options.continue_last and last:
                await self.open_conversation(last)
        await self.controller.start()
        model = await self._first_model()
        if self.controller.model.path is not None or self.is_at("load"):
            return  # chosen by the user while the engine started
        if model is not None:
            self.open_model(model, fit=self._options.fit, force=self._options.force)
        elif self.controller.phase == "no_model" and not self.is_at("dialog"):
            self.action_pick_model()

    async def _first_model(self) -> Path | None:
        """The command line's model, else the settings', else the last one if it is still there, else the only one."""
        if self._options.model is not None:
            return self._options.model
        if self.settings.models.default:
            return expand(self.settings.models.default)
        return await asyncio.to_thread(self._known_model, self.controller.state.state.last_model)

    def _known_model(self, last: str) -> Path | None:
        """Blocking, for a thread."""
        try:
            is_there = bool(last) and Path(last).is_file()
        except OSError:  # as in a folder that is closed by now: the attempt to load it says why
            is_there = True
        if is_there:
            return Path(last)
        models = self.scan_library().models
        return models[0].path if len(models) == 1 else None

    # Keys -------------------------------------------------------------------------------------------------------------

    @on(Transcript.CardChosen)
    async def _card_chosen(self, event: Transcript.CardChosen) -> None:
        await invoke(getattr(self, f"action_{event.action}"))

    def action_card_reload(self) -> None:
        if self.card_id == "load_failed":
            self.try_again()
        else:
            self.controller.restart()

    def action_card_small_ubatch(self) -> None:
        self.controller.restart(n_ubatch=death_card.SMALL_UBATCH)

    def action_card_fewer_layers(self) -> None:
        self.controller.restart(n_gpu_layers=death_card.fewer_layers(self._gpu_layers()))

    def action_card_cpu(self) -> None:
        self.controller.restart(backend=CPU)

    def action_card_no_repack(self) -> None:
        self.controller.restart(repack="off")

    def action_card_gpu(self) -> None:
        self.controller.restart(backend=self._gpu, n_gpu_layers=self._fatal_choice.n_gpu_layers or -1)

    def action_card_load_settings(self) -> None:
        self.action_load_settings()

    def action_card_other_model(self) -> None:
        self.action_pick_model()

    async def action_card_details(self) -> None:
        await self.app.run_action("log_view")

    def action_new_chat(self) -> None:
        self.run_worker(self.controller.new(), group="new")
        self.prompt.focus()

    def action_toggle_sidebar(self) -> None:
        """Show or hide the sidebar, and remember it."""
        hidden = not self.has_class("-no-sidebar")
        self.set_class(hidden, "-no-sidebar")
        self.controller.remember(sidebar=not hidden)

    # The header -------------------------------------------------------------------------------------------------------

    def show_header(self, fraction: float = 0.0) -> None:
        """The state of model and engine in one line."""
        controller, loaded = self.controller, self.controller.engine.loaded
        name = controller.model.name
        place = ""
        state: HeaderState
        if controller.phase == "dead":
            state = EngineStopped(name=name, hint="reload it from the card or the palette")
        elif controller.phase == "loading":
            state = LoadingModel(name=name, fraction=fraction)
        elif loaded is None:
            state = NoModelLoaded(
                hint="the engine starts…" if controller.phase == "starting" else self._hint("pick_model")
            )
        else:
            place = (
                f"{'+'.join(loaded.llama.devices)} {loaded.llama.n_gpu_layers}/{loaded.llama.n_layers}"
                if loaded.llama.devices
                else "CPU"
            )
            info = self.model_info
            if info and (n_cpu_moe := experts_on_cpu(info, loaded.llama.n_gpu_layers, loaded.llama.n_cpu_moe)):
                place += f" · experts on CPU: {n_cpu_moe}"
            state = ModelInUse(
                name=name,
                quant=info.quant if info else "",
                size=phrases.model_size(info) if info else format.params(loaded.n_params),
                place=place,
                threads=phrases.threads(loaded),
                n_ctx=loaded.n_ctx,
                flash_attn="on" if loaded.llama.flash_attn else "off",
                thinking=answer_phrases.thinking_state(loaded, controller.conversation),
                kv=loaded.llama.type_k
                if loaded.llama.type_k == loaded.llama.type_v
                else f"{loaded.llama.type_k}/{loaded.llama.type_v}",
            )
        self.query_one(Header).show_state(state)
        self.query_one(StatusLine).show_place(place)

    def _hint(self, action_id: str) -> str:
        keys = self.keymap.get(action_id, ())
        return f"{display_keys(keys, limit=1)} chooses one" if keys else ""

    # What the session tells -------------------------------------------------------------------------------------------

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show one thing that has happened."""
        match event:
            case events.MachineRead():
                self.machine_read(event)
            case events.SpeedReset(speed=speed):
                for view in self._views():
                    view.show_speed(speed)
            case events.MemoryShort(shortage=shortage):
                self.tell(memory_phrases.shortage(shortage, self.keymap), bad=True)
            case events.PhaseChanged(phase=phase):
                self.phase_changed(phase)
            case events.LoadAdvanced(fraction=fraction):
                self.show_header(fraction)
            case events.ModelLoaded(loaded=loaded):
                self.model_loaded(loaded)
            case events.ModelReloaded(reload=reload, turn_id=turn_id):
                self.model_reloaded(reload, turn_id)
            case events.LoadFailed(path=path, info=info):
                self.load_failed(path, info)
            case events.EngineLost(death=death):
                self.engine_died(death)
            case events.CacheRestored(restored=restored):
                self.tell(phrases.context_restored(restored, self.controller.speed.prefill_tps))
            case events.ContextUsed(n_used=n_used, n_ctx=n_ctx):
                self.context_used(n_used, n_ctx)
            case events.ConversationOpened(conversation=conversation):
                self.conversation_opened(conversation)
            case events.ConversationChanged(before=before, now=now, n_same=n_same):
                self.conversation_changed(before, now, n_same)
            case events.ConversationReplaced(before=before, now=now):
                self.conversation_replaced(before, now)
            case events.ConversationGone():
                self.tell(phrases.conversation_gone(event), bad=True)
            case events.OtherWindowWrites():
                self.tell(phrases.CHANGES_ELSEWHERE)
            case events.OtherWindowWrote(has_turns=has_turns):
                self.tell(phrases.CHANGED_ELSEWHERE if has_turns else phrases.CONFIGURED_ELSEWHERE)
            case events.ReplaceConflict():
                self.tell(phrases.NOT_REPLACED, bad=True)
            case events.TurnsRemoved(turn_id=turn_id, n=n):
                self.turns_removed(turn_id, n)
            case events.TurnsPutBack(came=came, turns=turns):
                self.turns_put_back(came, turns)
            case events.QueueChanged():
                self.queue_changed()
            case events.PromptsWithdrawn(texts=texts):
                self.prompts_withdrawn(texts)
            case events.UserSaid(turn=turn):
                self.transcript.add_user(turn.id, turn.text)
            case events.AnswerBegan(turn=turn, started=started):
                self.answer_began(turn, started)
            case events.PromptAdvanced(turn_id=turn_id, progress=progress):
                self.transcript.set_progress(turn_id, answer_phrases.prompt_progress(progress))
            case events.AnswerGrew(turn_id=turn_id, delta=delta):
                self.answer_grew(turn_id, delta)
            case events.AnswerRecast(turn_id=turn_id):
                self.transcript.recast(turn_id)
            case events.AnswerPaused(turn_id=turn_id):
                self.transcript.set_progress(turn_id, phrases.PAUSED)
            case events.AnswerEnded(turn=turn):
                self.answer_ended(turn)
            case events.AnswerRefused(info=info):
                self.answer_refused(info)
            case events.ProblemFound(problem=problem):
                self.tell(str(problem), bad=True)
            case events.FaultFound():
                self.tell(phrases.fault(event), bad=True)

    def phase_changed(self, phase: Phase) -> None:
        if self.controller.engine.loaded is None or phase == "loading":
            if self._context_now[1]:
                self._context_before = self._context_now
            self.context_used(0, 0)
        elif not self._context_now[1]:  # a load that came to nothing
            self.context_used(*self._context_before)
        self.show_header()
        self.refresh_bindings()

    def model_loaded(self, loaded: Loaded) -> None:
        self.remove_cards()
        self._last_loaded, self.model_info = loaded, self.headers.get(loaded.path)
        self.show_header()
        self.context_used(self.controller.context.n_used, loaded.n_ctx)
        if loaded.n_lost:
            self.tell(phrases.context_lost(loaded), bad=True)
        if loaded.llama.mlock_failed:
            self.tell(MLOCK_FAILED, bad=True)
        self._tell_about(loaded)
        self.prompt.focus()

    def _tell_about(self, loaded: Loaded) -> None:
        """What the model is used with in place of what its file wants."""
        unknown = self.model_info.unknown_sampling if self.model_info else ()
        for note in (loaded.llama.template_note, answer_phrases.unknown_sampling(unknown)):
            self._tell_once(loaded.path, note)

    def _tell_once(self, path: str, note: str) -> None:
        """Once for each file."""
        if note and (path, note) not in self._told:
            self._told.add((path, note))
            self.tell(note, bad=True)

    def model_reloaded(self, reload: Reload, turn_id: str) -> None:
        words = phrases.reloaded(reload)
        if not reload.n_lost:  # that was told when it was lost
            self.tell(phrases.sentence(words))
        if turn_id:
            self._moves[turn_id] = (*self._moves.get(turn_id, ()), words)
        elif self.controller.conversation.turns:
            self.transcript.add_notice(phrases.sentence(words))

    def load_failed(self, path: Path, info: ErrorInfo) -> None:
        self.try_again = self.controller.retry
        self.show_card(phrases.load_failure(path, info, self.keymap))

    def conversation_opened(self, conversation: Conversation) -> None:
        self.leave_edit()
        self._moves.clear()
        self.transcript.load(map(_record, conversation.turns))
        self.prompt.set_past([turn.text for turn in conversation.turns if turn.role == "user"])
        if self._death is not None and self.controller.phase == "dead":  # its card went with the other conversation
            self.engine_died(self._death)
        self.show_header()

    def conversation_changed(self, before: Sequence[Turn], now: Conversation, n_same: int) -> None:
        first = before[n_same].id if n_same < len(before) else None
        if n_same < max(len(before), len(now.turns)):
            self.transcript.replace_from(first, map(_record, now.turns[n_same:]))
            self.prompt.set_past([turn.text for turn in now.turns if turn.role == "user"])
        self.keep_edit(before, now.turns)
        self.show_header()

    def conversation_replaced(self, before: Sequence[Turn], now: Conversation) -> None:
        self.transcript.load(map(_record, now.turns))
        self.keep_edit(before, now.turns)

    def turns_removed(self, turn_id: str, n: int) -> None:
        self.transcript.truncate_from(turn_id)
        if n > 2:  # more than a prompt and its answer
            self.tell(phrases.replaced(n, self.keymap))

    def turns_put_back(self, came: Sequence[Turn], turns: Sequence[Turn]) -> None:
        self.tell(phrases.PUT_BACK)
        if edited := [turn.text for turn in came if turn.role == "user"]:
            self.edit_again(turns[0], edited[0])

    def answer_began(self, turn: Turn, started: Started) -> None:
        if started.n_dropped:
            self.transcript.add_notice(phrases.dropped(started, self.keymap), "warning")
        if (loaded := self.controller.engine.loaded) is not None:
            self._tell_once(loaded.path, started.template_note)
        self.transcript.begin_answer(turn.id, turn.model)
        self.transcript.set_progress(turn.id, answer_phrases.prompt_begun(started))
        self.context_used(started.n_cached, started.n_ctx)

    def answer_grew(self, turn_id: str, delta: Delta) -> None:
        self.transcript.append(turn_id, delta.kind, delta.text)
        self._context_now = (delta.n_used, self._context_now[1])
        if delta.is_loop and self._looping != turn_id:
            self._looping = turn_id
            self.tell(answer_phrases.goes_in_circles(self.keymap), bad=True)

    def answer_ended(self, turn: Turn) -> None:
        self.transcript.set_thinking_label(turn.id, answer_phrases.thinking_label(turn))
        self.transcript.end_answer(turn.id, answer_phrases.answer_footer(turn, self._moves.get(turn.id, ())))
        if turn.is_loop:
            self.transcript.add_notice(answer_phrases.went_in_circles(self.keymap), "warning")

    def answer_refused(self, info: ErrorInfo) -> None:
        if info.kind == "context_overflow" and info.n_drop:
            self.ask_about_overflow(info)
        else:
            self.transcript.add_notice(phrases.refusal(info, self.keymap), "error")

    def engine_died(self, death: Death) -> None:
        self._death = death
        fatal, now = self._fatal_choice, self.controller.model.choice
        layers = self._gpu_layers()
        card = death_card.engine_stopped(
            death, layers, fatal.n_ubatch, self.keymap, gpu=self._gpu, goes_back=fatal != now
        )
        self.show_card(card)

    @property
    def _gpu(self) -> str:
        """The backend of the GPU that "auto" would take; empty where there is none."""
        return backend_name(found) if (found := auto_devices(self.controller.model.devices)) else ""

    @property
    def _fatal_choice(self) -> ChosenLoad:
        """The settings that the engine died with."""
        return self.controller.model.fatal_choice or self.controller.model.choice

    def _gpu_layers(self) -> int:
        """Layers that the engine had on a GPU when it died, or was bringing there; 0 for the CPU alone."""
        controller, choice = self.controller, self._fatal_choice
        loaded, death = self._last_loaded, self._death
        if loaded is not None and death is not None and death.running != "loading":
            return loaded.llama.n_gpu_layers if loaded.llama.devices else 0
        if not backend_devices(choice.backend, controller.model.devices):
            return 0
        all_layers = self.model_coming.n_layers + 1 if self.model_coming else 2
        asked = choice.n_gpu_layers
        return all_layers if asked < 0 else min(asked, all_layers)


def _record(turn: Turn) -> Record:
    """A saved turn as the transcript shows it."""
    if turn.role != "assistant":
        return UserMessage(turn.id, turn.text)
    return AnswerMessage(
        turn_id=turn.id,
        label=turn.model,
        text=turn.text,
        thinking=turn.reasoning,
        thinking_label=answer_phrases.thinking_label(turn),
        footer=phrases.WRITTEN_ELSEWHERE if turn.is_streaming else answer_phrases.answer_footer(turn),
    )
