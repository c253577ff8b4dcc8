"""The chat interface of llama-cpp-python, as `side_by_side.py` asks it: arguments are the model, "cpu" or "gpu",
threads (0 as it chooses) and the context's size. Takes a line of JSON for each answer, [messages, tokens to write], and
replies with the seconds that it took; the first reply says that the model is loaded.
"""

from __future__ import annotations

import json
import os
import sys
import time

import llama_cpp


def main() -> None:
    model, device, threads, n_ctx = sys.argv[1:]
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # llama.cpp prints to stdout at times
    on_gpu = device != "cpu"
    llama = llama_cpp.Llama(
        model,
        n_ctx=int(n_ctx),
        n_gpu_layers=-1 if on_gpu else 0,
        n_threads=int(threads) or None,
        op_offload=on_gpu,
        offload_kqv=on_gpu,
    )
    ends = (token for token in range(llama.n_vocab()) if llama_cpp.llama_vocab_is_eog(llama._model.vocab, token))
    never_ends = dict.fromkeys(ends, -100.0)
    print(0, file=replies)
    for line in sys.stdin:
        messages, n_tokens = json.loads(line)
        started = time.perf_counter()
        n_written = sum(
            1 for _ in llama.create_chat_completion(messages, max_tokens=n_tokens, stream=True, logit_bias=never_ends)
        )
        print(time.perf_counter() - started, file=replies)
        print(f"{n_written} pieces", file=sys.stderr)


if __name__ == "__main__":
    main()
