"""The one card about an engine that died: what happened, why as far as known, its last words, and what one key does.
What was in use when it died is not offered again."""

from __future__ import annotations

from tui.app.bindings import Keymap
from tui.app.phrases import card_choices
from tui.app.widgets.transcript_entries import Card
from tui.protocol.death import Cause, Death, crashed_code, rebuild_command

SMALL_UBATCH = 128
_CAUSES: dict[Cause, tuple[str, str]] = {
    "killed": ("the system ended it, most likely out of memory", "fewer layers or a smaller context"),
    "ended": (
        "something outside asked it to end, such as a person or a guard against full memory",
        "reloading it, and if that happens again, fewer layers or a smaller context",
    ),
    "out_of_memory": ("a device ran out of memory", "fewer layers on the GPU, a smaller context or ubatch"),
    "device_lost": ("the GPU driver gave the device up", "a smaller ubatch, or the CPU"),
    "shader": ("the GPU driver could not compile a shader", "the CPU, or a newer driver"),
    "file_changed": ("the model file changed or its disk failed", "checking the file, then reload"),
    "bad_file": ("llama.cpp crashed over {file}: it is damaged or not made well", "fetching it again, or another file"),
    "assertion": ("llama.cpp found an inconsistency, perhaps in {file}", "other load settings, or the CPU"),
    "crashed": ("llama.cpp crashed, perhaps over {file}", "other load settings, or the CPU"),
    "not_started": ("the engine could not be started", "installing llmtui again: `make run` in its folder"),
    "not_stopped": ("it did not stop when asked to, so llmtui ended it", "a smaller ubatch, which stops sooner"),
    "other_version": (
        "llmtui was replaced by another version while it ran, and the engine is of that version",
        "quitting llmtui and starting it again",
    ),
    "out_of_step": ("what it said made no sense, so llmtui ended it", "reloading; the details are in the log"),
}
_ADVICE_ON_CPU: dict[Cause, str] = {
    "killed": "a smaller context, or a smaller file of this model",
    "ended": "reloading it, and if that happens again, a smaller context or a smaller file of this model",
    "out_of_memory": "a smaller context or ubatch, or a smaller file of this model",
    "assertion": "other load settings, or another file of this model",
    "crashed": "other load settings, or another file of this model",
}
"""Where the CPU alone computed."""
_DOING = {"loading": "loading the model", "benchmark": "measuring"}


def fewer_layers(n_gpu_layers: int) -> int:
    """What the card offers instead of so many."""
    return n_gpu_layers * 3 // 4


def likely_cause(death: Death) -> str:
    """Why it died, in words without an end."""
    if death.cause == "cpu_code":
        return crashed_code(death)
    return _CAUSES[death.cause][0].format(file=death.computing.file_name)


def engine_stopped(
    death: Death, n_gpu_layers: int, n_ubatch: int, keymap: Keymap, *, gpu: str = "", goes_back: bool = False
) -> Card:
    """`n_gpu_layers` were on a GPU or on their way to it; 0 for the CPU alone. `gpu` is the backend of the GPU that
    could be used instead, if there is one. `goes_back` if to reload means the settings from before."""
    how = death.signal_name or f"exit code {death.exit_code}"
    lines = [f"Likely cause: {likely_cause(death)} ({how}). {_advice(death, n_gpu_layers, gpu)}"]
    if death.last_words:
        lines.append(f"Last words: “{death.last_words}”")
    reload = ("card_reload", "reload as it was before" if goes_back else "reload")
    offered: list[tuple[str, str]]
    if death.cause == "cpu_code":
        offered = _around_the_cpu(death, n_gpu_layers, gpu)
        if goes_back:
            offered.append(reload)
        if not offered:
            offered = [("card_load_settings", "load settings"), ("card_other_model", "other model")]
    elif death.cause == "other_version":
        offered = []  # whatever is started is of the other version
    elif death.cause == "bad_file":
        offered = [("card_other_model", "other model"), reload]
    else:
        offered = [reload, *_less_on_the_gpu(n_gpu_layers, n_ubatch)]
    offered.append(("card_details", "details"))
    doing = _DOING.get(death.running, death.running)
    title = f"The engine stopped while {doing}. The conversation is safe."
    return Card("engine_died", title, "\n".join(lines), card_choices(keymap, *offered))


def _advice(death: Death, n_gpu_layers: int, gpu: str) -> str:
    if death.cause == "not_stopped" and death.running == "loading":
        return "Try it again, or another file of this model."
    if death.cause != "cpu_code":
        advice = _CAUSES[death.cause][1]
        return f"Try {advice if n_gpu_layers else _ADVICE_ON_CPU.get(death.cause, advice)}."
    ways = ["without repacking"] if death.computing.repacked else []
    ways += ["on the GPU"] if gpu and not n_gpu_layers else []
    anew = f"uild llama.cpp anew, for less of this processor: `{rebuild_command(death.computing.gpus)}`."
    return f"Try it {' or '.join(ways)}. If that does not help, b{anew}" if ways else f"B{anew}"


def _around_the_cpu(death: Death, n_gpu_layers: int, gpu: str) -> list[tuple[str, str]]:
    offered = []
    if death.computing.repacked:
        offered.append(("card_no_repack", "reload without repacking"))
    if gpu and not n_gpu_layers:
        offered.append(("card_gpu", f"reload on {gpu}"))
    return offered


def _less_on_the_gpu(n_gpu_layers: int, n_ubatch: int) -> list[tuple[str, str]]:
    offered = []
    if n_gpu_layers and n_ubatch > SMALL_UBATCH:
        offered.append(("card_small_ubatch", f"reload with ubatch {SMALL_UBATCH}"))
    if n_gpu_layers > 1:
        offered.append(("card_fewer_layers", f"{fewer_layers(n_gpu_layers)} of {n_gpu_layers} layers on the GPU"))
    if n_gpu_layers:
        offered.append(("card_cpu", "reload on the CPU"))
    return offered
