"""Texts for the streaming benchmark, of a given size, and their cutting into pieces of about the size of tokens."""

from __future__ import annotations

import re
from collections.abc import Callable

PROSE = (
    "A mixture-of-experts model keeps all of its weights in memory, but each token passes through only a few of its "
    "experts. The router looks at the hidden state and picks **eight of 128**, so the processor reads about a tenth of "
    "the file for every step. That is why a model of thirty billion parameters can answer on a laptop at a speed that "
    "a dense model of the same size reaches only on a large graphics card. Paragraph {n} says it in other words: "
    "memory bandwidth sets the pace, and `n_gpu_layers` only decides where the reading happens.\n\n"
)
LIST = (
    "{n}. Choose a quantization that leaves room for the context\n"
    "   - Q4_K_M is a sound default for most machines\n"
    "     - its weights take about 4.8 bits each\n"
    "     - the *embedding* stays at six bits\n"
    "   - Q8_0 when memory is no concern and exactness is\n"
    "   - check `--ctx-size` against what the model was trained with\n"
)
TABLE_HEAD = "| Model | Parameters | Quantization | Size | Note |\n|---|---:|:---:|---:|---|\n"
TABLE_ROW = "| Qwen3-{n}B | {n}.5 billion | Q4_K_M | {n}.3 GiB | fits with {n} layers on the GPU |\n"
CODE = '''def plan_{n}(layers: int, free_bytes: int) -> dict[str, int]:
    """Say how many layers fit into the memory that is free."""
    per_layer = 184_549_376  # bytes, weights and KV cache together
    fitting = min(layers, free_bytes // per_layer)
    if fitting < layers:
        print(f"{fitting} of {layers} layers fit", file=sys.stderr)
    return {"gpu": fitting, "cpu": layers - fitting}


'''
CHINESE = (
    "## 第 {n} 节：为什么混合专家模型更快 🚀\n\n"
    "混合专家模型把全部权重都放在内存里，但每个词元只经过其中少数几个专家。路由器查看隐藏状态，"
    "从 **128 个专家**中选出 8 个，所以每一步只需读取文件的十分之一左右。\n\n"
    "- 内存带宽决定速度 👍🏽，参考 `n_gpu_layers` 的说明\n"
    "- The family emoji 👨‍👩‍👧 and the flag 🇩🇪 keep their cells\n\n"
    "| 模型 | 每个词元读取 |\n|---|---:|\n| 30B-A3B | 1.9 GB |\n| 32B | 17 GB |\n\n"
)


def _repeat(make: Callable[[int], str], size: int) -> str:
    parts: list[str] = []
    length = 0
    while length < size:
        parts.append(make(len(parts) + 1))
        length += len(parts[-1].encode())
    return "".join(parts)


def _numbered(template: str) -> Callable[[int], str]:
    return lambda n: template.replace("{n}", str(n))


CASES: dict[str, Callable[[int], str]] = {
    "prose": lambda size: _repeat(_numbered(PROSE), size),
    "list": lambda size: _repeat(_numbered(LIST), size),
    "table": lambda size: TABLE_HEAD + _repeat(_numbered(TABLE_ROW), size),
    "code": lambda size: "```python\n" + _repeat(_numbered(CODE), size) + "```\n",
    "chinese": lambda size: _repeat(_numbered(CHINESE), size),
}
"""Name to a function that makes a text of about so many UTF-8 bytes."""

_TOKEN = re.compile(r" ?[A-Za-z]{1,6}|\d|[\u4e00-\u9fff]{1,2}|\n+| {2,}|\S|\s")


def tokens(text: str) -> list[str]:
    """Text cut about as a tokenizer of Qwen's kind does: words or halves of long ones with the space before, single
    digits, one or two Chinese characters, runs of blanks, signs."""
    return _TOKEN.findall(text)
