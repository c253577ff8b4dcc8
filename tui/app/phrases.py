"""The sentences that more than one screen says, or that are made from records: what waits, what another window did, a
load that failed, a prompt that was refused, a model that moved. Those about an answer are in `answer_phrases.py`, about
files in `file_phrases.py`, about what fits in `planning/verdict_words.py`, the card about a dead engine in
`death_card.py`; what one screen alone says stands there.

Constants are in English, to be translated where they are shown: `tr(phrases.NO_MODEL)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tui.app.bindings import Keymap, small_title_of, title_of
from tui.app.markdown.blocks import CodeBlock
from tui.app.widgets.transcript_entries import Card, CardChoice
from tui.base import format
from tui.base.text import clean, fit_columns
from tui.config.keymap import display_keys
from tui.machine.pressure import Shortage
from tui.models.info import ModelInfo
from tui.protocol.messages import ContextProblem, ContextRestored, Loaded, Started
from tui.protocol.records import ErrorInfo
from tui.session.events import ConversationGone, FaultFound, Phase
from tui.session.loads import Reload
from tui.words import mark, tr, trn

if TYPE_CHECKING:
    from tui.models.modelfile import ModelFileError

CODE_COLUMNS = 40
"""What a list shows of the first line of a code block."""


def threads(loaded: Loaded) -> str:
    """Threads of decode, and of prefill where they are others: "8 threads", "8/16 threads"."""
    n, n_batch = loaded.llama.n_threads, loaded.llama.n_threads_batch
    return trn("{n} thread", "{n} threads", n) if n == n_batch else tr("{n}/{n_batch} threads", n=n, n_batch=n_batch)


def model_size(info: ModelInfo) -> str:
    """Parameters, or the experts of a mixture of them: "8.2B", "128 experts, 8 used"."""
    if not info.is_moe:
        return info.params_label
    return tr("{n_expert} experts, {n_used} used", n_expert=info.n_expert, n_used=info.n_expert_used)


def code_block(block: CodeBlock) -> tuple[str, str]:
    """A code block in a list: the first line with something on it, and its language and length."""
    lines = block.text.splitlines()
    first = next((line.strip() for line in lines if line.strip()), tr("(empty)"))
    length = trn("{n} line", "{n} lines", len(lines))
    return fit_columns(clean(first), CODE_COLUMNS), " · ".join(filter(None, (block.language, length)))


def hint(keymap: Keymap, action_id: str) -> str:
    """What stands behind the name of an action, with a space before it: " (^l)"; empty when it has no key."""
    keys = keymap.get(action_id, ())
    return tr(" ({key})", key=display_keys(keys, limit=1)) if keys else ""


def queued(n: int, phase: Phase, keymap: Keymap, *, is_held: bool, is_load_coming: bool) -> str:
    """What prompts wait for, and how to get them back."""
    state = _held(n, keymap) if is_held else _waiting(n, phase, keymap, is_load_coming=is_load_coming)
    back = display_keys(keymap.get("history_previous", ()), limit=1)
    return " · ".join([state, tr("{key} takes back", key=back)]) if back else state


def _held(n: int, keymap: Keymap) -> str:
    send = display_keys(keymap.get("send", ()), limit=1)
    return trn("held: {key} sends", "{n} held: {key} sends", n, key=send) if send else trn("held", "{n} held", n)


def _waiting(n: int, phase: Phase, keymap: Keymap, *, is_load_coming: bool) -> str:
    if phase == "answering":
        return trn("waits for the answer", "{n} wait for the answer", n)
    if phase == "dead":
        return trn("waits for the engine", "{n} wait for the engine", n)
    if phase == "no_model" and not is_load_coming:
        return trn("waits for a model{key}", "{n} wait for a model{key}", n, key=hint(keymap, "pick_model"))
    return trn("waits for the model", "{n} wait for the model", n)


def withdrawn(n: int) -> str:
    """Where the prompts are that waited in a conversation which was left."""
    return trn(
        "{n} prompt that waited there was not sent: it is in the input.",
        "{n} prompts that waited there were not sent: they are in the input.",
        n,
    )


KEPT_DRAFT = mark("The text you had not sent when llmtui ended is back in the input.")


def still_answering(keymap: Keymap) -> str:
    """Why something cannot be done now."""
    return tr("The model is still answering: stop it first{key}.", key=hint(keymap, "stop"))


def copied(n: int, place: str, not_taken: str) -> str:
    """Where a text went, without the end of the sentence. `not_taken`: what was tried before, and failed."""
    if not_taken:
        return trn(
            "Copied {n} character to {place} ({reason})",
            "Copied {n} characters to {place} ({reason})",
            n,
            place=place,
            reason=not_taken,
        )
    return trn("Copied {n} character to {place}", "Copied {n} characters to {place}", n, place=place)


def with_harmless(told: str, n: int) -> str:
    """What was told about a text that was copied or exported, and under it how many characters of it were changed."""
    if not n:
        return told
    changed = trn(
        "{n} character that a terminal would obey or hide was replaced or left out.",
        "{n} characters that a terminal would obey or hide were replaced or left out.",
        n,
    )
    return f"{told}\n{changed}"


WRITTEN_ELSEWHERE = mark("being written in another window…")
STILL_WRITTEN_ELSEWHERE = mark("Another window is writing an answer here: wait until it is done, or stop it there.")
CHANGES_ELSEWHERE = mark("Another window has changed this conversation too. You will see it when this answer is done.")
CHANGED_ELSEWHERE = mark("Another window has changed this conversation: this is how it is now.")
CONFIGURED_ELSEWHERE = mark("Another window has changed the name or the settings of this conversation.")
NOT_REPLACED = mark(
    "Another window has changed this conversation meanwhile: this is how it is now, and nothing was replaced. "
    "Do it again if you still want to."
)


def conversation_gone(event: ConversationGone) -> str:
    """Where what one sees is, when it is not in the database any more."""
    if event.is_other_database:
        return tr("The database does not have this conversation as you see it. It was saved again, as a new one.")
    if event.is_saved:
        return tr("This conversation was deleted in another window. What you see was saved again, as a new one.")
    return tr(
        "This conversation was deleted in another window. What you see exists only here: your next prompt saves "
        "it again, as a new one."
    )


PUT_BACK = mark("What was there before is back.")


def replaced(n: int, keymap: Keymap) -> str:
    """That an edited prompt or a new answer takes the place of more than itself."""
    return trn(
        "{n} message stays in another branch: “{action}”{key} shows it.",
        "{n} messages stay in another branch: “{action}”{key} shows them.",
        n,
        action=title_of("branches"),
        key=hint(keymap, "branches"),
    )


def dropped(started: Started, keymap: Keymap) -> str:
    """That the oldest messages were left out."""
    return trn(
        "The context is full: the oldest message was left out of this prompt. It stays in the conversation; with "
        "a larger context{key} it is used again.",
        "The context is full: the oldest {n} messages were left out of this prompt. They stay in the conversation; "
        "with a larger context{key} they are used again.",
        started.n_dropped,
        key=hint(keymap, "load_settings"),
    )


def card_choices(keymap: Keymap, *offered: tuple[str, str]) -> tuple[CardChoice, ...]:
    """The actions of a card, each an id and what is to be said of it, which is its title where that is ""; those
    without a key are left out."""
    return tuple(
        CardChoice(action, keys, label or small_title_of(action))
        for action, label in offered
        if (keys := keymap.get(action, ()))
    )


def reach_card(keymap: Keymap) -> str:
    """How to get from the prompt to a card, whose keys are letters."""
    keys = keymap.get("select_previous", ())
    if not keys:
        return tr("Click on an option.")
    return tr("To choose, leave the prompt with {keys}.", keys=display_keys(keys))


def no_model_file(error: ModelFileError, keymap: Keymap) -> Card:
    """Why a file is not even tried."""
    choices = card_choices(keymap, ("card_reload", ""), ("card_other_model", ""))
    what = tr("{file} cannot be loaded", file=error.path.name)
    return Card("load_failed", what, f"{error.reason}\n{error.path}", choices)


def load_failure(path: Path, info: ErrorInfo, keymap: Keymap) -> Card:
    """Why a model could not be loaded, and what to try."""
    choices = card_choices(
        keymap,
        ("card_reload", ""),
        ("card_load_settings", ""),
        ("card_other_model", ""),
        ("card_details", ""),
    )
    what = tr("{file} could not be loaded", file=path.name)
    return Card("load_failed", what, f"{info.text}\n{_load_advice(info, keymap)}", choices)


def _load_advice(info: ErrorInfo, keymap: Keymap) -> str:
    match info.kind:
        case "model_not_found":
            return tr("Check the path, or pick another model{key}.", key=hint(keymap, "pick_model"))
        case "model_unreadable":
            return tr("The file may be damaged or only partly downloaded: compare its size, or download it again.")
        case "model_unsupported":
            return tr("Get a newer llmtui, or another file of this model.")
        case "model_refused":
            return tr("Pick another model{key}.", key=hint(keymap, "pick_model"))
        case "out_of_memory":
            return tr("Try a smaller context, a q8_0 KV cache, fewer layers on the GPU, or a smaller quantization.")
        case "bad_settings":
            return tr("Change the load settings{key}.", key=hint(keymap, "load_settings"))
        case _:
            return tr("The engine's log{key} may say more.", key=hint(keymap, "log_view"))


def refusal(info: ErrorInfo, keymap: Keymap) -> str:
    """Why a prompt was not answered."""
    detail, settings = info.text.rstrip("."), hint(keymap, "load_settings")
    match info.kind:
        case "context_overflow":
            return tr(
                "This prompt alone has {n_prompt} tokens, and the context only {n_ctx}. Shorten it, or raise the "
                "context size{key}.",
                n_prompt=f"{info.n_prompt:,}",
                n_ctx=f"{info.n_ctx:,}",
                key=settings,
            )
        case "no_model":
            return tr("No model is loaded. Pick one{key}.", key=hint(keymap, "pick_model"))
        case "out_of_memory":
            return tr(
                "The engine ran out of memory: {detail}. Try a smaller context or fewer layers{key}.",
                detail=detail,
                key=settings,
            )
        case "template":
            return tr(
                "The prompt was not answered: {detail}. Another chat template can be given with --chat-template FILE, "
                "or in a [[model]] section of settings.toml.",
                detail=detail,
            )
        case _:
            return tr("The prompt was not answered: {detail}", detail=info.text)


def fault(found: FaultFound) -> str:
    """That llmtui has a fault."""
    return tr(
        "Stopped by a bug in llmtui: {error}. Its log file says more; `llmtui --locate` shows where it is.",
        error=f"{found.kind}: {found.detail}",
    )


PAUSED = mark("paused: the model is being moved, then the answer goes on…")


def context_lost(loaded: Loaded) -> str:
    """That the context could not be taken along."""
    return trn(
        "The context could not be kept (another KV cache type, layout or size): its {n} token is evaluated again.",
        "The context could not be kept (another KV cache type, layout or size): its {n} tokens are evaluated again.",
        loaded.n_lost,
    )


def reload_facts(reload: Reload) -> tuple[str, ...]:
    """What it took to load the model again on another backend or with other settings, and what became of the context:
    for the line under an answer."""
    took = format.duration(reload.took_s)
    if reload.target != reload.source:
        move = tr("moved to {device} in {time}", device=reload.target, time=took)
    else:
        move = tr("reloaded on {device} in {time}", device=reload.target, time=took)
    if reload.n_lost:
        return move, trn("{n} token of context lost", "{n} tokens of context lost", reload.n_lost)
    if reload.n_kept:
        return move, trn("{n} token of context kept", "{n} tokens of context kept", reload.n_kept)
    return (move,)


def reloaded(reload: Reload) -> str:
    """The same as sentences, and what keeping the context saved."""
    took = format.duration(reload.took_s)
    if reload.target != reload.source:
        move = tr("Moved to {device} in {time}.", device=reload.target, time=took)
    else:
        move = tr("Reloaded on {device} in {time}.", device=reload.target, time=took)
    return format.sentences(move, _context_of(reload))


def _context_of(reload: Reload) -> str:
    if reload.n_lost:
        return trn("{n} token of context was not kept.", "{n} tokens of context were not kept.", reload.n_lost)
    if not reload.n_kept:
        return ""
    context = format.duration(reload.keep_s)
    if not reload.reading_s:
        return trn(
            "{n} token of context was kept, which took {time}.",
            "{n} tokens of context were kept, which took {time}.",
            reload.n_kept,
            time=context,
        )
    return trn(
        "Keeping the context took {time}; reading its {n} token again would take about {reading}.",
        "Keeping the context took {time}; reading its {n} tokens again would take about {reading}.",
        reload.n_kept,
        time=context,
        reading=format.about(reload.reading_s),
    )


def bench_begins(keymap: Keymap) -> tuple[str, ...]:
    """What happens when something is to be measured, and when it is over."""
    return (
        tr(
            "The model stays loaded until the benchmark starts, is unloaded while it runs, and is loaded again "
            "afterwards."
        ),
        tr("The time left is shown as soon as the first run is over."),
        tr("Results are kept{key}, even if you stop early.", key=hint(keymap, "bench_history")),
    )


STILL_LOADING = mark("The model is still loading.")
NO_SHELL = mark("llmtui was not started from a shell, so nothing could resume it: it keeps running.")
NO_MODEL = mark("No model is loaded.")


def _not_restored(problem: ContextProblem) -> str:
    match problem:
        case "other_model":
            return tr("The kept context of this conversation belongs to another model.")
        case "other_build":
            return tr("The kept context of this conversation was made by another version of llama.cpp.")
        case "other_settings":
            return tr("The kept context of this conversation was made with other KV cache or context settings.")
        case "too_long":
            return tr("The kept context of this conversation is longer than the context is now.")
        case "memory":
            return tr("The kept context of this conversation does not fit into memory now.")
        case "disk":
            return tr("The kept context of this conversation cannot be read.")
        case _:
            return tr("The kept context of this conversation is damaged.")


def context_restored(restored: ContextRestored, prefill_tps: float) -> str:
    """That the kept KV cache of a conversation was read back, or why it was thrown away."""
    if restored.problem is not None:
        return format.sentences(
            _not_restored(restored.problem), tr("It was discarded; the next answer evaluates the conversation again.")
        )
    n, took = restored.n_tokens, format.duration(restored.restore_s)
    if not prefill_tps:
        return trn(
            "{n} token of context was restored from the disk in {time}.",
            "{n} tokens of context were restored from the disk in {time}.",
            n,
            time=took,
        )
    return trn(
        "{n} token of context was restored from the disk in {time} instead of about {reading}.",
        "{n} tokens of context were restored from the disk in {time} instead of about {reading}.",
        n,
        time=took,
        reading=format.about(n / prefill_tps),
    )


def shortage(found: Shortage, keymap: Keymap) -> str:
    """That memory runs out, before the machine starts to swap."""
    signs = []
    if found.ram_available_bytes is not None and found.ram_total_bytes:
        signs.append(
            tr(
                "Only {available} of {total} are available.",
                available=format.size(found.ram_available_bytes),
                total=format.size(found.ram_total_bytes),
            )
        )
    if found.pressure_percent:
        signs.append(
            tr("Programs waited for memory {percent}% of the last 10 s.", percent=f"{found.pressure_percent:.0f}")
        )
    return format.sentences(
        tr("Memory is running out."),
        *signs,
        tr(
            "Close what you do not need, or load the model with a smaller context or fewer layers{key}, before the "
            "machine starts to swap.",
            key=hint(keymap, "load_settings"),
        ),
    )


def context_for(n_prompt: int) -> int:
    """A context size, in steps of 1,024, that a prompt of that many tokens and a long answer fit into."""
    return -(-(n_prompt + n_prompt // 4 + 1024) // 1024) * 1024


def unanswered(info: ErrorInfo, keymap: Keymap) -> str:
    """That a prompt was left as it is."""
    return tr(
        "Not answered: the prompt has {n_prompt} tokens, the context {n_ctx}. “{action}”{again} tries again; a "
        "new conversation{new} starts empty.",
        action=title_of("regenerate"),
        n_prompt=f"{info.n_prompt:,}",
        n_ctx=f"{info.n_ctx:,}",
        again=hint(keymap, "regenerate"),
        new=hint(keymap, "new_chat"),
    )


def overflow_question(info: ErrorInfo) -> str:
    """What is about to be left out of a prompt that does not fit."""
    return trn(
        "The conversation has {n_prompt} tokens, the context {n_ctx}.\n"
        "To go on, leave the oldest message out of the prompt (the system prompt stays, nothing is deleted), or load "
        "the model with a larger context.",
        "The conversation has {n_prompt} tokens, the context {n_ctx}.\n"
        "To go on, leave the oldest {n} messages out of the prompt (the system prompt stays, nothing is deleted), or "
        "load the model with a larger context.",
        info.n_drop,
        n_prompt=f"{info.n_prompt:,}",
        n_ctx=f"{info.n_ctx:,}",
    )
