"""What of a model and its context lies in which kind of memory, to the byte, as llama.cpp keeps its own books. Works on
loaded models and on dry runs alike. Runs in the engine process only.

The books are C++ objects that the public API does not hand out, so their layout (GNU's libstdc++) is declared here and
what is read is checked against figures of the public API. Where the check fails, `BooksUnreadable` is raised.
"""

from __future__ import annotations

import ctypes
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tui.engine import devices
from tui.engine.bindings import lib, libggml
from tui.protocol.records import Placed

_MAX_ENTRIES = 256
"""More kinds of memory than any machine has: what is read beyond is no map."""


class BooksUnreadable(Exception):
    """This build of llama.cpp keeps its books in another way."""


class MemoryKind(NamedTuple):
    """A ggml buffer type."""

    name: str
    """ggml's: "CPU", "CPU_REPACK", "Vulkan0", "Vulkan_Host"."""
    device: str
    """Of whose memory it is: "CPU" or a device's name."""
    is_plain: bool
    """The host's, in the layout of the file, so that a mapped file can serve as it is."""


class TensorBytes(NamedTuple):
    """Bytes in one kind of memory, with what is lost between tensors."""

    weights: int
    kv: int
    compute: int


class _Map(ctypes.Structure):
    """`std::map`: a comparison, and the header of a red-black tree whose parent is the root."""

    _fields_ = (
        ("compare", ctypes.c_void_p),
        ("colour", ctypes.c_int),
        ("root", ctypes.c_void_p),
        ("leftmost", ctypes.c_void_p),
        ("rightmost", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
    )


class _Node(ctypes.Structure):
    """A node of that tree with its entry: buffer type, then `llama_memory_breakdown_data`."""

    _fields_ = (
        ("colour", ctypes.c_int),
        ("parent", ctypes.c_void_p),
        ("left", ctypes.c_void_p),
        ("right", ctypes.c_void_p),
        ("kind", ctypes.c_void_p),
        ("weights", ctypes.c_size_t),
        ("kv", ctypes.c_size_t),
        ("compute", ctypes.c_size_t),
    )


class _Vector(ctypes.Structure):
    """`std::vector`."""

    _fields_ = (("begin", ctypes.c_size_t), ("end", ctypes.c_size_t), ("room", ctypes.c_size_t))


class _NamedTensor(ctypes.Structure):
    """`std::pair<std::string, ggml_tensor *>`."""

    _fields_ = (
        ("text", ctypes.c_char_p),
        ("length", ctypes.c_size_t),
        ("room", ctypes.c_char * 16),
        ("tensor", ctypes.c_void_p),
    )


class _Tensor(ctypes.Structure):
    """The beginning of `ggml_tensor`."""

    _fields_ = (("type", ctypes.c_int), ("buffer", ctypes.c_void_p))


@functools.cache
def _api() -> Any:
    """ggml's functions about buffers, declared."""
    for name, restype in (
        ("ggml_backend_buft_name", ctypes.c_char_p),
        ("ggml_backend_buft_is_host", ctypes.c_bool),
        ("ggml_backend_buft_get_device", ctypes.c_void_p),
        ("ggml_backend_buffer_get_type", ctypes.c_void_p),
        ("ggml_nbytes", ctypes.c_size_t),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = restype, [ctypes.c_void_p]
    return libggml


@functools.cache
def _books() -> tuple[Any, Any]:
    """llama.cpp's functions that hand out its books."""
    try:
        of_context = lib._lib._Z26llama_get_memory_breakdownPK13llama_context
        of_model = lib._lib._Z29llama_internal_get_tensor_mapB5cxx11PK11llama_model
    except AttributeError as error:
        raise BooksUnreadable(str(error)) from error
    of_context.restype, of_context.argtypes = _Map, [ctypes.c_void_p]
    of_model.restype, of_model.argtypes = ctypes.POINTER(_Vector), [ctypes.c_void_p]
    return of_context, of_model


@functools.cache
def _kind(address: int) -> MemoryKind:
    api = _api()
    handle = api.ggml_backend_buft_get_device(address)
    owner = next((name for name, known in devices.handles().items() if known == handle), "CPU")
    name = str(api.ggml_backend_buft_name(address).decode("utf-8", "replace"))
    is_plain = bool(api.ggml_backend_buft_is_host(address))
    return MemoryKind(name=name, device="CPU" if is_plain else owner, is_plain=is_plain)


def placed(model: int, context: int, output_bytes: int, *, mapped: bool) -> tuple[Placed, ...]:
    """What lies where, the host first. `output_bytes` is the logits' buffer, which the books leave out and the log
    tells; `mapped` says that the file is mapped, or would be where this is a dry run.

    A mapped file serves each of its tensors once, however many places use it. Raises `BooksUnreadable`.
    """
    sums: dict[str, Counter[str]] = {"CPU": Counter(output_bytes=output_bytes)}
    for kind, n_bytes in held(context).items():
        place = sums.setdefault(kind.device, Counter())
        place["kv_bytes"] += n_bytes.kv
        place["compute_bytes"] += n_bytes.compute
        if not (kind.is_plain and mapped):
            place["weights_bytes"] += n_bytes.weights
        if kind.device == "CPU" and not kind.is_plain:
            place["repacked_bytes"] += n_bytes.weights
    if mapped:
        once: dict[str, int] = {}
        for kind, tensors in weights(model).items():
            if kind.is_plain:
                once |= tensors
        sums["CPU"]["mapped_bytes"] = sum(once.values())
        sums["CPU"]["weights_bytes"] += sum(once.values())
    return tuple(Placed(device=device, **place) for device, place in sums.items())


def together(*loads: Sequence[Placed]) -> tuple[Placed, ...]:
    """What several loads put where, one beside the other."""
    sums: dict[str, Counter[str]] = {}
    for place in (place for load in loads for place in load):
        counted = {name: getattr(place, name) for name in Placed.__struct_fields__ if name != "device"}
        sums.setdefault(place.device, Counter()).update(counted)
    return tuple(Placed(device=device, **place) for device, place in sums.items())


def held(context: int) -> dict[MemoryKind, TensorBytes]:
    """What a model and its context hold. The weights of a mapped file are given as the part of the file from the first
    to the last of them. The map that llama.cpp makes for it, some 200 bytes, is not freed."""
    books = _books()[0](context)
    if not 0 < books.count <= _MAX_ENTRIES:
        raise BooksUnreadable(f"a memory breakdown of {books.count} entries")
    found: dict[MemoryKind, TensorBytes] = {}
    nodes = list(_walk(books.root))
    if len(nodes) != books.count:
        raise BooksUnreadable(f"{len(nodes)} of {books.count} entries of the memory breakdown")
    for node in nodes:
        kind = _kind(node.kind)
        before = found.get(kind, TensorBytes(0, 0, 0))
        found[kind] = TensorBytes(before.weights + node.weights, before.kv + node.kv, before.compute + node.compute)
    return found


def _walk(address: int | None, depth: int = 0) -> Iterator[_Node]:
    if address and depth < 32:
        node = _Node.from_address(address)
        yield from _walk(node.left, depth + 1)
        yield node
        yield from _walk(node.right, depth + 1)


def weights(model: int) -> dict[MemoryKind, dict[str, int]]:
    """Bytes of every tensor by its name, by the kind of memory that it lies in. A tensor that is used in two places,
    such as an embedding table that is the output layer too, may lie in two kinds."""
    books = _books()[1](model).contents
    size = ctypes.sizeof(_NamedTensor)
    n, rest = divmod(books.end - books.begin, size)
    if rest or not 0 < n < 1 << 20:
        raise BooksUnreadable("the list of tensors has another layout")
    api = _api()
    found: dict[MemoryKind, dict[str, int]] = {}
    for named in (_NamedTensor * n).from_address(books.begin):
        buffer = _Tensor.from_address(named.tensor).buffer
        if buffer:
            kind = _kind(api.ggml_backend_buffer_get_type(buffer))
            name = named.text[: named.length].decode("utf-8", "replace")
            found.setdefault(kind, {})[name] = api.ggml_nbytes(named.tensor)
    once = {name: n_bytes for tensors in found.values() for name, n_bytes in tensors.items()}
    # Tensors that llama.cpp does not use are part of the size, and of no buffer.
    if not 0 < sum(once.values()) <= lib.llama_model_size(model):
        raise BooksUnreadable("the tensors do not add up to the size of the model")
    return found
