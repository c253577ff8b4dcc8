"""Snapshots of recurrent states, from which llama.cpp takes back the last few tokens: what drafts need in models that
remember by a state, and what that takes."""

from __future__ import annotations

from tui.protocol.records import LoadSettings

SNAPSHOTS = 3
"""Beside the state itself. Each is as large as that, which is some 50 MB with a model of 9B; drafts of three tokens
have most of what longer ones would bring."""
_KEEPS_SNAPSHOTS = frozenset(("lfm2", "lfm2moe", "nemotron_h", "nemotron_h_moe", "qwen35", "qwen35moe"))
"""Of llama.cpp's `llm_arch_supports_rs_rollback`, the architectures whose way of doing so was looked at."""


def n_snapshots(arch: str, settings: LoadSettings) -> int:
    """How many a sequence has beside its state; 0 where drafts are off, or cannot be."""
    # llama.cpp takes these and two tokens more at once, whatever the batch is, or ends the process.
    has_room = min(settings.n_ubatch, settings.n_batch) > SNAPSHOTS + 1
    may_draft = settings.speculative == "auto" and settings.n_parallel == 1 and has_room
    return SNAPSHOTS if may_draft and keeps_snapshots(arch) else 0


def keeps_snapshots(arch: str) -> bool:
    """Whether a model of this architecture, which has states, can take back the last few tokens."""
    return arch in _KEEPS_SNAPSHOTS
