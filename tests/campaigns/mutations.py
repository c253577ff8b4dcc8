"""Changes to whole model files, by kind, each with what it is: to tokenizers, templates, hyperparameters, tensors and
weights. `mutated_files.py` makes files with them."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterator, Sequence

from tests.campaigns.templates import HARM
from tests.engine.model_files import N_VOCAB
from tests.models.gguf_files import Typed
from tests.models.whole_files import Tensor, WholeFile
from tests.tape import CHATML
from tui.models.quants import BY_NAME

U16, I32, U32, F32, U64, F64 = 2, 5, 4, 6, 10, 12
TOKENS, TYPES, MERGES = (f"tokenizer.ggml.{name}" for name in ("tokens", "token_type", "merges"))
NUMBERS = (0, 1, 2, 3, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
LARGE = (2**32, 2**62, 2**63, 2**64 - 1)
FLOATS = (0.0, -1.0, 1e-45, 1e30, math.nan, math.inf)
TEXTS = ("", "x", "\x1b[31mred\x07", "\u202eabc", "a\nb\nc", "n" * 100_000, "\x9b2J", "ü\0ü")
IDS = ("bos", "eos", "eot", "eom", "unknown", "padding", "seperator", "mask", "fim_pre", "fim_suf", "prefix")
MORE_KEYS = (
    *("rope.freq_base", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor", "rope.freq_scale"),
    *("rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.dimension_sections"),
    *("attention.sliding_window", "attention.sliding_window_pattern", "attention.causal", "attention.scale"),
    *("attention.max_alibi_bias", "attention.clamp_kqv", "attn_logit_softcapping", "final_logit_softcapping"),
    *("expert_count", "expert_used_count", "expert_shared_count", "expert_weights_scale", "expert_gating_func"),
    *("expert_feed_forward_length", "leading_dense_block_count", "expert_group_count", "nextn_predict_layers"),
    *("logit_scale", "residual_scale", "embedding_scale", "pooling_type", "use_parallel_residual", "vocab_size"),
    *("ssm.conv_kernel", "ssm.inner_size", "ssm.state_size", "ssm.time_step_rank", "ssm.group_count"),
    *("attention.key_length_mla", "attention.value_length_mla", "attention.shared_kv_layers", "decoder_block_count"),
)
ARCHITECTURES = (
    *("llama", "llama4", "deci", "falcon", "grok", "gpt2", "gptneox", "mpt", "baichuan", "starcoder", "refact"),
    *("bloom", "stablelm", "qwen", "qwen2", "qwen2moe", "qwen2vl", "qwen3", "qwen3moe", "qwen3next", "qwen3vl"),
    *("qwen35", "phi2", "phi3", "phimoe", "plamo", "plamo2", "codeshell", "orion", "internlm2", "minicpm", "minicpm3"),
    *("gemma", "gemma2", "gemma3", "gemma3n", "gemma4", "starcoder2", "mamba", "mamba2", "jamba", "falcon-h1"),
    *("xverse", "command-r", "cohere2", "dbrx", "olmo", "olmo2", "olmoe", "openelm", "arctic", "deepseek"),
    *("deepseek2", "deepseek32", "deepseek4", "chatglm", "glm4", "glm4moe", "bitnet", "t5", "jais", "nemotron"),
    *("nemotron_h", "exaone", "exaone4", "rwkv6", "rwkv7", "granite", "granitemoe", "granitehybrid", "chameleon"),
    *("plm", "bailingmoe", "dots1", "arcee", "ernie4_5", "hunyuan-dense", "smollm3", "gpt-oss", "lfm2", "smallthinker"),
    *("seed_oss", "grovemoe", "apertus", "minimax-m2", "cogvlm", "mimo2", "kimi-linear", "bert", "clip", "llada"),
)
VOCABULARIES = ("llama", "gpt2", "bert", "t5", "rwkv", "plamo2", "gemma4", "hybriddna", "test", "none", "no_vocab", "x")
PRE = (
    *("", "default", "llama3", "deepseek-llm", "deepseek-coder", "falcon", "mpt", "starcoder", "gpt-2", "olmo", "dbrx"),
    *("smaug-bpe", "poro-chat", "chatglm-bpe", "viking", "tekken", "smollm", "codeshell", "bloom", "gpt3-finnish"),
    *("exaone", "chameleon", "minerva-7b", "megrez", "gpt-4o", "superbpe", "trillion", "bailingmoe", "seed-coder"),
    *("kimi-k2", "grok-2", "youtu", "jais-2", "no such", "\x1b[2J", "x" * 5000),
)

Change = Callable[[WholeFile], object]
ListChange = Callable[[list[Typed]], Sequence[object]]


def arch_of(parts: WholeFile) -> str:
    value = parts.metadata["general.architecture"]
    raw = value.value if isinstance(value, Typed) else value
    return raw.decode() if isinstance(raw, bytes) else str(raw)


def put(key: str, value: object) -> Change:
    """Set a key; "." at its beginning stands for the architecture."""
    return lambda parts: parts.metadata.update({arch_of(parts) + key if key.startswith(".") else key: value})


def drop(key: str) -> Change:
    return lambda parts: parts.metadata.pop(arch_of(parts) + key if key.startswith(".") else key, None)


def of_list(key: str, change: ListChange) -> Change:
    def act(parts: WholeFile) -> None:
        parts.metadata[key] = Typed(9, list(change(parts.values(key))))

    return act


def first(n: int) -> ListChange:
    return lambda old: old[:n]


def all_of_kind(kind: int) -> ListChange:
    return lambda old: [Typed(I32, kind)] * len(old)


def both(*changes: Change) -> Change:
    def act(parts: WholeFile) -> None:
        for change in changes:
            change(parts)

    return act


def texts(*values: str | bytes) -> list[Typed]:
    return [Typed(8, value.encode() if isinstance(value, str) else value) for value in values]


def of_vocabulary(rng: random.Random) -> Iterator[tuple[str, str, Change]]:
    """What is wrong with tokens, their types, merges and special ids."""
    for n in (0, 1, 10, 255, 256, 1000, N_VOCAB - 1):
        yield "tokens", f"the first {n}", of_list(TOKENS, first(n))
        cut = both(*(of_list(key, first(n)) for key in (TOKENS, TYPES)))
        yield "tokens", f"the first {n} with their types", cut
    for name, change in {
        "all alike": lambda old: texts("a") * len(old),
        "all empty": lambda old: texts("") * len(old),
        "one twice": lambda old: [*old[:5], old[4], *old[6:]],
        "no UTF-8": lambda old: texts(b"\xff\xfe\x80") + old[1:],
        "one of 1 MB": lambda old: [*old[:300], *texts("w" * 1_000_000), *old[301:]],
        "commands": lambda old: texts(*(f"\x1b]0;{i}\x07" for i in range(len(old)))),
        "with zeros": lambda old: texts(*(f"\0{i}" for i in range(len(old)))),
        "in reverse": lambda old: old[::-1],
        "shuffled": lambda old: rng.sample(old, len(old)),
        "twice as many": lambda old: old * 2,
        "numbers": lambda old: [Typed(U32, 7)] * len(old),
        "300,000": lambda old: old + texts(*(f"t{i}" for i in range(300_000))),
    }.items():
        yield "tokens", name, of_list(TOKENS, change)
    yield "tokens", "none at all", drop(TOKENS)
    for kind in (-1, 0, 1, 2, 3, 4, 5, 6, 99, 2**31 - 1):
        yield "token types", f"all {kind}", of_list(TYPES, all_of_kind(kind))
    yield "token types", "by chance", of_list(TYPES, lambda old: [Typed(I32, rng.randrange(-2, 9)) for _ in old])
    yield "token types", "too few", of_list(TYPES, lambda old: old[:100])
    yield "token types", "fractions", of_list(TYPES, lambda old: [Typed(F32, 1.0)] * len(old))
    yield "token types", "none", drop(TYPES)
    for name, change in {
        "no space": lambda old: texts("ab", "abc", "x"),
        "many spaces": lambda old: texts("a b c", "  ", " ", "a  b", ""),
        "nothing that is there": lambda old: texts("qqqq zzzz", "zzzz qqqq"),
        "no UTF-8": lambda old: texts(b"\xff \xfe", b"\x80\x80 \x80"),
        "empty": lambda old: [],
        "the first ten": lambda old: old[:10],
        "shuffled": lambda old: rng.sample(old, len(old)),
        "numbers": lambda old: [Typed(U32, 3)] * 5,
        "a text of 1 MB": lambda old: texts("a " + "b" * 1_000_000),
    }.items():
        yield "merges", name, of_list(MERGES, change)
    yield "merges", "none", drop(MERGES)
    for name in IDS:
        for number in (N_VOCAB, 2**31 - 1, 2**32 - 1):
            yield "special ids", f"{name} {number}", put(f"tokenizer.ggml.{name}_token_id", Typed(U32, number))
    yield "special ids", "no eos", drop("tokenizer.ggml.eos_token_id")
    yield "special ids", "eos is text", put("tokenizer.ggml.eos_token_id", "<|im_end|>")
    yield "special ids", "eos -1", put("tokenizer.ggml.eos_token_id", Typed(I32, -1))
    for name in ("bos", "eos", "sep"):
        yield "special ids", f"adds {name}", put(f"tokenizer.ggml.add_{name}_token", value=True)
    no_bos = both(put("tokenizer.ggml.add_bos_token", value=True), drop("tokenizer.ggml.bos_token_id"))
    yield "special ids", "adds a bos that there is not", no_bos
    yield "special ids", "a bos of any token", put("tokenizer.ggml.bos_token_id", Typed(U32, 5))
    for pre in PRE:
        yield "pre-tokenizer", pre[:20], put("tokenizer.ggml.pre", pre)
    yield "pre-tokenizer", "a number", put("tokenizer.ggml.pre", Typed(U32, 3))
    for model in VOCABULARIES:
        yield "tokenizer", model, put("tokenizer.ggml.model", model)
        scores = put("tokenizer.ggml.scores", Typed(9, [Typed(F32, -1.0)] * N_VOCAB))
        yield "tokenizer", f"{model} with scores", both(put("tokenizer.ggml.model", model), scores)
    nan = put("tokenizer.ggml.scores", Typed(9, [Typed(F32, math.nan)] * N_VOCAB))
    yield "tokenizer", "llama with scores that are no numbers", both(put("tokenizer.ggml.model", "llama"), nan)
    charsmap = put("tokenizer.ggml.precompiled_charsmap", Typed(9, [Typed(0, rng.randrange(256)) for _ in range(500)]))
    yield "tokenizer", "t5 with a broken map", both(put("tokenizer.ggml.model", "t5"), charsmap)


def of_templates() -> Iterator[tuple[str, str, Change]]:
    """Chat templates that do harm, or are none."""
    key = "tokenizer.chat_template"
    for source in (*HARM, *TEXTS):
        yield "chat template", repr(source[:20]), put(key, source)
        if source in HARM:
            yield "chat template", f"ChatML and {source[:20]!r}", put(key, CHATML + source)
    yield "chat template", "a number", put(key, Typed(U32, 1))
    yield "chat template", "a list", put(key, texts("a", "b"))


def value_of_any_kind(rng: random.Random) -> tuple[str, object]:
    code = rng.choice((U32, U32, U32, U32, I32, U64, F32, F64, 8, 9, 7))
    match code:
        case 4:
            number: object = rng.choice(NUMBERS)
        case 5:
            number = rng.choice((-1, -(2**31), 5))
        case 10:
            number = rng.choice((*NUMBERS, *LARGE))
        case 6 | 12:
            number = rng.choice(FLOATS)
        case 8:
            number = rng.choice(TEXTS)
        case 9:
            number = [Typed(U32, rng.choice(NUMBERS))] * rng.choice((0, 1, 2, 3, 64, 600))
        case _:
            number = True
    if code == F32 and number == 1e30:
        number = 3e38
    return repr(number)[:30], Typed(code, number)


def of_hyperparameters(parts: WholeFile, rng: random.Random, n: int) -> Iterator[tuple[str, str, Change]]:
    """Each key of the architecture with values that no model has, and more keys."""
    arch = arch_of(parts)
    own = [key.removeprefix(arch) for key in parts.metadata if key.startswith(f"{arch}.")]
    for key in own:
        for number in (0, 1, 3, 2**31 - 1, 2**32 - 1):
            yield "hyperparameters", f"{arch}{key} {number}", put(key, Typed(U32, number))
        yield "hyperparameters", f"no {arch}{key}", drop(key)
    for _ in range(n):
        key = rng.choice((*own, *(f".{name}" for name in MORE_KEYS)))
        what, value = value_of_any_kind(rng)
        yield "hyperparameters", f"{arch}{key} {what}", put(key, value)
    for key in ("general.name", "general.architecture", "general.description", "general.file_type", "general.type"):
        for value in TEXTS:
            yield "texts", f"{key} {value[:10]!r}", put(key, value)


def without(name: str) -> Change:
    return lambda parts: parts.tensors.remove(parts.tensor(name))


def of_tensor(name: str, act: Callable[[WholeFile, Tensor], object]) -> Change:
    return lambda parts: act(parts, parts.tensor(name))


def of_tensors(parts: WholeFile, rng: random.Random, n: int) -> Iterator[tuple[str, str, Change]]:
    """Names, shapes, types and places of tensors, and tensors that are missing or too many."""
    names = [str(tensor.name) for tensor in parts.tensors]
    for kind in dict.fromkeys(name.rpartition("blk.0.")[2] if name.startswith("blk.0.") else name for name in names):
        if name := next((name for name in names if name in (kind, f"blk.0.{kind}")), ""):
            yield "missing tensors", name, without(name)
    for _ in range(n):
        name = rng.choice(names)
        act, what = tensor_change(rng)
        yield "tensors", f"{name} {what}", of_tensor(name, act)


def tensor_change(rng: random.Random) -> tuple[Callable[[WholeFile, Tensor], object], str]:
    """Something wrong with one tensor."""
    number = rng.choice((0, 1, 31, 32, 2**14, 2**31, 2**33, 2**62, 2**64 - 1))
    kind = rng.choice(list(BY_NAME.values()))
    new_name = rng.choice(
        ("", "x", "blk.999999.attn_q.weight", "\x1b[2J", "n" * 63, "n" * 64, "n" * 5000, "output.weight", b"\xff\xfe")
    )

    def shape(_parts: WholeFile, tensor: Tensor) -> None:
        tensor.shape = rng.choice(
            (tensor.shape[::-1], (number, *tensor.shape[1:]), (*tensor.shape, 1), (*tensor.shape, 2), (), (number,))
        )

    def of_another_type(_parts: WholeFile, tensor: Tensor) -> None:
        tensor.kind = kind.id
        rows = math.prod(tensor.shape[1:])
        if tensor.shape[0] % kind.block_size == 0:
            size = rows * tensor.shape[0] // kind.block_size * kind.block_bytes
            tensor.data = rng.randbytes(min(size, 1 << 22))

    def of_no_type(_parts: WholeFile, tensor: Tensor) -> None:
        tensor.kind = rng.choice((4, 31, 99, 400, 2**31, 2**32 - 1))

    def elsewhere(_parts: WholeFile, tensor: Tensor) -> None:
        tensor.offset = rng.choice((0, 1, 32, 2**20, 2**40, 2**63, 2**64 - 32))

    def renamed(_parts: WholeFile, tensor: Tensor) -> None:
        tensor.name = new_name

    def twice(parts: WholeFile, tensor: Tensor) -> None:
        parts.tensors.append(tensor)

    def swapped(parts: WholeFile, tensor: Tensor) -> None:
        other = rng.choice(parts.tensors)
        tensor.name, other.name = other.name, tensor.name

    def many(parts: WholeFile, tensor: Tensor) -> None:
        parts.tensors += [Tensor(f"t{i}", (1,), 0, bytes(4)) for i in range(rng.choice((1, 300, 20_000)))]

    acts = (shape, shape, of_another_type, of_another_type, of_no_type, elsewhere, renamed, twice, swapped, many)
    act = rng.choice(acts)
    return act, act.__name__


def of_weights(parts: WholeFile, rng: random.Random) -> Iterator[tuple[str, str, Change]]:
    """Numbers that are none, or too large, in all tensors of a name or in all."""
    blocks = {0: 4, 1: 2, 8: 34}

    def fill(name: str, pattern: Callable[[Tensor], bytes]) -> Change:
        def act(parts: WholeFile) -> None:
            for tensor in parts.tensors:
                if name in str(tensor.name):
                    tensor.data = pattern(tensor)

        return act

    def repeated(number: float) -> Callable[[Tensor], bytes]:
        def pattern(tensor: Tensor) -> bytes:
            size = blocks.get(tensor.kind, 1)
            block = {0: struct.pack("<f", number), 1: struct.pack("<e", number if abs(number) < 6e4 else math.inf)}.get(
                tensor.kind, struct.pack("<e", number if abs(number) < 6e4 else math.inf) + b"\1" * 32
            )
            return block * (len(tensor.data) // size)

        return pattern

    for name in ("", "output.weight", "token_embd", "output_norm", "attn_q.", "attn_norm", "ffn_down", "ssm_a"):
        for number in (math.nan, math.inf, -math.inf, 0.0, 3e38):
            yield "weights", f"{name or 'all'} {number}", fill(name, repeated(number))
        yield "weights", f"{name or 'all'} by chance", fill(name, lambda tensor: rng.randbytes(len(tensor.data)))
    half = lambda tensor: repeated(math.nan)(tensor)[: len(tensor.data) // 2] + tensor.data[len(tensor.data) // 2 :]  # noqa: E731
    for name in ("output.weight", "token_embd"):
        yield "weights", f"{name} half of it nan", fill(name, half)
