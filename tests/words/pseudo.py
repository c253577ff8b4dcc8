"""A language that nobody speaks: the English in letters that look like it and take as much room. What still shows plain
letters on a screen in this language has not come through the catalogue.

    with pseudo.spoken():
        ...
        assert pseudo.bypassed(what_is_on_the_screen, "names", "of this test") == []
"""

from __future__ import annotations

import gettext
import re
import string
from collections.abc import Iterator
from contextlib import contextmanager

from tui.words import language, use

_MONOSPACE = "".join(chr(0x1D670 + n) for n in range(52))
"""Mathematical letters, which take one cell each."""
_ASCII = string.ascii_uppercase + string.ascii_lowercase
_LOOK_ALIKE, _BACK = str.maketrans(_ASCII, _MONOSPACE), str.maketrans(_MONOSPACE, _ASCII)
_FIELD = re.compile(r"(\{[^{}]*\})")
_WORD = re.compile(r"[A-Za-z]{2,}")
_NAMES = re.compile(
    r"""(?x)
    (?<![A-Za-z]) (?:
        llmtui | llama\.cpp | llama-bench | Linux | Textual | Markdown | JSON | CSV | SQL | TOML | UTC | GGUF | MoE
        | CPU | GPU | NPU | RAM | VRAM | SSD | PCIe | AVX2? | AVX512\w* | AMX | UMA | KV | FA
        | ubatch | mmap | mlock
        | Vulkan\d* | CUDA\d* | Metal | ROCm\d* | BLAS | OSC\ ?52 | tmux | SSH
        | (?:U?D-)?I?Q\d_\w+ | B?F(?:16|32) | f16 | f32 | bf16 | q\d_\w+ | MXFP4\w*
        | pp\d* | tg\d* | t/s | tok/s | tokens/s | [KMGT]i?B(?:/s)? | GB/s | TFLOPS | GHz | MHz | Wh? | °C | ms
        | esc | enter | tab | space | backspace | pgup | pgdn | home | end | del | ins
        | (?:(?:ctrl|alt|shift|meta|super)\+)+ (?:\w+ | [↑↓←→])
        | [a-z_]+\.toml | [A-Z_]{2,}=\S* | --[a-z][a-z-]*
    ) (?![A-Za-z])"""
)
"""Names, units, keys and options, which are the same in every language."""


class Pseudo(gettext.NullTranslations):
    """Every text in look-alike letters; fields, and what is no letter, stay."""

    def gettext(self, message: str) -> str:
        return disguised(message)

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return disguised(msgid1 if n == 1 else msgid2)

    def pgettext(self, context: str, message: str) -> str:
        return disguised(message)


def disguised(text: str) -> str:
    """The text in look-alike letters, but for its `{fields}`."""
    return "".join(part if _FIELD.fullmatch(part) else part.translate(_LOOK_ALIKE) for part in _FIELD.split(text))


def plain(text: str) -> str:
    """The English again."""
    return text.translate(_BACK)


@contextmanager
def spoken() -> Iterator[None]:
    """Speak it, in this process."""
    before = language()
    use("zh", Pseudo())
    try:
        yield
    finally:
        use(before)


def bypassed(text: str, *names: str) -> list[str]:
    """Words in plain letters, in their order, each once. `names` are texts that may stand as they are: file names,
    what somebody wrote, what a model answered, ids of settings."""
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(name, " ")
    return list(dict.fromkeys(_WORD.findall(_NAMES.sub(" ", text))))
