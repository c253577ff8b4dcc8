"""The compiled token loop does what the one in Python does, token for token, and the chain that sees only the likeliest
candidates chooses what it chooses from all of them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.conftest import DENSE
from tui.engine.records import Sampling

CHECKOUT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(CHECKOUT / "scripts"))

from token_loop_build import CompileError, compile_token_loop  # noqa: E402

HOT = Sampling(temperature=3.0, top_k=40, top_p=1.0)
"""Hot enough that tokens far down the list are chosen."""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the token loop needs a C compiler: build-essential")


def check(what: str, sampling: Sampling = HOT) -> Any:
    command = [sys.executable, "-m", "tests.engine.token_loop_check", str(DENSE), what]
    done = subprocess.run(
        [*command, msgspec.json.encode(sampling).decode()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=0.0),
        Sampling(temperature=0.0, repeat_penalty=1.3, penalty_last_n=32),
        Sampling(),
        HOT,
        msgspec.structs.replace(HOT, repeat_penalty=1.2, presence_penalty=1.5, frequency_penalty=0.5),
        msgspec.structs.replace(HOT, presence_penalty=-2.0),
        msgspec.structs.replace(HOT, min_p=0.02, top_k=0),
    ],
)
def test_both_loops_choose_the_same_tokens(sampling: Sampling) -> None:
    done = check("tokens", sampling)
    assert done["compiled"] == done["python"]
    chosen = done["compiled"]["tokens"]
    assert len(chosen) > 5 and len(set(chosen)) > 1


def test_a_full_context_stops_both_loops_with_what_was_chosen_kept() -> None:
    done = check("full")
    assert done["compiled"] == done["python"]
    assert "no room in the KV cache" in done["compiled"]["error"]
    assert done["compiled"]["decoded"] == done["compiled"]["n_past"] == 512


def test_both_loops_stop_at_the_abort_switch() -> None:
    for told in check("abort").values():
        assert told == {"first": [[], 0, "Aborted"], "error": "Aborted", "is_in_step": True}


def test_odd_logits_are_chosen_from_as_by_the_chain_alone() -> None:
    done = check("logits")
    assert done.pop("odd ones are numbers") % 2 == 1
    for name, pairs in done.items():
        assert all(chosen == expected for chosen, expected in pairs), (name, pairs)


def test_a_source_that_cannot_be_compiled_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    folder = tmp_path / "tui" / "engine"
    folder.mkdir(parents=True)
    (folder / "tokenloop.c").write_text("int broken(void) { return }\n")
    with pytest.raises(CompileError, match=r"tokenloop\.c:1"):
        compile_token_loop(tmp_path)
    assert [path.name for path in folder.iterdir()] == ["tokenloop.c"]


def test_without_a_compiler_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(CompileError, match="no-such-compiler"):
        compile_token_loop(tmp_path)


def test_the_source_compiles_into_a_folder_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "tui" / "engine").mkdir(parents=True)
    shutil.copy(CHECKOUT / "tui" / "engine" / "tokenloop.c", tmp_path / "tui" / "engine")
    assert compile_token_loop(tmp_path).stat().st_size > 0
