"""Builds a wheel from a package's sources, in a folder in which an interrupted build is gone on with: sources, tools
and objects stay where they are, and ninja knows which of them are whole. Standard library only."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import tarfile
import threading
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import build_progress
import wheel_cache
from build_session import Session

_FAILURE = re.compile(r"(\berror:|\bCMake Error|FAILED:|fatal error|ERROR:|No space left|Killed)", re.IGNORECASE)
_ASK_BACKEND = """
import importlib, json, sys
sys.path[:0] = json.loads(sys.argv[2])
backend = importlib.import_module(sys.argv[1])
print(json.dumps(getattr(backend, "get_requires_for_build_wheel", lambda _: [])({})))
"""


@dataclass(frozen=True)
class Work:
    """A wheel to be built."""

    python: Path
    """Of the environment that the wheel is for."""
    package: str
    version: str
    folder: Path
    """That `wheel_cache.unfinished` gave."""
    log: Path
    environment: Mapping[str, str]
    """With the settings of the build, such as CMAKE_ARGS."""
    weigh: build_progress.Weigh
    speed: float
    """As `build_progress.speed` told it; 0 when that is not known."""
    lock: int
    """Descriptor of the lock on the folder, held until the last compiler has ended."""


def begun(folder: Path) -> bool:
    """Whether a build in that folder has come so far that something was compiled."""
    return (folder / "objects" / ".ninja_log").exists()


def wheel(work: Work) -> Path:
    """The new wheel, in a folder inside the work's. Raises `wheel_cache.BuildError`.

    What an earlier build left is used; when the build fails with it, it is made once more without.
    """
    objects = work.folder / "objects"
    resumed = objects.exists()
    try:
        return _wheel(work, objects)
    except wheel_cache.BuildError:
        if not resumed:
            raise
        print("It failed with what an interrupted build had left; building anew", flush=True)
        for left in work.folder.iterdir():
            shutil.rmtree(left, ignore_errors=True)
        return _wheel(work, objects)


def _wheel(work: Work, objects: Path) -> Path:
    target = work.folder / "wheel"
    shutil.rmtree(target, ignore_errors=True)
    with (
        build_progress.Progress(objects, work.weigh, work.speed) as progress,
        work.log.open("w", encoding="utf-8") as log,
    ):
        run = _Runner(work, log, progress)
        sources = _sources(work, run)
        tools = _tools(work, sources, run)
        # Without isolation: the tools' paths are part of every command, and must be the same the next time.
        command = [*_pip(work, "wheel"), "-v", "--no-deps", "--no-build-isolation", "--wheel-dir", str(target)]
        run(
            [*command, "--config-settings", f"build-dir={objects}", str(sources)],
            PYTHONPATH=str(tools),
            PATH=f"{tools / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        )
    built = next(target.glob("*.whl"), None)
    if built is None:
        raise wheel_cache.BuildError(f"The build ended well but gave no wheel; the log is {work.log}")
    return built


def _pip(work: Work, verb: str) -> list[str]:
    return [str(work.python), "-m", "pip", verb, "--no-cache-dir", "--disable-pip-version-check"]


def _sources(work: Work, run: _Runner) -> Path:
    """The sources, downloaded and unpacked once, with the times of the archive: ninja compares them."""
    sources, partial, scratch = (work.folder / name for name in ("sources", "sources.partial", "download"))
    if sources.is_dir():
        return sources
    for left in (partial, scratch):
        shutil.rmtree(left, ignore_errors=True)
    only = ["--no-deps", "--no-binary", work.package, "--dest", str(scratch)]
    run([*_pip(work, "download"), *only, f"{work.package}=={work.version}"])
    with tarfile.open(next(scratch.glob("*.tar.gz"))) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(partial, filter="data")
        else:  # Python 3.11.2 of Debian 12; pip has checked what it downloaded
            archive.extractall(partial)
    next(partial.iterdir()).rename(sources)
    shutil.rmtree(scratch)
    partial.rmdir()
    return sources


def _tools(work: Work, sources: Path, run: _Runner) -> Path:
    """A folder with what the sources' build needs of Python packages, those included that it asks for only here, such
    as CMake where there is none."""
    tools, partial = work.folder / "tools", work.folder / "tools.partial"
    if tools.is_dir():
        return tools
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    system = tomllib.loads((sources / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    install = [*_pip(work, "install"), "--quiet", "--target", str(partial), "--upgrade"]
    if system["requires"]:
        run([*install, *system["requires"]])
    paths = json.dumps([str(partial), *(str(sources / path) for path in system.get("backend-path", ()))])
    ask = [str(work.python), "-c", _ASK_BACKEND, system["build-backend"].partition(":")[0], paths]
    told = subprocess.run(ask, cwd=sources, env=work.environment, capture_output=True, text=True, check=False)
    if told.returncode == 0 and (more := json.loads(told.stdout.splitlines()[-1])):
        run([*install, *more])
    partial.rename(tools)
    return tools


class _Runner:
    """Runs the steps of one build, all into the same log."""

    def __init__(self, work: Work, log: build_progress.Writable, progress: build_progress.Progress) -> None:
        self._work, self._log, self._progress = work, log, progress
        self._unwritten: OSError | None = None

    def __call__(self, command: Sequence[str], **environment: str) -> None:
        """Run a command. Raises `wheel_cache.BuildError` when it fails; stopping it stops its compilers too."""
        scratch = self._work.folder / "tmp"
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        session = Session(
            command,
            folder=self._work.folder,
            environment={**self._work.environment, **environment, "TMPDIR": str(scratch)},
            held=(self._work.lock,),
        )
        reader = threading.Thread(target=self._read, args=(session,), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(timeout=1.0)
                self._progress.show()
            code = session.wait()
        except BaseException:
            session.stop()
            reader.join(timeout=5.0)
            raise
        if code != 0:
            self._progress.end()
            raise self._failure(command)

    def _failure(self, command: Sequence[str]) -> wheel_cache.BuildError:
        log = self._work.log
        if self._unwritten is not None:
            reason = self._unwritten.strerror
            return wheel_cache.BuildError(f"The build failed, and its log {log} could not be written: {reason}.")
        with contextlib.suppress(OSError):
            self._log.flush()
        # Downloads say themselves what they were about.
        what = "The build" if "wheel" in command else f"`pip {shlex.join(command[3:4])}`"
        return wheel_cache.BuildError(f"{what} failed; the log is {log}. It ends with:\n{_telling_lines(log)}")

    def _read(self, session: Session) -> None:
        """Keep the log, or what prevents that. All is read in any case: a build waits while nobody reads."""
        for line in session.output:
            self._progress.read(line)
            if self._unwritten is None:
                try:
                    self._log.write(line)
                except OSError as error:
                    self._unwritten = error


def _telling_lines(log: Path) -> str:
    """The last errors in a log, or its end when no line looks like one."""
    lines = [line.strip()[:300] for line in log.read_text(encoding="utf-8").splitlines() if line.strip()]
    errors = [line for line in lines if _FAILURE.search(line) and not line.startswith("--")]
    return "\n".join(f"  {line}" for line in (errors[-6:] or lines[-6:]))


def environment(arguments: Sequence[str]) -> dict[str, str]:
    """This process's environment with what CMake and ninja are told."""
    jobs = os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL", str(wheel_cache.parallel_jobs()))
    return {**os.environ, "CMAKE_ARGS": shlex.join(arguments), "CMAKE_BUILD_PARALLEL_LEVEL": jobs}
