"""The sentences of the app: what the facts of an answer, an error or a dead engine read like. Everything that a person
is told about them is made here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from tui.app.bindings import Keymap
from tui.app.markdown.blocks import CodeBlock
from tui.app.moments import when
from tui.app.widgets.transcript_entries import Card, CardChoice
from tui.base import format
from tui.base.text import clean, fit_columns, one_line
from tui.chat.store import StoreError
from tui.config import paths
from tui.config.keymap import display_keys
from tui.config.problems import ConfigProblem
from tui.config.settings import LoadDefaults
from tui.machine.pressure import Shortage
from tui.models.info import ModelInfo
from tui.models.modelfile import ModelFileError
from tui.protocol.messages import ContextProblem, ContextRestored, Loaded, Started
from tui.protocol.records import ErrorInfo
from tui.session.events import ConversationGone, FaultFound, Phase
from tui.session.loads import Reload
from tui.session.replacing import Version

CODE_COLUMNS = 40
"""What a list shows of the first line of a code block."""
VERSION_COLUMNS = 36
"""And of what was replaced."""


def seconds(value: float) -> str:
    """A duration: "0.62 s", "12.3 s", "4 min 05 s"."""
    if value < 1:
        return f"{value:.2f} s"
    if value < 100:
        return f"{value:.1f} s"
    return f"{int(value) // 60} min {int(value) % 60:02d} s"


def speed(tps: float) -> str:
    """Tokens per second in five characters at most, "4.10", "31.4", "1,204", "12.3k"; "–" when unknown."""
    if tps <= 0:
        return "–"
    if tps >= 9_999.5:
        value, unit = (tps / 10**6, "M") if tps >= 999_500 else (tps / 1000, "k")
        return f"{value:,.0f}{unit}" if value >= 99.95 else f"{value:.1f}{unit}"
    return f"{tps:.2f}" if tps < 9.995 else f"{tps:.1f}" if tps < 999.95 else f"{tps:,.0f}"


def threads(loaded: Loaded) -> str:
    """Threads of decode, and of prefill where they are others: "8 threads", "8/16 threads"."""
    n, n_batch = loaded.llama.n_threads, loaded.llama.n_threads_batch
    return f"{n} thread{'' if n == 1 else 's'}" if n == n_batch else f"{n}/{n_batch} threads"


def model_size(info: ModelInfo) -> str:
    """Parameters, or the experts of a mixture of them: "8.2B", "128 experts, 8 used"."""
    return f"{info.n_expert} experts, {info.n_expert_used} used" if info.is_moe else info.params_label


def code_block(block: CodeBlock) -> tuple[str, str]:
    """A code block in a list: the first line with something on it, and its language and length."""
    lines = block.text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), "(empty)")
    length = f"{len(lines):,} line{'' if len(lines) == 1 else 's'}"
    return fit_columns(clean(first), CODE_COLUMNS), " · ".join(filter(None, (block.language, length)))


def hint(keymap: Keymap, action_id: str) -> str:
    """What stands behind the name of an action, with a space before it: " (^l)"; empty when it has no key."""
    keys = keymap.get(action_id, ())
    return f" ({display_keys(keys, limit=1)})" if keys else ""


def editing(keymap: Keymap) -> str:
    """What stands above the input while a prompt is written anew."""
    return f"editing: send it anew{hint(keymap, 'send')}, or leave it{hint(keymap, 'stop')}"


def queued(n: int, phase: Phase, keymap: Keymap, *, is_held: bool, is_load_coming: bool) -> str:
    """What prompts wait for, and how to get them back."""
    wait = "waits" if n == 1 else f"{n:,} wait"
    if is_held:
        send = display_keys(keymap.get("send", ()), limit=1)
        state = ("held" if n == 1 else f"{n:,} held") + (f": {send} sends" if send else "")
    elif phase == "answering":
        state = f"{wait} for the answer"
    elif phase == "no_model" and not is_load_coming:
        state = f"{wait} for a model{hint(keymap, 'pick_model')}"
    elif phase == "dead":
        state = f"{wait} for the engine"
    else:
        state = f"{wait} for the model"
    back = display_keys(keymap.get("stop", ()), limit=1)
    return f"{state} · {back} takes back" if back else state


def withdrawn(n: int) -> str:
    """Where the prompts are that waited in a conversation which was left."""
    return f"What waited there ({n:,} prompt{'' if n == 1 else 's'}) was not sent: it is in the input."


KEPT_DRAFT = "What you had not sent when llmtui ended is in the input again."


def still_answering(keymap: Keymap) -> str:
    """Why something cannot be done now."""
    return f"The model is still answering: stop it first{hint(keymap, 'stop')}."


def made_harmless(n: int) -> str:
    """What goes behind a sentence about a text that was copied or exported."""
    if not n:
        return ""
    what = (
        "1 character that a terminal would obey or hide was"
        if n == 1
        else f"{n:,} characters that a terminal would obey or hide were"
    )
    return f". {what} replaced or left out."


WRITTEN_ELSEWHERE = "being written in another window…"
STILL_WRITTEN_ELSEWHERE = "Another window is writing an answer here: wait for its end, or stop it there."
CHANGES_ELSEWHERE = "Another window writes in this conversation too. That is shown when this answer ends."
CHANGED_ELSEWHERE = "Another window has written in this conversation: this is how it is now."
CONFIGURED_ELSEWHERE = "Another window has changed the name or the settings of this conversation."
NOT_REPLACED = (
    "Another window has written in this conversation meanwhile: this is how it is now, and nothing was replaced. "
    "Do it again if you still want to."
)


def conversation_gone(event: ConversationGone) -> str:
    """Where what one sees is, when it is not in the database any more."""
    if event.is_other_database:
        return "The database does not have this conversation as you see it. It was saved again, as a new one."
    gone = "This conversation was deleted in another window."
    if event.is_saved:
        return f"{gone} What you see here was saved again, as a new one."
    return f"{gone} What you see is only here now: your next prompt saves it again, as a new one."


def version(replaced: Version, now: datetime | None = None) -> tuple[str, str]:
    """Messages that were replaced together, as a list shows them: their first words; how many, and since when."""
    first = next(turn for turn in replaced.turns if turn.text.strip())
    words = fit_columns(one_line(first.text.strip()[:400]), VERSION_COLUMNS)
    n = len(replaced.turns)
    note = f"{n:,} message{'' if n == 1 else 's'}, {when(replaced.replaced_at, now or datetime.now())}"
    return f"You: {words}" if first.role == "user" else words, note


PUT_BACK = "What was there before is back."


def replaced(n: int, keymap: Keymap) -> str:
    """That an edited prompt or a new answer replaces more than itself."""
    return f"{n:,} messages are replaced. “Bring back” in the palette{hint(keymap, 'palette')} shows them again."


def dropped(started: Started, keymap: Keymap) -> str:
    """That the oldest messages were left out."""
    return (
        f"The context is full: the oldest {started.n_dropped} messages were left out of this prompt. They stay in the "
        f"conversation; a larger context{hint(keymap, 'load_settings')} takes them in again."
    )


def card_choices(keymap: Keymap, *offered: tuple[str, str]) -> tuple[CardChoice, ...]:
    """The actions of a card, each an id and its words; those without a key are left out."""
    return tuple(CardChoice(action, keys, label) for action, label in offered if (keys := keymap.get(action, ())))


def reach_card(keymap: Keymap) -> str:
    """How to get from the prompt to a card, whose keys are letters."""
    keys = keymap.get("select_previous", ())
    return f"To choose, leave the prompt with {display_keys(keys)}." if keys else "Click on what to do."


def no_model_file(error: ModelFileError, keymap: Keymap) -> Card:
    """Why a file is not even tried."""
    choices = card_choices(keymap, ("card_reload", "try again"), ("card_other_model", "other model"))
    return Card("load_failed", f"{error.path.name} cannot be loaded", f"{error.reason}\n{error.path}", choices)


def load_failure(path: Path, info: ErrorInfo, keymap: Keymap) -> Card:
    """Why a model could not be loaded, and what to try."""
    advice = {
        "model_not_found": f"Check the path, or pick another model{hint(keymap, 'pick_model')}.",
        "model_unreadable": "The file may be damaged or half downloaded: compare its size, or fetch it again.",
        "model_unsupported": "Get a newer llmtui, or another file of this model.",
        "model_refused": f"Pick another model{hint(keymap, 'pick_model')}.",
        "out_of_memory": "Try a smaller context, a q8_0 KV cache, fewer layers on the GPU, or a smaller quantization.",
        "bad_settings": f"Change the load settings{hint(keymap, 'load_settings')}.",
    }.get(info.kind, f"The engine's log{hint(keymap, 'log_view')} may tell more.")
    title = f"{path.name} could not be loaded"
    choices = card_choices(
        keymap,
        ("card_reload", "try again"),
        ("card_load_settings", "load settings"),
        ("card_other_model", "other model"),
        ("card_details", "engine log"),
    )
    return Card("load_failed", title, f"{info.detail}\n{advice}", choices)


def refusal(info: ErrorInfo, keymap: Keymap) -> str:
    """Why a prompt was not answered."""
    if info.kind == "context_overflow":
        return (
            f"This prompt alone has {info.n_prompt:,} tokens and the context only {info.n_ctx:,}. "
            f"Shorten it, or raise the context size{hint(keymap, 'load_settings')}."
        )
    if info.kind == "no_model":
        return f"No model is loaded. Pick one{hint(keymap, 'pick_model')}."
    if info.kind == "out_of_memory":
        remedy = f"Try a smaller context or fewer layers{hint(keymap, 'load_settings')}."
        return f"The engine ran out of memory: {info.detail}. {remedy}"
    if info.kind == "template":
        other = "Another one can be given with --chat-template FILE, or in a [[model]] section of settings.toml."
        return f"The prompt was not answered: {info.detail.rstrip('.')}. {other}"
    return f"The prompt was not answered: {info.detail}"


def fault(found: FaultFound) -> str:
    """That llmtui has a fault."""
    what = f"{found.kind}: {found.detail}"
    return f"Broken off by a fault of llmtui: {what}. Its log file, which `llmtui --locate` names, tells more."


PAUSED = "paused: the model moves, then the answer goes on…"


def context_lost(loaded: Loaded) -> str:
    """That the context could not be taken along."""
    return (
        "The context could not be taken along (another KV cache type, layout or size): "
        f"its {loaded.n_lost:,} tokens are evaluated again."
    )


def reloaded(reload: Reload) -> str:
    """What it took to load the model again on another backend or with other settings, and what taking the context along
    saved: for the line under an answer."""
    where = f"moved to {reload.target}" if reload.target != reload.source else f"loaded again on {reload.target}"
    took = f"{where} in {seconds(reload.took_s)}"
    if reload.n_lost:
        return f"{took}; {reload.n_lost:,} tokens of context did not come along"
    if not reload.n_kept:
        return took
    took += f" (context {seconds(reload.keep_s)})"
    if not reload.reading_s:
        return f"{took}; {reload.n_kept:,} tokens came along"
    return f"{took}; reading {reload.n_kept:,} tokens again would take about {format.about(reload.reading_s)}"


def sentence(words: str) -> str:
    """The same words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def bench_begins(keymap: Keymap) -> tuple[str, ...]:
    """What happens when something is to be measured, and when it is over."""
    return (
        "The model that is loaded stays until then; it makes room for the bench, and comes back when this is closed.",
        "What is left is told as soon as the first run is over.",
        f"What was measured is kept{hint(keymap, 'bench_history')}, also when the rest is stopped.",
    )


STILL_LOADING = "The model is still loading."
NO_SHELL = "Nothing is there that could bring llmtui back: it was not started from a shell, and goes on."
NO_MODEL = "No model is loaded."


_NOT_RESTORED: dict[ContextProblem, str] = {
    "other_model": "is of another model",
    "other_build": "is of another llama.cpp",
    "other_settings": "was made with other KV cache or context settings",
    "too_long": "is longer than the context is now",
    "memory": "does not fit into memory now",
    "disk": "cannot be read",
}


def context_restored(restored: ContextRestored, prefill_tps: float) -> str:
    """That the kept KV cache of a conversation was read back, or why it was thrown away."""
    if restored.problem is not None:
        why = _NOT_RESTORED.get(restored.problem, "is damaged")
        return f"The kept context of this conversation {why}: discarded. The next answer evaluates it again."
    instead = f" instead of about {format.about(restored.n_tokens / prefill_tps)}" if prefill_tps else ""
    return f"{restored.n_tokens:,} tokens of context are back from the disk in {seconds(restored.restore_s)}{instead}."


FITS_ALREADY = "These settings fit, and nothing else that fits is expected to be faster: nothing was changed."
NOTHING_FITS = "Nothing fits: even with the smallest context there is too little memory for this file."


def cut_to_fit(choice: LoadDefaults, *, on_gpu: bool) -> str:
    """That a model is loaded with less than was asked for, so that it fits."""
    layers = "all layers" if choice.n_gpu_layers < 0 else f"{choice.n_gpu_layers} layers"
    place = f"{layers} on the GPU" if on_gpu and choice.n_gpu_layers else "all layers on the CPU"
    if on_gpu and choice.n_gpu_layers and choice.n_cpu_moe:
        place += f", the experts of {choice.n_cpu_moe} on the CPU,"
    size = f"{choice.n_ctx:,} tokens" if choice.n_ctx else "the trained size"
    return f"To fit into memory it is loaded with {place} and a context of {size}."


def shortage(found: Shortage, keymap: Keymap) -> str:
    """That memory runs out, before the machine starts to swap."""
    signs = []
    if found.ram_available_bytes is not None and found.ram_total_bytes:
        signs.append(f"{format.size(found.ram_available_bytes)} of {format.size(found.ram_total_bytes)} are available")
    if found.pressure_percent:
        signs.append(f"programs waited for memory {found.pressure_percent:.0f}% of the last 10 s")
    return (
        f"Memory is running out: {', '.join(signs)}. Close what you do not need, or load the model with a smaller "
        f"context or fewer layers{hint(keymap, 'load_settings')}, before the machine starts to swap."
    )


def context_cut(n_ctx_asked: int, n_ctx: int) -> str:
    """That nothing fits with the context that was asked for."""
    return f"No placement fits with a context of {n_ctx_asked:,} tokens: it is cut to {n_ctx:,}."


def context_for(n_prompt: int) -> int:
    """A context size, in steps of 1,024, that a prompt of that many tokens and a long answer fit into."""
    return -(-(n_prompt + n_prompt // 4 + 1024) // 1024) * 1024


def _changes(n: int) -> str:
    return "1 change" if n == 1 else f"{n:,} changes"


def unsaved(n: int, keymap: Keymap) -> str:
    """What is lost by quitting while the database cannot be written."""
    return (
        f"The conversations cannot be written to the disk now: {_changes(n)} would be lost. "
        f"Export{hint(keymap, 'export')} writes the open conversation to a file."
    )


def not_saved(conversations: StoreError | None, draft: OSError | None, state: ConfigProblem | None) -> list[str]:
    """What could not be written at the end, and why."""
    sentences = [lost(conversations)] if conversations is not None else []
    if draft is not None:
        place = paths.drafts_dir()
        sentences.append(f"What was written and not sent could not be kept: {draft.strerror or draft} ({place}).")
    return sentences + ([str(state)] if state is not None else [])


def lost(error: StoreError) -> str:
    """That conversations could not be saved at the end."""
    return f"{_changes(error.n_unsaved)} of conversations could not be saved: {error.detail} ({error.path})."


def problems(found: Sequence[ConfigProblem]) -> tuple[str, ...]:
    """What is wrong in the user's files, file by file."""
    lines: list[str] = []
    for file in dict.fromkeys(problem.file for problem in found):
        if file is not None:
            lines.append(format.path(file))
        lines += [f"{'  ' * (file is not None)}{_mistake(problem)}" for problem in found if problem.file == file]
    return tuple(lines) or ("Settings, themes and keys are all fine.",)


def _mistake(problem: ConfigProblem) -> str:
    return f"{problem.key}: {problem.message}" if problem.key else problem.message


def unanswered(info: ErrorInfo, keymap: Keymap) -> str:
    """That a prompt was left as it is."""
    return (
        f"Not answered: the prompt has {info.n_prompt:,} tokens, the context {info.n_ctx:,}. "
        f"Answer again{hint(keymap, 'regenerate')} asks once more; a new conversation{hint(keymap, 'new_chat')} starts "
        "empty."
    )


def overflow_question(info: ErrorInfo) -> str:
    """What is about to be left out of a prompt that does not fit."""
    return (
        f"The conversation has {info.n_prompt:,} tokens, the context {info.n_ctx:,}.\n"
        f"To go on, the oldest {info.n_drop} messages must be left out of the prompt (the system prompt stays, "
        "nothing is deleted), or the model be loaded again with a larger context."
    )
