"""State: what is remembered survives, a damaged file is kept aside, and no disk or permission trouble raises."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tui.config.load import merge_load
from tui.config.settings import ChosenLoad
from tui.config.state import MAX_MODELS, State, StateStore

MODEL = Path('/models/Qwen3 "8B" [new].gguf')


def store_in(folder: Path) -> StateStore:
    return StateStore(folder / "state.toml")


def reread(store: StateStore) -> State:
    again = StateStore(store.file)
    assert again.read() == []
    return again.state


def test_nothing_is_remembered_before_the_first_run(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.read() == []
    assert store.state == State()
    assert not store.file.exists()


def test_what_is_remembered_is_there_in_the_next_run(tmp_path: Path) -> None:
    store = store_in(tmp_path / "not" / "there" / "yet")
    assert store.update(theme="paper", sidebar=False, conversation="abc") is None
    assert reread(store) == State(theme="paper", sidebar=False, conversation="abc")


def test_load_settings_come_back_for_the_model_they_were_used_with(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    used = ChosenLoad(backend="Vulkan0", n_ctx=12345, use_mlock=True, type_v="q8_0")
    assert store.remember_load(MODEL, used) is None
    state = reread(store)
    assert state.last_model == str(MODEL)
    assert merge_load(ChosenLoad(), state.loads[str(MODEL)]) == (used, [])
    assert store.load_of(Path("/models/other.gguf")) == {}


def test_only_so_many_models_are_remembered_and_the_oldest_goes_first(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    full = {f"/m/{n}.gguf": {"n_ctx": n} for n in range(MAX_MODELS)}
    store.update(loads=dict(full))
    store.remember_load(Path("/m/0.gguf"), ChosenLoad())
    store.remember_load(Path("/m/new.gguf"), ChosenLoad())
    kept = reread(store).loads
    assert len(kept) == MAX_MODELS
    assert list(kept)[-2:] == ["/m/0.gguf", "/m/new.gguf"]
    assert "/m/1.gguf" not in kept


def test_nothing_is_written_when_nothing_changed(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    assert store.update(theme="") is None
    assert not store.file.exists()
    store.update(theme="paper")
    before = store.file.stat().st_ino
    store.update(theme="paper")
    assert store.file.stat().st_ino == before


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    store = store_in(tmp_path / "new")
    store.update(theme="paper")
    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600
    assert stat.S_IMODE(store.file.parent.stat().st_mode) == 0o700


def test_a_link_to_the_file_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").mkdir()
    store = store_in(tmp_path)
    store.file.symlink_to(tmp_path / "dotfiles" / "state.toml")
    store.update(theme="paper")
    assert store.file.is_symlink()
    assert reread(store).theme == "paper"


@pytest.mark.parametrize("content", [b"theme = ", b"\xff\xfe\x00", b"a = 1\na = 2\n", b"x = " + b"[" * 5000])
def test_a_damaged_file_is_kept_aside_and_reported(tmp_path: Path, content: bytes) -> None:
    store = store_in(tmp_path)
    store.file.write_bytes(content)
    problems = store.read()
    assert store.state == State()
    assert len(problems) == 1
    assert "state.toml.bad" in problems[0].text
    assert (tmp_path / "state.toml.bad").read_bytes() == content
    assert store.update(theme="paper") is None
    assert reread(store).theme == "paper"


def test_a_bad_value_is_reported_and_the_rest_is_used(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    store.file.write_text('sidebar = "yes"\ntheme = "sand"\nfrom_a_later_version = 1\n[loads]\n"/m.gguf" = 3\n')
    problems = store.read()
    assert store.state == State(theme="sand")
    assert [problem.key for problem in problems] == ["sidebar", "loads./m.gguf"]


def test_two_programs_do_not_forget_each_others_changes(tmp_path: Path) -> None:
    first, second = store_in(tmp_path), store_in(tmp_path)
    first.read()
    second.read()
    first.remember_load(Path("/m/a.gguf"), ChosenLoad(n_ctx=1))
    second.remember_load(Path("/m/b.gguf"), ChosenLoad(n_ctx=2))
    first.update(theme="sand")
    state = reread(first)
    assert (sorted(state.loads), state.theme) == (["/m/a.gguf", "/m/b.gguf"], "sand")


def test_what_two_programs_add_to_one_list_is_all_there(tmp_path: Path) -> None:
    one, other = store_in(tmp_path), store_in(tmp_path)
    one.change(lambda state: {"folders": (*state.folders, "/a")})
    other.change(lambda state: {"folders": (*state.folders, "/b")})
    one.change(lambda state: {"folders": (*state.folders, "/c")})
    assert reread(other).folders == ("/a", "/b", "/c")


def test_threads_do_not_undo_each_others_changes(tmp_path: Path) -> None:
    store = store_in(tmp_path)

    def remember(thread: int) -> None:
        for n in range(10):
            store.remember_load(Path(f"/m/{thread}-{n}.gguf"), ChosenLoad())

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(remember, range(6)))
    assert len(reread(store).loads) == 60


def test_a_name_that_is_not_utf8_is_reported_and_spoils_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    problem = store.remember_load(Path(os.fsdecode(b"/m/caf\xe9.gguf")), ChosenLoad())
    assert problem is not None
    assert "not UTF-8" in problem.text
    assert store.update(theme="sand") is None
    assert reread(store) == State(theme="sand")


def test_a_folder_in_the_way_is_reported_and_the_run_goes_on(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = store_in(tmp_path / "file")
    problem = store.update(theme="paper")
    assert problem is not None
    assert problem.file == store.file
    assert "cannot be written" in problem.text
    assert store.state.theme == "paper"


def test_what_could_not_be_written_is_written_as_soon_as_it_can(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("")
    store = store_in(tmp_path / "place")
    assert store.update(theme="paper") is not None
    (tmp_path / "place").unlink()
    assert store.update(theme="paper") is None
    assert reread(store).theme == "paper"


def test_a_full_disk_is_reported_and_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """A limit on file size gives a real failing write; in a process of its own, because it cannot be raised again."""
    store = store_in(tmp_path)
    store.update(theme="sand")
    code = f"""
        import resource, signal
        from pathlib import Path
        from tui.config.state import StateStore
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = StateStore(Path({str(store.file)!r}))
        store.read()
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
        print(store.update(theme="paper" * 1000))
    """
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert "cannot be written (File too large)" in ran.stdout
    assert reread(store).theme == "sand"
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.toml"]
