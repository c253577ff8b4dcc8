"""The settings that a user can write, as typed records with their defaults and ranges, and how the files are read: the
built-in `settings.toml`, then the user's own over it. What the program remembers by itself is in `tui.config.state`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tui.base.userpath import user_path
from tui.config import paths
from tui.config.overlay import NOT_IN_FILES, overlay
from tui.config.problems import ConfigProblem, read_toml
from tui.protocol.records import BANNED, MOST, Effort, LoadValues, Natural
from tui.words.later import later

_MOST_TOLD = 20
"""Of mistakes that are all alike."""
Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Gib = Annotated[float, Meta(ge=0.0, le=65536.0)]
Percent = Annotated[float, Meta(ge=0.0, le=100.0)]
Bias = Annotated[float, Meta(ge=BANNED, le=100.0)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections of `settings.toml`."""


class ModelSettings(Section, frozen=True):
    """[models]: where models are looked for, and which one is loaded at the start."""

    default: str = ""
    """Path of the model to load at the start; empty takes the one that was used last."""
    folders: tuple[str, ...] = ()
    """Folders to search for GGUF files, subfolders included; `~` and `$VARIABLES` are expanded."""
    hugging_face: bool = True
    """Also list what is in the Hugging Face cache."""
    lm_studio: bool = True
    """Also list what is in LM Studio's folders."""
    ollama: bool = True
    """Also list what Ollama has."""
    llama_cpp: bool = True
    """Also list what is in llama.cpp's cache."""
    modelscope: bool = True
    """Also list what is in the ModelScope cache."""
    jan: bool = True
    """Also list what Jan has."""
    gpt4all: bool = True
    """Also list what GPT4All has."""


class ModelRule(Section, frozen=True):
    """[[model]]: what holds for the models that `match` names only."""

    match: Annotated[str, Meta(max_length=1000)] = ""
    """A pattern with `*`, `?` and `[…]` for the name of a model, the name of its file or the whole path, in letters of
    either case."""
    chat_template: str = ""
    """File with the Jinja template to use instead of the model's own; looked for beside the settings file."""
    stop: tuple[Annotated[str, Meta(min_length=1)], ...] = ()
    """Texts that end an answer, beside the ends that the template knows."""


class ChosenLoad(LoadValues, frozen=True):
    """A load as people choose it: in [load] of the settings for every model, on the command line, in the dialog. What
    is remembered of one for a model is a `RememberedLoad`, what the engine is asked for `LoadSettings`, and what it has
    loaded then `Loaded`."""

    backend: str = "auto"
    """ "auto" (the GPU when there is one), "cpu", "vulkan" and the like, or device names: "Vulkan0", "CUDA0,CUDA1"."""


class SamplingValues(Section, frozen=True):
    """How the next token is chosen. The defaults are those of Qwen3's model card for answers without thinking."""

    temperature: Annotated[float, Meta(ge=0.0, le=5.0)] = 0.7
    """0 always takes the likeliest token; higher is more varied."""
    top_k: Natural = 20
    """Choose among this many of the likeliest tokens; 0 among all."""
    top_p: Share = 0.8
    """Choose among the likeliest tokens that together have this probability; 1 among all."""
    min_p: Share = 0.0
    """Leave out tokens less likely than this share of the likeliest one's probability."""
    typical_p: Share = 1.0
    """Choose among the tokens that are about as surprising as is usual here, which together have this probability
    (locally typical sampling); 1 is off."""
    repeat_penalty: Annotated[float, Meta(gt=0.0, le=5.0)] = 1.0
    """Divide the logits of tokens that were used lately; 1 is off."""
    presence_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] = 0.0
    """Subtract this once from the logits of tokens that were used lately; 0 is off."""
    frequency_penalty: Annotated[float, Meta(ge=-2.0, le=2.0)] = 0.0
    """Subtract this for each time that a token was used lately; 0 is off."""
    penalty_last_n: Annotated[int, Meta(ge=-1, le=MOST)] = 64
    """How many tokens back "lately" reaches; -1 is the whole context."""
    dry_multiplier: Annotated[float, Meta(ge=0.0, le=100.0)] = 0.0
    """DRY ("don't repeat yourself"): how strongly a token is kept from going on with a sequence that was written
    before; 0 is off, 0.8 usual."""
    dry_base: Annotated[float, Meta(ge=1.0, le=100.0)] = 1.75
    """By this factor that grows with each token of the sequence beyond `dry_allowed_length`."""
    dry_allowed_length: Annotated[int, Meta(ge=1, le=MOST)] = 2
    """Sequences of so many tokens may be repeated freely."""
    dry_last_n: Annotated[int, Meta(ge=-1, le=MOST)] = -1
    """How many tokens back DRY looks for sequences; -1 is the whole context."""
    xtc_probability: Share = 0.0
    """XTC ("exclude top choices"): how often the likeliest tokens are left out where several would do; 0 is off, 0.5
    usual."""
    xtc_threshold: Share = 0.1
    """Of the tokens with this probability or more, XTC leaves all out but the least likely; above 0.5 it does
    nothing."""
    logit_bias: dict[Annotated[str, Meta(min_length=1, max_length=200)], Bias] = {}
    """Text of a token to what is added to its logit: above 0 it is chosen more often, below less, at -100 never."""


class SamplingSettings(Section, frozen=True):
    """[sampling]: how answers are chosen, and how long they may get."""

    max_tokens: Natural = 0
    """Stop an answer after this many tokens, thinking included; 0 goes on to the end of the context."""
    thinking_budget: Natural = 0
    """End a thought after this many tokens, so that the answer comes; 0 lets models think as long as they want."""
    thinking: SamplingValues = SamplingValues(temperature=0.6, top_p=0.95)
    """Values for answers with thinking, Qwen3's from its model card."""
    plain: SamplingValues = SamplingValues()
    """Values for answers without thinking, Qwen3's from its model card."""


class ChatSettings(Section, frozen=True):
    """[chat]: what a new conversation starts with."""

    system_prompt: str = ""
    """System prompt of new conversations; empty sends none."""
    thinking: bool = True
    """Let models that can think do so in new conversations."""
    effort: Effort = ""
    """How long models whose template knows levels think in new conversations; empty leaves it to the template."""
    preset: Annotated[str, Meta(max_length=60)] = ""
    """Preset of new conversations, until another one is chosen in the app; empty takes none."""
    titles: bool = False
    """Have the model give a new conversation its title, while it is idle after the first answer."""
    alternatives: Annotated[int, Meta(ge=0, le=20)] = 0
    """Keep of each token how likely it was, and so many of the likeliest; 0 keeps none."""
    on_overflow: Literal["ask", "drop"] = "ask"
    """When the context is full: "ask" before the oldest turns are left out, or "drop" them and say so."""
    history_size: Natural = 500
    """Prompts that the input remembers; 0 remembers none."""
    keep_context: Natural = 5
    """Keep what was evaluated (the KV cache) of this many conversations on the disk; 0 keeps none."""
    keep_context_gib: Gib = 2.0
    """What the kept KV caches together may take on the disk, in GiB."""


class UiSettings(Section, frozen=True):
    """[ui]: how the app looks and behaves."""

    theme: str = "graphite"
    """Theme to use until another one is chosen in the app."""
    theme_light: str = "paper"
    """Theme to use instead on a terminal that says it has a light background (COLORFGBG); empty: `theme`."""
    language: Literal["auto", "en", "zh"] = "auto"
    """Language of the interface: English, Simplified Chinese, or as LC_ALL and LANG say ("auto"), until another one is
    chosen in the app."""
    sidebar: bool = True
    """Show the sidebar when the terminal is wide enough."""
    animations: bool = False
    """Animate scrolling and panels; takes CPU time from the model and flickers over SSH."""
    mouse: bool = True
    """Take mouse clicks and wheel; off leaves the mouse to the terminal, for selecting text."""
    fold_thinking: bool = True
    """Show what a model thought folded to one line."""
    confirm_quit: bool = True
    """Ask before quitting while an answer is being written."""
    notify: Literal["auto", "osc9", "osc777", "bell", "off"] = "auto"
    """How to tell that a long answer is done while the terminal has not the focus: by its notification (OSC 9 or OSC
    777), its bell, by what it is known to have ("auto"), or not at all."""
    notify_after: Annotated[float, Meta(ge=0.0, le=86400.0)] = 10.0
    """Only of answers that took so many seconds."""
    clipboard: Literal["auto", "osc52", "tmux", "local", "file"] = "auto"
    """How text is copied: through the terminal (OSC 52), tmux, a local tool, a file, or whatever works ("auto")."""


class MemorySettings(Section, frozen=True):
    """[memory]: what is left free when llmtui says that a model fits; a load that would leave less is asked about."""

    reserve_gib: Gib = 1.0
    """RAM to leave to everything else, in GiB; `reserve_percent` counts where it is more."""
    reserve_percent: Percent = 5.0
    """RAM to leave to everything else, in percent of all; `reserve_gib` counts where it is more."""
    gpu_reserve_gib: Gib = 0.5
    """Memory to leave on each GPU, in GiB."""

    def reserve_bytes(self, ram_total_bytes: int) -> int:
        """What to leave of that much RAM: the larger of the two reserves."""
        return int(max(self.reserve_gib * 2**30, self.reserve_percent / 100 * ram_total_bytes))

    @property
    def gpu_reserve_bytes(self) -> int:
        """`gpu_reserve_gib` in bytes."""
        return int(self.gpu_reserve_gib * 2**30)


class EngineSettings(Section, frozen=True):
    """[engine]: the process that llama.cpp runs in."""

    software_vulkan: bool = False
    """Also list Vulkan devices that the CPU computes, such as llvmpipe; they are slower than the CPU itself."""


class TuneSettings(Section, frozen=True):
    """[tune]: the search for the fastest load settings."""

    offer: bool = True
    """Offer it once, after the first longer answer of a model."""
    seconds: Annotated[float, Meta(ge=1.0, le=86400.0)] = 110.0
    """What a search may take."""
    cache_types: bool = False
    """Also try a quantized KV cache, which costs a little quality."""


class SessionSettings(Section, frozen=True):
    """[session]: the llmtui in the background, where the app's session runs and a model stays loaded for questions."""

    background: bool = False
    """The app's session runs there, and goes on when its terminal is gone."""
    keep_loaded: bool = False
    """`llmtui ask` always leaves the model loaded there, as with `--keep`."""
    linger: Annotated[float, Meta(ge=-1.0, le=525600.0)] = 15.0
    """Minutes without a question after which it ends by itself; -1 never does."""
    unload_after: Annotated[float, Meta(ge=0.0, le=525600.0)] = 0.0
    """Minutes without a question after which it frees the model; 0 keeps it to the end."""
    ssh: str = "ssh"
    """The program, with options if you like, that reaches other machines for `--host`; `LLMTUI_SSH` goes before it."""
    far_llmtui: str = "llmtui"
    """How llmtui is called on those machines: a path where their shell does not find it."""


class LogSettings(Section, frozen=True):
    """[log]: the log file that `llmtui --locate` names."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least level that is written."""


class Settings(Section, frozen=True):
    """All of `settings.toml`."""

    models: ModelSettings = ModelSettings()
    """Where models are looked for."""
    load: ChosenLoad = ChosenLoad()
    """How a model is loaded the first time."""
    sampling: SamplingSettings = SamplingSettings()
    """How answers are chosen."""
    chat: ChatSettings = ChatSettings()
    """What a new conversation starts with."""
    ui: UiSettings = UiSettings()
    """How the app looks and behaves."""
    keys: dict[str, str | list[str]] = {}
    """Action id to key or keys, for `tui.config.keymap.resolve`; an empty list takes the keys away."""
    memory: MemorySettings = MemorySettings()
    """What is left free."""
    engine: EngineSettings = EngineSettings()
    """The engine's process."""
    tune: TuneSettings = TuneSettings()
    """The search for the fastest load settings."""
    session: SessionSettings = SessionSettings()
    """The llmtui in the background."""
    log: LogSettings = LogSettings()
    """The log file."""
    model: tuple[ModelRule, ...] = ()
    """What holds for some models only; where several match, the later one counts, value by value."""
    written: Annotated[frozenset[str], NOT_IN_FILES] = frozenset()
    """Dotted keys that the user's own file gives, such as "sampling.plain.top_k", whatever their values."""


def load_settings(
    user_file: Path | None = None, builtin_file: Path | None = None, *, software_vulkan: bool = False
) -> tuple[Settings, list[ConfigProblem]]:
    """The built-in settings with the user's over them, and everything in the files that had to be ignored.

    Never raises on what a file holds: a bad value leaves the default, a broken file is left out whole. A user's file
    that does not exist is no problem. Without arguments, the files that `tui.config.paths` names. `software_vulkan` is
    what the command line asks for: it goes before the files.
    """
    builtin_file = builtin_file or paths.default_settings_file()
    user_file = user_file or paths.user_settings_file()
    settings, problems = Settings(), []
    for file in (builtin_file, user_file):
        table, problem = read_toml(file)
        if problem is not None:
            problems.append(problem)
        elif table is not None:
            settings, found = overlay(settings, table, file=file)
            problems += found
            if file is user_file:
                keys = frozenset(_keys(table)) - {problem.key for problem in found}
                rules = tuple(_beside(file, rule) for rule in settings.model)
                settings = msgspec.structs.replace(settings, written=keys, model=rules)
                problems += _without_match(file, rules)
        elif file is builtin_file:
            message = later("is missing, so the defaults of the code are used. Install llmtui again.")
            problems.append(ConfigProblem(file=file, key="", message=message))
    if software_vulkan:
        settings = msgspec.structs.replace(settings, engine=EngineSettings(software_vulkan=True))
    return settings, problems


def _keys(table: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def _without_match(file: Path, rules: Sequence[ModelRule]) -> Iterator[ConfigProblem]:
    message = later(
        'is missing, so the section holds for no model. Write match = "*" for all, or a part of a name: "qwen3*".'
    )
    nameless = [number for number, rule in enumerate(rules, start=1) if not rule.match]
    for number in nameless[:_MOST_TOLD]:
        yield ConfigProblem(file=file, key=f"model[{number}].match", message=message)


def _beside(file: Path, rule: ModelRule) -> ModelRule:
    """The rule with the whole path of its template."""
    if not rule.chat_template:
        return rule
    return msgspec.structs.replace(rule, chat_template=str(file.absolute().parent / expand(rule.chat_template)))


def expand(folder: str) -> Path:
    """`folder` with `~` and environment variables replaced; an unknown user or variable stays as written."""
    return user_path(os.path.expandvars(folder))
