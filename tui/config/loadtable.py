"""The table of load settings: what people call each, its option on the command line, its field in the dialog, and what
it becomes in llama.cpp. `--help`, the dialog, the results of `--tune` and the engine's parameters are made from it.

Types, ranges and defaults are those of the record, `tui.protocol.records.LoadValues`: a new setting is a field there
and a row here. Imports next to nothing, because `--help` waits for it. Texts are marked: `tr` where they are shown.
"""

# Annotations that are strings would be compiled one by one, which takes longer than all the rest here.
from typing import NamedTuple

from tui.words import mark, trc


class LoadRow(NamedTuple):
    """One setting."""

    name: str
    """Field of `ChosenLoad`, key of [load] in the settings and of what is remembered."""
    words: str
    """What it is called in a sentence or a row of results: "threads for prompts"."""
    options: tuple[str, ...]
    """On the command line, the long one last."""
    help: str
    """What `--help` says of it."""
    label: str
    """What its row in the dialog is called; of one `beside` another, the word between the two."""
    metavar: str = "N"
    """What stands for the value in `--help`."""
    switches: bool | None = None
    """What the option sets it to, where that takes no value; None where it does."""
    note: str = ""
    """What the dialog says beside it, where that does not depend on the values."""
    beside: bool = False
    """Shares the row of the setting before it in the dialog."""
    is_advanced: bool = False
    """The dialog shows it when somebody asks for more."""
    offered: tuple[str, ...] = ()
    """The values that the dialog offers, where the settings file takes more."""
    examples: tuple[str, ...] = ()
    """What else may be written, where that is more than can be listed."""
    parameter: str = ""
    """The field of llama.cpp's that it sets, in `llama_model_params` ("model.…") or `llama_context_params`
    ("context.…"); empty for one that `tui.engine` acts on by itself. It gets the value as it is, unless
    `tui.engine.params` knows better."""
    takes_memory: bool = True
    """A load takes more or less memory with another value."""

    @property
    def option(self) -> str:
        """Its option as sentences name it: the long one."""
        return self.options[-1]


LOAD_TABLE: tuple[LoadRow, ...] = (
    LoadRow(
        "backend",
        words=mark("backend"),
        options=("--backend",),
        metavar="NAME",
        help=mark("auto, cpu, vulkan, or a name from --devices"),
        label=mark("Backend"),
        parameter="model.devices",
    ),
    LoadRow(
        "n_ctx",
        words=mark("context"),
        options=("-c", "--ctx"),
        help=mark("context size in tokens; 0: as trained"),
        label=mark("Context"),
        parameter="context.n_ctx",
    ),
    LoadRow(
        "n_gpu_layers",
        words=mark("layers on the GPU"),
        options=("-ngl", "--ngl"),
        help=mark("layers on the GPU; -1: all"),
        label=mark("Offload"),
        parameter="model.n_gpu_layers",
    ),
    LoadRow(
        "n_cpu_moe",
        words=mark("experts on the CPU"),
        options=("--n-cpu-moe",),
        help=mark("layers whose experts stay on the CPU"),
        label=mark("Experts on CPU"),
        note=mark("layers whose experts stay on the CPU"),
        parameter="model.tensor_buft_overrides",
    ),
    LoadRow(
        "n_threads",
        words=mark("threads"),
        options=("-t", "--threads"),
        help=mark("threads; 0: physical cores"),
        label=mark("Threads"),
        parameter="context.n_threads",
        takes_memory=False,
    ),
    LoadRow(
        "n_threads_batch",
        words=mark("threads for prompts"),
        options=("-tb", "--threads-batch"),
        help=mark("threads for prompts"),
        label=mark("prefill"),
        beside=True,
        parameter="context.n_threads_batch",
        takes_memory=False,
    ),
    LoadRow(
        "n_batch",
        words=mark("batch"),
        options=("-b", "--batch"),
        help=mark("prompt tokens handed over at once"),
        label=mark("Batch"),
        note=mark("a smaller ubatch takes less memory"),
        parameter="context.n_batch",
        is_advanced=True,
    ),
    LoadRow(
        "n_ubatch",
        words="ubatch",
        options=("-ub", "--ubatch"),
        help=mark("tokens computed at once"),
        label="ubatch",
        beside=True,
        parameter="context.n_ubatch",
        is_advanced=True,
    ),
    LoadRow(
        "flash_attn",
        words=mark("flash attention"),
        options=("-fa", "--flash-attn"),
        metavar="MODE",
        help=mark("auto, on or off"),
        label=mark("Flash attention"),
        parameter="context.flash_attn_type",
    ),
    LoadRow(
        "type_k",
        words=mark("K cache"),
        options=("-ctk", "--cache-type-k"),
        metavar="TYPE",
        help="f16, q8_0, q4_0 …",
        label=mark("K cache"),
        note=mark("q8_0 halves it"),
        offered=("f16", "q8_0", "q4_0"),
        parameter="context.type_k",
    ),
    LoadRow(
        "type_v",
        words=mark("V cache"),
        options=("-ctv", "--cache-type-v"),
        metavar="TYPE",
        help=mark("as for K"),
        label=mark("V cache"),
        offered=("f16", "q8_0", "q4_0"),
        parameter="context.type_v",
    ),
    LoadRow(
        "swa_full",
        words=mark("full SWA cache"),
        options=("--swa-full",),
        metavar="MODE",
        help=mark("full cache of sliding windows: auto, on, off"),
        label=mark("Full SWA cache"),
        parameter="context.swa_full",
    ),
    LoadRow(
        "use_mmap",
        words="mmap",
        options=("--no-mmap",),
        switches=False,
        help=mark("read, do not map"),
        label="mmap",
        note=mark("maps the file: starts sooner"),
        parameter="model.load_mode",
        is_advanced=True,
    ),
    LoadRow(
        "use_mlock",
        words="mlock",
        options=("--mlock",),
        switches=True,
        help=mark("never swap it out"),
        label="mlock",
        note=mark("keeps it from being swapped out"),
        parameter="model.load_mode",
        takes_memory=False,
        is_advanced=True,
    ),
    LoadRow(
        "repack",
        words=mark("repack"),
        options=("--repack",),
        metavar="MODE",
        help=mark("weights in the CPU's order: auto, on, off"),
        label=mark("Repack"),
        parameter="model.use_extra_bufts",
        is_advanced=True,
    ),
    LoadRow(
        "split_mode",
        words=mark("split mode"),
        options=("-sm", "--split-mode"),
        metavar="MODE",
        help=mark("over several GPUs: layer, row, none"),
        label=mark("Split mode"),
        note=mark("none takes the first GPU alone"),
        parameter="model.split_mode",
        is_advanced=True,
    ),
    LoadRow(
        "cpu_range",
        words=mark("CPUs"),
        options=("-Cr", "--cpu-range"),
        metavar="CPUS",
        help=mark("CPUs to compute on: all, performance, 0-7,16"),
        label=mark("CPUs"),
        note=mark("performance: the fast cores"),
        offered=("all", "performance"),
        examples=("0-7,16",),
        takes_memory=False,
        is_advanced=True,
    ),
    LoadRow(
        "priority",
        words=mark("priority"),
        options=("--prio",),
        metavar="LEVEL",
        help=mark("of threads: low, normal, medium, high, realtime"),
        label=mark("Priority"),
        offered=("low", "normal", "medium", "high"),
        note=mark("above normal needs permission"),
        takes_memory=False,
        is_advanced=True,
    ),
    LoadRow(
        "poll",
        words=mark("polling"),
        options=("--poll",),
        help=mark("how much threads poll for work, 0 to 100; -1: usual"),
        label=mark("Polling"),
        note=mark("0 spares a busy machine"),
        takes_memory=False,
        is_advanced=True,
    ),
    LoadRow(
        "numa",
        words="NUMA",
        options=("--numa",),
        metavar="WAY",
        help=mark("threads over nodes: off, distribute, isolate, numactl"),
        label="NUMA",
        note=mark("for several memory nodes"),
        takes_memory=False,
        is_advanced=True,
    ),
    LoadRow(
        "speculative",
        words=mark("speculation"),
        options=("--speculative",),
        metavar="MODE",
        help=mark("guess repeated text ahead: auto, off"),
        label=mark("Speculation"),
        note=mark("faster where text repeats"),
        parameter="context.n_outputs_max",
        is_advanced=True,
    ),
    LoadRow(
        "model_draft",
        words=mark("draft model"),
        options=("-md", "--model-draft"),
        metavar="MODEL",
        help=mark("small model that guesses ahead: auto, off, a name"),
        label=mark("Draft model"),
        note=mark("a small model of the same vocabulary"),
        is_advanced=True,
    ),
    LoadRow(
        "seed",
        words=mark("seed"),
        options=("--seed",),
        help=mark("seed of the sampler; -1: a new one each time"),
        label=mark("Seed"),
        note=mark("-1 draws a new one for every answer"),
        takes_memory=False,
        is_advanced=True,
    ),
)
"""In the order of `settings.toml`, of `--help` and, but for its first rows, of the dialog."""
LOAD_ROWS: dict[str, LoadRow] = {row.name: row for row in LOAD_TABLE}
"""By name."""


def value_words(value: object) -> str:
    """What the value of a setting is called: switches in words, all others as they are written."""
    if isinstance(value, bool):
        value = "on" if value else "off"
    called = {
        "auto": trc("switch", "auto"),
        "on": trc("switch", "on"),
        "off": trc("switch", "off"),
        "layer": trc("split mode", "layer"),
        "row": trc("split mode", "row"),
        "none": trc("split mode", "none"),
        "all": trc("CPUs", "all"),
        "performance": trc("CPUs", "performance"),
        "low": trc("priority", "low"),
        "normal": trc("priority", "normal"),
        "medium": trc("priority", "medium"),
        "high": trc("priority", "high"),
        "realtime": trc("priority", "realtime"),
        "distribute": trc("NUMA", "distribute"),
        "isolate": trc("NUMA", "isolate"),
        "numactl": trc("NUMA", "numactl"),
    }
    return called.get(str(value), str(value))
