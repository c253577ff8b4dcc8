"""How llama.cpp gets built and cached: the choice of the backend, what a wheel is kept under, and what a build leaves
behind when it fails, is interrupted or meets another. The builds here are real `pip wheel` runs of a tiny package."""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import tomllib
import venv
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pip
import pytest

from tests.patience import PATIENCE_S
from tests.places import CHECKOUT
from tui.config import paths
from tui.machine.missing_gpu import Build, read_build

SCRIPTS = CHECKOUT / "scripts"
sys.path.insert(0, str(SCRIPTS))

import llama_plan  # noqa: E402
import llama_wheel  # noqa: E402
import vulkan_tools  # noqa: E402
import wheel_cache  # noqa: E402

BACKEND = '''
import os, time, zipfile
from pathlib import Path

def build_wheel(folder, config_settings=None, metadata_directory=None):
    objects = Path(config_settings["build-dir"])
    objects.mkdir(parents=True, exist_ok=True)
    kept = objects / "first.o"
    print("first.o is already here" if kept.exists() else "[1/3] compiling", flush=True)
    if os.environ.get("FAIL_RESUMED") and kept.exists():
        raise SystemExit(1)
    kept.touch()
    (objects / ".ninja_log").write_text("# ninja log v5\\n1\\t2\\t3\\tfirst.o\\t4\\n")
    Path(os.environ["STARTED"]).write_text(str(os.getpid()))
    while not Path(os.environ["GO"]).exists():
        time.sleep(0.02)
    print("a line of the compiler\\n" * int(os.environ.get("LINES", "0")), flush=True)
    if os.environ.get("FAIL"):
        print("[2/3] compiling\\nggml-vulkan.cpp:7: error: LayerSettingEXT is not a member of vk", flush=True)
        raise SystemExit(1)
    name = "tiny_engine-1.0-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        wheel.writestr("tiny_engine.py", "")
        if os.environ.get("NEEDS"):
            wheel.writestr("llama_cpp/llama_cpp.py", LIBRARY.format(os.environ["CMAKE_ARGS"], os.environ["NEEDS"]))
        info = "tiny_engine-1.0.dist-info/"
        wheel.writestr(info + "METADATA", METADATA)
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "")
    return name

LIBRARY = """
import os, signal
if {1!r} not in {0!r}:
    os.kill(os.getpid(), signal.SIGILL)
raise ImportError("there is no library here")
"""

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = Path(folder, "tiny_engine-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    return info.name

METADATA = "Metadata-Version: 2.1\\nName: tiny-engine\\nVersion: 1.0\\n"
'''

DRIVER = """
import sys
from pathlib import Path
sys.path.insert(0, {scripts!r})
import llama_plan, llama_wheel
llama_plan.PACKAGE, llama_plan.VERSION = "tiny-engine", "1.0"
def work():
    plan = llama_plan.Plan("cpu", "a test", tuple(sys.argv[1:]))
    print(llama_wheel.build(Path(sys.executable), plan, "true")[0])
    return 0
sys.exit(llama_wheel.guarded(work))
"""


class Workshop:
    """A cache folder of its own, a package to build in it, and processes that build it until told to go on."""

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.wheels = self.cache / "llmtui" / "wheels"
        self.started, self.go = folder / "started", folder / "go"
        self.index = folder / "index"
        self.index.mkdir()
        files = {
            "backend.py": BACKEND,
            "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "PKG-INFO": "Metadata-Version: 2.1\nName: tiny-engine\nVersion: 1.0\n",
        }
        with tarfile.open(self.index / "tiny_engine-1.0.tar.gz", "w:gz") as archive:
            for name, text in files.items():
                member = tarfile.TarInfo(f"tiny_engine-1.0/{name}")
                member.size = len(text.encode())
                archive.addfile(member, io.BytesIO(text.encode()))
        self.processes: list[subprocess.Popen[str]] = []

    def build(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", DRIVER.format(scripts=str(SCRIPTS)), *arguments],
            env={
                **os.environ,
                **environment,
                "XDG_CACHE_HOME": str(self.cache),
                "PIP_NO_INDEX": "1",
                "PIP_FIND_LINKS": str(self.index),
                "STARTED": str(self.started),
                "GO": str(self.go),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process

    def compiling(self) -> int:
        """The process that compiles, once it has begun."""
        wait_for(lambda: self.started.exists() and self.started.read_text(encoding="utf-8"))
        return int(self.started.read_text(encoding="utf-8"))

    def finish(self, process: subprocess.Popen[str]) -> str:
        return process.communicate(timeout=PATIENCE_S)[0]

    def left(self) -> list[str]:
        """What lies in the folder of wheels, locks and logs apart: finished ones and unfinished ones."""
        folders = [entry for entry in self.wheels.iterdir() if entry.is_dir()]
        return sorted("unfinished" if entry.suffix == ".unfinished" else "wheel" for entry in folders)

    def log(self) -> str:
        (log,) = self.wheels.glob("*.log")
        return log.read_text(encoding="utf-8")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    shop = Workshop(tmp_path)
    yield shop
    shop.go.touch()
    for process in shop.processes:
        process.kill()
        process.communicate()


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)


def says(process: subprocess.Popen[str], words: str) -> None:
    assert process.stdout is not None
    assert any(words in line for line in process.stdout), f"never said {words!r}"


def running(pid: int) -> bool:
    """Whether the process lives; one that only waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_version_is_the_one_that_pyproject_asks_for() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (asked,) = (name for name in project["dependencies"] if name.startswith("llama-cpp-python"))
    assert asked.split(",")[0] == f"llama-cpp-python>={llama_plan.VERSION}"


def test_a_build_is_kept_and_used_again(workshop: Workshop) -> None:
    workshop.go.touch()
    first = workshop.build()
    assert "[1/3]" not in workshop.finish(first), "the compiler's own lines belong into the log"
    assert first.returncode == 0
    workshop.started.unlink()
    told = workshop.finish(workshop.build())
    assert "Using the wheel in" in told
    assert not workshop.started.exists(), "built again"
    assert workshop.left() == ["wheel"]
    assert "[1/3] compiling" in workshop.log()


def test_a_first_build_says_what_comes_and_that_it_can_be_interrupted(workshop: Workshop) -> None:
    workshop.go.touch()
    told = workshop.finish(workshop.build())
    assert "llama.cpp is compiled for this machine now, once" in told
    assert "a small one (98 MB); llmtui starts after that" in told
    assert "the next make goes on where it was" in told


def test_two_builds_at_a_time_build_once(workshop: Workshop) -> None:
    first = workshop.build()
    workshop.compiling()
    second = workshop.build()
    says(second, "Waiting for another make")
    workshop.go.touch()
    wheel = workshop.finish(first).splitlines()[-1]
    assert workshop.finish(second).splitlines()[-1] == wheel
    assert Path(wheel).is_file()


def test_a_failed_build_tells_the_error_and_the_log_and_leaves_no_wheel(workshop: Workshop) -> None:
    workshop.go.touch()
    process = workshop.build(FAIL="1")
    told = workshop.finish(process)
    assert process.returncode == 1
    assert "error: LayerSettingEXT is not a member of vk" in told
    told_log = re.search(r"The build failed; the log is (\S+)\. ", told)
    assert told_log is not None
    assert "LayerSettingEXT" in Path(told_log.group(1)).read_text(encoding="utf-8")
    assert "wheel" not in workshop.left()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device here")
@pytest.mark.parametrize("failing", ["", "1"], ids=["built", "failed"])
def test_a_log_that_cannot_be_written_holds_up_no_build(workshop: Workshop, failing: str) -> None:
    workshop.go.touch()
    workshop.finish(workshop.build(FAIL="1"))
    (log,) = workshop.wheels.glob("*.log")
    log.unlink()
    log.symlink_to("/dev/full")
    process = workshop.build(FAIL=failing, LINES="20000")
    told = workshop.finish(process)
    assert process.returncode == int(bool(failing)) and ("wheel" in workshop.left()) != bool(failing)
    assert ("could not be written: No space left on device" in told) == bool(failing)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_an_interrupted_build_stops_its_compilers_and_is_gone_on_with(workshop: Workshop, how: signal.Signals) -> None:
    process = workshop.build()
    compiler = workshop.compiling()
    process.send_signal(how)
    told = workshop.finish(process)
    assert process.returncode == (-how if how == signal.SIGKILL else 130), told
    wait_for(lambda: not running(compiler))
    assert workshop.left() == ["unfinished"]
    workshop.go.touch()
    told = workshop.finish(workshop.build())
    assert "Going on with the build that was interrupted" in told
    assert "first.o is already here" in workshop.log(), "compiled again"
    assert workshop.left() == ["wheel"], "what is built needs no folder any more"


def test_when_what_was_left_is_of_no_use_the_build_begins_anew(workshop: Workshop) -> None:
    process = workshop.build()
    workshop.compiling()
    process.kill()
    process.wait()
    workshop.go.touch()
    process = workshop.build(FAIL_RESUMED="1")
    told = workshop.finish(process)
    assert process.returncode == 0, told
    assert "building anew" in told
    assert workshop.left() == ["wheel"]


def test_what_other_options_left_unfinished_goes_and_is_not_used(workshop: Workshop) -> None:
    process = workshop.build("-DGGML_LTO=on")
    workshop.compiling()
    process.kill()
    process.wait()
    workshop.go.touch()
    told = workshop.finish(workshop.build())
    assert "Going on" not in told
    assert workshop.left() == ["wheel"]


def test_a_build_that_crashes_here_gives_way_to_the_next_safer_one_and_is_remembered(workshop: Workshop) -> None:
    workshop.go.touch()
    process = workshop.build(NEEDS="GGML_NATIVE=off")
    told = workshop.finish(process)
    assert process.returncode == 0, told
    assert "That llama.cpp computes wrong on this CPU: SIGILL with loading it. Taking one without" in told
    built = len(list(workshop.wheels.glob("*/*.whl"))) + len(list(workshop.wheels.glob("*/verdict.json")))
    workshop.started.unlink()
    told = workshop.finish(workshop.build(NEEDS="GGML_NATIVE=off"))
    assert "Taking one without" in told and "Using the wheel in" in told
    assert not workshop.started.exists(), "built again, though the verdict was known"
    assert built == len(list(workshop.wheels.glob("*/*.whl"))) + len(list(workshop.wheels.glob("*/verdict.json")))


def test_when_no_build_computes_right_none_is_taken(workshop: Workshop) -> None:
    workshop.go.touch()
    process = workshop.build(NEEDS="what no build has")
    told = workshop.finish(process)
    assert process.returncode == 1
    assert "No llama.cpp computes right on this CPU: SIGILL with loading it. Please report it" in told
    assert not list(workshop.wheels.glob("*/*.whl"))


def test_a_wheel_that_was_kept_before_there_was_a_test_is_tested(workshop: Workshop) -> None:
    workshop.go.touch()
    workshop.finish(workshop.build())
    (wheel,) = workshop.wheels.glob("*/*.whl")
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("llama_cpp/llama_cpp.py", "import os; os.abort()")
    told = workshop.finish(workshop.build())
    assert "That llama.cpp computes wrong on this CPU: SIGABRT with loading it" in told


AMX = ("amx_int8", "amx_tile", "avx", "avx2", "bmi2", "f16c", "fma", "sse4_2")


@pytest.mark.parametrize(
    ("machine", "instructions", "steps"),
    [
        (
            "x86_64",
            AMX,
            ["without AMX", "without repacking, and with no instructions newer than AVX2", "for any x86-64 CPU"],
        ),
        ("x86_64", ("sse4_2",), ["for any x86-64 CPU"]),
        ("aarch64", ("asimd", "asimddp", "i8mm", "sve"), ["without SVE, SME and I8MM", "for any 64-bit Arm CPU"]),
        ("aarch64", ("asimd",), ["for any 64-bit Arm CPU"]),
        ("riscv64", ("rv64imafdcv",), ["without what only this CPU has"]),
    ],
)
def test_each_safer_build_leaves_out_more(machine: str, instructions: tuple[str, ...], steps: list[str]) -> None:
    plan = llama_plan.choose("auto", NO_TOOLS, "-DGGML_LTO=on")
    safer = list(llama_plan.safer(plan, machine, instructions))
    assert len(safer) == len(steps)
    assert all(step in attempt.safer for step, attempt in zip(steps, safer, strict=True))
    assert all(attempt.arguments[-1] == "-DGGML_LTO=on" for attempt in safer), "the user's own come last"
    assert len({attempt.key for attempt in (plan, *safer)}) == len(safer) + 1


CPU_INFO = "processor\t: 0\nflags\t\t: fpu sse2 avx2 fma f16c {}\nprocessor\t: 1\n"


def test_a_wheel_is_kept_by_version_backend_arguments_and_instructions() -> None:
    def key(version: str = "1.0", backend: str = "cpu", arguments: tuple[str, ...] = (), flags: str = "") -> str:
        return wheel_cache.key(version, backend, arguments, CPU_INFO.format(flags))

    different = [
        key(),
        key(version="1.1"),
        key(backend="vulkan"),
        key(arguments=("-DGGML_LTO=on",)),
        key(flags="avx512f"),
    ]
    assert len(set(different)) == len(different)
    assert key() == key(flags="hypervisor ibpb"), "a flag that no compiler heeds must not build all anew"
    assert key().startswith("1.0-cpu-")


def test_arm_features_are_instructions_too() -> None:
    info = "processor\t: 0\nFeatures\t: fp asimd sve i8mm bf16 cpuid\n"
    assert wheel_cache.instructions(info) == ["asimd", "bf16", "i8mm", "sve"]


def keep_wheel(code: str, folder: Path) -> None:
    """A wheel that pip takes for llama-cpp-python, whose module is this code."""
    version = llama_plan.VERSION
    name, info = f"llama_cpp_python-{version}", f"llama_cpp_python-{version}.dist-info/"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(folder / f"{name}-py3-none-any.whl", "w") as wheel:
        wheel.writestr("llama_cpp.py", code)
        wheel.writestr(info + "METADATA", f"Metadata-Version: 2.1\nName: llama-cpp-python\nVersion: {version}\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(info + "RECORD", "")


def test_a_build_that_does_not_load_is_installed_again_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = tmp_path / ".venv"
    venv.create(environment, symlinks=True)
    (packages,) = environment.glob("lib/python*/site-packages")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "pip").symlink_to(Path(pip.__file__).parent)  # to install pip would take seconds
    (packages / "tools.pth").write_text(str(tools))
    monkeypatch.setattr(vulkan_tools, "provide", lambda *_: NO_TOOLS)
    monkeypatch.setenv("CXX", "true")
    kept = wheel_cache.root() / "wheels" / llama_plan.choose("auto", NO_TOOLS).key
    keep_wheel("raise OSError('libgomp.so.1: cannot open shared object file')", kept)
    with pytest.raises(llama_wheel.SetupError, match="does not load here: OSError: libgomp"):
        llama_wheel.ensure(environment, "auto")
    keep_wheel("", kept)
    assert llama_wheel.ensure(environment, "auto") == 0
    assert "Installed llama-cpp-python" in capsys.readouterr().out
    assert llama_wheel.ensure(environment, "auto") == 0
    assert "Using the wheel" not in capsys.readouterr().out, "what is whole is left as it is"


TOOLS = vulkan_tools.VulkanTools(True, "glslc is here", Path("/headers"))
NO_TOOLS = vulkan_tools.VulkanTools(False, "glslc not installed", remedy=("glslc",))


def test_vulkan_is_chosen_when_it_can_be_built() -> None:
    plan = llama_plan.choose("auto", TOOLS)
    assert plan.backend == "vulkan"
    assert "-DGGML_VULKAN=on" in plan.arguments
    assert plan.paths == ("-DVulkan_INCLUDE_DIR=/headers",)
    assert str(plan) == "llama.cpp backend: Vulkan and CPU (glslc is here)"


def test_where_the_headers_lie_does_not_change_what_a_wheel_is_kept_under() -> None:
    elsewhere = vulkan_tools.VulkanTools(True, "glslc is here", Path("/other"))
    assert llama_plan.choose("auto", TOOLS).key == llama_plan.choose("auto", elsewhere).key


def test_without_the_tools_the_cpu_is_chosen_and_the_remedy_told() -> None:
    plan = llama_plan.choose("auto", NO_TOOLS)
    assert plan.backend == "cpu"
    assert "-DGGML_VULKAN=on" not in plan.arguments
    assert "glslc not installed" in str(plan)
    assert "apt-get install glslc" in str(plan)


def test_a_backend_asked_for_by_name_wins() -> None:
    assert llama_plan.choose("cpu", TOOLS).backend == "cpu"
    assert llama_plan.choose("vulkan", NO_TOOLS).backend == "vulkan"


def test_the_users_cmake_arguments_come_last_and_count_for_the_key() -> None:
    plan = llama_plan.choose("auto", TOOLS, "-DGGML_VULKAN=off -DCMAKE_C_FLAGS='-O2 -g'")
    assert plan.arguments[-2:] == ("-DGGML_VULKAN=off", "-DCMAKE_C_FLAGS=-O2 -g")
    assert plan.key != llama_plan.choose("auto", TOOLS).key


def test_what_was_built_and_why_is_noted_where_llmtui_looks_for_it(tmp_path: Path) -> None:
    assert llama_wheel.report_file(Path(sys.prefix)) == paths.llama_build_file()
    llama_wheel.report(tmp_path, llama_plan.choose("auto", NO_TOOLS, "-DGGML_LTO=on"), "-DGGML_LTO=on")
    build = read_build(llama_wheel.report_file(tmp_path))
    assert build == Build(
        version=llama_plan.VERSION,
        backend="cpu",
        reason="glslc not installed",
        packages=("glslc",),
        cmake_args="-DGGML_LTO=on",
    )


@pytest.mark.parametrize(
    ("complete", "patch", "version"),
    [
        ("VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)", 239, (1, 3, 239)),
        ("VK_MAKE_API_VERSION(0, 1, 4, VK_HEADER_VERSION)", 309, (1, 4, 309)),
        ("VK_MAKE_VERSION(1, 2, VK_HEADER_VERSION)", 131, (1, 2, 131)),
    ],
)
def test_the_version_of_the_vulkan_headers_is_read(complete: str, patch: int, version: tuple[int, int, int]) -> None:
    macros = f"#define VK_HEADER_VERSION {patch}\n#define OTHER 1\n#define VK_HEADER_VERSION_COMPLETE {complete}\n"
    assert vulkan_tools.parse_header_version(macros) == version


@pytest.mark.parametrize(("patch", "usable"), [(239, False), (271, False), (272, True), (309, True)])
def test_headers_are_usable_from_the_version_on_that_llama_cpp_needs(patch: int, usable: bool, tmp_path: Path) -> None:
    include = tmp_path / "vulkan"
    include.mkdir()
    (include / "vulkan.hpp").touch()
    (include / "vulkan_core.h").write_text(
        "#define VK_MAKE_API_VERSION(variant, major, minor, patch) 0\n"
        f"#define VK_HEADER_VERSION {patch}\n"
        "#define VK_HEADER_VERSION_COMPLETE VK_MAKE_API_VERSION(0, 1, 3, VK_HEADER_VERSION)\n",
        encoding="utf-8",
    )
    found = vulkan_tools.header_version("c++", tmp_path)
    assert found == (1, 3, patch)
    assert (found >= vulkan_tools.MINIMUM) is usable


def plan_with(path: str, tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What `llama_wheel.py --plan` says on a machine with these programs; it changes nothing."""
    return subprocess.run(
        [sys.executable, SCRIPTS / "llama_wheel.py", "--plan", tmp_path],
        env={"PATH": path, "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_glslc_is_told_what_to_install(tmp_path: Path) -> None:
    for program in ("c++", "as", "ld"):
        (tmp_path / program).symlink_to(shutil.which(program) or program)
    told = plan_with(str(tmp_path), tmp_path).stdout
    assert told.startswith("llama.cpp backend: CPU (")
    assert re.search(r"apt-get install .*glslc", told)


def test_a_machine_without_a_compiler_is_told_so(tmp_path: Path) -> None:
    done = plan_with(str(tmp_path), tmp_path)
    assert done.returncode == 1
    assert "There is no C++ compiler" in done.stderr
    assert "apt-get install build-essential" in done.stderr


def test_a_misspelt_backend_is_refused(tmp_path: Path) -> None:
    done = plan_with(os.environ["PATH"], tmp_path, LLMTUI_BACKEND="vulcan")
    assert done.returncode == 2
    assert "may be auto, vulkan or cpu" in done.stderr


def test_make_without_a_target_explains_itself() -> None:
    told = subprocess.run(["make", "-C", CHECKOUT, "-s"], capture_output=True, text=True, check=True).stdout
    assert told.startswith("make run")
