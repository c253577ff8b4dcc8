"""The main screen: transcript, prompt, sidebar, header and key bar. It lays them out, puts the parts together that work
with them, and passes on what widgets and the session tell; what happens then is each part's own."""

from __future__ import annotations

import asyncio
from functools import partial

from textual import events, on
from textual._callback import invoke
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.screen import Screen
from textual.worker import Worker

from tui.app.afterwards import import_what_comes
from tui.app.bindings import Keymap, bind
from tui.app.copier import Copier
from tui.app.screens.attaching import Attaching
from tui.app.screens.bench_flows import BenchFlows
from tui.app.screens.branch_actions import BranchActions
from tui.app.screens.cards import Cards
from tui.app.screens.completing import Completing
from tui.app.screens.conversation_flows import ConversationFlows
from tui.app.screens.conversation_view import ConversationView
from tui.app.screens.copying_as import CopyingAs
from tui.app.screens.editing import Editing
from tui.app.screens.finding_text import FindingText
from tui.app.screens.flows import Flows
from tui.app.screens.folder_flows import FolderFlows
from tui.app.screens.header_line import HeaderLine
from tui.app.screens.hub_flows import HubFlows
from tui.app.screens.live_figures import LiveFigures
from tui.app.screens.look_flows import BROAD_COLUMNS, LookFlows
from tui.app.screens.message_actions import MessageActions
from tui.app.screens.model_flows import ModelFlows
from tui.app.screens.odds_flows import OddsFlows
from tui.app.screens.preset_flows import PresetFlows
from tui.app.screens.prompt_flows import PromptFlows
from tui.app.screens.prompt_line import PromptLine
from tui.app.screens.refused_answers import RefusedAnswers
from tui.app.screens.saved_list import SavedList
from tui.app.screens.sending import LOAD_WORKERS, Sending
from tui.app.screens.session_notices import SessionNotices
from tui.app.screens.slash_commands import SlashCommands
from tui.app.screens.start import Start
from tui.app.screens.summarising import Summarising
from tui.app.screens.tune_flows import TuneFlows
from tui.app.screens.welcome import Welcome
from tui.app.widgets.attached_files import AttachedFiles
from tui.app.widgets.chat_column import ChatColumn
from tui.app.widgets.completion_list import CompletionList
from tui.app.widgets.conversation_list import ConversationList
from tui.app.widgets.download_line import DownloadLine
from tui.app.widgets.header import Header
from tui.app.widgets.key_bar import KeyBar
from tui.app.widgets.lines import LineWidget
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.queued_prompts import QueuedPrompts
from tui.app.widgets.readings import Readings
from tui.app.widgets.sidebar import Sidebar
from tui.app.widgets.start_page import StartPage
from tui.app.widgets.status_line import StatusLine
from tui.app.widgets.transcript import Transcript
from tui.config import paths
from tui.config.action import Action
from tui.config.options import AppOptions
from tui.config.settings import Settings
from tui.config.snippets import Snippets
from tui.session.aside import aside
from tui.session.events import AnySessionEvent, ModelLoaded, PhaseChanged
from tui.session.interface import Session
from tui.words import Language, mark, tr, use

NARROW_COLUMNS = 100
PLACEHOLDER = mark("Ask anything…")


class MainScreen(Screen[None]):
    """One conversation with one model."""

    CSS_PATH = "main.tcss"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (NARROW_COLUMNS, "-wide")]  # noqa: RUF012
    AUTO_FOCUS = "Prompt"

    def __init__(
        self, controller: Session, keymap: Keymap, settings: Settings, options: AppOptions, copier: Copier
    ) -> None:
        super().__init__(classes="-empty")
        self.is_shown = False
        """It has been painted, and its prompt has had the focus."""
        self._controller, self._keymap, self._settings, self._copier = controller, keymap, settings, copier
        self.transcript = Transcript(expanded=None if settings.ui.fold_thinking else True)
        self.prompt = Prompt(keymap, history_size=settings.chat.history_size, placeholder=tr(PLACEHOLDER))
        self._header, self._queued = Header(), QueuedPrompts()
        self._attached, self._completions = AttachedFiles(), CompletionList()
        self._sidebar, self._status = Sidebar(), StatusLine()
        self._column, self._page = ConversationList(), StartPage()
        self._download_line = DownloadLine()

        self.flows = flows = Flows(self, keymap)
        self.header_line = header = HeaderLine(controller, keymap, self._header, self._status)
        self.prompt_line = line = PromptLine(controller, keymap, self.prompt)
        self.editing = editing = Editing(self.prompt, line, self.transcript)
        self.attaching = line.attaching = Attaching(controller, self.prompt, self._attached, editing)
        self.commands = SlashCommands(self.prompt, Snippets(paths.snippets_dir()), flows, self._is_live)
        self.completing = Completing(self.prompt, self._completions, self.attaching, self.commands, flows)
        self.completing.on_open = line.show_completing
        self.prompt.completions, self.prompt.as_mentions = self.completing, self.attaching.as_mentions
        cards = Cards(controller, keymap, self.transcript, self.prompt)
        self.models = ModelFlows(controller, settings, flows, cards, copier)
        self.hubs = HubFlows(controller, settings, flows, self.models, copier, self._download_line)
        self.models.find = self.hubs.action_find_models
        bench = BenchFlows(controller, settings, flows, self.models)
        tuning = TuneFlows(controller, settings.tune.seconds, flows, self.models)
        self.models.tune = tuning.tune
        self._finding = FindingText(self.transcript, self.prompt, flows)
        self.conversations = talks = ConversationFlows(controller, settings, flows, line.show, self._finding.look_up)
        self.commands.with_text = {"system_prompt": talks.take_system_prompt, "rename": talks.take_name}
        self.presets = PresetFlows(controller, settings, flows, self.models)
        self.messages = MessageActions(controller, self.transcript, self.prompt, editing, flows, copier, self.attaching)
        self.odds = OddsFlows(flows, self.messages.meant)
        self.branching = BranchActions(controller, self.transcript, self.prompt, flows, copier)
        self.messages.edit_answer = self.branching.edit_answer
        self.sending = Sending(
            controller, self.transcript, self.prompt, self._queued, editing, flows, self.models, self.attaching
        )
        summarising = Summarising(controller, flows)
        self._live = LiveFigures(controller, (self._sidebar, self._status))
        self._welcome = Welcome(controller, flows, self.models, self.hubs, self._page)
        self._saved = SavedList(
            controller, flows, self._column, self._welcome.show_latest, is_seen=lambda: self._is_list_seen
        )
        self._start = Start(
            controller,
            options,
            settings.models,
            flows,
            self.models,
            self.conversations,
            self.presets,
            self.sending,
            self._saved,
            self._welcome,
        )
        self._view = ConversationView(controller, keymap, self.transcript, self.prompt)
        # In this order: what is edited is dimmed where it is shown, and a card is the last in the transcript.
        self._followers = (
            self._live,
            self._view,
            editing,
            cards,
            header,
            line,
            self.sending,
            SessionNotices(controller, flows),
            RefusedAnswers(controller, flows, self.models, self.transcript, summarising),
            self.hubs,
            self.presets,
            self.odds,
            self._welcome,
            self._saved,
        )
        controller.listen(self.hear)
        folders = FolderFlows(controller, flows, self.models.action_pick_model)
        copying = CopyingAs(controller, self.transcript, flows, copier)
        messages = self.messages, self.branching, self.odds, self._finding, copying
        chats = self.conversations, self.conversations.exchanging, self.presets
        look = LookFlows(controller, settings, flows, self, self._saved.look)
        writing = self.sending, PromptFlows(controller, self.prompt, flows), look, summarising
        owners = self.models, self.hubs, folders, tuning, bench, *chats, *messages, *writing
        bind(self, keymap, "chat", owners=owners)
        bind(self.transcript, keymap, "card", "transcript", owners=(cards, *owners, self))

    def compose(self) -> ComposeResult:
        yield self._header
        with Horizontal(id="middle"):
            yield self._column
            with ChatColumn(self._finding, id="chat"):
                yield self._page
                yield self.transcript
                yield self._queued
                yield self._attached
                yield self._completions
                yield self.prompt
            yield self._sidebar
        yield self._status
        yield self._download_line
        yield KeyBar()

    def on_mount(self) -> None:
        state = self._controller.state.state
        self.set_class(not (self._settings.ui.sidebar if state.sidebar is None else state.sidebar), "-no-sidebar")
        self.set_class(state.conversation_list is False, "-no-conversations")
        self.header_line.show()
        self.prompt_line.show()
        self.sending.show_queue()
        self.call_after_refresh(self._first_paint)

    def _first_paint(self) -> None:
        self.is_shown = True
        self.flows.start("begin", self._start.run)
        self.flows.start("imports", partial(asyncio.to_thread, import_what_comes))
        self.flows.start("snippets", partial(aside, self.commands.read))

    def hear(self, event: AnySessionEvent) -> None:
        """What the session tells: each part shows what is its own."""
        for part in self._followers:
            part.hear(event)
        if isinstance(event, PhaseChanged):
            self.refresh_bindings()
        elif isinstance(event, ModelLoaded):
            self.prompt.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """A thought can be ended while one is written; its key is the prompt's at all other times."""
        return self._view.is_thinking if action == "answer_now" else super().check_action(action, parameters)

    def on_resize(self, event: events.Resize) -> None:
        """Make room for the conversations, or take it back."""
        self.set_class(event.size.width >= BROAD_COLUMNS, "-broad")
        self._saved.look()

    @property
    def left_out_of_footer(self) -> tuple[str, ...]:
        """Actions that could only say why they do nothing; their keys still do."""
        return () if self.models.can_switch else ("switch_backend",)

    @property
    def _is_list_seen(self) -> bool:
        """Whether conversations are offered on this screen, at the left or in the place of an empty one."""
        return self.has_class("-empty") or (self.has_class("-broad") and not self.has_class("-no-conversations"))

    # What widgets tell ------------------------------------------------------------------------------------------------

    @on(Prompt.Submitted)
    def _submitted(self, event: Prompt.Submitted) -> None:
        if not self.commands.run(event.text):
            self.sending.send(event.text)

    def _is_live(self, action: Action) -> bool:
        return hasattr(self.app if action.scope == "app" else self, f"action_{action.id}")

    @on(Prompt.Changed)
    def _typed(self) -> None:
        self.prompt_line.typed()
        self.completing.typed()

    @on(Prompt.SelectionChanged)
    def _cursor_moved(self) -> None:
        self.completing.moved()

    @on(CompletionList.Chosen)
    def _completion_chosen(self, event: CompletionList.Chosen) -> None:
        self.completing.take(event.completion)

    @on(Prompt.TakeBack)
    def _take_back(self) -> None:
        self.sending.take_back()

    @on(Prompt.Blank)
    def _blank(self) -> None:
        if self._welcome.offers_model and not self._controller.queue.texts:
            self.hubs.action_get_suggested()
        self._controller.queue.release()

    @on(DownloadLine.Clicked)
    def _line_clicked(self) -> None:
        self.hubs.action_downloads()

    @on(Prompt.Refused)
    def _refused(self) -> None:
        if not self.commands.run(self.prompt.text):  # commands need no model
            self.sending.refuse()

    @on(AttachedFiles.TakenAway)
    def _taken_away(self, event: AttachedFiles.TakenAway) -> None:
        self.attaching.take_away(event.name)

    @on(Transcript.FileChosen)
    def _file_chosen(self, event: Transcript.FileChosen) -> None:
        self.messages.show_file(event.turn_id, event.number)

    @on(Transcript.Selected)
    def _selected(self) -> None:
        self.messages.selection_changed()
        self.refresh_bindings()

    @on(Transcript.Emptied)
    def _emptied(self, event: Transcript.Emptied) -> None:
        self.set_class(event.is_empty, "-empty")
        self._saved.look()

    @on(Prompt.Above)
    def _went_above(self) -> None:
        if self.has_class("-empty") and self._page.can_focus:
            self._page.focus()

    @on(StartPage.Left)
    def _page_left(self) -> None:
        self.prompt.focus()

    @on(StartPage.ConversationChosen)
    def _latest_chosen(self, event: StartPage.ConversationChosen) -> None:
        self._open(event.conversation_id)

    @on(ConversationList.Chosen)
    def _conversation_chosen(self, event: ConversationList.Chosen) -> None:
        self._open(event.item.id)

    def _open(self, conversation_id: str) -> None:
        self.prompt.focus()
        if conversation_id != self._controller.conversation.id:
            self.flows.start("open", partial(self.conversations.open_conversation, conversation_id))

    @on(Transcript.CopyRequested)
    async def _copy_requested(self, event: Transcript.CopyRequested) -> None:
        await self._copier.copy(event.text)

    @on(Transcript.NewText)
    def _new_text(self, event: Transcript.NewText) -> None:
        self.prompt_line.show_new_text(event.is_new)

    @on(Transcript.MessageActionChosen)
    async def _message_action_chosen(self, event: Transcript.MessageActionChosen) -> None:
        await self.messages.act(event.action, event.turn_id)
        await self.branching.act(event.action, event.turn_id)

    @on(Transcript.CardChosen)
    async def _card_chosen(self, event: Transcript.CardChosen) -> None:
        # Not by `run_action`, which asks whether the key would work: a click does also where the key is another's.
        await invoke(getattr(self.transcript, f"action_{event.action}"))

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """A load is prepared, or will not be."""
        if event.worker.group in LOAD_WORKERS:
            self._controller.queue.send_next()

    @on(Readings.Shown)
    def _readings_shown(self) -> None:
        self._live.catch_up()

    def on_screen_resume(self) -> None:
        """The last dialog was closed, or the monitor."""
        self._live.catch_up()
        self._welcome.show()
        self.flows.resumed()

    def on_key(self, event: events.Key) -> None:
        """Letters typed while something else has the focus, and nothing there wants them, go to the prompt."""
        text = event.character if event.is_printable and event.key not in self.active_bindings else None
        if text and self.focused is not self.prompt:
            event.stop()
            self.prompt.focus()
            self.prompt.insert_text(text)

    async def on_paste(self, event: events.Paste) -> None:
        """What is pasted while something else has the focus goes to the prompt too."""
        event.stop()
        self.prompt.focus()
        await self.prompt.paste(event.text)

    # Actions of its own -----------------------------------------------------------------------------------------------

    def action_new_chat(self) -> None:
        """Start a new conversation."""
        self.run_worker(self._controller.new(), group="new")
        self.prompt.focus()

    def action_monitor(self) -> None:
        """Show the full-screen monitor."""
        from tui.app.screens.monitor import MonitorScreen

        self.app.push_screen(MonitorScreen(self._controller, self._keymap, self._live.now, self.flows.resumed))

    async def action_card_details(self) -> None:
        """Show the engine's log."""
        await self.app.run_action("log_view")

    def speak(self, language: Language) -> bool:
        """Say everything in this language from now on, what is on the screen already too. False, and it is English,
        when its texts are not there."""
        is_there = use(language)
        self.run_worker(self._controller.share_language(), group="language")
        self.prompt.placeholder = tr(PLACEHOLDER)
        self.transcript.reword()
        self.prompt_line.reword()
        self.header_line.reword()
        self._welcome.reword()
        self._saved.reword()
        self.sending.show_queue()
        self.attaching.reword()
        self.hubs.show()
        self._controller.finding.forget_order()
        for widget in self.query(LineWidget):
            widget.update_rows()
        return is_there
