"""The one card about an engine that died: what happened, why as far as known, its last words, and what one key does.
What was in use when it died is not offered again."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.phrases import card_choices
from tui.app.widgets.transcript_entries import Card
from tui.base import format
from tui.protocol.death import Cause, Death, how_it_ended, likely_cause, rebuild_command
from tui.words import mark, tr

SMALL_UBATCH = 128
_ADVICE: dict[Cause, str] = {
    "killed": mark("Try fewer layers or a smaller context."),
    "ended": mark("Reload it; if that happens again, try fewer layers or a smaller context."),
    "out_of_memory": mark("Try fewer layers on the GPU, a smaller context or ubatch."),
    "device_lost": mark("Try a smaller ubatch, or the CPU."),
    "shader": mark("Try the CPU, or a newer driver."),
    "file_changed": mark("Check the file, then reload."),
    "bad_file": mark("Download it again, or try another file."),
    "assertion": mark("Try other load settings, or the CPU."),
    "crashed": mark("Try other load settings, or the CPU."),
    "not_started": mark("Install llmtui again: `make run` in its folder."),
    "not_stopped": mark("Try a smaller ubatch, which stops sooner."),
    "out_of_step": mark("Reload it; the details are in the log."),
    "other_version": mark("Quit llmtui and start it again."),
}
"""What to try."""
_SMALLER_FILE = mark("Try other load settings, or another file of this model.")
_ADVICE_ON_CPU: dict[Cause, str] = {
    "killed": mark("Try a smaller context, or a smaller file of this model."),
    "ended": mark("Reload it; if that happens again, try a smaller context or a smaller file of this model."),
    "out_of_memory": mark("Try a smaller context or ubatch, or a smaller file of this model."),
    "assertion": _SMALLER_FILE,
    "crashed": _SMALLER_FILE,
}
"""Where the CPU alone computed."""
_TITLES = {
    "starting": mark("The engine stopped while starting. The conversation is safe."),
    "loading": mark("The engine stopped while loading the model. The conversation is safe."),
    "answering": mark("The engine stopped while answering. The conversation is safe."),
    "reading ahead": mark("The engine stopped while reading ahead. The conversation is safe."),
    "benchmark": mark("The engine stopped while measuring. The conversation is safe."),
    "planning": mark("The engine stopped while planning. The conversation is safe."),
    "idle": mark("The engine stopped while idle. The conversation is safe."),
}
"""By what it was doing."""


def fewer_layers(n_gpu_layers: int) -> int:
    """What the card offers instead of so many."""
    return n_gpu_layers * 3 // 4


def engine_stopped(
    death: Death, n_gpu_layers: int, n_ubatch: int, keymap: Keymap, *, gpu: str = "", goes_back: bool = False
) -> Card:
    """`n_gpu_layers` were on a GPU or on their way to it; 0 for the CPU alone. `gpu` is the backend of the GPU that
    could be used instead, if there is one. `goes_back` if to reload means the settings from before."""
    how = how_it_ended(death)
    cause = tr("Likely cause: {cause} ({how}).", cause=likely_cause(death), how=how)
    lines = [format.sentences(cause, _advice(death, n_gpu_layers, gpu))]
    if death.last_words:
        lines.append(tr("Last output: “{words}”", words=death.last_words))
    reload = ("card_reload", tr("reload as it was before") if goes_back else "")
    offered: list[tuple[str, str]]
    if death.cause == "cpu_code":
        offered = _around_the_cpu(death, n_gpu_layers, gpu)
        if goes_back:
            offered.append(reload)
        if not offered:
            offered = [("card_load_settings", ""), ("card_other_model", "")]
    elif death.cause == "other_version":
        offered = []  # whatever is started is of the other version
    elif death.cause == "bad_file":
        offered = [("card_other_model", ""), reload]
    else:
        offered = [reload, *_less_on_the_gpu(n_gpu_layers, n_ubatch)]
    offered.append(("card_details", ""))
    title = _TITLES.get(death.running, _TITLES["idle"])
    return Card("engine_died", tr(title), "\n".join(lines), card_choices(keymap, *offered))


def _advice(death: Death, n_gpu_layers: int, gpu: str) -> str:
    if death.cause == "not_stopped" and death.running == "loading":
        return tr("Try it again, or another file of this model.")
    if death.cause != "cpu_code":
        advice = _ADVICE[death.cause]
        if not n_gpu_layers:
            advice = _ADVICE_ON_CPU.get(death.cause, advice)
        return tr(advice)
    command, can_use_gpu = rebuild_command(death.computing.gpus), bool(gpu) and not n_gpu_layers
    if not death.computing.repacked and not can_use_gpu:
        return tr("Rebuild llama.cpp for older processors: `{command}`.", command=command)
    if not can_use_gpu:
        first = tr("Try it without repacking.")
    elif not death.computing.repacked:
        first = tr("Try it on the GPU.")
    else:
        first = tr("Try it without repacking or on the GPU.")
    last = tr("If that does not help, rebuild llama.cpp for older processors: `{command}`.", command=command)
    return format.sentences(first, last)


def _around_the_cpu(death: Death, n_gpu_layers: int, gpu: str) -> list[tuple[str, str]]:
    offered = []
    if death.computing.repacked:
        offered.append(("card_no_repack", ""))
    if gpu and not n_gpu_layers:
        offered.append(("card_gpu", tr("reload on {device}", device=gpu)))
    return offered


def _less_on_the_gpu(n_gpu_layers: int, n_ubatch: int) -> list[tuple[str, str]]:
    offered = []
    if n_gpu_layers and n_ubatch > SMALL_UBATCH:
        offered.append(("card_small_ubatch", tr("reload with ubatch {n_ubatch}", n_ubatch=SMALL_UBATCH)))
    if n_gpu_layers > 1:
        label = tr(
            "reload with {n} of {n_layers} layers on the GPU", n=fewer_layers(n_gpu_layers), n_layers=n_gpu_layers
        )
        offered.append(("card_fewer_layers", label))
    if n_gpu_layers:
        offered.append(("card_cpu", ""))
    return offered
