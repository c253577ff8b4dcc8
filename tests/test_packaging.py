"""The wheel, built from this checkout and installed into a new environment elsewhere: what a user gets who types
`pip install .`. The dependencies come from the environment that runs the tests, so that nothing is downloaded."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        command, cwd=cwd, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout as any installer builds it."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT, cwd=folder)
    (built,) = folder.glob("llmtui-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment outside the checkout that has the wheel, and finds what it needs where this one does."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin" / "python")
    run(*pip, "install", "--no-deps", "--no-index", "--disable-pip-version-check", wheel, cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # Paths in a .pth file are searched after the environment's own, and .pth files in them are not read, so that the
    # editable install of the checkout stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    return folder


def ask(environment: Path, code: str) -> str:
    return run(environment / "bin" / "python", "-c", code, cwd=environment)


def test_the_wheel_has_the_same_themes_and_settings_as_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = {
            name.removeprefix("tui/_data/"): archive.read(name)
            for name in archive.namelist()
            if name.startswith("tui/_data/") and name.endswith(".toml")
        }
    sources = [CHECKOUT / "settings.toml", *sorted((CHECKOUT / "themes").glob("*.toml"))]
    assert shipped == {str(source.relative_to(CHECKOUT)): source.read_bytes() for source in sources}


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "tui", cwd=CHECKOUT).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and "/_data/" not in name}
    assert names == set(tracked)


def test_the_installed_package_finds_its_files_outside_the_checkout(environment: Path) -> None:
    root = Path(ask(environment, "from tui.config import paths; print(paths.data_root())"))
    assert root.is_relative_to(environment)
    assert (root / "settings.toml").is_file()
    assert any((root / "themes").glob("*.toml"))


def test_the_installed_command_tells_the_version_of_the_wheel(environment: Path, wheel: Path) -> None:
    told = run(environment / "bin" / "llmtui", "--version", cwd=environment)
    assert wheel.name.split("-")[1] in told


def test_the_engine_process_starts_from_the_installed_package(environment: Path) -> None:
    code = (
        "import asyncio\n"
        "from tui.engine.client import Engine\n"
        "async def main():\n"
        "    async with Engine() as engine:\n"
        "        print((await engine.devices())[0].kind)\n"
        "asyncio.run(main())"
    )
    assert ask(environment, code).splitlines()[-1] == "cpu"
