"""Mutated headers of models, by the ten thousand: each is read, listed, planned and searched as the app does, some are
also given to llama.cpp. Prints counts; ends with 1 when anything raised what it should not, or cost more than it may.

usage: python tests/campaigns/headers.py [--count 100000] [--dry-runs 500] [--seed 0] [--keep FOLDER]

Run from the root of the project. FOLDER gets each file that was wrong. Some 15 minutes for 100,000 on one core.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.conftest import DENSE, MOE
from tests.models.gguf_files import Shape, Typed, header, write_recurrent
from tests.models.hostile_headers import HOSTILE
from tests.planning.shapes import DEVICES, machine
from tui.config.settings import ChosenLoad
from tui.engines.plans import DryRunPlanner
from tui.models.folders import Folder
from tui.models.library import BrokenFile, Library, LibraryModel, OtherFile, scan
from tui.planning.remedies import remedies
from tui.planning.search import auto_fit
from tui.protocol.records import LoadSettings

MOST_S, MOST_BYTES = 0.5, 100 << 20
"""What one file may cost the scan, and any plan or search; time of this process."""
BATCH = 200
MORE_KEYS = (
    *("attention.key_length_swa", "attention.sliding_window", "attention.sliding_window_pattern", "ssm.inner_size"),
    *("attention.shared_kv_layers", "nextn_predict_layers", "pooling_type", "attention.key_length_mla", "vocab_size"),
)
GENERAL_KEYS = (
    *("general.type", "general.tags", "general.size_label", "general.alignment", "tokenizer.ggml.tokens"),
    *("split.no", "split.count", "general.sampling.temp", "general.sampling.top_k", "general.sampling.sequence"),
    *("general.sampling.xtc_threshold", "general.sampling.mirostat", "tokenizer.chat_template"),
)
SIZE = 1 << 34
"""Of the files, which are holes."""
NUMBERS = (0, 1, 2, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**62, 2**63 - 1, 2**63, 2**64 - 1)


def originals() -> list[bytes]:
    """Headers of every kind that there are writers for."""
    shapes = (
        Shape(),
        Shape(n_layers=3, n_expert=8, n_expert_used=2, tied=True),
        Shape(n_layers=40, kind="Q8_0"),
    )
    found = [header(shape.metadata(tokenizer__ggml__tokens=["ab"] * 80), shape.tensors())[0] for shape in shapes]
    with tempfile.TemporaryDirectory() as folder:
        found.append(write_recurrent(Path(folder, "r.gguf")).read_bytes()[: 1 << 14])
    return found + [path.read_bytes()[: 1 << 20] for path in (DENSE, MOE)]


def lying(rng: random.Random) -> bytes:
    """A header that is whole, with values that no model has."""
    n_expert = rng.choice((0, 0, 4, 1024))
    shape = Shape(n_layers=rng.choice((0, 1, 2, 8, 512)), n_expert=n_expert, n_expert_used=rng.choice((0, 1, n_expert)))
    metadata, tensors = shape.metadata(), shape.tensors()
    for _ in range(rng.randint(1, 5)):
        key = rng.choice((*metadata, *GENERAL_KEYS, *(f"{shape.arch}.{name}" for name in MORE_KEYS)))
        number = rng.choice(NUMBERS)
        metadata[key] = rng.choice(
            (
                Typed(10, number),
                number & 0xFFFFFFFF,
                [number & 0xFFFFFFFF] * rng.choice((0, 1, 2, 512, 1025)),
                rng.choice((0.0, -1.0, float("nan"), float("inf"))),
                True,
                rng.choice(("", "a" * 5000, "\x1b[31m", "\u202eabc", "\0")),
                ["x", "\x1b]0;t\x07"],
            )
        )
    for _ in range(rng.randint(0, 3)):
        at = rng.randrange(len(tensors))
        name, dimensions, kind = tensors[at]
        match rng.randrange(4):
            case 0:
                tensors[at] = (f"blk.{rng.choice(NUMBERS)}.ffn_up_exps.weight", dimensions, kind)
            case 1:
                tensors[at] = (name, tuple(rng.choice((0, 1, 256, 2**14)) for _ in range(rng.randint(1, 4))), kind)
            case 2:
                tensors[at] = (name, dimensions, rng.choice(("F32", "Q8_0", "IQ1_S", "#31", "#400")))
            case _:
                del tensors[at]
                tensors = tensors or shape.tensors()
    return header(metadata, tensors)[0]


def mutated(raw: bytes, rng: random.Random) -> bytes:
    """A few changes, of the kinds that damage and malice make."""
    data = bytearray(raw)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(4 if rng.random() < 0.95 else 0, min(len(data), 1 << 16))
        match rng.randrange(7):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                data[at] = rng.randrange(256)
            case 2:
                data[at : at + 8] = struct.pack("<Q", rng.choice(NUMBERS))
            case 3:
                data[at : at + 4] = struct.pack("<I", rng.choice(NUMBERS) & 0xFFFFFFFF)
            case 4:
                del data[at : at + rng.choice((1, 4, 8, rng.randrange(1, 200)))]
            case 5:
                data[at:at] = data[at : at + rng.randrange(1, 400)]
            case _:
                data[at : at + 4] = rng.choice((b"\x1b[2J", "‮ab".encode(), b"\xff\xfe\0\0", b"\0\0\0\0"))
        if len(data) < 32:
            break
    if rng.random() < 0.05:
        del data[rng.randrange(len(data)) :]
    return bytes(data)


class Campaign:
    """Counts, and complaints."""

    def __init__(self, keep: Path | None) -> None:
        self.counts: Counter[str] = Counter()
        self.slowest: dict[str, float] = {}
        self.most_bytes = 0
        self.wrong = 0
        self._keep = keep

    def complain(self, what: str, file: Path) -> None:
        self.wrong += 1
        print(f"WRONG {file.name}: {what}", flush=True)
        if self._keep is not None:
            self._keep.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, self._keep / f"{self.wrong:04d}-{file.name}")

    def timed(self, what: str, started: float, file: Path) -> None:
        took = time.process_time() - started
        self.slowest[what] = max(self.slowest.get(what, 0.0), took)
        if took > MOST_S:
            self.complain(f"{what} took {took:.2f} s", file)

    def look(self, file: Path, folder: Path) -> LibraryModel | None:
        """One file as the only one of a library, then everything that is worked out of it."""
        started = time.process_time()
        found = scan([Folder(path=folder)], folder / "cache")
        self.timed("scan", started, file)
        self.count(found)
        if not found.models:
            return None
        model = found.models[0]
        if len(model.info.name) > 255 or len(model.info.arch) > 64:
            self.complain("a name is not cut", file)
        memory = machine(model.info.weights_bytes, model.info.weights_bytes // 2)
        started = time.process_time()
        auto_fit(model.info, ChosenLoad(n_ctx=0), DEVICES, memory)
        self.timed("search", started, file)
        started = time.process_time()
        remedies(model.info, ChosenLoad(), DEVICES, memory, found.models)
        self.timed("remedies", started, file)
        return model

    def count(self, library: Library) -> None:
        self.counts.update({"a model": len(library.models), "broken": len(library.broken)})
        self.counts.update(f"other: {file.kind}" for file in library.other)
        files: tuple[OtherFile | BrokenFile, ...] = (*library.other, *library.broken)
        for file in files:
            if not file.reason or len(file.reason) > 1000:
                self.complain("a reason that nobody can read", file.path)

    def all_at_once(self, folder: Path, n: int) -> None:
        """A library of them: none holds up the others."""
        library = scan([Folder(path=folder)], folder / "cache")
        if len(library.models) + len(library.other) + len(library.broken) != n:
            self.complain("files are missing from the list", folder)

    def memory(self, folder: Path, file: Path) -> None:
        tracemalloc.start()
        scan([Folder(path=folder)], folder / "other cache")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        self.most_bytes = max(self.most_bytes, peak)
        if peak > MOST_BYTES:
            self.complain(f"the scan took {peak >> 20} MiB", file)


def batches(count: int, rng: random.Random) -> Iterator[list[bytes]]:
    bases = originals()
    while count > 0:
        yield [lying(rng) if rng.random() < 0.3 else mutated(rng.choice(bases), rng) for _ in range(min(BATCH, count))]
        count -= BATCH


def one(campaign: Campaign, folder: Path, name: str, raw: bytes) -> tuple[Path, LibraryModel | None]:
    file = folder / name
    file.write_bytes(raw)
    with file.open("r+b") as stream:
        stream.truncate(max(SIZE, len(raw)))
    try:
        return file, campaign.look(file, folder)
    except Exception:  # noqa: BLE001 - whatever it is, it is what is looked for
        campaign.complain(traceback.format_exc(), file)
        return file, None


def alone(campaign: Campaign, folder: Path, name: str, raw: bytes) -> None:
    """One file, its memory counted too."""
    folder.mkdir()
    file, _ = one(campaign, folder, name, raw)
    campaign.memory(folder, file)
    shutil.rmtree(folder)


def together(campaign: Campaign, parent: Path, start: int, batch: list[bytes]) -> list[LibraryModel]:
    """Files, each in a folder of its own and then all as one library; those that are models."""
    parent.mkdir()
    models = []
    for number, raw in enumerate(batch):
        folder = parent / str(number)
        folder.mkdir()
        file, model = one(campaign, folder, f"{start + number:06d}.gguf", raw)
        models += [model] if model is not None else []
        if number == 0:
            campaign.memory(folder, file)
    campaign.all_at_once(parent, len(batch))
    return models


async def dry_run(campaign: Campaign, planner: DryRunPlanner, model: LibraryModel) -> None:
    """What llama.cpp says of the file, in its own process."""
    started = time.monotonic()
    plan = await planner.plan(model.path, model.info, LoadSettings(n_ctx=512))
    campaign.slowest["dry run"] = max(campaign.slowest.get("dry run", 0.0), time.monotonic() - started)
    campaign.counts["plan by llama.cpp" if plan.exact else "plan by formula"] += 1


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--dry-runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args()
    campaign, planner = Campaign(options.keep), DryRunPlanner()
    try:
        with tempfile.TemporaryDirectory() as temporary:
            for number, (name, make) in enumerate(HOSTILE.items()):
                alone(campaign, Path(temporary, "alone"), f"{number:02d} {name.replace(',', '')}.gguf", make())
            for done, batch in enumerate(batches(options.count, random.Random(options.seed))):
                for model in together(campaign, Path(temporary, f"{done}"), done * BATCH, batch):
                    if campaign.counts["plan by llama.cpp"] + campaign.counts["plan by formula"] < options.dry_runs:
                        await dry_run(campaign, planner, model)
                shutil.rmtree(Path(temporary, f"{done}"))
                if done % 25 == 24:
                    print(f"{(done + 1) * BATCH:,} headers, {campaign.wrong} wrong", flush=True)
    finally:
        await planner.close()
    print(f"{options.count:,} mutated headers and {len(HOSTILE)} made ones, seed {options.seed}")
    for what, n in sorted(campaign.counts.items()):
        print(f"  {n:>9,} {what}")
    for what, seconds in sorted(campaign.slowest.items()):
        print(f"  {seconds:>9.3f} s at most: {what}")
    print(f"  {campaign.most_bytes >> 20:>9,} MiB at most in a scan")
    print(f"{campaign.wrong} wrong")
    return campaign.wrong > 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
