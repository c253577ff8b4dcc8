"""A model's header without its vocabulary: all that decides how much memory a model takes, in a few hundred KB that
llama.cpp reads in milliseconds. The weights behind it need not be there: a hole of their size is enough."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from tui.models.gguf import ArrayStub, GgufHeader, TensorInfo, aligned
from tui.models.source import ByteSource

_STRING, _U32 = 8, 4
_MOST_OF_AN_ENTRY = 64 << 10
_MAX_U32 = (1 << 32) - 1


def stub(parts: Sequence[tuple[ByteSource, GgufHeader]]) -> tuple[bytes, int]:
    """The beginning of a GGUF file with the metadata and all tensors of a model, whose files these are in order, and
    the size of that file. It goes by the name of "no vocabulary"; only how many tokens there are is kept.

    The metadata are copied from the first file as they stand there. Raises OSError when it cannot be read.
    """
    source, header = parts[0]
    arch = header.metadata.get("general.architecture", "")
    vocab_size = f"{arch}.vocab_size"
    pairs = [source.read_at(start, end - start) for key, (start, end) in header.spans.items() if _is_kept(header, key)]
    pairs.append(_key("tokenizer.ggml.model") + struct.pack("<I", _STRING) + _key("no_vocab"))
    tensors = [tensor for _, part in parts for tensor in part.tensors]
    pairs.append(_key(vocab_size) + struct.pack("<II", _U32, _n_vocab(header, tensors, vocab_size)))
    raw = [b"GGUF", struct.pack("<IQQ", header.version, len(tensors), len(pairs)), *pairs]
    offset = end = 0
    for tensor in tensors:
        n_dims = len(tensor.shape)
        raw.append(_key(tensor.name))
        raw.append(struct.pack(f"<I{n_dims}QIQ", n_dims, *tensor.shape, tensor.ggml_type.id, offset))
        end = offset + tensor.n_bytes
        offset = aligned(end, header.alignment)
    whole = b"".join(raw)
    whole = whole.ljust(aligned(len(whole), header.alignment), b"\0")
    return whole, len(whole) + end


def _is_kept(header: GgufHeader, key: str) -> bool:
    """Everything but the vocabulary, what says how long that is, the numbering of split files, and what is longer than
    any entry that llama.cpp looks at."""
    start, end = header.spans[key]
    if end - start > _MOST_OF_AN_ENTRY:
        return False
    if key.startswith("tokenizer."):
        return key != "tokenizer.ggml.model" and not isinstance(header.metadata[key], ArrayStub | tuple)
    return not key.startswith("split.") and key != f"{header.metadata.get('general.architecture', '')}.vocab_size"


def _n_vocab(header: GgufHeader, tensors: Sequence[TensorInfo], vocab_size: str) -> int:
    """As llama.cpp counts: the tokens of the list, else what the file says, else the rows of the embedding table."""
    tokens = header.metadata.get("tokenizer.ggml.tokens")
    if isinstance(tokens, ArrayStub):
        return tokens.count
    if isinstance(tokens, tuple):
        return len(tokens)
    declared = header.metadata.get(vocab_size)
    if isinstance(declared, int) and 0 <= declared <= _MAX_U32:
        return declared
    rows = (tensor.shape[-1] for tensor in tensors if tensor.name == "token_embd.weight" and tensor.shape)
    return min(next(rows, 0), _MAX_U32)


def _key(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw
