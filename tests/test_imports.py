"""What each part of llmtui loads when it really runs, seen in `sys.modules`. The contracts in pyproject.toml judge
import statements; these tests catch what only shows at run time, such as an import at the wrong moment."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.places import CHECKOUT

PACKAGE = CHECKOUT / "tui"
IN_THE_CHILD = {
    f"tui.engine.{name}"
    for name in (
        *("llama", "devices", "generate", "worker", "keepcontext", "params", "sampler", "tokenloop"),
        *("dryrun", "anatomy", "footprint", "bandwidth", "batch", "benchmark", "abort", "answer", "prompt"),
        *("vocabulary", "builtin_template"),
    )
}
"""Modules that only the engine's own process imports."""


def modules_of(part: str) -> list[str]:
    """Names of the modules in `tui.<part>`, found on disk so that new ones are covered without being listed."""
    place = PACKAGE / part
    files = sorted(place.rglob("*.py")) if place.is_dir() else [place.with_suffix(".py")]
    names = [".".join(("tui", *file.relative_to(PACKAGE).with_suffix("").parts)) for file in files]
    return [name.removesuffix(".__init__") for name in names]


def loaded_by(code: str) -> set[str]:
    """Top-level modules and packages that a new Python process has loaded when `code` ends or exits."""
    script = (
        "import json, sys\n"
        f"try:\n    exec({code!r})\n"
        "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        "finally:\n    print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


def importing(names: list[str]) -> set[str]:
    assert names
    return loaded_by("\n".join(f"import {name}" for name in names))


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--bench", "--help"]])
def test_the_command_line_answers_without_loading_textual_or_llama_cpp(arguments: list[str]) -> None:
    loaded = loaded_by(
        f"import runpy\nsys.argv = ['llmtui', *{arguments!r}]\nrunpy.run_module('tui', None, '__main__')"
    )
    assert "tui" in loaded
    assert loaded.isdisjoint({"textual", "llama_cpp"})


@pytest.mark.parametrize("part", ["cli", "bench", "chat", "config", "measure", "memory", "models", "monitor"])
def test_what_is_not_the_app_loads_neither_textual_nor_llama_cpp(part: str) -> None:
    assert importing(modules_of(part)).isdisjoint({"textual", "llama_cpp", "matplotlib", "PIL"})


def test_the_client_side_of_the_engine_loads_neither_textual_nor_llama_cpp() -> None:
    client_side = [name for name in modules_of("engine") if name not in IN_THE_CHILD]
    assert "tui.engines.local" in client_side
    assert importing(client_side).isdisjoint({"textual", "llama_cpp"})


def test_the_engine_process_loads_llama_cpp_and_no_front_end() -> None:
    loaded = loaded_by(
        "import tui.engine.worker\n"
        "front = [name for name in sys.modules if name.startswith(('tui.app', 'tui.bench', 'tui.chat'))]\n"
        "assert not front, front"
    )
    assert "llama_cpp" in loaded
    assert "textual" not in loaded


def test_the_app_loads_textual_and_never_llama_cpp() -> None:
    loaded = importing(modules_of("app"))
    assert "textual" in loaded
    assert loaded.isdisjoint({"llama_cpp", "matplotlib", "PIL"})


def test_the_process_that_renders_templates_loads_no_more_than_it_needs() -> None:
    loaded = loaded_by("import tui.engine.template_process")
    assert "jinja2" in loaded
    assert loaded.isdisjoint({"llama_cpp", "numpy", "textual", "asyncio", "tui.engines.local"})
