"""Runs the compiled token loop beside the one in Python and prints as JSON what each did. A program of its own, as
only the engine's process may hold llama.cpp.

usage: python -m tests.engine.token_loop_check MODEL CHECK [SAMPLING], the sampling being a `Sampling` in JSON.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import dataclasses
import json
import math
import random
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from llama_cpp import llama_cpp as lib

from tests.places import DATA
from tui.engine import tokenloop
from tui.engine.abort import AbortSwitch
from tui.engine.generate import Chat
from tui.engine.llama import Session
from tui.engine.llamalog import backend_init
from tui.engine.looprun import NO_TOKEN, TokenLoop
from tui.engine.pythonloop import PythonLoop
from tui.engine.sampler import NoNumbers, Sampler
from tui.engine.tokenloop import CompiledLoop, token_loop
from tui.protocol.messages import Delta, Event, Generate
from tui.protocol.records import LoadSettings, Message, Sampling

DENSE, MOE = (DATA / f"models/tiny-{name}-q8_0.gguf" for name in ("qwen3", "qwen3moe"))
HALF_WARM = Sampling(temperature=0.5, top_k=20)
N_CTX = 1280
"""More than one run of the compiled loop has room for."""
Loops = dict[str, tuple[Session, TokenLoop]]


def both(path: Path, sampling: Sampling, *, ignore_end: bool) -> Loops:
    """The two loops, each over a session of its own that has read the same prompt."""
    loops: Loops = {}
    for name in ("compiled", "python"):
        session = Session(path, LoadSettings(n_ctx=N_CTX, n_threads=1), AbortSwitch(), lambda _: None)
        session.decode(session.vocabulary.tokenize("The quick brown fox"))
        sampler = session.sampler(sampling, 7)
        if name == "python":
            loops[name] = session, PythonLoop(session, sampler, ignore_end)
        else:
            loops[name] = session, token_loop(session, sampler, ignore_end=ignore_end)
            assert isinstance(loops[name][1], CompiledLoop)
    return loops


def tokens(loops: Loops, _sampling: Sampling) -> dict[str, Any]:
    """Runs of several lengths, until the model ends or 150 tokens are chosen."""
    told: dict[str, Any] = {}
    for name, (session, loop) in loops.items():
        lengths, chosen, runs = random.Random(3), list[int](), list[tuple[int, int, bool]]()
        while len(chosen) < 150:
            due = math.inf if lengths.random() < 0.8 else 0.0
            run = loop.run(chosen[-1] if chosen else NO_TOKEN, session.memory.n_past, lengths.randint(1, 20), due)
            chosen += run.tokens
            runs.append((len(run.tokens), run.n_decoded, run.is_end))
            assert run.error is None
            assert run.times == sorted(run.times) and all(at <= time.perf_counter() for at in run.times)
            if run.is_end:
                break
        told[name] = {"tokens": chosen, "runs": runs, "n_past": session.memory.n_past}
    return told


def few(loops: Loops, sampling: Sampling) -> dict[str, Any]:
    """The chain on few candidates, as numpy finds them, and on all."""
    session, _ = loops["python"]
    samplers = [session.sampler(sampling, 7) for _ in range(2)]
    told: dict[str, Any] = {"few": [], "all": []}
    for _ in range(150):
        told["few"].append(samplers[0].sample_from_few())
        told["all"].append(samplers[1].sample_from_all())
        session.decode(told["all"][-1:])
    return told


def full(loops: Loops, _sampling: Sampling) -> dict[str, Any]:
    """On and on, past the end of the context."""
    told: dict[str, Any] = {}
    for name, (session, loop) in loops.items():
        chosen, n_decoded = list[int](), session.memory.n_past
        while True:
            run = loop.run(chosen[-1] if chosen else NO_TOKEN, session.memory.n_past, 10_000, math.inf)
            chosen += run.tokens
            n_decoded += run.n_decoded
            if run.error:
                break
        told[name] = {"error": str(run.error), "n": len(chosen), "decoded": n_decoded, "n_past": session.memory.n_past}
    return told


def abort(loops: Loops, _sampling: Sampling) -> dict[str, Any]:
    """Stopped before it begins, and from another thread in the middle of it."""
    told: dict[str, Any] = {}
    for name, (session, loop) in loops.items():
        session.abort.set()
        first = loop.run(NO_TOKEN, session.memory.n_past, 100, math.inf)
        session.abort.clear()
        n_before, chosen, errors = session.memory.n_past, list[int](), list[str]()
        threading.Timer(0.05, session.abort.set).start()
        while not errors:
            run = loop.run(chosen[-1] if chosen else NO_TOKEN, session.memory.n_past, 100, math.inf)
            chosen += run.tokens
            errors += [type(run.error).__name__] if run.error else []
            n_before += run.n_decoded
            if session.memory.n_past > N_CTX - 110:  # the tiny model is quick: begin the context anew
                session.memory.forget_from(10)
                n_before = 10
        told[name] = {
            "first": [first.tokens, first.n_decoded, type(first.error).__name__],
            "error": errors[0],
            "is_in_step": n_before == session.memory.n_past,
        }
    return told


def logits(loops: Loops, _sampling: Sampling) -> dict[str, Any]:
    """What is chosen from logits that no model gives."""
    session, loop = loops["compiled"]
    assert isinstance(loop, CompiledLoop)
    n = session.n_vocab
    address = ctypes.cast(lib.llama_get_logits_ith(session.context, -1), ctypes.c_void_p).value
    newest = np.ctypeslib.as_array((ctypes.c_float * n).from_address(address or 0))
    noise = np.random.default_rng(5)
    ramp = np.linspace(-3, 3, n, dtype=np.float32)
    makers: dict[str, Callable[[], Any]] = {
        "flat": lambda: np.zeros(n),
        "ramp": lambda: ramp,
        "noise": lambda: noise.normal(0, 4, n),
        "a few": lambda: np.where(np.arange(n) % 97 == 0, ramp, -math.inf),
        "one far above": lambda: np.where(np.arange(n) == n - 1, 1e6, ramp),
        "only one": lambda: np.where(np.arange(n) == n - 1, 0.0, -math.inf),
        "infinite": lambda: np.where(np.arange(n) == 5, math.inf, ramp),
        "far apart": lambda: ramp * 1e5,
        "no numbers": lambda: np.full(n, math.nan),
        "nothing at all": lambda: np.full(n, -math.inf),
    }
    told: dict[str, Any] = {}
    for name, make in makers.items():
        told[name] = []
        for seed in range(5):
            sampling = Sampling(temperature=0.0 if seed == 0 else 1.0, top_k=20, top_p=1.0)
            few, everything = (session.sampler(sampling, seed) for _ in range(2))
            chosen = token_loop(session, few, ignore_end=True)
            assert isinstance(chosen, CompiledLoop)
            newest[:] = make()
            told[name].append([chosen.choose(), from_all(everything)])
    newest[:] = np.where(np.arange(n) % 2 == 0, math.nan, ramp)
    told["odd ones are numbers"] = loop.choose()
    # llama.cpp would sort these, and what is no number stands in no order.
    unbounded = session.sampler(Sampling(temperature=1.0, top_k=0), 5)
    all_of_them = token_loop(session, unbounded, ignore_end=True)
    assert isinstance(all_of_them, CompiledLoop)
    told["odd ones of all"] = [all_of_them.choose(), from_all(unbounded)]
    return told


def from_all(sampler: Sampler) -> int:
    """What llama.cpp chooses from all; -1 where nothing can be chosen."""
    try:
        return sampler.sample_from_all()
    except NoNumbers:
        return NO_TOKEN


def fallback(loops: Loops, _sampling: Sampling) -> dict[str, Any]:
    """Answers with the library, without one, with a file that is none, with a foreign one and with one that was made of
    another source."""
    session, _ = loops["python"]
    session.memory.clear()
    library, source = tokenloop.LIBRARY, tokenloop.SOURCE
    told: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        other = Path(folder) / "tokenloop.c"
        other.write_bytes(source.read_bytes() + b"\n")
        cases = {
            "compiled": (library, source),
            "missing": (other.with_name("nothing.so"), source),
            "no library": (other, source),
            "foreign": (Path(ctypes.util.find_library("c") or ""), source),
            "old": (library, other),
        }
        for name, (tokenloop.LIBRARY, tokenloop.SOURCE) in cases.items():
            tokenloop._library.cache_clear()
            loop = token_loop(session, session.sampler(HALF_WARM, 7), ignore_end=True)
            events: list[Event] = []
            Chat(session, 7).generate(
                Generate(id=1, messages=(Message(role="user", content="Hello"),), sampling=HALF_WARM, max_tokens=40),
                events.append,
            )
            session.memory.clear()
            text = "".join(event.text for event in events if isinstance(event, Delta))
            told[name] = [type(loop).__name__, text]
    return told


CHEAP = tuple(1 + 0.01 * n for n in range(16))
"""Costs with which any guess is worth a draft."""
ASKED = "<|im_start|>user\nTell me a story<|im_end|>\n<|im_start|>assistant\n"
REPETITIVE = (
    "<|im_start|>user\nShow a table<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n"
    "| Name | Size |\n| --- | --- |\n| Name | Size |\n| --- | --- |\n| Name"
)


def drafts(loops: Loops, sampling: Sampling) -> dict[str, Any]:
    """The same answer with drafts and without, in both loops; "close": as if rounding could change much."""
    told: dict[str, Any] = {"rounds": rounds(loops["python"][0])}
    for name, costs in (("plain", ()), ("drafts", CHEAP), ("close", CHEAP)):
        if name == "close" and sampling.temperature > 0:
            continue
        for kind, (session, _) in loops.items():
            session.memory.clear()
            prompt = session.vocabulary.tokenize(REPETITIVE)
            session.decode(prompt)
            sampler = session.sampler(sampling, 7)
            # What drafts win or lose is a matter of time, and never enough here to do without them.
            margin = 9.0 if name == "close" else 0.0
            loop: TokenLoop
            if kind == "compiled":
                loop = token_loop(session, sampler, ignore_end=False, costs=costs)
                assert isinstance(loop, CompiledLoop)
                loop._loop.balance_s, loop._loop.margin, loop._loop.learns = 1e9, margin, 0.0
            else:
                loop = PythonLoop(session, sampler, False, costs)
                loop._balance_s, loop._margin, loop._learns = 1e9, margin, 0.0
            loop.read(prompt)
            lengths, text, n_past, is_end = random.Random(3), list(prompt), len(prompt), False
            while len(text) < len(prompt) + 200 and not is_end:
                pending = text[-1] if len(text) > n_past else NO_TOKEN
                due = math.inf if lengths.random() < 0.8 else 0.0
                run = loop.run(pending, n_past, lengths.randint(1, 40), due)
                assert run.error is None
                text += run.tokens
                n_past += run.n_decoded
                assert session.memory.n_past == n_past
                is_end = run.is_end
            steps = loop.step_costs()
            assert all(seconds > 0 for _, seconds in steps.values())
            drafted = loop.drafted
            told[f"{name} {kind}"] = {"text": text, "n_past": n_past, "drafted": dataclasses.astuple(drafted)}
    return told


def rounds(session: Session) -> bool:
    """Whether the logits of a token differ by what is decoded together with it, as with the kernels of some CPUs."""
    session.memory.clear()
    prompt, sampler = session.vocabulary.tokenize(REPETITIVE), session.sampler(Sampling(), 7)
    session.decode(prompt[:-1])
    session.decode_one(prompt[-1])
    alone = sampler.logits(-1).copy()
    for n in range(2, len(CHEAP) + 1):
        session.memory.take_back(len(prompt) - 1)
        session.decode((prompt[-1:] + prompt)[:n], wants_all=True)
        if not np.array_equal(sampler.logits(0), alone):
            return True
    return False


def guesses(loops: Loops, sampling: Sampling) -> dict[str, Any]:
    """The same answer with the guesses of a draft model and without, in both loops: once the model guesses for itself,
    once another one does. A second answer begins in the middle of the first."""
    told: dict[str, Any] = {}
    for name, draft in (("plain", None), ("itself", DENSE), ("other", MOE)):
        for kind in loops:
            settings = LoadSettings(n_ctx=N_CTX, n_threads=1, model_draft=str(draft) if draft else "off")
            session = Session(DENSE, settings, AbortSwitch(), lambda _: None)
            start = session.vocabulary.tokenize(ASKED)
            texts, counts = list[list[int]](), list[Any]()
            for text in (start, [*start, *start[-3:]]):
                session.memory.clear()
                session.decode(text)
                sampler = session.sampler(sampling, 7)
                loop = _free_to_draft(kind, session, sampler, CHEAP if draft else ())
                loop.read(text)
                whole, n_past, lengths = list(text), len(text), random.Random(3)
                while len(whole) < len(text) + 150:
                    pending = whole[-1] if len(whole) > n_past else NO_TOKEN
                    run = loop.run(pending, n_past, lengths.randint(1, 40), math.inf)
                    assert run.error is None
                    whole += run.tokens
                    n_past += run.n_decoded
                    assert session.memory.n_past == n_past
                texts.append(whole)
                counts.append(dataclasses.astuple(loop.drafted))
            assert session.draft is None or not session.draft.state.is_off
            told[f"{name} {kind}"] = {"texts": texts, "drafted": counts}
            session.close()
    return told


def _free_to_draft(kind: str, session: Session, sampler: Sampler, costs: Sequence[float]) -> TokenLoop:
    """A loop for which no time that drafts take is too much, and which learns nothing of it."""
    if session.draft is not None:
        state = session.draft.state
        state.step, state.read, state.learns = 0.02, 0.001, 0.0
    if kind == "python":
        written = PythonLoop(session, sampler, True, costs)
        written._balance_s, written._learns = 1e9, 0.0
        return written
    loop = token_loop(session, sampler, ignore_end=True, costs=costs)
    assert isinstance(loop, CompiledLoop)
    loop._loop.balance_s, loop._loop.learns = 1e9, 0.0
    return loop


def rollback(loops: Loops, sampling: Sampling) -> dict[str, Any]:
    """A dictated text that repeats itself but for some letters, then what the model goes on with by itself: it tells
    whether the memory is what it would be without drafts."""
    told: dict[str, Any] = {}
    said = "The cat sat on the mat. The dog sat on the mat. The cat sat on the mat. A cat sat on the map. "
    for name, costs in (("plain", ()), ("drafts", CHEAP)):
        for kind, (session, _) in loops.items():
            session.memory.clear()
            text = session.vocabulary.tokenize(said)
            session.decode(text)
            loop = _free_to_draft(kind, session, session.sampler(sampling, 7), costs)
            loop.read(text)
            loop.dictate(text)
            written, n_past, lengths = list[int](), len(text), random.Random(5)
            while len(written) < len(text):
                run = loop.run(
                    written[-1] if written else NO_TOKEN,
                    n_past,
                    min(lengths.randint(1, 40), len(text) - len(written)),
                    math.inf,
                )
                assert run.error is None
                written += run.tokens
                n_past += run.n_decoded
                assert session.memory.n_past == n_past
            after = _free_to_draft(kind, session, session.sampler(sampling, 7), ())
            rest = after.run(written[-1], n_past, 60, math.inf).tokens
            told[f"{name} {kind}"] = {"text": [*written, *rest], "drafted": dataclasses.astuple(loop.drafted)}
    return told


def hiccups(loops: Loops, sampling: Sampling) -> dict[str, Any]:
    """Where a step without a draft took next to nothing, as far as the loop knows, each with one takes far too long."""
    told: dict[str, Any] = {}
    for kind, (session, _) in loops.items():
        session.memory.clear()
        prompt = session.vocabulary.tokenize(REPETITIVE)
        session.decode(prompt)
        loop = _free_to_draft(kind, session, session.sampler(sampling, 7), CHEAP)
        if isinstance(loop, CompiledLoop):
            loop._loop.plain_s = 1e-9
        elif isinstance(loop, PythonLoop):
            loop._plain_s = 1e-9
        loop.read(prompt)
        run = loop.run(NO_TOKEN, len(prompt), 60, math.inf)
        assert run.error is None
        told[kind] = {"steps": loop.drafted.n_steps, "counted": sorted(loop.step_costs())}
    return told


CHECKS = {
    check.__name__: check for check in (tokens, few, full, abort, logits, fallback, drafts, guesses, rollback, hiccups)
}


def main(path: Path, check: str, sampling: Sampling) -> None:
    backend_init()
    print(json.dumps(CHECKS[check](both(path, sampling, ignore_end=check != "tokens"), sampling)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], msgspec.json.decode(sys.argv[3] if len(sys.argv) > 3 else "{}", type=Sampling))
