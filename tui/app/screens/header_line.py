"""The first row of the main screen: which model is loaded, how, and what the engine is at."""

from __future__ import annotations

from tui.app import phrases
from tui.app.bindings import Keymap
from tui.app.widgets.header import EngineStopped, Header, HeaderState, LoadingModel, ModelInUse, NoModelLoaded
from tui.app.widgets.status_line import StatusLine
from tui.base import format
from tui.config.keymap import display_keys
from tui.models.info import ModelInfo
from tui.planning.placement import experts_on_cpu
from tui.protocol.records import LlamaLoad
from tui.session import events
from tui.session.interface import Session
from tui.words import tr


class HeaderLine:
    """Follows the session into the header, and says in the status line where the model is."""

    def __init__(self, controller: Session, keymap: Keymap, header: Header, status: StatusLine) -> None:
        self._controller, self._keymap, self._header, self._status = controller, keymap, header, status
        self._fraction = 0.0
        """Of the load that was shown last."""

    def hear(self, event: events.AnySessionEvent) -> None:
        """Show what is different now."""
        match event:
            case events.LoadAdvanced(fraction=fraction):
                self.show(fraction)
            case events.PhaseChanged() | events.ModelLoaded():
                self.show()
            case events.ConversationOpened() | events.ConversationChanged():
                self.show()

    def show(self, fraction: float = 0.0) -> None:
        """How things stand; `fraction` of a load is done."""
        self._fraction = fraction
        controller, loaded = self._controller, self._controller.engine.loaded
        info = controller.model.headers.get(loaded.path) if loaded is not None else None
        state: HeaderState
        place = ""
        if controller.phase == "dead":
            state = EngineStopped(name=controller.model.name, hint=tr("reload it from the card or the palette"))
        elif controller.phase == "loading":
            state = LoadingModel(name=controller.model.name, fraction=fraction)
        elif loaded is None:
            state = NoModelLoaded(hint=tr("the engine starts…") if controller.phase == "starting" else self._hint())
        else:
            llama, place = loaded.llama, _place(loaded.llama, info)
            state = ModelInUse(
                name=controller.model.name,
                quant=info.quant if info else "",
                size=phrases.model_size(info) if info else format.params(loaded.n_params),
                place=place,
                threads=phrases.threads(loaded),
                n_ctx=loaded.n_ctx,
                flash_attn="on" if llama.flash_attn else "off",
                kv=llama.type_k if llama.type_k == llama.type_v else f"{llama.type_k}/{llama.type_v}",
            )
        self._header.show_state(state)
        self._status.show_place(place)

    def reword(self) -> None:
        """The same in the language in use."""
        self.show(self._fraction)

    def _hint(self) -> str:
        keys = self._keymap.get("pick_model", ())
        return tr("{key} chooses one", key=display_keys(keys, limit=1)) if keys else ""


def _place(llama: LlamaLoad, info: ModelInfo | None) -> str:
    """ "Vulkan0 48/48", "Vulkan0 49/49 · experts on CPU: 12", "CPU"."""
    place = format.place(llama.devices, llama.n_gpu_layers, llama.n_layers)
    if info and (n_cpu_moe := experts_on_cpu(info, llama.n_gpu_layers, llama.n_cpu_moe)):
        return f"{place} · {tr('experts on CPU: {n}', n=n_cpu_moe)}"
    return place
