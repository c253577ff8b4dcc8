"""The vocabulary of a loaded model: tokens of text and text of tokens. Runs in the engine process only."""

from __future__ import annotations

import ctypes
import re

from tui.engine.bindings import lib

_UNKNOWN, _CONTROL, _USER_DEFINED = 1 << 0, 1 << 3, 1 << 4
"""Of llama.cpp's `llama_token_attr`."""
_WITH_SPACES = 1
"""llama.cpp's type of vocabularies (SentencePiece) that put a space before each text that they are given."""

_MARK = re.compile(r"<.+>|\[.+\]")
"""What begins or ends texts though the file calls it ordinary."""


def _byte_letters() -> list[bytes]:
    """How vocabularies of bytes spell each of them: printable ones as themselves, the others from U+0100 on."""
    plain = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return [chr(byte if byte in plain else next(others)).encode() for byte in range(256)]


_BYTE_LETTERS = _byte_letters()


class Vocabulary:
    """A model's vocabulary. Belongs to the model, and goes with it."""

    def __init__(self, pointer: int) -> None:
        """`pointer` is llama.cpp's."""
        self.pointer = pointer
        self.n_tokens = int(lib.llama_vocab_n_tokens(self.pointer))
        self._puts_spaces = lib.llama_vocab_type(self.pointer) == _WITH_SPACES
        self._piece = ctypes.create_string_buffer(256)
        self._pieces: dict[tuple[int, bool], bytes] = {}
        self.bos, self.eos = self._named(lib.llama_vocab_bos(pointer)), self._named(lib.llama_vocab_eos(pointer))
        """-1 where there is none."""
        self._adds_bos = bool(lib.llama_vocab_get_add_bos(pointer)) and self.bos >= 0
        self.bos_text, self.eos_text = self.special_text(self.bos), self.special_text(self.eos)

    def _named(self, token: int) -> int:
        """A token that begins or ends texts; -1 for one of ordinary text: of a file that names none, llama.cpp takes
        token 11, which is a comma in Qwen's vocabulary."""
        is_mark = token >= 0 and (self.mark_text(token) or _MARK.fullmatch(self.special_text(token)))
        return token if is_mark else -1

    def tokenize(self, text: str, *, special: bool = True, is_whole: bool = True) -> list[int]:
        """Tokens of `text`, those that stand for marks among them with `special`. None is added, but for the beginning
        of a whole text: the token for it, where the vocabulary asks for one and the text does not bring it, and a space
        where that is how the vocabulary works. An end token never is: the model is to go on."""
        if not is_whole:
            return self._inner(text, special=special)
        tokens = self._tokenize(text, special=special)
        return [self.bos, *tokens] if self._adds_bos and tokens[:1] != [self.bos] else tokens

    def _inner(self, text: str, *, special: bool) -> list[int]:
        """As for a text that stands in the middle of another."""
        if not self._puts_spaces:
            return self._tokenize(text, special=special)
        before = self._tokenize("\n", special=False)
        tokens = self._tokenize(f"\n{text}", special=special)
        return tokens[len(before) :] if tokens[: len(before)] == before else self._tokenize(text, special=special)

    def _tokenize(self, text: str, *, special: bool) -> list[int]:
        raw = text.encode("utf-8", "replace")
        array = (lib.llama_token * (len(raw) + 2))()
        n = lib.llama_tokenize(self.pointer, raw, len(raw), array, len(array), False, special)
        return list(array[: max(n, 0)])

    def piece(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of one token, which may be a part of a character. Control tokens have none unless `special`."""
        if (known := self._pieces.get((token, special))) is not None:
            return known
        n = lib.llama_token_to_piece(self.pointer, token, self._piece, len(self._piece), 0, special)
        if n < 0:
            self._piece = ctypes.create_string_buffer(-n)
            n = lib.llama_token_to_piece(self.pointer, token, self._piece, len(self._piece), 0, special)
        piece = self._pieces[token, special] = self._piece.raw[: max(n, 0)]
        return piece

    def special_text(self, token: int) -> str:
        """Text of a control token such as "<|im_end|>"; empty for a token that the vocabulary does not have."""
        return self.piece(token, special=True).decode("utf-8", "replace") if token >= 0 else ""

    def is_end(self, token: int) -> bool:
        """Whether the token ends a generation, as the file says and llama.cpp knows."""
        return bool(lib.llama_vocab_is_eog(self.pointer, token))

    def spelled(self, token: int) -> bytes:
        """A token as the file spells it."""
        return bytes(lib.llama_vocab_get_text(self.pointer, token))

    def with_byte(self, byte: int) -> list[int]:
        """The tokens of text that have this byte in them. Looks at the whole vocabulary."""
        spelled = {bytes([byte]), _BYTE_LETTERS[byte]}
        text = lib.llama_vocab_get_text
        return [
            token for token in range(self.n_tokens) if any(letter in text(self.pointer, token) for letter in spelled)
        ]

    def is_control(self, token: int) -> bool:
        """Whether the token is no text, but tells the model something."""
        return bool(lib.llama_vocab_get_attr(self.pointer, token) & (_CONTROL | _UNKNOWN))

    def mark_text(self, token: int) -> str | None:
        """The text of a token that stands for a mark; None for one of ordinary text, runs of blanks included."""
        if not lib.llama_vocab_get_attr(self.pointer, token) & (_CONTROL | _UNKNOWN | _USER_DEFINED):
            return None
        text = self.special_text(token)
        return text if text.strip() else None

    def has_token(self, text: str) -> bool:
        """Whether `text` is one token, and a mark."""
        tokens = self._tokenize(text, special=True)
        return len(tokens) == 1 and self.mark_text(tokens[0]) == text
