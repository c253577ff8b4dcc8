"""Settings: the documented defaults agree with the code, a user's file overrides key by key, and nothing that a file
holds keeps the program from starting."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.config import load, overlay, paths, settings
from tui.config.actions import ACTIONS
from tui.config.sampling import resolve
from tui.config.settings import ChosenLoad, Settings, load_settings
from tui.models.folders import configured_folders
from tui.protocol import records
from tui.protocol.records import Device, DeviceKind, LoadSettings, Sampling

BUILTIN = paths.default_settings_file()


def read(tmp_path: Path, text: str | bytes) -> tuple[Settings, list[str]]:
    file = tmp_path / "settings.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    found, problems = load_settings(file)
    assert all(problem.file == file for problem in problems)
    found = msgspec.structs.replace(found, written=frozenset())  # looked at by itself below
    return found, [str(problem).removeprefix(f"{file}: ") for problem in problems]


NOT_FLAT = ("keys", "model", "written")
"""What the file shows in comments, and what no file gives."""


def flat(table: object, prefix: str = "") -> dict[str, object]:
    assert isinstance(table, dict)
    found: dict[str, object] = {}
    for key, value in table.items():
        if isinstance(value, dict) and value:
            found |= flat(value, f"{prefix}{key}.")
        elif prefix + key not in NOT_FLAT:
            found[prefix + key] = value
    return found


# The documented defaults


def test_the_built_in_file_gives_exactly_the_defaults_of_the_code() -> None:
    assert msgspec.toml.decode(BUILTIN.read_bytes(), type=Settings) == Settings()


def test_every_field_is_in_the_built_in_file() -> None:
    assert set(flat(tomllib.loads(BUILTIN.read_text()))) == set(flat(msgspec.to_builtins(Settings())))


def test_every_field_of_the_built_in_file_has_a_comment_above_it() -> None:
    lines = BUILTIN.read_text().splitlines()
    values = [n for n, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    assert len(values) == len(flat(msgspec.to_builtins(Settings())))
    assert [lines[n] for n in values if not lines[n - 1].startswith("# ")] == []


def test_the_built_in_file_lists_every_action_with_its_default_keys() -> None:
    lines = BUILTIN.read_text().split("[keys]")[1].splitlines()
    listed = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines if re.match(r"# \w+ = ", line)))
    assert {key: tuple([value] if isinstance(value, str) else value) for key, value in listed.items()} == {
        action.id: action.keys for action in ACTIONS
    }


def classes(file: str) -> list[ast.ClassDef]:
    return [node for node in ast.parse(Path(file).read_text()).body if isinstance(node, ast.ClassDef)]


def test_every_field_has_a_docstring() -> None:
    bare = []
    records_of_loads = [node for node in classes(records.__file__) if node.name in ("LoadValues", "LoadSettings")]
    for owner in [*classes(settings.__file__), *records_of_loads]:
        for field, after in zip(owner.body, [*owner.body[1:], None], strict=True):
            if isinstance(field, ast.AnnAssign):
                documented = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                bare += [] if documented else [ast.unparse(field.target)]
    assert bare == []


def test_sampling_follows_the_model_card_of_qwen3() -> None:
    thinking = resolve(Settings(), thinking=True).sampling
    plain = resolve(Settings(), thinking=False).sampling
    assert (thinking.temperature, thinking.top_p, thinking.top_k) == (0.6, 0.95, 20)
    assert plain == Sampling(temperature=0.7, top_p=0.8, top_k=20)


# The user's file


def test_a_users_file_that_does_not_exist_is_no_problem(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml") == (Settings(), [])


def test_a_users_file_overrides_key_by_key(tmp_path: Path) -> None:
    found, problems = read(tmp_path, '[load]\nn_ctx = 4096\n[sampling.thinking]\ntop_k = 40\n[keys]\nstop = ["f10"]\n')
    assert problems == []
    assert found.load == ChosenLoad(n_ctx=4096)
    assert (found.sampling.thinking.top_k, found.sampling.thinking.temperature) == (40, 0.6)
    assert found.sampling.plain == Settings().sampling.plain
    assert found.keys == {"stop": ["f10"]}


def test_whole_numbers_are_fine_where_fractions_are_wanted(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "[sampling.plain]\ntemperature = 1\n")
    assert (found.sampling.plain.temperature, problems) == (1.0, [])


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ('load.n_ctx = "big"', "load.n_ctx", '"big"'),
        ("load.n_ctx = -1", "load.n_ctx", "is -1, but must be a whole number of 0 or more"),
        ("load.n_ctx = true", "load.n_ctx", "is true"),
        ('load.flash_attn = "maybe"', "load.flash_attn", '"auto", "on", "off"'),
        ("sampling.plain.top_p = 1.5", "sampling.plain.top_p", "a number from 0 to 1."),
        ("load.n_batch = 9223372036854775807", "load.n_batch", "a whole number from 1 to 2,147,483,647"),
        ("memory.reserve_gib = inf", "memory.reserve_gib", "is inf"),
        ("sampling.plain.temperature = nan", "sampling.plain.temperature", "nan"),
        ("ui = 3", "ui", "[ui]"),
        ('models.folders = ["~/a", 3]', "models.folders", '["~/a", 3]'),
        ("keys.stop = 3", "keys.stop", "is 3"),
        ('ui.themes = "paper"', "ui.themes", 'Did you mean "theme"?'),
        ("[colours]", "colours", "Known here: chat, engine, keys, load"),
    ],
)
def test_a_bad_value_leaves_its_default_and_says_where_and_why(
    tmp_path: Path, text: str, where: str, says: str
) -> None:
    found, problems = read(tmp_path, f"chat.thinking = false\n{text}\n")
    assert found == msgspec.structs.replace(Settings(), chat=settings.ChatSettings(thinking=False))
    assert len(problems) == 1
    assert problems[0].startswith(f"{where}: ")
    assert says in problems[0]


def test_several_bad_values_are_all_reported_and_the_good_ones_used(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "[load]\nn_ctx = -5\nn_batch = 0\nn_ubatch = 256\n")
    assert found.load == ChosenLoad(n_ubatch=256)
    assert [problem.split(":")[0] for problem in problems] == ["load.n_ctx", "load.n_batch"]


def test_broken_toml_is_reported_with_line_and_column(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "[load]\nn_ctx = = 3\n")
    assert found == Settings()
    assert "line 2, column 9" in problems[0]


def test_a_file_that_is_not_utf8_is_reported_with_its_line(tmp_path: Path) -> None:
    found, problems = read(tmp_path, b'[ui]\ntheme = "caf\xe9"\n')
    assert found == Settings()
    assert "not UTF-8 text (line 2)" in problems[0]


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    found, problems = read(tmp_path, b"\xef\xbb\xbf[load]\nn_ctx = 1\n")
    assert (found.load.n_ctx, problems) == (1, [])


def test_a_file_that_cannot_be_read_is_reported(tmp_path: Path) -> None:
    found, problems = load_settings(tmp_path)
    assert found == Settings()
    assert problems[0].file == tmp_path
    assert "is a folder" in problems[0].text


def test_a_missing_built_in_file_is_reported_and_the_defaults_hold(tmp_path: Path) -> None:
    found, problems = load_settings(tmp_path / "mine.toml", tmp_path / "builtin.toml")
    assert found == Settings()
    assert "Install llmtui again" in problems[0].text


toml_values = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
field_names = st.sampled_from([*Settings.__struct_fields__, *ChosenLoad.__struct_fields__, "temperature", "plain"])


@given(st.dictionaries(field_names, st.one_of(toml_values, st.dictionaries(field_names, toml_values)), max_size=6))
def test_whatever_a_file_holds_the_settings_are_valid(table: dict[str, object]) -> None:
    found, problems = overlay.overlay(Settings(), table)
    assert msgspec.convert(msgspec.to_builtins(found), Settings) == found
    assert all(problem.text.endswith((".", "?")) for problem in problems)
    # That there are many more mistakes is said of the file.
    assert all(problem.key or "more mistake" in problem.text for problem in problems)


# Folders


def test_model_folders_are_expanded_and_the_own_folder_is_always_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DATA", "/srv/data")
    found = settings.ModelSettings(folders=("~/models", "$DATA/gguf", "~/models", "$NOT_SET/x"))
    home = tmp_path / "models"
    searched = [folder.path for folder in configured_folders(found) if folder.source == "folder"]
    assert searched == [home, Path("/srv/data/gguf"), Path("$NOT_SET/x"), paths.models_dir()]


def test_locate_names_every_place_once() -> None:
    places = paths.locate()
    assert len({path for _, path in places}) == len(places)
    assert dict(places)["your settings"] == paths.user_settings_file()
    assert all(path.is_absolute() for _, path in places)


# Load settings: precedence and backend


def device(name: str, kind: DeviceKind) -> Device:
    return Device(name=name, description="", kind=kind, total_bytes=1, free_bytes=1)


GPU = [
    device("CPU", "cpu"),
    device("Vulkan0", "igpu"),
    device("Vulkan1", "gpu"),
    device("Vulkan2", "gpu"),
    device("Vulkan3", "software"),
]


def test_state_wins_over_settings_and_the_command_line_over_both() -> None:
    merged, problems = load.merge_load(
        ChosenLoad(n_ctx=1, n_batch=2, n_threads=3),
        {"n_ctx": 10, "n_batch": 20, "from_a_later_version": 1},
        {"n_ctx": 100, "n_threads": None},
    )
    assert problems == []
    assert merged == ChosenLoad(n_ctx=100, n_batch=20, n_threads=3)


def test_bad_values_in_state_and_command_line_are_reported_by_name() -> None:
    merged, problems = load.merge_load(ChosenLoad(), {"n_ctx": "x"}, {"n_batch": 0}, state_file=Path("state.toml"))
    assert merged == ChosenLoad()
    assert [(problem.file, problem.key) for problem in problems] == [
        (Path("state.toml"), "load.n_ctx"),
        (None, "command line: n_batch"),
    ]


@pytest.mark.parametrize(
    ("backend", "names"),
    [
        ("cpu", ()),
        ("CPU", ()),
        ("auto", ("Vulkan1", "Vulkan2")),
        ("", ("Vulkan1", "Vulkan2")),
        ("vulkan0", ("Vulkan0",)),
        ("Vulkan2, Vulkan1", ("Vulkan2", "Vulkan1")),
        ("Vulkan3", ("Vulkan3",)),
        ("vulkan", ("Vulkan1", "Vulkan2")),
        ("cuda", None),
        ("CUDA0", None),
        ("Vulkan1,CUDA0", None),
    ],
)
def test_a_backend_names_devices(backend: str, names: tuple[str, ...] | None) -> None:
    assert load.backend_devices(backend, GPU) == names


def test_auto_takes_an_integrated_gpu_when_there_is_no_other_and_never_a_software_one() -> None:
    assert load.auto_devices(GPU[:2]) == ("Vulkan0",)
    assert load.auto_devices([GPU[0], GPU[4]]) == ()
    assert load.backend_devices("vulkan", [GPU[0], GPU[4]]) == ("Vulkan3",), "asked for by name"


def test_auto_does_not_take_one_gpu_twice_through_two_backends() -> None:
    twice = [msgspec.structs.replace(GPU[2], name=name) for name in ("CUDA0", "CUDA1", "Vulkan0", "Vulkan1")]
    assert load.auto_devices(twice) == ("CUDA0", "CUDA1")


def test_what_is_remembered_of_a_load_gives_the_same_load_again() -> None:
    asked = LoadSettings(devices=("Vulkan2", "Vulkan1"), n_ctx=77, type_k="q8_0", n_cpu_moe=3)
    again, problem = load.engine_settings(load.from_engine(asked), GPU)
    assert (again, problem) == (asked, None)
    assert load.from_engine(LoadSettings()).backend == "cpu"
    assert load.from_engine(LoadSettings(n_parallel=8)) == load.from_engine(LoadSettings())


def test_a_backend_that_the_machine_lacks_falls_back_and_says_what_there_is() -> None:
    found, problem = load.engine_settings(ChosenLoad(backend="CUDA0"), GPU)
    assert found.devices == ("Vulkan1", "Vulkan2")
    assert problem is not None
    assert '"CUDA0"' in problem.text
    assert "cpu, Vulkan0, Vulkan1" in problem.text


def test_configuration_imports_neither_textual_nor_llama_cpp() -> None:
    code = (
        "import sys, tui.config.settings, tui.config.state, tui.config.themes, tui.config.keymap, tui.config.load\n"
        "print([name for name in ('textual', 'llama_cpp', 'pygments') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert ran.stdout.strip() == "[]"
