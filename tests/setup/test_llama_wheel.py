"""How llama.cpp gets built and cached: what a build leaves behind when it fails, is interrupted or meets another. The
builds here are real `pip wheel` runs of a tiny package."""

from __future__ import annotations

import io
import os
import re
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
from tests.setup.test_llama_plan import NO_TOOLS

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
        if os.environ.get("APART"):
            wheel.writestr("llama_cpp/llama_cpp.py", APART)
        elif os.environ.get("NEEDS"):
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

APART = """
import os, sys
if sys.argv[-1] == "computes":
    os._exit(0)
os.abort()
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


def test_a_first_build_says_what_comes_and_is_kept_and_used_again(workshop: Workshop) -> None:
    workshop.go.touch()
    first = workshop.build()
    told = workshop.finish(first)
    assert first.returncode == 0
    assert "llama.cpp is compiled for this machine now, once" in told
    assert "a small one (98 MB); llmtui starts after that" in told
    assert "the next make goes on where it was" in told
    assert "[1/3]" not in told, "the compiler's own lines belong into the log"
    workshop.started.unlink()
    told = workshop.finish(workshop.build())
    assert "Using the wheel in" in told
    assert not workshop.started.exists(), "built again"
    assert workshop.left() == ["wheel"]
    assert "[1/3] compiling" in workshop.log()


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
def test_a_log_that_cannot_be_written_holds_up_no_build(workshop: Workshop) -> None:
    workshop.go.touch()
    workshop.finish(workshop.build(FAIL="1"))
    (log,) = workshop.wheels.glob("*.log")
    log.unlink()
    log.symlink_to("/dev/full")
    for failing in ("1", ""):
        process = workshop.build(FAIL=failing, LINES="4000")
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
    if how in (signal.SIGTERM, signal.SIGHUP):  # which leave what SIGINT leaves
        return
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


def test_a_build_that_computes_right_and_does_not_load_is_not_built_in_other_ways_but_by_another_compiler(
    workshop: Workshop,
) -> None:
    workshop.go.touch()
    process = workshop.build(APART="1")
    told = workshop.finish(process)
    assert process.returncode == 1
    assert "This llama.cpp does not work: SIGABRT with loading it" in told and "CXX=/usr/bin/g++ make run" in told
    assert "Taking one without" not in told and workshop.left() == []
    assert workshop.build().wait(PATIENCE_S) == 0, "as by another compiler"


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
