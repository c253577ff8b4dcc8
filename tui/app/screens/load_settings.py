"""The load settings: what one turns, and what it costs, moving together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import ClassVar, Literal, get_args, get_origin

import msgspec
from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widget import Widget
from textual.widgets import Input, Static

from tui.app.bindings import Keymap
from tui.app.screens.dialog import Dialog
from tui.app.screens.load_complaints import wrong_together
from tui.app.widgets.choice_line import ChoiceLine
from tui.app.widgets.cost_table import CostTable
from tui.app.widgets.draft_line import DraftLine, Drafts
from tui.app.widgets.fold_line import FoldLine
from tui.app.widgets.form import Form, FormRow, end, unit
from tui.app.widgets.number_input import Number, NumberInput
from tui.app.widgets.slider import Slider
from tui.app.widgets.verdict_line import VerdictLine
from tui.base import format
from tui.base.text import clean
from tui.config.load import CPU, auto_devices, backend_devices, backend_name, engine_settings, type_of
from tui.config.loadtable import LOAD_ROWS, LOAD_TABLE, LoadRow, value_words
from tui.config.settings import ChosenLoad
from tui.engines.plans import DryRunPlanner
from tui.machine.cpus import chosen_cpus, physical_cores
from tui.measure.forecast import forecast
from tui.measure.known_speeds import KnownSpeeds
from tui.models.info import ModelInfo
from tui.planning import verdict_words
from tui.planning.exact import Confirmed
from tui.planning.formula import MemoryPlan, estimate
from tui.planning.now import MemoryNow
from tui.planning.search import context_steps
from tui.planning.verdict import by_formula, judge_settings
from tui.planning.windows import ways
from tui.protocol.records import Device, LoadSettings
from tui.words import tr, trn

_FITTED = ("n_ctx", "n_gpu_layers", "n_cpu_moe")
"""What "Fit" may change."""
_FIRST = ("n_ctx", "n_gpu_layers", "backend", "n_cpu_moe")
"""The rows at the top, which depend on the model and the machine; the others follow as the table has them."""
_ADVANCED = tuple(row for row in LOAD_TABLE if row.is_advanced)
_GPUS = ("gpu", "igpu", "software")
_SETTLE_S = 0.03
"""A slider that moves on within this time is not worth a question: keys repeat about so fast."""


class LoadScreen(Dialog[ChosenLoad]):
    """Settings for one model. `settings` are those it would be loaded with now, `defaults` what "Defaults" goes back
    to. The result keeps what was not changed as it was written: "auto", 0 and -1 included.

    Costs are the formula's until the `planner`, if there is one, has asked llama.cpp about the file at `path`. `speeds`
    are what a forecast is made from; `more_speeds` gives more of them after a while, or None. `tuned` says what of the
    settings a search has found; `tune` begins one, in place of a load; `drafts` gives what could be the draft model."""

    CSS_PATH: ClassVar[list[str]] = ["dialog.tcss", "load_settings.tcss"]  # type: ignore[assignment]
    AUTO_FOCUS = "#slide-n_ctx"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "app.focus_previous", "Field before", show=False),
        Binding("down", "app.focus_next", "Next field", show=False),
    ]

    def __init__(
        self,
        info: ModelInfo,
        settings: ChosenLoad,
        devices: Sequence[Device],
        memory: MemoryNow,
        keymap: Keymap,
        *,
        defaults: ChosenLoad | None = None,
        path: Path | None = None,
        planner: DryRunPlanner | None = None,
        speeds: KnownSpeeds = KnownSpeeds(),  # noqa: B008 - frozen
        more_speeds: Callable[[], Awaitable[KnownSpeeds | None]] | None = None,
        tuned: str = "",
        tune: Callable[[ChosenLoad], object] | None = None,
        drafts: Drafts | None = None,
    ) -> None:
        super().__init__(keymap, "load", title=tr("Load settings"))
        self._info, self._devices, self._memory = info, tuple(devices), memory
        self._base = settings
        """What the fields were filled with: a field that still says the same gives the same."""
        self._defaults = defaults or ChosenLoad()
        self._path, self._planner, self._speeds, self._more_speeds = path, planner, speeds, more_speeds
        self._tuned, self._tune, self._drafts = tuned, tune, drafts
        self._n_layers = info.n_layers + 1
        self._n_ctx_train = info.n_ctx_train or 4096

    # What is seen -----------------------------------------------------------------------------------------------------

    def compose_body(self) -> ComposeResult:
        """The model, whether it fits, the form, the costs, the buttons."""
        info = self._info
        layers = trn("{n} layer", "{n} layers", info.n_layers)
        facts = [info.name, info.quant, format.size(info.size_bytes), info.experts_label, layers]
        yield Static(clean(" · ".join(facts)), id="model", markup=False)
        yield VerdictLine()
        with Container(id="middle"):
            with Form():
                yield from self._rows()
            yield CostTable()
        if self._tuned:
            yield Static(self._tuned, id="tuned", markup=False)
        yield self.button_row("load_apply", "load_fit", *(("load_tune",) if self._tune else ()), "dialog_close")

    def _rows(self) -> ComposeResult:
        n_layers = self._info.n_layers
        yield self._slider_row("n_ctx", context_steps(self._n_ctx_train), self._n_ctx_train)
        yield self._slider_row("n_gpu_layers", range(self._n_layers + 1), self._n_layers)
        yield _form_row(LOAD_ROWS["backend"], ChoiceLine(self._backends(), CPU, id="backend"))
        if self._info.is_moe:
            yield self._slider_row("n_cpu_moe", range(n_layers + 1), 0)
        widgets: dict[str, list[Widget]] = {}  # by the first setting of a row
        for row in LOAD_TABLE:
            if row.beside:
                widgets[next(reversed(widgets))] += [unit(tr(row.label)), self._field(row)]
            elif row.name not in _FIRST and self._matters(row.name):
                widgets[row.name] = [self._field(row)]
        cores = physical_cores(among=chosen_cpus(self._base.cpu_range))
        widgets["n_threads"].append(unit(trn("0: {n} core", "0: {n} cores", cores)))
        for name in [name for name in widgets if not LOAD_ROWS[name].is_advanced]:
            yield _form_row(LOAD_ROWS[name], *widgets.pop(name))
        about = (tr(row.words) for row in _ADVANCED if self._matters(row.name))
        yield FormRow(tr("Advanced"), FoldLine(*about, is_open=self._has_advanced, id="advanced"), id="row-advanced")
        for name, inside in widgets.items():
            folded = _form_row(LOAD_ROWS[name], *inside)
            folded.display = self._has_advanced
            yield folded

    def _matters(self, name: str) -> bool:
        """The setting can make a difference to this model on these devices."""
        if name == "split_mode":
            return sum(device.kind in _GPUS for device in self._devices) > 1
        return name != "swa_full" or self._info.n_swa > 0

    @property
    def _has_advanced(self) -> bool:
        """One of the settings that are folded away is not what it is by default."""
        return any(getattr(self._base, row.name) != getattr(self._defaults, row.name) for row in _ADVANCED)

    @on(FoldLine.Changed)
    def _show_advanced(self) -> None:
        """Show the folded rows, or hide them."""
        is_open = self.query_one(FoldLine).is_open
        for row in _ADVANCED:
            for shown in self.query(f"#row-{row.name}"):
                shown.display = is_open
        self._take_height()
        if is_open:  # what was opened is seen
            self.call_after_refresh(self.query_one(Form).scroll_to_widget, self.query(FormRow).last(), animate=False)

    def on_resize(self) -> None:
        """Keep all of it on the terminal."""
        self._take_height()

    def _take_height(self) -> None:
        """The box is as high as what is in it; where that is too much, the form scrolls."""
        width, height = self.size
        is_high, is_wide = height >= 18, width >= 132
        verdict_and_model = (3 if width < 64 else 2) + is_high
        verdict_and_model += bool(self._tuned) and is_high
        costs = 0 if is_wide or not is_high else self.query_one(CostTable).n_rows
        free = height - len(("border", "border", "buttons", "keys")) - verdict_and_model - costs
        rows = sum(row.display for row in self.query(FormRow))
        is_roomy = free >= rows + 4
        self.set_class(is_roomy, "-roomy")
        self.query_one(Form).styles.max_height = max(3, free - 4 * is_roomy)

    def _slider_row(self, name: str, steps: Sequence[int], value: int) -> FormRow:
        row = LOAD_ROWS[name]
        return _form_row(row, self._field(row), Slider(steps, value, id=f"slide-{name}"), end(f"{steps[-1]:,}"))

    def _field(self, row: LoadRow) -> NumberInput | ChoiceLine:
        """The widget for a setting, by its type."""
        hint = type_of(row.name)
        if hint is bool:
            return ChoiceLine(_options("on", "off"), "on", id=row.name)
        if hint is str:
            return DraftLine(self._drafts, id=row.name)
        if values := row.offered or (get_args(hint) if get_origin(hint) is Literal else ()):
            return ChoiceLine(_options(*values), values[0], id=row.name)
        number = NumberInput(ChosenLoad, row.name, 0)
        self.give_way(number, "load_apply", "load_fit", "load_tune", "load_reset")
        return number

    def _backends(self) -> list[tuple[str, str]]:
        """CPU, each GPU, and all that would be taken together."""
        found = [(CPU, "CPU")]
        gpus = (device for device in self._devices if device.kind in _GPUS)
        found += ((device.name, f"{device.name} {device.description}") for device in gpus)
        several = auto_devices(self._devices)
        if len(several) > 1:
            found.append((backend_name(several), trn("all {n} GPU", "all {n} GPUs", len(several))))
        return found

    def on_mount(self) -> None:
        """Show the settings."""
        if self._planner is not None:
            self.run_worker(self._planner.warm_up(), group="warm up")
        self._fill(self._base)
        if self._more_speeds is not None:
            self._take_speeds(self._more_speeds)

    @work(exclusive=True, group="speeds")
    async def _take_speeds(self, more: Callable[[], Awaitable[KnownSpeeds | None]]) -> None:
        found = await more()
        if found is not None and self.display:  # not while the dialog is being taken apart
            self._speeds = found
            self._show_costs(self.choice)

    def _fill(self, settings: ChosenLoad) -> None:
        self._base = settings
        if self._has_advanced:
            self.query_one(FoldLine).more()
        for number in self.query(NumberInput):
            number.show(self._shown(settings, number.field))
        for line in self.query(ChoiceLine):
            line.show(self._said(settings, line.id or ""))
        self._refresh_costs()

    def _shown(self, settings: ChosenLoad, field: str) -> Number:
        """What a field shows for a setting: "the size it was trained with" and "all layers" as numbers."""
        value: int = getattr(settings, field)
        if field == "n_ctx":
            return value or self._n_ctx_train
        if field == "n_gpu_layers":
            return self._n_layers if value < 0 else min(value, self._n_layers)
        return min(value, self._info.n_layers) if field == "n_cpu_moe" else value

    def _said(self, settings: ChosenLoad, field: str) -> str:
        """What a choice shows for a setting."""
        if field == "backend":
            return self._backend_of(settings)
        value = getattr(settings, field)
        return value if isinstance(value, str) else "on" if value else "off"

    def _backend_of(self, settings: ChosenLoad) -> str:
        names = backend_devices(settings.backend, self._devices)
        return backend_name(auto_devices(self._devices) if names is None else names)

    # What it means ----------------------------------------------------------------------------------------------------

    @property
    def choice(self) -> ChosenLoad:
        """The settings as they stand; a field with something wrong in it counts as it was filled."""
        changes: dict[str, object] = {}
        for number in self.query(NumberInput):
            if number.number is not None and number.number != self._shown(self._base, number.field):
                changes[number.field] = number.number
        if changes.get("n_gpu_layers") == self._n_layers:
            changes["n_gpu_layers"] = -1
        known = backend_devices(self._base.backend, self._devices) is not None
        for line in self.query(ChoiceLine):
            field = line.id or ""
            if line.value != self._said(self._base, field) or (field == "backend" and not known):
                changes[field] = line.value == "on" if isinstance(getattr(self._base, field), bool) else line.value
        return msgspec.structs.replace(self._base, **changes)

    @property
    def complaints(self) -> dict[str, str]:
        """What is wrong, by the field where it is to be mended."""
        found = {number.field: number.complaint for number in self.query(NumberInput) if number.complaint}
        settings = engine_settings(self.choice, self._devices)[0]
        return found | wrong_together(self._info, self.choice, self._n_layers, settings, alone=found)

    def _refresh_costs(self) -> None:
        """After every change: sliders, notes, complaints and costs."""
        choice, complaints = self.choice, self.complaints
        for slider in self.query(Slider):
            number = self.query_one(f"#{(slider.id or '').removeprefix('slide-')}", NumberInput)
            number.set_class(bool(number.complaint), "-invalid")
            if number.number is not None:
                slider.show(int(number.number))
        on_gpu = self.query_one("#backend", ChoiceLine).value != CPU
        for field in ("n_gpu_layers", "n_cpu_moe"):
            for widget in (*self.query(f"#{field}"), *self.query(f"#slide-{field}")):
                widget.disabled = not on_gpu
        for row in self.query(FormRow):
            inside = [widget.id or "" for widget in row.query("NumberInput, ChoiceLine")]
            row.tell(
                next((complaints[field] for field in inside if field in complaints), ""), self._note(row.id, choice)
            )
        self._show_costs(choice)

    def _show_costs(self, choice: ChosenLoad) -> None:
        """At once what is known, and llama.cpp's own figures when they come."""
        settings = engine_settings(choice, self._devices)[0]
        unknown = [way for way in ways(self._info, settings) if self._planned(way) is None]
        if unknown and self._planner is not None and self._path is not None:
            self._ask_planner(self._planner, self._path, unknown)
        else:
            self.workers.cancel_group(self, "plan")
        self._show_plan(settings)

    def _planned(self, settings: LoadSettings) -> MemoryPlan | None:
        """What llama.cpp has said."""
        if self._planner is None or self._path is None:
            return None
        return self._planner.known(self._path, settings, self._memory.device_free)

    @work(exclusive=True, group="plan")
    async def _ask_planner(self, planner: DryRunPlanner, path: Path, unknown: Sequence[LoadSettings]) -> None:
        """Only the newest question is answered: the next one cancels this."""
        await asyncio.sleep(_SETTLE_S)
        plans = [await planner.plan(path, self._info, way, self._memory.device_free) for way in unknown]
        if any(plan.exact for plan in plans) and self.display:  # not while the dialog is being taken apart
            self._show_plan(engine_settings(self.choice, self._devices)[0])

    def _show_plan(self, settings: LoadSettings) -> None:
        def plan_of(info: ModelInfo, way: LoadSettings, memory: MemoryNow) -> MemoryPlan:
            return self._planned(way) or by_formula(info, way, memory)

        verdict = judge_settings(self._info, settings, self._memory, plan_of)
        found = forecast(self._info, verdict.plan, self._speeds, n_threads=self.choice.n_threads)
        self.query_one(VerdictLine).show(verdict, found.decode_tps if found else None)
        self.query_one(CostTable).show(verdict)
        for row in self.query("#row-swa_full").results(FormRow):
            row.tell("", verdict_words.windows(verdict.plan, is_auto=settings.swa_full == "auto"))
        self._take_height()

    def _note(self, row_id: str | None, choice: ChosenLoad) -> str | None:
        """Notes that depend on values; None leaves the row's own."""
        if row_id == "row-n_ctx":
            n_trained = self._info.n_ctx_train
            if n_trained and choice.n_ctx > n_trained:
                return tr("beyond the trained {n_ctx}", n_ctx=f"{n_trained:,}")
            return tr("tokens, up to the trained size")
        on_cpu = self.query_one("#backend", ChoiceLine).value == CPU
        if row_id == "row-n_gpu_layers":
            return tr("no GPU is used") if on_cpu else tr("layers on the GPU")
        if row_id == "row-model_draft":
            plan = estimate(self._info, engine_settings(choice, self._devices)[0])
            return self.query_one(DraftLine).note(plan.draft_bytes)
        if row_id == "row-repack":
            return tr("auto: what Tune found, else on") if on_cpu else tr("only without a GPU")
        if row_id == "row-backend" and backend_devices(self._base.backend, self._devices) is None:
            return tr("{backend} is not here", backend=clean(self._base.backend))
        return None

    @on(Slider.Changed)
    def _slid(self, event: Slider.Changed) -> None:
        self.query_one(f"#{(event.slider.id or '').removeprefix('slide-')}", NumberInput).show(event.value)
        self._refresh_costs()

    @on(Input.Changed)
    @on(ChoiceLine.Changed)
    def _changed(self) -> None:
        self._refresh_costs()

    # What is done -----------------------------------------------------------------------------------------------------

    @on(Input.Submitted)
    def action_load_apply(self) -> None:
        """Load, unless something is wrong."""
        if self._is_right():
            self.dismiss(self.choice)

    def action_load_tune(self) -> None:
        """Leave for a search that begins with these settings, unless something is wrong."""
        if self._tune is not None and self._is_right():
            choice = self.choice
            self.dismiss(None)
            self._tune(choice)

    def _is_right(self) -> bool:
        """Whether the settings can be used; else what is wrong gets the focus."""
        wrong = next(iter(self.complaints), "")
        if wrong:
            if LOAD_ROWS[wrong].is_advanced:
                self.query_one(FoldLine).more()
            self.query_one(f"#{wrong}").focus()
        return not wrong

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing is tuned where nobody could."""
        return (action != "load_tune" or self._tune is not None) and super().check_action(action, parameters)

    @work(exclusive=True, group="fit")
    async def action_load_fit(self) -> None:
        """Choose what is fastest of all that fits, and say so where that takes a smaller context."""
        asked = self.choice
        planner = self._planner if self._path else None
        confirmed = Confirmed(planner, self._path or Path(), self._info, self._devices, self._memory)
        found = await confirmed.auto_fit(asked, worst="tight")
        if found is None:
            self.notify(tr(verdict_words.NOTHING_FITS), severity="warning", timeout=8, markup=False)
            return
        changed = []
        for field in _FITTED:
            for number in self.query(f"#{field}").results(NumberInput):
                value = self._shown(found.choice, field)
                if number.number != value:
                    changed.append(field)
                number.show(value)
        if found.is_cut:
            told = verdict_words.context_cut(asked.n_ctx or self._n_ctx_train, found.choice.n_ctx)
            self.notify(told, severity="warning", timeout=8, markup=False)
        elif not changed:
            self.notify(tr(verdict_words.FITS_ALREADY), timeout=4, markup=False)
        self._refresh_costs()

    def action_load_reset(self) -> None:
        """Go back to the defaults."""
        self._fill(self._defaults)

    @property
    def _adjustable(self) -> Slider | ChoiceLine | FoldLine | None:
        """What the keys for less and more act on."""
        return self.focused if isinstance(self.focused, Slider | ChoiceLine | FoldLine) else None

    def action_value_less(self) -> None:
        """One step down in the focused slider or choice."""
        if widget := self._adjustable:
            widget.less()

    def action_value_more(self) -> None:
        """One step up."""
        if widget := self._adjustable:
            widget.more()

    def action_value_least(self) -> None:
        """To the lower end."""
        if widget := self._adjustable:
            widget.least()

    def action_value_most(self) -> None:
        """To the upper end."""
        if widget := self._adjustable:
            widget.most()


def _options(*values: str) -> list[tuple[str, str]]:
    """Values, and what they are called."""
    return [(value, value_words(value)) for value in values]


def _form_row(row: LoadRow, *widgets: Widget) -> FormRow:
    return FormRow(tr(row.label), *widgets, note=tr(row.note), id=f"row-{row.name}")
