"""The two layouts of a KV cache that llama.cpp wrote out, and the way from one to the other. With flash attention the
values lie token by token, without it transposed, channel by channel, and llama.cpp takes neither for the other. Knows
llama.cpp's format (`llama_kv_cache::state_write`, `llama_memory_recurrent::state_write`) and nothing else; numbers are
those of the machine.

    magic, sequence | for each cache: n_stream = 1, n_cells | for each cell: position, n_sequences = 1, sequence
    | transposed, n_layers | for each layer: type of K, u64 bytes of a row, rows
    | for each layer: type of V, then u64 bytes of a row, rows; or u32 bytes of an element, u32 n_channels, channels

Where positions have several parts, 12 bytes more stand before the sequence of a cell. Recurrent layers have no layouts;
what they keep comes last:

    n_cells = 1, position, n_sequences = 0 | transposed = 0, n_layers | each state: type, u64 bytes, state
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_HEAD_BYTES = 8
_CELLS = struct.Struct("=iIi"), struct.Struct("=iI12xi")
_RECURRENT = struct.Struct("=IiIII")
_LAYER = struct.Struct("=iQ")
_TRANSPOSED_LAYER = struct.Struct("=iII")
_ELEMENT_BYTES = {0: 4, 1: 2, 30: 2}
"""Of f32, f16 and bf16: those types of V that go without flash attention."""


class _Values(NamedTuple):
    """The V cache of one layer within a state."""

    at: int
    kind: int
    n_cells: int
    n_channels: int

    @property
    def n_bytes(self) -> int:
        return self.n_cells * self.n_channels * _ELEMENT_BYTES[self.kind]


def transpose_v(state: bytearray) -> bool:
    """Turn a state over to the other layout, in place. False, with nothing changed, for one that is laid out in an
    unknown way: quantized values, memory of another kind, another version of llama.cpp."""
    import numpy as np  # rarely needed, and long to import

    for cell in _CELLS:
        try:
            caches = _read(state, cell)
            break
        except (struct.error, KeyError, ValueError):
            pass
    else:
        return False
    for flag_at, is_transposed, layers in caches:
        struct.pack_into("=I", state, flag_at, not is_transposed)
        for layer in layers:
            size = _ELEMENT_BYTES[layer.kind]
            values = np.frombuffer(state, f"u{size}", layer.n_cells * layer.n_channels, layer.at + _LAYER.size)
            rows = (layer.n_channels, layer.n_cells) if is_transposed else (layer.n_cells, layer.n_channels)
            values[:] = values.reshape(rows).T.ravel()
            if is_transposed:
                _LAYER.pack_into(state, layer.at, layer.kind, layer.n_channels * size)
            else:
                _TRANSPOSED_LAYER.pack_into(state, layer.at, layer.kind, size, layer.n_channels)
    return True


def _read(state: bytearray, cell: struct.Struct) -> list[tuple[int, bool, list[_Values]]]:
    """Where each cache says how it is laid out, what it says, and its layers. Raises `ValueError`, `KeyError` or
    `struct.error` for what is not understood to its last byte."""
    caches: list[tuple[int, bool, list[_Values]]] = []
    at = _HEAD_BYTES
    while at < len(state):
        if _is_recurrent(state, at):
            _skip_recurrent(state, at + _RECURRENT.size)
            return caches
        n_streams, n_cells = struct.unpack_from("=II", state, at)
        at += 8
        _expect(n_streams == 1)
        if n_cells == 0:
            continue
        for _ in range(n_cells):
            _expect(cell.unpack_from(state, at)[1] == 1)
            at += cell.size
        flag_at, (flag, n_layers) = at, struct.unpack_from("=II", state, at)
        at += 8
        _expect(flag in (0, 1))
        for _ in range(n_layers):
            at += _LAYER.size + n_cells * _LAYER.unpack_from(state, at)[1]
        layers = []
        for _ in range(n_layers):
            layers.append(_read_values(state, at, n_cells, is_transposed=bool(flag)))
            at += _LAYER.size + layers[-1].n_bytes
        caches.append((flag_at, bool(flag), layers))
    _expect(at == len(state))
    return caches


def _is_recurrent(state: bytearray, at: int) -> bool:
    """Where a cache would have its first cell's number of sequences, 1, recurrent layers have 0."""
    if at + _RECURRENT.size > len(state):
        return False
    n_cells, _, n_sequences, is_transposed, _ = _RECURRENT.unpack_from(state, at)
    return (n_cells, n_sequences, is_transposed) == (1, 0, 0)


def _skip_recurrent(state: bytearray, at: int) -> None:
    while at < len(state):
        at += _LAYER.size + _LAYER.unpack_from(state, at)[1]
    _expect(at == len(state))


def _read_values(state: bytearray, at: int, n_cells: int, *, is_transposed: bool) -> _Values:
    if is_transposed:
        kind, size, n_channels = _TRANSPOSED_LAYER.unpack_from(state, at)
        _expect(size == _ELEMENT_BYTES[kind])
    else:
        kind, n_bytes = _LAYER.unpack_from(state, at)
        n_channels, rest = divmod(n_bytes, _ELEMENT_BYTES[kind])
        _expect(rest == 0)
    return _Values(at, kind, n_cells, n_channels)


def _expect(condition: bool) -> None:
    if not condition:
        raise ValueError("not the format that is known")
