"""The quantization that a file's name tells: "Q4_K_M" in "Qwen3-4B-Q4_K_M.gguf". Names only; what a file really holds
says its header."""

from __future__ import annotations

import re

_QUANT = re.compile(
    r"(?<![A-Za-z0-9])"
    r"(?:UD-)?"
    r"(?:I?Q\d(?:_[A-Za-z0-9]{1,3}(?![A-Za-z0-9]))*|TQ\d_\d|MXFP4(?:_MOE)?|NVFP4|BF16|FP?16|FP?32)"
    r"(?![A-Za-z0-9])",
    re.IGNORECASE,
)


def quant_in(name: str) -> str:
    """In the way that llama.cpp writes it, with the "UD-" of unsloth's dynamic mixes; the last one of a name that has
    several, "" when it has none."""
    found = [match[0].upper() for match in _QUANT.finditer(name)]
    return re.sub(r"^FP(?=16|32)", "F", found[-1]) if found else ""
