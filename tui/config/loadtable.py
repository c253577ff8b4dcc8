"""The table of load settings: what people call each, its option on the command line, its field in the dialog, and what
it becomes in llama.cpp. `--help`, the dialog, the results of `--tune` and the engine's parameters are made from it.

Types, ranges and defaults are those of the record, `tui.protocol.records.LoadValues`: a new setting is a field there
and a row here. Imports nothing, because `--help` waits for it.
"""

# Annotations that are strings would be compiled one by one, which takes longer than all the rest here.
from typing import NamedTuple


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
    offered: tuple[str, ...] = ()
    """The values that the dialog offers, where the settings file takes more."""
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
        words="backend",
        options=("--backend",),
        metavar="NAME",
        help="auto, cpu, vulkan, or a name from --devices",
        label="Backend",
        parameter="model.devices",
    ),
    LoadRow(
        "n_ctx",
        words="context",
        options=("-c", "--ctx"),
        help="context size in tokens; 0: as trained",
        label="Context",
        parameter="context.n_ctx",
    ),
    LoadRow(
        "n_gpu_layers",
        words="layers on the GPU",
        options=("-ngl", "--ngl"),
        help="layers on the GPU; -1: all",
        label="Offload",
        parameter="model.n_gpu_layers",
    ),
    LoadRow(
        "n_cpu_moe",
        words="experts on the CPU",
        options=("--n-cpu-moe",),
        help="layers whose experts stay on the CPU",
        label="Experts on CPU",
        note="layers whose experts stay on the CPU",
        parameter="model.tensor_buft_overrides",
    ),
    LoadRow(
        "n_threads",
        words="threads",
        options=("-t", "--threads"),
        help="threads; 0: physical cores",
        label="Threads",
        note="0 takes the physical cores",
        parameter="context.n_threads",
        takes_memory=False,
    ),
    LoadRow(
        "n_threads_batch",
        words="threads for prompts",
        options=("-tb", "--threads-batch"),
        help="threads for prompts",
        label="prefill",
        beside=True,
        parameter="context.n_threads_batch",
        takes_memory=False,
    ),
    LoadRow(
        "n_batch",
        words="batch",
        options=("-b", "--batch"),
        help="prompt tokens handed over at once",
        label="Batch",
        note="a smaller ubatch takes less memory",
        parameter="context.n_batch",
    ),
    LoadRow(
        "n_ubatch",
        words="ubatch",
        options=("-ub", "--ubatch"),
        help="tokens computed at once",
        label="ubatch",
        beside=True,
        parameter="context.n_ubatch",
    ),
    LoadRow(
        "flash_attn",
        words="flash attention",
        options=("-fa", "--flash-attn"),
        metavar="MODE",
        help="auto, on or off",
        label="Flash attention",
        parameter="context.flash_attn_type",
    ),
    LoadRow(
        "type_k",
        words="K cache",
        options=("-ctk", "--cache-type-k"),
        metavar="TYPE",
        help="f16, q8_0, q4_0 …",
        label="K cache",
        note="q8_0 halves it",
        offered=("f16", "q8_0", "q4_0"),
        parameter="context.type_k",
    ),
    LoadRow(
        "type_v",
        words="V cache",
        options=("-ctv", "--cache-type-v"),
        metavar="TYPE",
        help="as for K",
        label="V cache",
        offered=("f16", "q8_0", "q4_0"),
        parameter="context.type_v",
    ),
    LoadRow(
        "use_mmap",
        words="mmap",
        options=("--no-mmap",),
        switches=False,
        help="read, do not map",
        label="mmap",
        note="maps the file: starts sooner",
        parameter="model.load_mode",
    ),
    LoadRow(
        "use_mlock",
        words="mlock",
        options=("--mlock",),
        switches=True,
        help="never swap it out",
        label="mlock",
        note="keeps it from being swapped out",
        parameter="model.load_mode",
        takes_memory=False,
    ),
    LoadRow(
        "repack",
        words="repack",
        options=("--repack",),
        metavar="MODE",
        help="weights in the CPU's order: auto, on, off",
        label="Repack",
        parameter="model.use_extra_bufts",
    ),
    LoadRow(
        "seed",
        words="seed",
        options=("--seed",),
        help="seed of the sampler; -1: a new one each time",
        label="Seed",
        note="-1 draws a new one for every answer",
        takes_memory=False,
    ),
)
"""In the order of `settings.toml`, of `--help` and, but for its first rows, of the dialog."""
LOAD_ROWS: dict[str, LoadRow] = {row.name: row for row in LOAD_TABLE}
"""By name."""
