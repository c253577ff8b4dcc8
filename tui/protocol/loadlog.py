"""What llama.cpp's log tells about a load and nothing else does: buffers, offloaded layers, flash attention, and which
kind of failure its complaints mean. Only reads text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from tui.protocol.records import Buffer, ErrorKind

_PURPOSE = {"model": "weights", "KV": "kv", "compute": "compute", "output": "output", "RS": "kv"}
_BUFFER_LINE = re.compile(r"\s([\w.:-]+)\s+(model|KV|RS|compute|output) buffer size =\s*([\d.]+) MiB")
_OFFLOAD_LINE = re.compile(r"offloaded (\d+)/\d+ layers")
_FLASH_LINE = re.compile(
    r"llama_context: flash_attn\s+= (enabled|disabled)|resolve_fused_ops: Flash Attention.* (enabled|disabled)"
)
_TYPES_LINE = re.compile(r"llama_kv_cache: size =.* K \((\w+)\):.* V \((\w+)\):")
_ROPE_LINE = re.compile(r"(freq_base|freq_scale)\s+= ([\d.e+-]+)")
_OUT_OF_MEMORY = re.compile(r"(failed|unable) to allocate|out of memory|OutOf(Device|Host)Memory|bad_alloc", re.I)
_BAD_SETTINGS = re.compile(
    r"does not divide n_embd_head|V cache|does not support different K|n_seq_max must be|n_ctx_seq == 0"
    r"|cannot both be zero|SPLIT_MODE_TENSOR",
    re.I,
)
_UNSUPPORTED = re.compile(
    r"(unknown|unsupported) (model )?architecture|unknown (pre-)?tokenizer|error loading model (vocab|hyperparameters)"
    r"|invalid ggml type|no longer supported|only supports up to version|key not found|has wrong (type|shape|array)"
    r"|(missing tensor|tensor '[^']*' not found|wrong number of tensors)|in GGUF metadata|cannot be used as main model"
    r"|requires ctx_other|no expert layers are used|invalid n_rot",
    re.I,
)
_UNREADABLE = re.compile(
    r"magic|failed to (read|open)|failed to load (model|GGUF split) from|(read|seek) error|end of file|corrupt"
    r"|not within the file|invalid data|mmap failed|is duplicated",
    re.I,
)
_OF_THE_FILE = re.compile(r"error loading model|invalid model", re.I)
_WHERE = re.compile(r"^(\w+: )?(error loading model: )?")
_NO_REASON = re.compile(r"^(\w+: )?failed to load model$")
_LOCK_FAILED = re.compile(r"failed to mlock|mlock not supported")
LOADING, READING, COMPUTING = "llmtui: loading ", "llmtui: reading", "llmtui: computing"
"""How the engine's own lines begin: it opens a file; all is in its place and it looks at vocabulary and template; it
computes for the first time."""
_LOAD_BEGINS = (LOADING, "llama_model_loader: loaded meta data")
_PLACING_BEGINS = "load_tensors: "
Stage = Literal["", "reading", "placing", "computing"]
"""What a load is about: "reading" what the file says of itself, "placing" its weights and the context, "computing" the
first token."""


def of_last_load(lines: Sequence[str]) -> Sequence[str]:
    """What the log says since the last load began."""
    begins = [number for number, line in enumerate(lines) if line.startswith(_LOAD_BEGINS)]
    return lines[begins[-1] :] if begins else lines


def stage(lines: Sequence[str]) -> Stage:
    """What a load with these lines is about."""
    stages: dict[str, Stage] = {COMPUTING: "computing", READING: "reading", _PLACING_BEGINS: "placing"}
    begun = (stage for line in reversed(lines) for words, stage in stages.items() if line.startswith(words))
    return next(begun, "reading")


def buffers(lines: Sequence[str]) -> tuple[Buffer, ...]:
    """What llama.cpp says it allocated, summed by device and purpose, to a hundredth of a MiB. Compute buffers are
    reserved several times: the last word counts."""
    sizes: dict[tuple[str, str], list[int]] = {}
    for line in lines:
        if match := _BUFFER_LINE.search(line):
            key = (match[1], _PURPOSE[match[2]])
            n_bytes = int(float(match[3]) * (1 << 20))
            if key[1] == "compute":
                sizes[key] = [n_bytes]
            else:
                sizes.setdefault(key, []).append(n_bytes)
    return tuple(
        Buffer(device=device, purpose=purpose, n_bytes=sum(parts))  # type: ignore[arg-type]
        for (device, purpose), parts in sizes.items()
    )


def n_offloaded(lines: Sequence[str]) -> int:
    """Layers that went to devices, the output layer counted as one."""
    found = [int(match[1]) for line in lines if (match := _OFFLOAD_LINE.search(line))]
    return found[-1] if found else 0


def flash_attention(lines: Sequence[str]) -> bool | None:
    """Whether it is on: as it was asked for, as a quantized V cache needs it, or what "auto" was resolved to last. None
    when the log does not tell."""
    found = [match[1] or match[2] for line in lines if (match := _FLASH_LINE.search(line))]
    return found[-1] == "enabled" if found else None


def cache_types(lines: Sequence[str]) -> tuple[str, str] | None:
    """Types of the K and the V cache; None for a model that has none."""
    match = next((match for line in lines if (match := _TYPES_LINE.search(line))), None)
    return (match[1], match[2]) if match else None


def rope(lines: Sequence[str]) -> str:
    """How positions are encoded, such as "freq_base 1000000.0 freq_scale 1"."""
    return " ".join(dict.fromkeys(f"{match[1]} {match[2]}" for line in lines if (match := _ROPE_LINE.search(line))))


def failure(detail: str) -> ErrorKind:
    """The kind of failure that these complaints about a load mean."""
    if _OUT_OF_MEMORY.search(detail):
        return "out_of_memory"
    if _BAD_SETTINGS.search(detail):
        return "bad_settings"
    if _UNSUPPORTED.search(detail):
        return "model_unsupported"
    if _UNREADABLE.search(detail):
        return "model_unreadable"
    return "model_unsupported" if _OF_THE_FILE.search(detail) else "internal"


def in_few_words(complaints: Sequence[str]) -> str:
    """Complaints without the functions that they come from, as an error repeats them; "" when none says a thing."""
    told = [_WHERE.sub("", line) for line in complaints if not _NO_REASON.match(line)]
    return " · ".join(dict.fromkeys(line for line in told if line))


def lock_failed(lines: Sequence[str]) -> bool:
    """Whether the system did not let llama.cpp lock all of the model into memory: it goes on without."""
    return any(_LOCK_FAILED.search(line) for line in lines)
