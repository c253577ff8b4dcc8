"""Figures of the machine and the engine process: from the real kernel, and from small written /proc trees."""

from __future__ import annotations

import mmap
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from tests.machine.one_figure import LOAD
from tui.machine.energy import LEAST_S
from tui.machine.files import OpenFile
from tui.machine.host import HostReader, Portable
from tui.machine.procfs import Linux
from tui.machine.readings import HostSample

MIB = 1 << 20
linux_only = pytest.mark.skipif(not Path("/proc/meminfo").exists(), reason="reads /proc")
SOURCES = [pytest.param(Linux, marks=linux_only), Portable]

Tree = Callable[..., Path]


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files below a root of its own and gives the root; a later call adds to it or overwrites."""

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    write(
        proc__stat="cpu  1000 0 500 8000 500 0 0 0 0 0\ncpu0 1 2 3\nintr 1 2 3\n",
        proc__meminfo="MemTotal: 1000000 kB\nMemAvailable: 600000 kB\nSwapTotal: 2000 kB\nSwapFree: 1500 kB\n",
        proc__pressure__memory="some avg10=1.25 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.00\n",
    )
    return write


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds 64 MiB of its own and computes when told to."""
    program = "import sys; held = bytearray(64 << 20); print(flush=True)\n"
    program += "for line in sys.stdin: sum(range(3_000_000)); print(flush=True)"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def work(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b"\n")
    process.stdin.flush()
    process.stdout.readline()


@pytest.mark.parametrize("source", SOURCES)
def test_the_real_machine_agrees_with_psutil(source: type[Linux | Portable]) -> None:
    sample = HostReader(source=source()).read()

    assert sample.ram_total_bytes is not None and sample.ram_available_bytes is not None
    assert sample.ram_used_bytes == sample.ram_total_bytes - sample.ram_available_bytes
    assert 0 < sample.ram_total_bytes <= psutil.virtual_memory().total
    assert 0 < sample.ram_available_bytes <= sample.ram_total_bytes
    assert sample.swap_total_bytes == psutil.swap_memory().total
    assert (sample.cpu_percent, sample.engine_cpu_percent, sample.swap_delta_bytes) == (None, None, None)


@pytest.mark.parametrize("source", SOURCES)
def test_the_engines_memory_and_cpu_are_its_own(source: type[Linux | Portable], child: subprocess.Popen[bytes]) -> None:
    reader = HostReader(child.pid, source(), proportions=True)
    first = reader.read()
    sample = reader.read()
    while not sample.engine_cpu_percent:
        work(child)
        sample = reader.read()

    assert first.engine_rss_bytes is not None and first.engine_rss_bytes > 64 * MIB
    assert first.engine_private_bytes is not None and 64 * MIB < first.engine_private_bytes < first.engine_rss_bytes
    assert first.engine_uss_bytes is not None and first.engine_pss_bytes is not None
    assert 64 * MIB < first.engine_uss_bytes <= first.engine_pss_bytes <= first.engine_rss_bytes + 16 * MIB
    assert sample.cpu_percent is not None and 0 < sample.engine_cpu_percent <= 100
    assert 0 < sample.cpu_percent <= 100


@linux_only
def test_pages_of_a_mapped_file_count_as_shared(tmp_path: Path) -> None:
    (tmp_path / "model").write_bytes(os.urandom(32 * MIB))
    reader = HostReader(os.getpid())
    before = reader.read().engine_shared_bytes
    with (tmp_path / "model").open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) > 0
        after = reader.read().engine_shared_bytes

    assert before is not None and after is not None
    assert after - before >= 24 * MIB


@pytest.mark.parametrize("source", SOURCES)
def test_a_dead_engine_leaves_none_and_the_machines_figures(
    source: type[Linux | Portable], child: subprocess.Popen[bytes]
) -> None:
    reader = HostReader(child.pid, source())
    reader.read()
    child.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    zombie = reader.read()
    child.wait()
    gone = reader.read()

    for sample in (zombie, gone):
        of_engine = [name for name in HostSample.__struct_fields__ if name.startswith("engine")]
        assert {getattr(sample, name) for name in of_engine} == {None}
        assert not [name for name in sample.figures if name.startswith("engine")]
        assert sample.ram_total_bytes is not None


def test_another_process_with_the_engines_id_is_not_the_engine(tree: Tree) -> None:
    root = tree(proc__7__stat=stat(started=100), proc__7__statm="500 300 100 0 0 0 0\n")
    reader = HostReader(7, Linux(root))
    assert reader.read().engine_rss_bytes == 300 * mmap.PAGESIZE

    tree(proc__7__stat=stat(started=999))
    assert reader.read().engine_rss_bytes is None

    tree(proc__8__stat=stat(started=1000), proc__8__statm="500 200 100 0 0 0 0\n")
    reader.engine_pid = 8
    assert reader.read().engine_rss_bytes == 200 * mmap.PAGESIZE
    reader.engine_pid = None
    assert reader.read().engine_rss_bytes is None


def stat(started: int, user: int = 0, system: int = 0, state: str = "S") -> str:
    return f"7 (llm) tui) {state} 1 7 7 0 -1 4194304 1 0 0 0 {user} {system} 0 0 20 0 1 0 {started} 1 1\n"


def test_percentages_are_those_of_the_time_between_two_reads(tree: Tree) -> None:
    root = tree(proc__7__stat=stat(100, 300, 100), proc__7__statm="500 300 100 0 0 0 0\n")
    reader = HostReader(7, Linux(root))
    first = reader.read()
    tree(
        proc__stat="cpu  1300 0 600 8500 600 0 0 0 0 0\n",
        proc__7__stat=stat(100, 450, 150),
        proc__meminfo="MemTotal: 1000000 kB\nMemAvailable: 1 kB\nSwapTotal: 2000 kB\nSwapFree: 1000 kB\n",
    )
    second = reader.read()
    same_tick = reader.read()

    assert (first.cpu_percent, first.engine_cpu_percent, first.swap_delta_bytes) == (None, None, None)
    assert (second.cpu_percent, second.engine_cpu_percent) == (40.0, 20.0)
    assert (second.swap_used_bytes, second.swap_delta_bytes) == (1000 * 1024, 500 * 1024)
    assert (same_tick.cpu_percent, same_tick.engine_cpu_percent, same_tick.swap_delta_bytes) == (40.0, 20.0, 0)


def test_each_core_has_its_own_percentage_from_the_second_read_on(tree: Tree) -> None:
    lines = "cpu  0 0 0 0\ncpu0 100 0 0 100\ncpu1 0 0 0 200\ncpu3 5 0 0 5\nintr 1 2 3\n"
    root = tree(proc__stat=lines)
    reader = HostReader(source=Linux(root))
    first = reader.read()
    tree(proc__stat="cpu  9 0 0 9\ncpu0 175 0 0 125\ncpu1 0 0 0 300\ncpu3 5 0 0 5\nintr 1 2 3\n")

    assert first.core_percents == ()
    assert reader.read().core_percents == (75.0, 0.0, 0.0)


def test_what_the_engine_reads_from_a_disk_is_told_per_second_of_one_process(tree: Tree) -> None:
    def engine(pid: int, read_bytes: int) -> dict[str, str]:
        return {
            f"proc__{pid}__stat": stat(100),
            f"proc__{pid}__statm": "500 300 100 0 0 0 0\n",
            f"proc__{pid}__io": f"rchar: 9\nread_bytes: {read_bytes}\nwrite_bytes: 7\n",
        }

    reader = HostReader(7, Linux(tree(**engine(7, 1000))))
    first = reader.read()
    tree(**engine(7, 50_000_000))
    second = reader.read()
    tree(**engine(8, 90_000_000))
    reader.engine_pid = 8
    other = reader.read()

    assert "engine_disk_reads" not in {*first.figures, *other.figures}
    assert second.figures["engine_disk_reads"] > 0


def test_a_row_of_the_table_is_read_on_each_reading_of_the_machine(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tree(proc__loadavg="1.50 1.00 0.50 2/300 4711\n")
    monkeypatch.setattr("tui.machine.host.FIGURES", (LOAD,))

    assert HostReader(source=Linux(root)).read().figures == {"load": 1.5}
    assert HostReader(source=Portable()).read().figures == {}


def test_the_power_of_the_cpu_is_what_its_counter_grew_by(tree: Tree) -> None:
    package = "sys__class__powercap__intel-rapl:0__"
    root = tree(**{f"{package}name": "package-0\n", f"{package}energy_uj": "5000000\n"})
    tree(**{f"{package}max_energy_range_uj": "65000000000\n"})
    reader = HostReader(source=Linux(root), sysfs=root / "sys")
    first = reader.read().cpu_power_w
    until_later()
    tree(**{f"{package}energy_uj": "9000000\n"})
    power = reader.read().cpu_power_w

    assert first is None and power is not None and power > 0


def until_later() -> None:
    """So much time passes that a counter of energy tells."""
    start = time.monotonic()
    while time.monotonic() - start <= LEAST_S:
        pass


def test_pressure_and_temperature_are_read_where_there_are_any(tree: Tree) -> None:
    root = tree(
        sys__class__hwmon__hwmon0__name="nvme\n",
        sys__class__hwmon__hwmon0__temp1_input="30000\n",
        sys__class__hwmon__hwmon1__name="k10temp\n",
        sys__class__hwmon__hwmon1__temp1_input="71500\n",
    )

    sample = HostReader(source=Linux(root)).read()

    assert (sample.memory_pressure_percent, sample.cpu_temperature_c) == (1.25, 71.5)


@pytest.mark.parametrize(
    ("zones", "wanted"),
    [
        (["npu-thermal", "littlecore-thermal", "bigcore0-thermal", "soc-thermal"], "soc-thermal"),  # RK3588 of Rockchip
        (["package-thermal", "bigcore0-thermal", "gpu-thermal"], "package-thermal"),  # the same of a newer Linux
        (["aoss0-thermal", "cpu0-thermal", "cpu1-thermal"], "cpu0-thermal"),  # Snapdragon 8cx
        (["GPU-therm", "CPU-therm"], "CPU-therm"),  # Jetson
        (["acpitz", "x86_pkg_temp"], "x86_pkg_temp"),
        (["battery"], None),
    ],
)
def test_the_thermal_zone_that_tells_most_of_the_cpu_is_read(tree: Tree, zones: list[str], wanted: str | None) -> None:
    files: dict[str, str] = {}
    for i, zone in enumerate(zones):
        files |= {f"sys__class__thermal__thermal_zone{i}__type": f"{zone}\n"}
        files |= {f"sys__class__thermal__thermal_zone{i}__temp": f"{50 + i}000\n"}
    sample = HostReader(source=Linux(tree(**files))).read()
    assert sample.cpu_temperature_c == (None if wanted is None else 50 + zones.index(wanted))


def test_a_kernel_that_tells_nothing_gives_none_everywhere(tmp_path: Path) -> None:
    sample = HostReader(7, Linux(tmp_path)).read()

    assert sample == HostSample(time=sample.time)
    assert sample.ram_used_bytes is None


V2 = {
    "proc__self__cgroup": "0::/user.slice/box\n",
    "sys__fs__cgroup__user.slice__box__memory.max": "max\n",
    "sys__fs__cgroup__user.slice__memory.max": f"{500 * MIB}\n",
    "sys__fs__cgroup__user.slice__memory.current": f"{400 * MIB}\n",
    "sys__fs__cgroup__user.slice__memory.stat": f"anon 1\nactive_file {20 * MIB}\ninactive_file {80 * MIB}\n",
}
HYBRID = {
    "proc__self__cgroup": "5:memory:/docker/abc/box\n1:name=systemd:/docker/abc\n0::/docker/abc\n",
    "proc__self__mountinfo": (
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
        "35 31 0:32 /docker/abc /sys/fs/cgroup/m\\040em ro,nosuid shared:7 - cgroup cgroup rw,memory\n"
        "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n"
    ),
    "sys__fs__cgroup__m em__box__memory.limit_in_bytes": f"{500 * MIB}\n",
    "sys__fs__cgroup__m em__box__memory.usage_in_bytes": f"{400 * MIB}\n",
    "sys__fs__cgroup__m em__box__memory.stat": f"total_active_file {20 * MIB}\ntotal_inactive_file {80 * MIB}\n",
}
V1 = {
    "proc__self__cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
    "sys__fs__cgroup__memory__memory.limit_in_bytes": f"{500 * MIB}\n",
    "sys__fs__cgroup__memory__memory.usage_in_bytes": f"{400 * MIB}\n",
    "sys__fs__cgroup__memory__memory.stat": f"total_active_file {20 * MIB}\ntotal_inactive_file {80 * MIB}\n",
}


@pytest.mark.parametrize(
    "files",
    [V2, V1, HYBRID],
    ids=["v2, limited above", "v1, the container's own at the base", "both, mounted where mountinfo says"],
)
def test_the_limit_of_a_control_group_counts_as_the_machines_memory(tree: Tree, files: dict[str, str]) -> None:
    sample = HostReader(source=Linux(tree(**files))).read()

    assert (sample.ram_total_bytes, sample.ram_available_bytes) == (500 * MIB, 200 * MIB)


def test_pressure_in_the_control_group_counts_where_it_is_more_than_the_machines(tree: Tree) -> None:
    tree(**V2, **{"sys__fs__cgroup__user.slice__memory.pressure": "some avg10=35.50 avg60=0.00\n"})
    in_group = HostReader(source=Linux(tree())).read()
    tree(proc__pressure__memory="some avg10=40.00 avg60=0.00\n")
    on_machine = HostReader(source=Linux(tree())).read()

    assert (in_group.memory_pressure_percent, on_machine.memory_pressure_percent) == (35.5, 40.0)


def test_pressure_that_is_no_number_is_none(tree: Tree) -> None:
    sample = HostReader(source=Linux(tree(proc__pressure__memory="some avg10=much\n"))).read()

    assert sample.memory_pressure_percent is None


def test_swap_in_use_can_be_asked_for_between_two_readings(tree: Tree) -> None:
    reader = HostReader(source=Linux(tree()))
    reader.read()
    tree(proc__meminfo="SwapTotal: 2000 kB\nSwapFree: 1000 kB\n")

    assert reader.swap_used_bytes() == 1000 * 1024
    assert reader.read().swap_delta_bytes == 500 * 1024


def test_a_limit_above_the_machines_memory_changes_nothing(tree: Tree) -> None:
    files = V1 | {"sys__fs__cgroup__memory__memory.limit_in_bytes": "9223372036854771712\n"}

    sample = HostReader(source=Linux(tree(**files))).read()

    assert (sample.ram_total_bytes, sample.ram_available_bytes) == (1_000_000 * 1024, 600_000 * 1024)


def test_proportional_memory_is_read_when_asked_for_and_then_only_now_and_then(child: subprocess.Popen[bytes]) -> None:
    class Counting(Portable):
        n_calls = 0

        def proportions(self, pid: int):  # type: ignore[no-untyped-def]
            self.n_calls += 1
            return super().proportions(pid)

    unasked, source = Counting(), Counting()
    assert HostReader(child.pid, unasked).read().engine_pss_bytes is None
    reader = HostReader(child.pid, source, proportions=True)
    samples = [reader.read() for _ in range(5)]

    assert (unasked.n_calls, source.n_calls) == (0, 1)
    assert len({sample.engine_pss_bytes for sample in samples}) == 1
    assert msgspec.structs.asdict(samples[-1])["engine_pss_bytes"] is not None


def test_a_file_that_is_read_again_and_again_tells_what_is_in_it_now(tmp_path: Path) -> None:
    path = tmp_path / "file"
    file = OpenFile(str(path))
    assert file.read() is None
    path.write_text("one")
    assert file.read() == "one"
    path.write_text("2")
    assert file.read() == "2"
    file.close()
    path.unlink()
    assert file.read() is None


@linux_only
def test_an_open_file_of_a_process_that_is_gone_tells_nothing(child: subprocess.Popen[bytes]) -> None:
    file = OpenFile(f"/proc/{child.pid}/stat")
    assert (file.read() or "").startswith(f"{child.pid} ")
    child.kill()
    child.wait()
    assert file.read() is None
