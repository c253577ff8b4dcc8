"""The card about an engine that died or a model that could not be loaded: when it comes and goes, and what its keys do
to the load settings."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import msgspec

from tui.app import death_card, host_phrases, phrases
from tui.app.bindings import Keymap
from tui.app.widgets.prompt import Prompt
from tui.app.widgets.transcript import Card, Transcript
from tui.config.load import CPU, auto_devices, backend_devices, backend_name
from tui.config.settings import ChosenLoad
from tui.protocol.death import Death
from tui.protocol.messages import Loaded
from tui.session import events
from tui.session.interface import Session


class Cards:
    """One card at a time. Follows the session, after what shows the conversation."""

    def __init__(self, controller: Session, keymap: Keymap, transcript: Transcript, prompt: Prompt) -> None:
        self._controller, self._keymap, self._transcript, self._prompt = controller, keymap, transcript, prompt
        self._card_id = ""
        """The card that was shown last."""
        self._reload: Callable[[], object] = controller.restart
        self._death: Death | None = None
        """How the engine died last."""
        self._last_loaded: Loaded | None = None

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show or remove a card."""
        match event:
            case events.ModelLoaded(loaded=loaded):
                self._last_loaded = loaded
                self._transcript.remove_card(self._card_id)
            case events.LoadFailed(path=path, info=info):
                self.show(partial(phrases.load_failure, path, info, self._keymap), self._controller.retry)
            case events.EngineLost(death=death):
                self._death = death
                self._show_death(death)
            case events.HostLost(was_writing=was_writing, is_ended=is_ended, why=why):
                self.show(
                    partial(host_phrases.host_lost, why, self._keymap, was_writing=was_writing, is_ended=is_ended),
                    self._controller.restart,
                )
            case events.ConversationOpened() if self._death is not None and self._controller.phase == "dead":
                self._show_death(self._death)  # its card went with the other conversation

    def show(self, make: Callable[[], Card], reload: Callable[[], object]) -> None:
        """Show a card in place of an older one; `reload` is what "Reload" does. Its keys work at once, but not in the
        middle of what somebody types: the next letter would choose from it."""
        self._transcript.remove_card(self._card_id)
        if self._prompt.screen.focused is self._prompt and self._prompt.text:
            make = partial(self._from_the_prompt, make)
        else:
            self._transcript.focus()
        card = make()
        self._card_id, self._reload = card.card_id, reload
        self._transcript.add_card(card, make)

    def _from_the_prompt(self, make: Callable[[], Card]) -> Card:
        card = make()
        return msgspec.structs.replace(card, body=f"{card.body}\n{phrases.reach_card(self._keymap)}")

    def _show_death(self, death: Death) -> None:
        fatal, goes_back = self._fatal_choice, self._fatal_choice != self._controller.model.choice
        make = partial(
            death_card.engine_stopped,
            death,
            self._n_gpu_layers,
            fatal.n_ubatch,
            self._keymap,
            gpu=self._gpu,
            goes_back=goes_back,
        )
        self.show(make, self._controller.restart)

    @property
    def _gpu(self) -> str:
        """The backend of the GPU that "auto" would take; empty where there is none."""
        return backend_name(found) if (found := auto_devices(self._controller.model.devices)) else ""

    @property
    def _fatal_choice(self) -> ChosenLoad:
        """The settings that the engine died with."""
        return self._controller.model.fatal_choice or self._controller.model.choice

    @property
    def _n_gpu_layers(self) -> int:
        """Layers that the engine had on a GPU when it died, or was bringing there; 0 for the CPU alone."""
        controller, choice = self._controller, self._fatal_choice
        loaded, death = self._last_loaded, self._death
        if loaded is not None and death is not None and death.running != "loading":
            return loaded.llama.n_gpu_layers if loaded.llama.devices else 0
        if not backend_devices(choice.backend, controller.model.devices):
            return 0
        info = controller.model.headers.get(str(controller.model.path))
        all_layers = info.n_layers + 1 if info else 2
        asked = choice.n_gpu_layers
        return all_layers if asked < 0 else min(asked, all_layers)

    def action_card_reload(self) -> None:
        """Load once more, or a new engine process with the same model."""
        self._reload()

    def action_card_small_ubatch(self) -> None:
        """With less memory for computing on the GPU."""
        self._controller.restart(n_ubatch=death_card.SMALL_UBATCH)

    def action_card_fewer_layers(self) -> None:
        """With fewer layers on the GPU."""
        self._controller.restart(n_gpu_layers=death_card.fewer_layers(self._n_gpu_layers))

    def action_card_cpu(self) -> None:
        """On the CPU."""
        self._controller.restart(backend=CPU)

    def action_card_no_repack(self) -> None:
        """With the weights as they lie in the file."""
        self._controller.restart(repack="off")

    def action_card_gpu(self) -> None:
        """On the GPU, after a crash on the CPU."""
        self._controller.restart(backend=self._gpu, n_gpu_layers=self._fatal_choice.n_gpu_layers or -1)
