"""What a user waits for, in one run: llmtui's engine beside llama.cpp's own llama-server as it comes, the chat
interface of llama-cpp-python, and what llama-bench says the same tokens take when nothing is around them.

    python tests/performance/side_by_side.py MODEL.gguf [--device Vulkan0] [--switch-to cpu] [--rows first,edit]

first     a prompt of about 2,000 tokens after a load, and 64 tokens of the answer
tenth     turn ten of a conversation with a model that thinks: a question of 250 tokens, typed, and 64 tokens
edit      a file of 300 lines is written again with a name changed: prompt and some hundred tokens
summary   a text is quoted: prompt and some hundred tokens
switch    the conversation of "tenth" goes on with `--switch-to` as the device: load, reading, the first token

Seconds, medians; "times" is how many times as long as llmtui. All run on the very same libraries and file, one after
the other. Files with random weights do for it (`synth_gguf.py`): llmtui is made to write the text that a good model
would write ("edit", "summary"), the others write as many tokens of their own. Thoughts are dropped from the
conversation, as templates do, and what is answered is given: so nobody has it in memory. llmtui does what its app does
when nothing else is to do: it gets the device ready after a load, and between two turns reads what was answered, and
what is typed, ahead. The others are given the whole question at once, as their clients do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

from llama_programs import CPU_ARGUMENTS, llama_bench_path, llama_server_path
from speculation import texts

from tui.engines.local import LocalEngine
from tui.protocol.bench_messages import BenchSpeculation, MeasureSteps
from tui.protocol.messages import Count, Done, Generate, ReadAhead, WarmUp
from tui.protocol.records import LoadSettings, Message, Repack

HERE = Path(__file__).resolve().parent
N_CTX = 16384
N_FIRST, N_TENTH, N_WRITTEN = 64, 64, 400
ROWS = ("first", "tenth", "edit", "summary", "switch")
ROW = "{:<9} {:>7} {:>7} {:>9} {:>20} {:>24} {:>14}"
Talk = list[dict[str, str]]


class Contender(Protocol):
    """Whoever answers: loaded on a device ("cpu" or llama.cpp's name)."""

    async def first_token(self, talk: Talk) -> float: ...
    async def answer(self, talk: Talk, n_tokens: int) -> float: ...


class OfLlmtui:
    """The engine of llmtui, with what its app does when nothing else is to do."""

    def __init__(self, engine: LocalEngine, costs: tuple[float, ...]) -> None:
        self.engine, self._costs = engine, costs

    async def answer(self, talk: Talk, n_tokens: int) -> float:
        started = time.perf_counter()
        command = Generate(messages=_messages(talk), max_tokens=n_tokens, ignore_end=True, step_costs=self._costs)
        async for event in self.engine.generate(command):
            if isinstance(event, Done) and event.timings.n_decode != n_tokens:
                raise SystemExit(f"llmtui wrote {event.timings.n_decode} tokens, not {n_tokens}")
        return time.perf_counter() - started

    async def first_token(self, talk: Talk) -> float:
        return await self.answer(talk, 1)

    async def between_turns(self, talk: Talk, typed: str) -> None:
        await self.engine.ask(ReadAhead(messages=_messages(talk)))
        await self.engine.ask(ReadAhead(messages=_messages(talk), text=typed))

    async def n_tokens(self, talk: Talk) -> int:
        return (await self.engine.ask(Count(messages=_messages(talk)))).n_tokens

    async def written(self, prompt: str, text: str) -> tuple[float, int]:
        """Seconds that `text` takes behind `prompt`, and its tokens."""
        sample = await self.engine.ask(
            BenchSpeculation(prompt=prompt, answer=text, step_costs=self._costs, ahead_first=True)
        )
        return sample.ahead_s, sample.n_gen


@asynccontextmanager
async def llmtui(model: Path, device: str, threads: int, repack: Repack = "auto") -> AsyncIterator[OfLlmtui]:
    async with LocalEngine() as engine:
        await engine.load(model, _settings(device, threads, repack))
        await engine.ask(WarmUp())
        costs = (await engine.ask(MeasureSteps())).costs
        yield OfLlmtui(engine, costs)


def _settings(device: str, threads: int, repack: Repack) -> LoadSettings:
    devices = () if device == "cpu" else (device,)
    return LoadSettings(n_ctx=N_CTX, n_threads=threads, devices=devices, repack=repack)


def _messages(talk: Talk) -> tuple[Message, ...]:
    return tuple(Message(role=turn["role"], content=turn["content"]) for turn in talk)  # type: ignore[arg-type]


class OfServer:
    """llama-server, as its own web page asks it."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"

    async def answer(self, talk: Talk, n_tokens: int) -> float:
        return await asyncio.to_thread(self._ask, talk, n_tokens)

    async def first_token(self, talk: Talk) -> float:
        return await self.answer(talk, 1)

    def _ask(self, talk: Talk, n_tokens: int) -> float:
        body = {"messages": talk, "max_tokens": n_tokens, "ignore_eos": True, "stream": True, "cache_prompt": True}
        request = urllib.request.Request(
            self._url + "/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        started = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            for _ in answer:
                pass
        return time.perf_counter() - started

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(self._url + "/health", timeout=1):
                    return
            except OSError:
                time.sleep(0.02)
        raise SystemExit(f"llama-server ended with {process.returncode}; see llama-server.log")


def _started(command: Sequence[str], log: str) -> subprocess.Popen[bytes]:
    with Path(log).open("wb") as errors:
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors)


@asynccontextmanager
async def server(model: Path, device: str, threads: int) -> AsyncIterator[OfServer]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [str(llama_server_path()), "-m", str(model), "--port", str(port), "--offline"]
    command += ["--device", "none" if device == "cpu" else device]
    command += ["-t", str(threads)] if threads else []
    with _started(command, "llama-server.log") as process:
        try:
            told = OfServer(port)
            await asyncio.to_thread(told.wait, process)
            yield told
        finally:
            process.kill()


class OfPython:
    """llama-cpp-python's `Llama`, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    async def answer(self, talk: Talk, n_tokens: int) -> float:
        return await asyncio.to_thread(self._ask, talk, n_tokens)

    async def first_token(self, talk: Talk) -> float:
        return await self.answer(talk, 1)

    def _ask(self, talk: Talk, n_tokens: int) -> float:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([talk, n_tokens]).encode() + b"\n")
        self._process.stdin.flush()
        return self.told()

    def told(self) -> float:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("llama-cpp-python ended; see llama-cpp-python.log")
        return float(line)


@asynccontextmanager
async def python(model: Path, device: str, threads: int) -> AsyncIterator[OfPython]:
    command = [sys.executable, str(HERE / "llama_python.py"), str(model), device, str(threads), str(N_CTX)]
    with _started(command, "llama-cpp-python.log") as process:
        try:
            told = OfPython(process)
            await asyncio.to_thread(told.told)
            yield told
        finally:
            process.kill()


def bare(model: Path, device: str, threads: int, n_prompt: int, n_gen: int, depth: int) -> float:
    """Seconds that llama-bench says these tokens take behind `depth` others."""
    command = [
        str(llama_bench_path()),
        "-m",
        str(model),
        "-r",
        "1",
        "-o",
        "json",
        "-d",
        str(depth),
        "-p",
        "0",
        "-n",
        "0",
    ]
    command += ["-pg", f"{n_prompt},{n_gen}"] if n_prompt else ["-n", str(n_gen)]
    command += ["-t", str(threads)] if threads else []
    command += CPU_ARGUMENTS if device == "cpu" else ["--device", device]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
    return float(sum(test["avg_ns"] for test in json.loads(done.stdout))) / 1e9


def user(text: str) -> Talk:
    return [{"role": "user", "content": text}]


def question(number: int, n_words: int) -> str:
    """Words of the code's documentation; another text for each number."""
    words = texts()["summary"][0].split()
    start = number * 37 % 200
    return f"Question {number}. " + " ".join((words[start:] + words)[:n_words])


async def tenth(contender: Contender, words: float) -> tuple[Talk, float]:
    talk: Talk = []
    took = 0.0
    for number in range(10):
        asked = question(number, int(160 * words))
        if isinstance(contender, OfLlmtui):
            await contender.between_turns(talk, asked[: len(asked) * 9 // 10])
        talk += user(asked)
        took = await contender.answer(talk, N_TENTH)
        talk.append({"role": "assistant", "content": question(number + 50, int(120 * words))})
    return talk, took


async def measure(options: argparse.Namespace) -> None:
    rows = options.rows.split(",")

    def first(number: int) -> Talk:
        return user(question(number + 100, int(1200 * options.words)))

    model, device, threads = options.model, options.device, options.threads
    took: dict[str, dict[str, list[float]]] = {row: {} for row in ROWS}
    size: dict[str, tuple[int, int, int]] = {}
    for number in range(options.rounds):
        for name, start in (("llmtui", partial(llmtui, repack=options.repack)), ("server", server), ("python", python)):
            if name in options.without.split(","):
                continue

            def note(row: str, seconds: float, name: str = name) -> None:
                took[row].setdefault(name, []).append(seconds)
                print(f"  {row} {name} {seconds:.2f}", file=sys.stderr, flush=True)

            talk: Talk = []
            async with start(model, device, threads) as contender:
                await contender.answer(user("Hello"), 8)  # what is compiled or faulted in once
                if "first" in rows:
                    note("first", await contender.answer(first(number), N_FIRST))
                if "tenth" in rows or "switch" in rows:
                    talk, seconds = await tenth(contender, options.words)
                    note("tenth", seconds)
                for row in {"edit", "summary"} & set(rows):
                    prompt, text = texts()[row]
                    talked = user(f"{number}. {prompt}")
                    if isinstance(contender, OfLlmtui):
                        read = await contender.first_token(talked)
                        written, n_gen = await contender.written(prompt, text[: options.characters])
                        size[row] = (await contender.n_tokens(talked), n_gen, 0)
                        note(row, read + written)
                    else:
                        n_gen = size[row][1] if row in size else N_WRITTEN
                        note(row, await contender.answer(talked, n_gen))
                if isinstance(contender, OfLlmtui):
                    n_talk = await contender.n_tokens(talk[:-2]) if talk else 0
                    size["first"] = (await contender.n_tokens(first(0)), N_FIRST, 0)
                    size["tenth"] = ((await contender.n_tokens(talk[:-1]) - n_talk) if talk else 0, N_TENTH, n_talk)
                    if "switch" in rows:
                        await contender.between_turns(talk, "")
                        started = time.perf_counter()
                        await contender.engine.load(
                            model, _settings(options.switch_to, threads, options.repack), keep_context=True
                        )
                        await contender.first_token([*talk, *user("Go on.")])
                        note("switch", time.perf_counter() - started)
            if "switch" in rows and name != "llmtui":
                started = time.perf_counter()
                async with start(model, options.switch_to, threads) as other:
                    await other.first_token([*talk, *user("Go on.")])
                    note("switch", time.perf_counter() - started)
    print(
        ROW.format(
            "row", "prompt", "answer", "llmtui", "llama-server (times)", "llama-cpp-python (times)", "llama-bench"
        )
    )
    for row in rows:
        own = statistics.median(took[row]["llmtui"])
        others = [
            f"{statistics.median(found):.2f} ({statistics.median(found) / own:.2f})" if found else ""
            for found in (took[row].get(name) for name in ("server", "python"))
        ]
        n_prompt, n_gen, depth = size.get(row, (0, 0, 0))
        wants_bare = n_gen and "bench" not in options.without.split(",")
        least = bare(model, device, threads, n_prompt, n_gen, depth) if wants_bare else 0.0
        shown = f"{least:.2f} ({least / own:.2f})" if least else ""
        print(ROW.format(row, n_prompt or "", n_gen or "", f"{own:.2f}", *others, shown), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--device", default="cpu", help="cpu, or llama.cpp's name of one")
    parser.add_argument("--switch-to", default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="0: as each program chooses")
    parser.add_argument("--repack", default="auto", help="what tuning may have found: llmtui's setting for the CPU")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--rows", default="first,tenth,edit,summary")
    parser.add_argument("--characters", type=int, default=1500, help="of the texts that are written, at most")
    parser.add_argument("--words", type=float, default=1.0, help="times the length of the conversation")
    parser.add_argument("--without", default="", help="server, python, bench, with commas")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
