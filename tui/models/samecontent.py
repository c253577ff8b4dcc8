"""Whether two models are the same content, without reading them whole: by the sums that their stores know, else by the
header and samples of the weights. Only those of the same size are ever compared."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from tui.models.info import ModelInfo
from tui.models.source import FileSource

_SUM = re.compile(r"(?:sha256[:-])?([0-9a-f]{64})")
_N_SAMPLES, _SAMPLE_BYTES = 64, 4096
_MOST_OF_A_HEADER = 64 << 20
_PIECE = 1 << 20


def known_sha256(path: Path) -> str:
    """The sum of a file as its store has it in a name, in hexadecimal; "" when no name tells. The Hugging Face cache
    links a file to `blobs/<sum>`, Ollama calls it `blobs/sha256-<sum>`."""
    try:
        named = path.readlink() if path.is_symlink() else path
    except OSError:
        return ""
    found = _SUM.fullmatch(named.name)
    # Below `blobs/xx` the names are hashes of another kind.
    return found[1] if found and named.parent.name == "blobs" else ""


def fingerprint(paths: Sequence[Path], info: ModelInfo) -> bytes:
    """Of the whole header, and of samples from the first to the last byte of each file. Raises OSError.

    SHA-1, which most CPUs have instructions for, takes a sixth of BLAKE2's time over a vocabulary; whoever makes two
    files that it takes for one has them listed in one row.
    """
    digest = hashlib.sha1(usedforsecurity=False)
    n_header = min(info.size_bytes - info.weights_bytes, _MOST_OF_A_HEADER)
    for number, path in enumerate(paths):
        with FileSource(path) as file:
            size = file.size or 0
            if not number:
                for start in range(0, n_header, _PIECE):
                    digest.update(file.read_at(start, min(_PIECE, n_header - start)))
            last = max(0, size - _SAMPLE_BYTES)
            for step in range(_N_SAMPLES):
                digest.update(file.read_at(last * step // (_N_SAMPLES - 1), min(_SAMPLE_BYTES, size)))
    return digest.digest()
