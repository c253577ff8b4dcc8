"""The wheel, built from this checkout and installed into a new environment elsewhere: what a user gets who types
`pip install .`. The dependencies come from the environment that runs the tests, so that nothing is downloaded."""

from __future__ import annotations

import email
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.places import CHECKOUT

TOKEN_LOOP = "tui/engine/libtokenloop.so"
HAS_COMPILER = shutil.which(os.environ.get("CC", "cc").split()[0]) is not None


def run(*command: str | Path, cwd: Path, **more: str) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | more
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout.strip()


def build(checkout: Path, folder: Path, **environment: str) -> str:
    """Build the wheel of a checkout as any installer builds it; what was said meanwhile."""
    return run(
        *(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, checkout),
        cwd=checkout.parent,
        **environment,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build(CHECKOUT, folder)
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


def test_what_draws_pictures_comes_with_every_install(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert "matplotlib>=3.8" in metadata.get_all("Requires-Dist", [])
    assert metadata.get_all("Provides-Extra") == ["documents"]


def test_the_wheel_has_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    tracked = run("git", "ls-files", "--cached", "--others", "--exclude-standard", "tui", cwd=CHECKOUT).splitlines()
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name and "/_data/" not in name}
    assert names == {*tracked, "tui/words/zh_CN.mo"} | ({TOKEN_LOOP} if HAS_COMPILER else set())


@pytest.mark.skipif(not HAS_COMPILER, reason="the token loop needs a C compiler: build-essential")
def test_the_wheel_with_compiled_code_is_for_this_kind_of_machine(wheel: Path, environment: Path) -> None:
    assert wheel.name.endswith(f"-py3-none-linux_{platform.machine()}.whl")
    loaded = ask(environment, "from tui.engine.tokenloop import _library; print(_library())")
    assert f"{environment}/" in loaded and TOKEN_LOOP in loaded


def copy_of_checkout(folder: Path) -> Path:
    """What a build needs of it, without what was built."""
    for name in ("tui", "themes", "scripts"):
        built = shutil.ignore_patterns("__pycache__", "*.so", "*.mo", "*.partial")
        shutil.copytree(CHECKOUT / name, folder / name, ignore=built)
    for name in ("pyproject.toml", "README.md", "LICENSE", "settings.toml"):
        shutil.copy(CHECKOUT / name, folder)
    return folder


def test_without_a_compiler_the_wheel_is_for_any_machine(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    said = build(checkout, tmp_path / "dist", CC="no-such-compiler")
    assert "no-such-compiler" in said and "build-essential" in said
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "tui/engine/tokenloop.py" in archive.namelist()
        assert TOKEN_LOOP not in archive.namelist()


@pytest.mark.skipif(not HAS_COMPILER, reason="the token loop needs a C compiler: build-essential")
def test_only_an_editable_install_compiles_into_the_checkout(tmp_path: Path) -> None:
    checkout = copy_of_checkout(tmp_path / "checkout")
    build(checkout, tmp_path / "dist")
    assert not list(checkout.rglob("*.so")) + list(checkout.rglob("*.mo"))
    # The hook alone: a whole editable wheel needs one more package, which nothing else does.
    code = (
        "from build_hook import LlmtuiBuildHook\n"
        f"hook = LlmtuiBuildHook({str(checkout)!r}, {{}}, None, None, {str(tmp_path)!r}, 'wheel')\n"
        "data = {'force_include': {}}\n"
        "hook.initialize('editable', data)\n"
        "hook.finalize('editable', data, '')\n"
        "print(data)"
    )
    assert run(sys.executable, "-c", code, cwd=checkout / "scripts") == "{'force_include': {}, 'pure_python': False}"
    assert [path.name for path in checkout.rglob("*.so")] == [Path(TOKEN_LOOP).name]
    assert [path.name for path in checkout.rglob("*.mo")] == ["zh_CN.mo"]


def test_the_installed_package_speaks_chinese(environment: Path) -> None:
    assert ask(environment, "from tui.words import use; print(use('zh'))") == "True"


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
        "from tui.engines.local import LocalEngine\n"
        "async def main():\n"
        "    async with LocalEngine() as engine:\n"
        "        print(engine.hello.devices[0].kind)\n"
        "asyncio.run(main())"
    )
    assert ask(environment, code).splitlines()[-1] == "cpu"
