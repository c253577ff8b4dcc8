"""Makes sure that a virtual environment has llama-cpp-python, built once with the best backend that this machine can
build and kept in the user's cache folder. Standard library only; `python3 scripts/llama_wheel.py .venv`.

LLMTUI_BACKEND (auto, vulkan or cpu) overrides the choice; CMAKE_ARGS is passed on to llama.cpp's build.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import build_progress
import debian_packages
import llama_plan
import llama_selftest
import llama_steps
import vulkan_tools
import wheel_build
import wheel_cache
from llama_plan import PACKAGE, VERSION, Plan, choose

UNFINISHED = "unfinished"
"""In place of a wheel's key in the environment's marker."""


class UnusableError(wheel_cache.BuildError):
    """What this compiler makes does not work, whatever is left out of it."""


class SetupError(Exception):
    """The setup cannot go on; the message says what happened and what to do next."""


def find_compiler(*, may_install: bool) -> str:
    """The C++ compiler, installed when it is missing and that is allowed. Raises `SetupError`."""
    for name in (os.environ.get("CXX", ""), "c++", "g++", "clang++"):
        if name and shutil.which(name):
            return name
    reason = "no c++, g++ or clang++ in PATH"
    if may_install:
        try:
            debian_packages.install(["build-essential"])
        except debian_packages.PackageError as error:
            reason = str(error)
        else:
            print("Installed a C++ compiler: build-essential", flush=True)
            return "c++"
    raise SetupError(f"There is no C++ compiler ({reason}). On Debian: apt-get install build-essential")


def installed_version(python: Path) -> str | None:
    """Version of llama-cpp-python in the environment of `python`, or None."""
    question = f"import importlib.metadata as m; print(m.version({PACKAGE!r}))"
    told = subprocess.run([python, "-c", question], capture_output=True, text=True, check=False)
    return told.stdout.strip() if told.returncode == 0 else None


def install(python: Path, wheel: Path, plan: Plan) -> None:
    """Install the wheel and what it depends on, and see that it loads. Raises `SetupError`."""
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([*pip, "--no-deps", "--force-reinstall", str(wheel)], [*pip, f"{PACKAGE}=={VERSION}"]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode != 0:
            raise SetupError(f"`{shlex.join(command)}` failed:\n" + "\n".join(done.stdout.splitlines()[-10:]))
    loaded = subprocess.run([python, "-c", "import llama_cpp"], capture_output=True, text=True, check=False)
    if loaded.returncode != 0:
        last = (loaded.stderr.strip().splitlines() or [f"exit code {loaded.returncode}"])[-1]
        raise SetupError(f"The {plan.backend} build does not load here: {last}\nRemove {wheel.parent} and try again.")


def build(python: Path, plan: Plan, compiler: str) -> tuple[Path, Plan]:
    """A wheel that computes right on this CPU, from the cache or built, and the plan that it was built to: the given
    one, or a safer one when that computes wrong. Raises `wheel_cache.BuildError`, `UnusableError` among them.

    When that is interrupted, however it is, the next call goes on where it was.
    """
    with wheel_cache.lock(plan.key) as held:
        last = ""
        for attempt in (plan, *llama_plan.safer(plan)):
            if last:
                print(f"That llama.cpp computes wrong on this CPU: {last}. Taking one {attempt.safer}", flush=True)
            wheel, verdict = _tested(
                python, plan.key, attempt, functools.partial(_compile, python, plan.key, attempt, compiler, held)
            )
            if wheel is not None:
                wheel_cache.finished(plan.key)
                return wheel, attempt
            last = verdict
        log = wheel_cache.log_file(plan.key)
        raise wheel_cache.BuildError(
            f"No llama.cpp computes right on this CPU: {last}. Please report it; the log: {log}"
        )


def _tested(python: Path, name: str, plan: Plan, compiled: Callable[[], Path]) -> tuple[Path | None, str]:
    """The wheel of that plan, or None and what is wrong with it on this CPU. Each is tested once and the verdict kept.
    `name` is that of the unfinished build. Raises `UnusableError`."""
    known = wheel_cache.verdict(plan.key)
    wheel = wheel_cache.kept(plan.key)
    if known.get("revision") == llama_selftest.REVISION and not known.get("right"):
        return None, str(known.get("reason"))
    if wheel is not None:
        print(f"Using the wheel in {wheel.parent}", flush=True)
        if known.get("revision") == llama_selftest.REVISION:
            return wheel, ""
    new = wheel or compiled()
    with llama_selftest.unpacked(new) as folder:
        verdict = llama_selftest.test(folder, str(python))
    if verdict.right is False and not verdict.is_of_cpu:
        # Nothing of it is kept: the same build by another compiler may be right, and has the same key.
        new.unlink()
        wheel_cache.finished(name)
        raise UnusableError(
            f"This llama.cpp does not work: {verdict.reason}.\n{llama_selftest.OTHER_COMPILER}\n"
            f"The log of the build: {wheel_cache.log_file(plan.key)}"
        )
    if verdict.right is None:
        print(f"Could not be tested on this CPU ({verdict.reason}); taking it as it is", flush=True)
    else:
        told = {"revision": llama_selftest.REVISION, "right": verdict.right, "reason": verdict.reason}
        wheel_cache.keep_verdict(plan.key, told)
    if verdict.right is False:
        new.unlink()
        return None, verdict.reason
    if verdict.right:
        print(f"Tested: {verdict.reason}", flush=True)
    return wheel or wheel_cache.keep(new, plan.key), ""


def _compile(python: Path, name: str, plan: Plan, compiler: str, held: int) -> Path:
    """A new wheel, in the folder of the unfinished build of that name: a safer one shares what is the same."""
    wheel_cache.sweep(name)
    folder = wheel_cache.unfinished(name)
    log = wheel_cache.log_file(plan.key)
    hook = f"-DCMAKE_PROJECT_INCLUDE={llama_plan.CMAKE_HOOK}"
    environment = wheel_build.environment((hook, *plan.paths, *plan.arguments))
    jobs = int(environment["CMAKE_BUILD_PARALLEL_LEVEL"])
    speed = build_progress.speed(compiler, jobs)
    if not wheel_build.begun(folder):
        _announce(plan, speed, jobs)
    elif not plan.safer:
        print("Going on with the build that was interrupted", flush=True)
    print(f"The log is {log}", flush=True)
    work = wheel_build.Work(
        python=python,
        package=llama_plan.PACKAGE,
        version=llama_plan.VERSION,
        folder=folder,
        log=log,
        environment=environment,
        weigh=llama_steps.weight,
        speed=speed,
        lock=held,
    )
    return wheel_build.wheel(work)


def _announce(plan: Plan, speed: float, jobs: int) -> None:
    """Say how long a new build will take, and what comes then."""
    cores = f"{jobs} compiler{'s' if jobs > 1 else ''} at a time"
    time = f", {build_progress.minutes(llama_steps.expected_s(plan.backend, speed, jobs))}" if speed > 0 else ""
    print(
        f"llama.cpp is compiled for this machine now, once{time} with {cores}.",
        "Then come Python packages and, if you have no model yet, a small one (98 MB); llmtui starts after that.",
        "You can interrupt this: the next make goes on where it was.",
        sep="\n",
        flush=True,
    )


def report_file(environment: Path) -> Path:
    """Where `llmtui --devices` looks for what was built and why (`tui.config.paths.llama_build_file`)."""
    return environment / "share" / "llmtui" / "llama-build.json"


def _told(reason: str) -> object:
    """As `tui.words.later.Later` is written; a text that llmtui does not know stays as it is."""
    if not isinstance(reason, vulkan_tools.Reason):
        return reason
    return {"text": reason.text, "fields": [(name, _told(value)) for name, value in reason.fields.items()]}


def report(environment: Path, plan: Plan, user_arguments: str) -> None:
    """Leave a note in the environment on what was built there and why."""
    told = {
        "version": VERSION,
        "backend": plan.backend,
        "reason": _told(plan.reason),
        "packages": plan.packages,
        "cmake_args": user_arguments,
        "safer": plan.safer,
    }
    file = report_file(environment)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def ensure(environment: Path, wanted: str) -> int:
    """See that `environment` has llama-cpp-python as `wanted`; says on stdout what is done and why. Gives 0.

    A version that the user installed there is left alone, unless LLMTUI_BACKEND names a backend.
    Raises `SetupError` and `wheel_cache.BuildError`.
    """
    # Absolute, as the build runs in another folder; not resolved, as the link itself belongs to the environment.
    python, marker = environment.absolute() / "bin" / "python", environment / ".llama-wheel"
    present = installed_version(python)
    if present == VERSION and not marker.exists() and wanted == "auto":
        print(f"{PACKAGE} {VERSION} is already in {environment}; leaving it as it is", flush=True)
        return 0
    user_arguments = os.environ.get("CMAKE_ARGS", "")
    tools = vulkan_tools.VulkanTools(False, "not looked for")
    compiler = find_compiler(may_install=True)
    if wanted != "cpu":
        with wheel_cache.lock("setup"):
            tools = vulkan_tools.provide(compiler, wheel_cache.root() / "vulkan-headers")
    plan = choose(wanted, tools, user_arguments)
    print(plan, flush=True)
    installed = f"{plan.key} {llama_selftest.REVISION}"
    if present == VERSION and marker.exists() and marker.read_text(encoding="utf-8") == installed:
        if not report_file(environment).exists():
            report(environment, plan, user_arguments)
        return 0
    try:
        wheel, built = build(python, plan, compiler)
    except wheel_cache.BuildError as error:
        if plan.backend == "cpu" or wanted == "vulkan" or isinstance(error, UnusableError):
            raise
        print(error, flush=True)
        log = str(wheel_cache.log_file(plan.key))
        reason = vulkan_tools.Reason("its Vulkan build failed; the log is {file}", file=log)
        plan = choose("auto", vulkan_tools.VulkanTools(False, reason), user_arguments)
        print(plan, flush=True)
        wheel, built = build(python, plan, compiler)
    # Until it is seen to load, what is there is ours and not whole: the next run installs it again.
    marker.write_text(UNFINISHED, encoding="utf-8")
    report_file(environment).unlink(missing_ok=True)
    install(python, wheel, plan)
    marker.write_text(installed, encoding="utf-8")
    report(environment, built, user_arguments)
    hint = vulkan_tools.driver_hint() if plan.backend == "vulkan" else None
    print(*([hint] if hint else []), f"Installed {PACKAGE} {VERSION} into {environment}", sep="\n", flush=True)
    return 0


def guarded(work: Callable[[], int]) -> int:
    """Exit code of `work`; what it raises is told on stderr. Ctrl-C, SIGTERM and a lost terminal end it in order, with
    130."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    try:
        return work()
    except (SetupError, wheel_cache.BuildError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):
            print("\nInterrupted; the next make goes on where this one was.", file=sys.stderr)
        return 130


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


def _tell_plan(wanted: str) -> int:
    tools = vulkan_tools.look(find_compiler(may_install=False), wheel_cache.root() / "vulkan-headers")
    plan = choose(wanted, tools, os.environ.get("CMAKE_ARGS", ""))
    print(plan, plan.key, sep="\n")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=f"Install {PACKAGE} {VERSION} with the best backend for this machine.")
    parser.add_argument("environment", type=Path, help="folder of the virtual environment")
    parser.add_argument("--plan", action="store_true", help="only say which backend would be built, and why")
    arguments = parser.parse_args()
    wanted = os.environ.get("LLMTUI_BACKEND", "").lower() or "auto"
    if wanted not in ("auto", "vulkan", "cpu"):
        print(f"LLMTUI_BACKEND is {wanted!r}; it may be auto, vulkan or cpu", file=sys.stderr)
        return 2
    return guarded(lambda: _tell_plan(wanted) if arguments.plan else ensure(arguments.environment, wanted))


if __name__ == "__main__":
    sys.exit(main())
