"""What checkpoints cost: the size of one, how long it takes and how long going back to it, and decode with and without
them. Models have the memory of real ones (windows of Gemma 3 4B, states of Qwen3.5 9B) and hardly any weights.

usage: python tests/performance/checkpoint_cost.py [--tokens 1100] [--answer 600] [--threads 1]

The speed is that of decode with checkpoints, of what it would be without them: by the time that they take of an answer,
because two answers differ by more than that on a machine that has other work.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from tests.engine.memory_models import KINDS, N_EMBD, N_FF, Kind, Shapes, build
from tui.engine.abort import AbortSwitch
from tui.engine.generate import Chat
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.protocol.messages import Event, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

ROW = "{:<24} {:>10} {:>10} {:>10} {:>12} {:>16}"


def _attention(n_head: int, n_head_kv: int, head: int, q_times: int = 1) -> Shapes:
    return {
        "attn_q.weight": (n_head * head * q_times, N_EMBD),
        "attn_k.weight": (n_head_kv * head, N_EMBD),
        "attn_v.weight": (n_head_kv * head, N_EMBD),
        "attn_output.weight": (N_EMBD, n_head * head),
        "attn_q_norm.weight": (head,),
        "attn_k_norm.weight": (head,),
        "ffn_gate.weight": (N_FF, N_EMBD),
        "ffn_up.weight": (N_FF, N_EMBD),
        "ffn_down.weight": (N_EMBD, N_FF),
    }


def _gemma3(_: int) -> Shapes:
    norms = ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
    return {**{f"{name}.weight": (N_EMBD,) for name in norms}, **_attention(8, 4, 256)}


def _qwen35(layer: int) -> Shapes:
    norms: Shapes = {"attn_norm.weight": (N_EMBD,), "post_attention_norm.weight": (N_EMBD,)}
    if layer % 4 == 3:
        return {**norms, **_attention(16, 4, 256, q_times=2)}
    feed_forward = {name: shape for name, shape in _attention(1, 1, 1).items() if name.startswith("ffn_")}
    return {
        **norms,
        "attn_qkv.weight": (64 * 128, N_EMBD),  # keys and queries of 16 groups, values of 32 heads
        "attn_gate.weight": (32 * 128, N_EMBD),
        "ssm_conv1d.weight": (64 * 128, 4),
        "ssm_dt.bias": (32,),
        "ssm_a": (32,),
        "ssm_beta.weight": (32, N_EMBD),
        "ssm_alpha.weight": (32, N_EMBD),
        "ssm_norm.weight": (128,),
        "ssm_out.weight": (N_EMBD, 32 * 128),
        **feed_forward,
    }


def _metadata(n_head: int, n_head_kv: int, rope: int, **more: object) -> dict[str, object]:
    return {
        "feed_forward_length": N_FF,
        "attention.head_count": n_head,
        "attention.head_count_kv": n_head_kv,
        "attention.key_length": 256,
        "attention.value_length": 256,
        "rope.dimension_count": rope,
        "rope.freq_base": 10000.0,
        **more,
    }


_WINDOWS = {"attention.sliding_window": 1024, "attention.sliding_window_pattern": 6}
_STATES: dict[str, object] = {
    "ssm.conv_kernel": 4,
    "ssm.inner_size": 32 * 128,
    "ssm.state_size": 128,
    "ssm.time_step_rank": 32,
    "ssm.group_count": 16,
    "full_attention_interval": 4,
    "rope.dimension_sections": [11, 11, 10, 0],
}
SHAPES = {
    "windows of Gemma 3 4B": Kind("gemma3", 34, _metadata(8, 4, 256, **_WINDOWS), _gemma3),
    "states of Qwen3.5 9B": Kind("qwen35", 32, _metadata(16, 4, 64, **_STATES), _qwen35),
}


class Decode:
    """One model, in this process."""

    def __init__(self, model: Path, options: argparse.Namespace) -> None:
        settings = LoadSettings(n_ctx=options.tokens + 4096, n_threads=options.threads)
        self.session = Session(model, settings, AbortSwitch(), lambda fraction: None)
        self.chat = Chat(self.session, 7)
        self._question = Message(role="user", content="one two three " * (options.tokens // 14))

    def cost(self) -> tuple[int, float, float]:
        """Bytes of a checkpoint, seconds that it takes, and those of going back to it."""
        self.answer(1)
        memory = self.session.memory
        n_past, saving, restoring = memory.n_past, [], []
        for _ in range(10):
            started = time.perf_counter()
            state = memory.save_part()
            saved = time.perf_counter()
            if not memory.restore_part(state, n_past):
                raise SystemExit("llama.cpp does not take back what it gave")
            saving.append(saved - started)
            restoring.append(time.perf_counter() - saved)
        return len(state), statistics.median(saving), statistics.median(restoring)

    def answer(self, n_tokens: int) -> tuple[float, float]:
        """Seconds in which checkpoints were taken, and those for all of an answer of so many tokens, to the same
        question, which was read."""
        events: list[Event] = []
        command = Generate(
            messages=(self._question,), sampling=Sampling(temperature=0), max_tokens=n_tokens, ignore_end=True
        )
        prefix, taken_s = self.chat.prefix, 0.0
        mark = prefix.mark

        def timed() -> None:
            nonlocal taken_s
            started = time.perf_counter()
            mark()
            taken_s += time.perf_counter() - started

        prefix.mark = timed  # type: ignore[method-assign]
        started = time.perf_counter()
        self.chat.generate(command, events.append)
        prefix.mark = mark  # type: ignore[method-assign]
        return taken_s, time.perf_counter() - started


def measure(name: str, model: Path, options: argparse.Namespace) -> None:
    """A row of the table."""
    decode = Decode(model, options)
    n_bytes, saving, restoring = decode.cost()
    taken_s, answer_s = decode.answer(options.answer)
    decode.session.close()
    size, per_token = f"{n_bytes / 2**20:.1f} MiB", f"{(answer_s - taken_s) / options.answer * 1000:.2f} ms"
    share = f"{1 - taken_s / answer_s:.3f}"
    print(ROW.format(name, size, f"{saving * 1000:.1f} ms", f"{restoring * 1000:.1f} ms", per_token, share), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, default=1100)
    parser.add_argument("--answer", type=int, default=600)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # llama.cpp's log
    backend_init()
    print(ROW.format("memory", "checkpoint", "taken in", "back in", "a token", "speed with them"))
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in SHAPES.items():
            KINDS[name] = kind
            measure(name, build(Path(folder) / "model.gguf", name), options)


if __name__ == "__main__":
    main()
