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
from tests.engine.memory_models import build
from tests.places import CHECKOUT
from tui.protocol.records import Sampling

sys.path.insert(0, str(CHECKOUT / "scripts"))

from token_loop_build import SOURCE, CompileError, compile_token_loop

HOT = Sampling(temperature=3.0, top_k=40, top_p=1.0)
"""Hot enough that tokens far down the list are chosen."""

SAMPLINGS = [
    Sampling(temperature=0.0),
    Sampling(temperature=0.0, repeat_penalty=1.3, penalty_last_n=32),
    Sampling(),
    HOT,
    msgspec.structs.replace(HOT, repeat_penalty=1.2, presence_penalty=1.5, frequency_penalty=0.5),
    msgspec.structs.replace(HOT, presence_penalty=-2.0),
    msgspec.structs.replace(HOT, min_p=0.02, top_k=0),
    msgspec.structs.replace(HOT, dry_multiplier=2.0, dry_last_n=200, typical_p=0.9),
    msgspec.structs.replace(HOT, xtc_probability=0.5, xtc_threshold=0.05),
    Sampling(temperature=0.0, dry_multiplier=2.0, dry_last_n=200, logit_bias={" the": -100.0, "e": -3.0}),
]
RAISED = Sampling(temperature=0.0, logit_bias={" the": 5.0})
"""Needs all candidates, so that drafts cannot be made of it."""

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="the token loop needs a C compiler: build-essential")


def has_amx() -> bool:
    """Whether this processor computes several tokens in tiles, which round in a way of their own."""
    return " amx_tile" in Path("/proc/cpuinfo").read_text()


def check(what: str, sampling: Sampling = HOT, model: Path = DENSE) -> Any:
    command = [sys.executable, "-m", "tests.engine.token_loop_check", str(model), what]
    done = subprocess.run(
        [*command, msgspec.json.encode(sampling).decode()], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("sampling", [*SAMPLINGS, RAISED])
def test_both_loops_choose_the_same_tokens(sampling: Sampling) -> None:
    done = check("tokens", sampling)
    assert done["compiled"] == done["python"]
    chosen = done["compiled"]["tokens"]
    assert len(chosen) > 5 and len(set(chosen)) > 1


@pytest.mark.parametrize("sampling", [*SAMPLINGS, Sampling(temperature=0.3, top_k=0, top_p=0.9)])
def test_drafts_change_nothing_of_what_is_chosen(sampling: Sampling) -> None:
    """Nor of what is kept in the KV cache; and both loops draft the same. Where a CPU rounds several tokens in another
    way than one, a draw may fall on another token; only the choice of the likeliest is then kept near the plain one."""
    done = check("drafts", sampling)
    is_kept = not (done.pop("rounds") or has_amx()) or sampling.temperature <= 0
    plain = done.pop("plain python")
    assert done.pop("plain compiled") == plain and plain["drafted"] == [0, 0, 0, 0]
    for name in {told.partition(" ")[0] for told in done}:
        compiled, python = done[f"{name} compiled"], done[f"{name} python"]
        assert compiled == python
        assert len(compiled["text"]) - 1 <= compiled["n_past"] <= len(compiled["text"])
        if is_kept:
            assert compiled["text"] == plain["text"] and compiled["n_past"] == plain["n_past"]
        n_steps, n_drafted, n_accepted, n_alone = compiled["drafted"]
        assert n_drafted > n_steps > 0 and n_drafted >= n_accepted
        assert bool(n_alone) == (name == "close")
    if sampling == Sampling(temperature=0):  # penalties keep text from repeating itself
        assert done["drafts compiled"]["drafted"][2] > 0


@pytest.mark.parametrize("sampling", [Sampling(temperature=0), Sampling()], ids=["greedy", "seeded"])
def test_a_draft_models_guesses_change_nothing_of_what_is_chosen(sampling: Sampling) -> None:
    """And both loops guess the same. A model that guesses for itself is right where nothing is left to chance."""
    done = check("guesses", sampling)
    plain = done.pop("plain python")
    assert done.pop("plain compiled") == plain
    for name in ("itself", "other"):
        compiled, python = done[f"{name} compiled"], done[f"{name} python"]
        assert compiled == python
        assert compiled["texts"] == plain["texts"]
        for n_steps, n_drafted, n_accepted, _ in compiled["drafted"]:
            assert n_drafted > n_steps > 0 and n_accepted > 0
    if sampling.temperature == 0:
        for n_steps, n_drafted, n_accepted, _ in done["itself compiled"]["drafted"]:
            assert n_accepted > 0.9 * n_drafted and n_accepted > 3 * n_steps


@pytest.mark.parametrize("kind", ["hybrid", "convolution"])
def test_a_memory_with_states_is_the_same_behind_drafts_that_were_partly_wrong(kind: str, tmp_path: Path) -> None:
    """Greedy: the model goes on with the same text. Both loops draft the same."""
    done = check("rollback", Sampling(temperature=0), build(tmp_path / "model.gguf", kind))
    plain = done["plain python"]
    assert done["plain compiled"] == plain and plain["drafted"] == [0, 0, 0, 0]
    compiled = done["drafts compiled"]
    assert compiled == done["drafts python"] and compiled["text"] == plain["text"]
    n_steps, n_drafted, n_accepted, n_alone = compiled["drafted"]
    assert n_drafted > n_accepted > n_steps > n_alone > 0


def test_a_step_that_took_far_too_long_is_not_counted_among_the_costs() -> None:
    done = check("hiccups", Sampling(temperature=0))
    assert done["compiled"] == done["python"]
    assert done["compiled"]["steps"] > 0 and done["compiled"]["counted"] == [1]


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_numpys_few_give_the_token_that_all_would_give(sampling: Sampling) -> None:
    done = check("few", sampling)
    assert done["few"] == done["all"]
    assert len(set(done["all"])) > 1


def test_a_full_context_stops_both_loops_with_what_was_chosen_kept() -> None:
    done = check("full")
    assert done["compiled"] == done["python"]
    assert "the KV cache has no room" in done["compiled"]["error"]
    assert done["compiled"]["decoded"] == done["compiled"]["n_past"] == 1280
    assert done["compiled"]["n"] > 1024


def test_both_loops_stop_at_the_abort_switch() -> None:
    for told in check("abort").values():
        assert told == {"first": [[], 0, "Aborted"], "error": "Aborted", "is_in_step": True}


def test_odd_logits_are_chosen_from_as_by_the_chain_alone() -> None:
    done = check("logits")
    assert done.pop("odd ones are numbers") % 2 == 1
    assert done.pop("odd ones of all") == [-1, -1]
    for name in ("infinite", "no numbers", "nothing at all"):
        assert done.pop(name) == [[-1, -1]] * 5, name
    for name, pairs in done.items():
        assert all(chosen == expected for chosen, expected in pairs), (name, pairs)


def test_without_the_library_of_this_source_answers_come_from_the_loop_in_python() -> None:
    done = check("fallback")
    loop, text = done.pop("compiled")
    assert loop == "CompiledLoop" and text
    assert set(done) == {"missing", "no library", "foreign", "old"}
    assert all(told == ["PythonLoop", text] for told in done.values()), done


def test_a_source_that_cannot_be_compiled_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    source = tmp_path / "tokenloop.c"
    source.write_text("int broken(void) { return }\n")
    with pytest.raises(CompileError, match=r"tokenloop\.c:1"):
        compile_token_loop(source, tmp_path / "made.so")
    assert list(tmp_path.iterdir()) == [source]


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="nowhere"):
        compile_token_loop(CHECKOUT / SOURCE, tmp_path / "nowhere" / "made.so")


def test_without_a_compiler_the_error_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler -m64")
    with pytest.raises(CompileError, match="no-such-compiler"):
        compile_token_loop(CHECKOUT / SOURCE, tmp_path / "made.so")
    assert not list(tmp_path.iterdir())
