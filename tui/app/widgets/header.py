"""The first row of the main screen: the model and how it is loaded, or why there is none."""

from __future__ import annotations

import msgspec

from tui.app.markdown.text import width_of
from tui.app.widgets.lines import LineWidget, Row, shorten, spread
from tui.app.widgets.readings import bar, percent
from tui.base.text import one_line
from tui.words import mark, tr

_DOT = " · "
_FLASH_ATTN = {"auto": mark("FA auto"), "on": mark("FA on"), "off": mark("FA off")}


class NoModelLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """No model is loaded."""

    hint: str = ""
    """What to do about it, such as "^o chooses one"."""


class LoadingModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model is being loaded."""

    name: str
    fraction: float
    """0.0 to 1.0."""


class ModelInUse(msgspec.Struct, frozen=True, kw_only=True):
    """A loaded model, as it really is, in the words of the screen; empty texts are left out."""

    name: str
    quant: str = ""
    """ "Q3_K_L"."""
    size: str = ""
    """Parameters or experts: "8.2B", "128 experts, 8 used"."""
    place: str = ""
    """Backend and layers: "Vulkan0 48/48", "CPU"."""
    threads: str = ""
    """Threads that compute on the CPU: "8 threads"."""
    n_ctx: int = 0
    flash_attn: str = ""
    """ "auto", "on" or "off"."""
    kv: str = ""
    """Types of the KV cache: "f16", or "q8_0/q4_0" where K and V differ."""


class EngineStopped(msgspec.Struct, frozen=True, kw_only=True):
    """The engine process is gone."""

    name: str = ""
    """The model that it had."""
    hint: str = ""
    """What to do about it."""


HeaderState = NoModelLoaded | LoadingModel | ModelInUse | EngineStopped


class Header(LineWidget):
    """Shows one `HeaderState`. What does not fit goes from the right end, the model's name last."""

    DEFAULT_CSS = """
    Header {
        width: 1fr;
        height: 1;
        padding: 0 1;
        background: $panel;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.state: HeaderState = NoModelLoaded()

    def show_state(self, state: HeaderState) -> None:
        """Show that from now on."""
        self.state = state
        self.update_rows()

    def compose_rows(self, width: int, height: int) -> list[Row]:
        """The one row."""
        match self.state:
            case NoModelLoaded(hint=hint):
                return [_statement(tr("No model is loaded"), "strong", hint, width)]
            case EngineStopped(name=name, hint=hint):
                about = _DOT.join(filter(None, (tr("The engine stopped"), one_line(name))))
                return [_statement(about, "full", hint, width)]
            case LoadingModel(name=name, fraction=fraction):
                return [_loading(one_line(name), min(1.0, max(0.0, fraction)), width)]
            case ModelInUse() as model:
                return [_model(model, width)]


def _statement(text: str, style: str, hint: str, width: int) -> Row:
    text = shorten(text, width)
    hint = shorten(one_line(hint), width - width_of(text) - 2)
    return spread(((text, style),), ((hint, "muted"),), width) if hint else ((text, style),)


def _loading(name: str, fraction: float, width: int) -> Row:
    length = max(6, min(40, width // 3))
    filled, empty = bar(fraction, length)
    label = tr("loading") + " " if width >= 50 else ""
    name = shorten(name, width - width_of(label) - length - 6)
    progress = ((filled, ""), (empty, "faint"), (f" {percent(fraction)}", "strong"))
    return spread(((label, "muted"), (name, "strong")), progress, width)


def _model(model: ModelInUse, width: int) -> Row:
    left = [one_line(model.name), one_line(model.quant), one_line(model.size)]
    right = [
        one_line(model.place),
        model.threads,
        tr("ctx {n_ctx}", n_ctx=f"{model.n_ctx:,}") if model.n_ctx else "",
        tr(_FLASH_ATTN[model.flash_attn]) if model.flash_attn else "",
        f"KV {model.kv}" if model.kv else "",
    ]
    # The least important part first: how the KV cache is kept, flash attention, size, threads, context, quantization,
    # place.
    for side, index in (
        *((right, 4), (right, 3), (left, 2), (right, 1)),
        *((right, 2), (left, 1), (right, 0)),
    ):
        if _length(left) + _length(right) + 2 <= width:
            break
        side[index] = ""
    name, *about = left
    name = shorten(name, width)
    about_text = "".join(f"{_DOT}{part}" for part in about if part)
    return spread(((name, "strong"), (about_text, "muted")), ((_DOT.join(filter(None, right)), "muted"),), width)


def _length(parts: list[str]) -> int:
    return width_of(_DOT.join(filter(None, parts)))
