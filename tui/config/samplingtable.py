"""The table of values that tokens are chosen with: what people call each, its option on the command line, and its row
in the dialog. Types, ranges and defaults are those of `tui.config.settings.SamplingValues`: a new value is a field
there and in `tui.protocol.records.Sampling` and `PartialSampling`, and a row here.

Imports next to nothing, because `--help` waits for it. Texts are marked: `tr` where they are shown.
"""

# Annotations that are strings would be compiled one by one, which takes longer than all the rest here.
from typing import NamedTuple

from tui.words import mark


class SamplingRow(NamedTuple):
    """One value."""

    name: str
    """Field of `SamplingValues`, or of what `owner` names."""
    label: str
    """What its row in the dialog is called."""
    note: str
    """What the dialog says beside it."""
    option: str = ""
    """On the command line of `llmtui ask`; empty where another table has it."""
    help: str = ""
    """What `--help` says of it."""
    metavar: str = "N"


SAMPLING_TABLE: tuple[SamplingRow, ...] = (
    SamplingRow("temperature", mark("Temperature"), mark("0 is greedy")),
    SamplingRow("top_k", mark("Top k"), mark("0 is off"), "--top-k", mark("among so many of the likeliest; 0: all")),
    SamplingRow(
        "top_p", mark("Top p"), mark("1 is off"), "--top-p", mark("among the likeliest of this probability; 1: all")
    ),
    SamplingRow(
        "min_p", mark("Min p"), mark("0 is off"), "--min-p", mark("none below this share of the likeliest; 0: off")
    ),
    SamplingRow(
        "typical_p", mark("Typical p"), mark("1 is off"), "--typical", mark("locally typical sampling; 1: off")
    ),
    SamplingRow(
        "repeat_penalty",
        mark("Repeat penalty"),
        mark("1 is off"),
        "--repeat-penalty",
        mark("against tokens used lately; 1: off"),
    ),
    SamplingRow(
        "presence_penalty",
        mark("Presence"),
        mark("penalty, 0 is off"),
        "--presence-penalty",
        mark("the same, once for each token; 0: off"),
    ),
    SamplingRow(
        "frequency_penalty",
        mark("Frequency"),
        mark("penalty, 0 is off"),
        "--frequency-penalty",
        mark("the same, for each use; 0: off"),
    ),
    SamplingRow(
        "penalty_last_n",
        mark("Penalty window"),
        mark("tokens back, -1 is all"),
        "--repeat-last-n",
        mark("how many tokens back is lately; -1: all"),
    ),
    SamplingRow(
        "dry_multiplier",
        mark("DRY"),
        mark("against repeated sequences, 0 is off"),
        "--dry-multiplier",
        mark("DRY, against repeated sequences; 0: off"),
    ),
    SamplingRow(
        "dry_base",
        mark("DRY base"),
        mark("grows by this each token"),
        "--dry-base",
        mark("DRY grows by this each token"),
    ),
    SamplingRow(
        "dry_allowed_length",
        mark("DRY length"),
        mark("tokens that may be repeated"),
        "--dry-allowed-length",
        mark("tokens that DRY lets be repeated"),
    ),
    SamplingRow(
        "dry_last_n",
        mark("DRY window"),
        mark("tokens back, -1 is all"),
        "--dry-last-n",
        mark("how many tokens back DRY looks; -1: all"),
    ),
    SamplingRow(
        "xtc_probability",
        mark("XTC"),
        mark("how often it leaves out top choices, 0 is off"),
        "--xtc-probability",
        mark("how often XTC leaves out top choices; 0: off"),
    ),
    SamplingRow(
        "xtc_threshold",
        mark("XTC threshold"),
        mark("probability of a top choice"),
        "--xtc-threshold",
        mark("probability of a top choice for XTC"),
    ),
    SamplingRow(
        "logit_bias",
        mark("Logit bias"),
        mark('such as " delve" = -100'),
        "--logit-bias",
        mark("more of a token, or less; -100: never; repeatable"),
        "TOKEN=N",
    ),
)
"""The values of `SamplingValues`, in the order in which the dialog and `--help` show them."""
