"""Where llmtui keeps its files: the one place that knows. Every folder follows the platform's conventions
(XDG on Linux) and is created by whoever writes into it, not here."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
from functools import cache
from pathlib import Path

import platformdirs

from tui.base import newfile, private
from tui.words import mark

APP = private.APP


@cache
def data_root() -> Path:
    """Folder that holds the shipped `themes/` and `settings.toml`: inside the wheel, or the checkout's top level."""
    shipped = Path(__file__).resolve().parent.parent / "_data"
    return shipped if shipped.is_dir() else shipped.parent.parent


def default_settings_file() -> Path:
    """The documented defaults; never written by the program."""
    return data_root() / "settings.toml"


def builtin_themes_dir() -> Path:
    """The themes that ship with llmtui."""
    return data_root() / "themes"


def config_dir() -> Path:
    """The user's own files: `settings.toml` and `themes/`."""
    return Path(platformdirs.user_config_dir(APP))


def user_settings_file() -> Path:
    """The user's overrides; read, never written."""
    return config_dir() / "settings.toml"


def user_themes_dir() -> Path:
    """The user's own themes; they win over built-in ones of the same name."""
    return config_dir() / "themes"


def snippets_dir() -> Path:
    """The user's own texts for prompts; read, never written."""
    return config_dir() / "snippets"


def state_file() -> Path:
    """What the program remembers by itself: last model, load settings per model."""
    return Path(platformdirs.user_state_dir(APP)) / "state.toml"


def log_file() -> Path:
    """llama.cpp's log and our own, rotated."""
    return Path(platformdirs.user_log_dir(APP)) / "llmtui.log"


def database_file() -> Path:
    """Conversations."""
    return Path(platformdirs.user_data_dir(APP)) / "conversations.db"


def search_index_file() -> Path:
    """What makes searching the conversations quick; made anew when it is missing."""
    return Path(platformdirs.user_cache_dir(APP)) / "search.db"


def drafts_dir() -> Path:
    """What was written and not sent when llmtui ended, until its next start."""
    return Path(platformdirs.user_state_dir(APP)) / "drafts"


def bench_file() -> Path:
    """Every benchmark that was run."""
    return Path(platformdirs.user_data_dir(APP)) / "bench.sqlite"


def bandwidth_file() -> Path:
    """How fast the memories of this machine can be read, once that was measured."""
    return Path(platformdirs.user_data_dir(APP)) / "bandwidth.json"


def step_costs_file() -> Path:
    """What decoding several tokens at once costs with each load, once that was measured."""
    return Path(platformdirs.user_data_dir(APP)) / "steps.json"


def exports_dir() -> Path:
    """Default place of exported conversations and of copies that no clipboard took."""
    return Path(platformdirs.user_data_dir(APP)) / "exports"


def models_dir() -> Path:
    """Default folder for the user's GGUF files."""
    return Path(platformdirs.user_data_dir(APP)) / "models"


def library_cache_file() -> Path:
    """Headers already read, keyed by path, size and mtime."""
    return Path(platformdirs.user_cache_dir(APP)) / "library.msgpack"


def downloads_dir() -> Path:
    """What is being fetched, and in which order."""
    return Path(platformdirs.user_state_dir(APP)) / "downloads"


def remote_headers_dir() -> Path:
    """Headers of models on a hub that were read, a file each."""
    return Path(platformdirs.user_cache_dir(APP)) / "remote-headers"


def sums_file() -> Path:
    """SHA-256 of model files that were computed, keyed by path, size and mtime."""
    return Path(platformdirs.user_cache_dir(APP)) / "sums.json"


def contexts_dir() -> Path:
    """KV caches of conversations, to go on without evaluating them again."""
    return Path(platformdirs.user_cache_dir(APP)) / "contexts"


def host_dir() -> Path:
    """Where the llmtui in the background is reached: in `$XDG_RUNTIME_DIR` where that is the user's own (after `su` it
    may be that of who was logged in), else in /tmp. Whoever uses it looks at its owner. Nothing is kept there."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        with contextlib.suppress(OSError):
            found = os.lstat(runtime)
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022:
                return Path(runtime, APP)
    return Path("/tmp", f"{APP}-{os.geteuid()}")


def presets_dir() -> Path:
    """The user's presets, a file each."""
    return user_settings_file().parent / "presets"


def put_in_order() -> None:
    """At a start, in the folders that say what a person does: close what an older llmtui, or whoever made them, left
    open to others, and remove what processes were writing when they were killed."""
    files = (
        database_file(),
        state_file(),
        log_file(),
        library_cache_file(),
        sums_file(),
        bandwidth_file(),
        step_costs_file(),
    )
    folders = (exports_dir(), contexts_dir(), remote_headers_dir(), drafts_dir(), downloads_dir())
    for folder in (*(file.parent for file in files), *folders):
        if os.path.isdir(folder):  # noqa: PTH112 - Path's raises where it may not look
            with contextlib.suppress(OSError):  # said by whoever writes there
                private.folder(folder)
            newfile.remove_dead(folder)


def llama_build_file() -> Path:
    """What `scripts/llama_wheel.py` built llama.cpp with here, and why: JSON, in the environment that it went into."""
    return Path(sys.prefix) / "share" / APP / "llama-build.json"


def locate() -> list[tuple[str, Path]]:
    """What `llmtui --locate` prints: a label, which `tr` translates, and a path for each place, whether something is
    there yet or not."""
    return [
        (mark("built-in settings"), default_settings_file()),
        (mark("your settings"), user_settings_file()),
        (mark("your presets"), presets_dir()),
        (mark("built-in themes"), builtin_themes_dir()),
        (mark("your themes"), user_themes_dir()),
        (mark("your snippets"), snippets_dir()),
        (mark("remembered state"), state_file()),
        (mark("conversations"), database_file()),
        (mark("drafts"), drafts_dir()),
        (mark("benchmarks"), bench_file()),
        (mark("memory bandwidth"), bandwidth_file()),
        (mark("costs of speculation"), step_costs_file()),
        (mark("exports"), exports_dir()),
        (mark("models"), models_dir()),
        (mark("downloads"), downloads_dir()),
        (mark("model cache"), library_cache_file()),
        (mark("headers of hub models"), remote_headers_dir()),
        (mark("kept contexts"), contexts_dir()),
        (mark("llama.cpp's build"), llama_build_file()),
        (mark("background"), host_dir()),
        (mark("log"), log_file()),
    ]
