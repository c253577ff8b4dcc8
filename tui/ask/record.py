"""An answer as an object for programs. Fields are only ever added; what is not known is None."""

from __future__ import annotations

from tui.ask.reply import Reply
from tui.chat.conversation import Turn
from tui.protocol.records import Timings


def record(reply: Reply, turn: Turn, conversation_id: str) -> dict[str, object]:
    """Of an answer that has ended, however it did; `conversation_id` is empty where it is not saved."""
    timings = turn.timings or Timings()
    return {
        "answer": turn.text,
        "thinking": turn.reasoning,
        "stop": turn.stop,
        "is_complete": not turn.is_incomplete,
        "error": turn.error,
        "model": turn.model,
        "path": reply.loaded.path if reply.loaded else None,
        "backend": list(turn.backend),
        "conversation": conversation_id or None,
        "n_prompt": timings.n_prompt,
        "n_cached": timings.n_cached,
        "n_dropped": reply.started.n_dropped if reply.started else 0,
        "n_decode": timings.n_decode,
        "n_thinking": timings.n_thinking,
        "load_s": reply.loaded.load_s if reply.loaded else None,
        "ttft_s": timings.ttft_s or None,
        "prefill_tps": timings.prefill_tps or None,
        "decode_tps": timings.decode_tps or None,
    }
