"""Tests whether a llama.cpp works here. On this CPU a tiny model of each quantization reads a prompt and goes on, with
and without what the CPU backend does to weights beforehand (repacking, AMX), and all of it is compared. Then a model
with a vocabulary is loaded, read to and listened to as the engine does, beside the system's C++ library: what the
compiler and the linker made of the libraries together. That is done in processes of their own, as a library that was
compiled wrong ends them. Standard library only.

`python3 scripts/llama_selftest.py .venv` tests the llama-cpp-python in .venv; a wheel or a folder with the package
`llama_cpp` will do too. Exit code 0 when all is well, 1 when the library is wrong, 2 when it could not be tested.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import functools
import importlib
import math
import os
import random
import resource
import signal
import struct
import subprocess
import sys
import tempfile
import types
import zipfile
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tiny_gguf

REVISION = 2
"""Of what is tested: a verdict of another revision says nothing."""

FAMILIES = {
    "legacy": {"q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8},
    "K": {"q2_K": 10, "q3_K": 11, "q4_K": 12, "q5_K": 13, "q6_K": 14},
    "IQ": {
        "iq1_s": 19,
        "iq1_m": 29,
        "iq2_xxs": 16,
        "iq2_xs": 17,
        "iq2_s": 22,
        "iq3_xxs": 18,
        "iq3_s": 21,
        "iq4_nl": 20,
        "iq4_xs": 23,
    },
    "MX": {"mxfp4": 39},
    "float": {"f16": 1, "bf16": 30},
}
"""Quantizations by family, with their numbers in `ggml_type`."""

BATCHES = (37, 1, 5)
"""Tokens of one decode after the other: tiles with a rest, a vector, and less than a tile."""

TOLERANCE = 0.01
"""Energy of the difference as a part of the signal's. Activations are rounded to 8 bits, each path in its own way,
which makes up to 0.0005; what is wrong makes about 1."""

LIMIT_S = 600

OTHER_COMPILER = (
    "The C++ compiler or its options are the likely cause. Build it with another: CXX=/usr/bin/g++ make run"
)
"""What to do about libraries that do not work together."""

_POOL_ROWS = 320
_SLOW_TO_PACK = ("iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s")
_UNPACK = {"f16": "ggml_fp16_to_fp32_row", "bf16": "ggml_bf16_to_fp32_row"}
_WRONG = 3
"""Exit code of the testing process for a wrong result."""
_LOADING = "loading it"
_COMPUTES, _BEFORE, _AFTER = "computes", "before", "after"
"""What a testing process does: compute with each quantization, or load a model where the system's C++ library is loaded
before or after llama.cpp, as NumPy and graphics drivers do."""
_CPP = "libstdc++.so.6"


@dataclass(frozen=True)
class Verdict:
    """What the test found."""

    right: bool | None
    """None when nothing can be said."""
    reason: str
    """One clause: "SIGILL with q4_K, repacked, 37 tokens"; what was tested when all is well."""
    is_of_cpu: bool = True
    """Whether another build for this CPU, with less of what it can do, may be right."""


def test(packages: Path, python: str = sys.executable) -> Verdict:
    """The verdict on the `llama_cpp` in the folder `packages`, tested by that Python."""
    with tempfile.TemporaryDirectory(prefix="llama-selftest-") as scratch:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("LLAMA_", "GGML_"))},
            # The CPU alone: a GPU's driver has no part in this.
            **dict.fromkeys(("VK_DRIVER_FILES", "VK_ICD_FILENAMES"), f"{scratch}/none.json"),
            "CUDA_VISIBLE_DEVICES": "",
            "HIP_VISIBLE_DEVICES": "",
            "GGML_NO_BACKTRACE": "1",
            "OMP_WAIT_POLICY": "passive",  # threads that spin would take minutes on a busy machine
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [python, str(Path(__file__).absolute()), str(packages.absolute()), scratch, "--child"]
        verdict = _run([*command, _COMPUTES], scratch, environment)
        for order in (_BEFORE, _AFTER):
            if verdict.right:
                loaded = _run([*command, order], scratch, environment)
                # All that depends on the CPU was right.
                verdict = verdict if loaded.right else replace(loaded, is_of_cpu=False)
    return verdict


def _run(command: Sequence[str], scratch: str, environment: Mapping[str, str]) -> Verdict:
    try:
        done = subprocess.run(
            command,
            cwd=scratch,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = late.stdout.decode(errors="replace") if isinstance(late.stdout, bytes) else late.stdout or ""
        return Verdict(False, f"no end after {LIMIT_S // 60} minutes with {_last(said)}")
    return _verdict(done)


def _verdict(done: subprocess.CompletedProcess[str]) -> Verdict:
    last = _last(done.stdout)
    if done.returncode == 0:
        return Verdict(True, last)
    if done.returncode == _WRONG:
        return Verdict(False, last)
    if done.returncode == -signal.SIGKILL:
        return Verdict(None, f"something ended it with {last or 'nothing tested yet'}, most likely for want of memory")
    if done.returncode < 0 and last:
        with contextlib.suppress(ValueError):
            return Verdict(False, f"{signal.Signals(-done.returncode).name} with {last}")
    why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    if why.startswith("RuntimeError: ") and last != _LOADING:  # llama.cpp refuses what it has to compute
        return Verdict(False, f"{why.removeprefix('RuntimeError: ')} with {last}")
    return Verdict(None, why)


def _last(said: str) -> str:
    """The last thing that the testing process was about."""
    return (said.strip().splitlines() or [""])[-1]


class _Library:
    """llama.cpp through the package's own bindings, without NumPy and what else importing it whole needs."""

    def __init__(self, packages: Path) -> None:
        bare = types.ModuleType("llama_cpp")
        bare.__path__ = [str(packages / "llama_cpp")]
        sys.modules["llama_cpp"] = bare
        with contextlib.suppress(ImportError):
            importlib.import_module("typing_extensions")
        if "typing_extensions" not in sys.modules:  # only for annotations
            stand_in = types.ModuleType("typing_extensions")
            stand_in.__dict__["__getattr__"] = lambda _: Any
            sys.modules["typing_extensions"] = stand_in
        self.llama: Any = importlib.import_module("llama_cpp.llama_cpp")
        self.base = ctypes.CDLL(str(packages / "llama_cpp" / "lib" / "libggml-base.so"))
        self.base.ggml_row_size.restype = ctypes.c_size_t
        self.base.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
        self.base.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.base.ggml_quantize_chunk.argtypes = [
            *(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p),
            *(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p),
        ]
        self.said: list[str] = []
        signature = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
        self._callback = signature(lambda _level, text, _: self.said.append((text or b"").decode(errors="replace")))
        library = self.llama._lib
        library.llama_log_set(self._callback, None)
        self.llama.llama_backend_init()

    def has(self, name: str) -> bool:
        """Whether this version knows the quantization."""
        return hasattr(self.base, _UNPACK.get(name, f"dequantize_row_{name}"))

    def pools(self, name: str, kind: int, weights: array[float]) -> tuple[tiny_gguf.Pool, tiny_gguf.Pool]:
        """Weights in that format, and what this format makes of them as floats. They are the given ones, or any that
        are as large where a search for the nearest would take seconds."""
        count = len(weights)
        rows = count // tiny_gguf.N_EMBD
        row_bytes = self.base.ggml_row_size(kind, tiny_gguf.N_EMBD)
        if name in _SLOW_TO_PACK:
            bits = random.Random(name).randbytes(rows * row_bytes)
            plain = self._floats(name, _with_scale(name, bits, row_bytes, 1.0), count)
            size = math.sqrt(
                math.fsum(value * value for value in plain) / math.fsum(value * value for value in weights)
            )
            packed = _with_scale(name, bits, row_bytes, 1.0 / size)
        else:
            target = ctypes.create_string_buffer(rows * row_bytes)
            source = (ctypes.c_float * count).from_buffer(weights)
            self.base.ggml_quantize_chunk(kind, source, target, 0, rows, tiny_gguf.N_EMBD, None)
            packed = target.raw
        plain = self._floats(name, packed, count)
        return tiny_gguf.Pool(kind, row_bytes, packed), tiny_gguf.Pool(0, tiny_gguf.N_EMBD * 4, plain.tobytes())

    def _floats(self, name: str, packed: bytes, count: int) -> array[float]:
        plain = (ctypes.c_float * count)()
        unpack = getattr(self.base, _UNPACK.get(name, f"dequantize_row_{name}"))
        unpack.restype, unpack.argtypes = None, [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int64]
        unpack(packed, plain, count)
        return array("f", plain)

    def decode(self, file: Path, *, extra: bool, about: Callable[[str], None]) -> list[array[float]]:
        """The logits after each of `BATCHES`. With `extra` the weights may go into buffers of their own layout."""
        results, at = [], 0
        with self._loaded(file, extra=extra) as (_, context):
            for count in BATCHES:
                about(f"{count} token{'s' if count > 1 else ''}")
                tokens = [(at + step) * 7 % tiny_gguf.N_VOCAB for step in range(count)]
                results.append(self._logits(context, tokens))
                at += count
        return results

    def read(self, file: Path, sentence: str) -> tuple[str, array[float]]:
        """The sentence, taken apart into tokens and put together again, and the logits after it."""
        llama = self.llama
        with self._loaded(file, extra=True) as (model, context):
            vocabulary, text = llama.llama_model_get_vocab(model), sentence.encode()
            tokens = (llama.llama_token * len(text))()
            count = llama.llama_tokenize(vocabulary, text, len(text), tokens, len(text), False, False)
            piece, pieces = ctypes.create_string_buffer(32), b""
            for token in tokens[:count]:
                size = llama.llama_token_to_piece(vocabulary, token, piece, len(piece), 0, True)
                pieces += piece.raw[: max(0, size)]
            return pieces.decode(errors="replace"), self._logits(context, tokens[:count])

    def _logits(self, context: Any, tokens: Sequence[int]) -> array[float]:
        """After these tokens."""
        batch = (ctypes.c_int32 * len(tokens))(*tokens)
        code = self.llama.llama_decode(context, self.llama.llama_batch_get_one(batch, len(tokens)))
        if code != 0:
            raise RuntimeError(f"llama_decode gave {code}")
        return array("f", self.llama.llama_get_logits_ith(context, -1)[: tiny_gguf.N_VOCAB])

    @contextlib.contextmanager
    def _loaded(self, file: Path, *, extra: bool) -> Iterator[tuple[Any, Any]]:
        """The model and a context."""
        llama = self.llama
        parameters = llama.llama_model_default_params()
        nothing = (ctypes.c_void_p * 1)(None)
        parameters.devices = ctypes.addressof(nothing)
        parameters.n_gpu_layers = 0
        parameters.use_extra_bufts = extra
        model = llama.llama_model_load_from_file(str(file).encode(), parameters)
        if not model:
            raise RuntimeError(f"llama.cpp does not load the test's model: {''.join(self.said[-3:]).strip()}")
        settings = llama.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
        settings.n_threads = settings.n_threads_batch = min(2, len(os.sched_getaffinity(0)))
        context = llama.llama_init_from_model(model, settings)
        if not context:
            raise RuntimeError(f"llama.cpp makes no context: {''.join(self.said[-3:]).strip()}")
        yield model, context
        llama.llama_free(context)
        llama.llama_model_free(model)

    def buffers(self) -> set[str]:
        """Kinds of buffers that weights have been loaded into, as the log names them: CPU_Mapped, CPU_REPACK, AMX."""
        lines = [line for text in self.said for line in text.splitlines() if "model buffer size" in line]
        return {line.partition(":")[2].split()[0] for line in lines}

    def told(self, name: str) -> set[str]:
        """What the log says of a model's property."""
        lines = [line.partition("=") for text in self.said for line in text.splitlines() if "print_info: " in line]
        return {value.strip() for label, _, value in lines if label.split()[-1:] == [name]}


def _with_scale(name: str, bits: bytes, row_bytes: int, scale: float) -> bytes:
    """The rows, one block each, with that scale. It stands before a block's bits, in iq1_m in the upper quarters of its
    last four words."""
    packed = bytearray(bits)
    half = struct.pack("<e", scale)
    for begin in range(0, len(packed), row_bytes):
        if name == "iq1_m":
            for word in range(4):
                at = begin + row_bytes - 8 + 2 * word + 1
                packed[at] = packed[at] & 0x0F | (half[word // 2] >> 4 * (word % 2) & 0x0F) << 4
        else:
            packed[begin : begin + 2] = half
    return bytes(packed)


def error(values: Sequence[float], right: Sequence[float]) -> float:
    """Energy of the difference as a part of the right one's; infinite when a value is no number."""
    if not all(map(math.isfinite, values)):
        return math.inf
    energy = math.fsum(value * value for value in right)
    return math.fsum((value - other) ** 2 for value, other in zip(values, right, strict=True)) / (energy or 1.0)


def _child(packages: Path, scratch: Path, what: str) -> int:
    """Test, saying on stdout what comes next, so that the last line is what a crash was about."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Whatever libraries print goes elsewhere.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(text: str) -> None:
        print(text, file=out, flush=True)

    say(_LOADING)
    return _computes(packages, scratch, say) if what == _COMPUTES else _loads(packages, scratch, what, say)


def _loads(packages: Path, scratch: Path, order: str, say: Callable[[str], None]) -> int:
    """Load a model with a vocabulary as the engine does, with its log, and have it read a sentence."""
    if order == _BEFORE:
        _load_cpp_library()
    library = _Library(packages)
    with contextlib.suppress(ImportError):
        importlib.import_module("llama_cpp._ggml")  # the engine asks it for devices
    if order == _AFTER:
        _load_cpp_library()
    say(f"a model with a vocabulary, {_CPP} loaded {order} llama.cpp")
    weights = tiny_gguf.random_weights(_POOL_ROWS * tiny_gguf.N_EMBD, math.sqrt(3 / tiny_gguf.N_EMBD))
    pool = tiny_gguf.Pool(0, tiny_gguf.N_EMBD * 4, weights.tobytes())
    tiny_gguf.write(scratch / "words.gguf", pool, has_vocabulary=True)
    read, logits = library.read(scratch / "words.gguf", tiny_gguf.SENTENCE)
    if read != tiny_gguf.SENTENCE or not all(map(math.isfinite, logits)):
        say(f"wrong tokens or numbers with a vocabulary, {_CPP} loaded {order} llama.cpp")
        return _WRONG
    if library.told("n_head") - {str(tiny_gguf.N_HEAD)}:
        say(f"wrong numbers in the log, {_CPP} loaded {order} llama.cpp")
        return _WRONG
    return 0


def _load_cpp_library() -> None:
    with contextlib.suppress(OSError):  # a system without it has no two of them
        ctypes.CDLL(_CPP)


def _computes(packages: Path, scratch: Path, say: Callable[[str], None]) -> int:
    """Compute with each quantization, and compare."""

    def about(label: str, what: str) -> None:
        say(f"{label}, {what}")

    library = _Library(packages)
    weights = tiny_gguf.random_weights(_POOL_ROWS * tiny_gguf.N_EMBD, math.sqrt(3 / tiny_gguf.N_EMBD))
    tested = []
    kinds = {name: kind for family in FAMILIES.values() for name, kind in family.items() if library.has(name)}
    for name, kind in kinds.items():
        packed, plain = library.pools(name, kind, weights)
        for file, pool in (("quantized.gguf", packed), ("float.gguf", plain)):
            tiny_gguf.write(scratch / file, pool)
        runs = {}
        for label, file, extra in (
            ("floats", "float.gguf", False),
            (name, "quantized.gguf", False),
            (f"{name}, repacked", "quantized.gguf", True),
        ):
            runs[label] = library.decode(scratch / file, extra=extra, about=functools.partial(about, label))
        right = runs.pop("floats")
        for label, results in runs.items():
            for count, logits, expected in zip(BATCHES, results, right, strict=True):
                off = error(logits, expected)
                if not off <= TOLERANCE:
                    say(f"wrong numbers with {label}, {count} tokens (error {off:.2g})")
                    return _WRONG
        tested.append(name)
    say(f"{len(tested)} quantizations on the CPU, in {', '.join(sorted(library.buffers()))}")
    return 0


@contextlib.contextmanager
def unpacked(wheel: Path) -> Iterator[Path]:
    """A folder with what is in the wheel, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="llama-wheel-") as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        yield Path(folder)


def _packages_of(environment: Path) -> tuple[Path, str]:
    python = environment.absolute() / "bin" / "python"
    question = "import importlib.util as u; print(next(iter(u.find_spec('llama_cpp').submodule_search_locations)))"
    told = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise FileNotFoundError(f"There is no llama-cpp-python in {environment}. Install it: make install")
    return Path(told.stdout.strip()).parent, str(python)


def main() -> int:
    parser = argparse.ArgumentParser(description="Test whether a llama.cpp computes right on this CPU.")
    parser.add_argument("where", type=Path, help="environment, wheel, or folder with the package llama_cpp")
    parser.add_argument("scratch", type=Path, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("--child", choices=(_COMPUTES, _BEFORE, _AFTER), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        return _child(arguments.where, arguments.scratch, arguments.child)
    try:
        if arguments.where.suffix == ".whl":
            with unpacked(arguments.where) as folder:
                verdict = test(folder)
        elif (arguments.where / "llama_cpp").is_dir():
            verdict = test(arguments.where)
        else:
            verdict = test(*_packages_of(arguments.where))
    except (OSError, zipfile.BadZipFile) as problem:
        print(problem, file=sys.stderr)
        return 2
    heads = {True: "llama.cpp computes right here", False: "llama.cpp is wrong here", None: "Could not be tested"}
    print(f"{heads[verdict.right]}: {verdict.reason}")
    if verdict.right is False and verdict.is_of_cpu:
        print("Build a safer one: LLMTUI_BACKEND=cpu make run, or LLMTUI_BACKEND=vulkan make run.")
    elif verdict.right is False:
        print(OTHER_COMPILER)
    return {True: 0, False: 1, None: 2}[verdict.right]


if __name__ == "__main__":
    sys.exit(main())
