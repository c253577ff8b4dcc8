"""What each part of llmtui loads when it really runs, seen in `sys.modules`. The contracts in pyproject.toml judge
import statements; these tests catch what only shows at run time, such as an import at the wrong moment."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib

import pytest

from tests.patience import PATIENCE_S
from tests.places import CHECKOUT

PACKAGE = CHECKOUT / "tui"
IN_THE_CHILD = {
    f"tui.engine.{name}"
    for name in (
        *(
            "llama",
            "llamalog",
            "draftmodel",
            "drafter",
            "devices",
            "generate",
            "worker",
            "keepcontext",
            "params",
            "sampler",
            "tokenloop",
        ),
        *("dryrun", "anatomy", "footprint", "bandwidth", "batch", "benchmark", "abort", "answer", "prompt"),
        *("bindings", "vocabulary", "builtin_template", "handlers", "modelslot", "cancelling", "candidates"),
        *("biases", "constrained", "odds", "grammar", "schemagrammar"),
        *("contextmemory", "prefixcache", "keptprefixes", "looprun", "pythonloop", "stepcosts", "threadpool", "warmup"),
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
    """Modules and packages that a new Python process has loaded when `code` ends or exits."""
    script = (
        "import json, sys\n"
        f"try:\n    exec({code!r})\n"
        "except SystemExit as leaving:\n    assert not leaving.code, leaving.code\n"
        "finally:\n    print(json.dumps(sorted(sys.modules)), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
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


WITHOUT_A_SCREEN = (
    "files",
    *(
        "words",
        "base",
        "protocol",
        "config",
        "models",
        "machine",
        "hubs",
        "downloads",
        "planning",
        "engines",
        "chat",
        "measure",
        "session",
    ),
    *("shell", "host", "ask", "bench", "cli"),
)


@pytest.mark.parametrize("part", WITHOUT_A_SCREEN)
def test_what_is_not_the_app_loads_neither_textual_nor_llama_cpp(part: str) -> None:
    assert importing(modules_of(part)).isdisjoint({"textual", "llama_cpp", "matplotlib", "PIL"})


def test_what_the_engine_has_for_its_helpers_loads_neither_textual_nor_llama_cpp() -> None:
    helpers = [name for name in modules_of("engine") if name not in IN_THE_CHILD]
    assert "tui.engine.template_process" in helpers
    assert importing(helpers).isdisjoint({"textual", "llama_cpp"})


def test_the_libraries_of_the_hubs_are_loaded_when_a_hub_is_asked() -> None:
    assert importing(modules_of("hubs")).isdisjoint({"huggingface_hub", "modelscope_hub", "requests", "httpx2"})


def test_the_rooms_of_the_docs_are_those_of_the_contract_in_its_order() -> None:
    contracts = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = (contract["layers"] for contract in contracts if contract["type"] == "layers")
    rooms = re.findall(r"^\| `tui/(\w+)/` \|", (CHECKOUT / "docs/architecture.md").read_text(), re.MULTILINE)
    assert (
        set(rooms)
        == {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
        == {*WITHOUT_A_SCREEN, *("app", "engine")}
    )
    for layer in reversed(layers):
        level = {name.removeprefix("tui.") for name in layer.split(" | ")}
        here, rooms = rooms[: len(level)], rooms[len(level) :]
        assert set(here) == level


def test_each_file_that_the_docs_name_is_there() -> None:
    named = set(re.findall(r"`([\w/]+\.(?:py|c|cmake))`", (CHECKOUT / "docs/architecture.md").read_text()))
    there = [f"/{file.relative_to(CHECKOUT)}" for file in CHECKOUT.glob("[st]*/**/*.*")]
    assert len(named) > 50
    assert [name for name in named if not any(file.endswith(f"/{name}") for file in there)] == []


@pytest.mark.parametrize("room", [*WITHOUT_A_SCREEN, "app", "engine"])
def test_each_room_says_what_it_owns_and_where_to_begin(room: str) -> None:
    said = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text())) or ""
    owns, *_, begin = said.split("\n\n")
    assert owns and begin.startswith("Begin with ")
    for name in re.findall(r"`([\w/]+\.py)`", begin):
        assert (PACKAGE / room / name).is_file()


def test_the_engine_process_loads_llama_cpp_and_no_front_end() -> None:
    loaded = loaded_by(
        "import tui.engine.worker\n"
        "rooms = tuple('tui.' + room for room in ('app', 'bench', 'chat', 'engines', 'session'))\n"
        "front = [name for name in sys.modules if name.startswith(rooms)]\n"
        "assert not front, front\n"
        "assert 'llama_cpp.llama' not in sys.modules, 'the high-level API of llama_cpp is not needed'"
    )
    assert "llama_cpp" in loaded
    assert "textual" not in loaded


def test_the_app_loads_textual_and_never_llama_cpp() -> None:
    loaded = importing(modules_of("app"))
    assert "textual" in loaded
    assert loaded.isdisjoint({"llama_cpp", "matplotlib", "PIL"})


def test_the_first_paint_waits_for_nothing_that_comes_later() -> None:
    """A load, an answer, a dialog, a hub, a search: what they take is imported behind the first paint."""
    loaded = loaded_by(
        "from tui.app.run import make_app\n"
        "from tui.app.screens.main import MainScreen\n"
        "from tui.config.options import AppOptions\n"
        "MainScreen._first_paint = lambda screen: screen.app.exit(0)\n"
        "app = make_app(AppOptions())\n"
        "app.run(headless=True)\n"
        "assert app.return_code == 0"
    )
    assert "tui.app.screens.main" in loaded
    later = {
        *("tui.session.finding", "tui.hubs.errors", "tui.measure.history", "tui.measure.tune", "tui.measure.forecast"),
        *("tui.models.library", "tui.planning.formula", "tui.planning.verdict", "tui.planning.exact"),
        *("tui.files.gathering", "tui.chat.export", "tui.app.markdown.stream", "pygments", "tui.app.screens.picker"),
    }
    assert loaded.isdisjoint(later), loaded & later
    assert importing(["tui.app.screens.main", *sorted(later)]) > later  # each still has that name


def test_the_process_that_renders_templates_loads_no_more_than_it_needs() -> None:
    loaded = loaded_by("import tui.engine.template_process")
    assert "jinja2" in loaded
    assert loaded.isdisjoint({"llama_cpp", "numpy", "textual", "asyncio", "tui.engines.local"})


def test_the_engine_starts_without_what_takes_long_to_import() -> None:
    assert importing(["tui.engine.worker"]).isdisjoint(
        {"numpy", "jinja2", "wcwidth", "psutil", "importlib.metadata", "textual"}
    )
