"""The model of the first start: who gets it and who does not. A tiny model stands in the cache for the real one, so
that nothing is downloaded; where it is not in the cache, there is no network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.places import CHECKOUT, DATA

TINY = DATA / "models" / "tiny-qwen3-q8_0.gguf"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class User:
    """A home folder of its own, with the model of the first start in the cache."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.models = home / ".local" / "share" / "llmtui" / "models"
        self.cached = home / ".cache" / "llmtui" / "models" / FILE
        self.cached.parent.mkdir(parents=True)
        shutil.copyfile(TINY, self.cached)

    def run(self, *arguments: str, **more: str) -> str:
        """What `small_model.py` says on stdout."""
        done = self.try_to_run(*arguments, **more)
        done.check_returncode()
        return done.stdout

    def try_to_run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """What comes of `small_model.py` in this home."""
        own = ("XDG_", "HF_", "HUGGINGFACE_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment |= {"HOME": str(self.home), **more}
        command = [sys.executable, str(CHECKOUT / "scripts" / "small_model.py"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


OFFLINE = {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
"""A port at which nobody listens."""


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_a_user_without_a_model_gets_one_that_takes_no_room_twice(user: User) -> None:
    assert str(user.models / FILE) in user.run()
    assert (user.models / FILE).samefile(user.cached)


def test_the_second_start_leaves_things_as_they_are(user: User) -> None:
    user.run()
    assert user.run() == ""
    assert [file.name for file in user.models.iterdir()] == [FILE]


@pytest.mark.parametrize("folder", [".local/share/llmtui/models", ".lmstudio/models/qwen/tiny"])
def test_a_user_with_a_model_of_their_own_gets_none(user: User, folder: str) -> None:
    (user.home / folder).mkdir(parents=True)
    shutil.copyfile(TINY, user.home / folder / "own.gguf")
    assert user.run() == ""
    assert not (user.models / FILE).exists()


def test_a_file_that_is_no_model_does_not_count(user: User) -> None:
    user.models.mkdir(parents=True)
    (user.models / "broken.gguf").write_bytes(b"not a model")
    assert FILE in user.run()


def test_the_tests_get_the_path_in_the_cache(user: User) -> None:
    assert user.run("--cached").strip() == str(user.cached)
    assert not user.models.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("own.gguf",),
        ("-c", "4096", "/srv/own.gguf"),
        ("--bench", "own.gguf"),
        ("--devices",),
        ("--locate", "--json"),
        ("--help",),
        ("--version",),
        ("--no-such-option",),
    ],
    ids=" ".join,
)
def test_a_command_that_names_a_model_or_wants_none_gets_none(user: User, arguments: tuple[str, ...]) -> None:
    user.cached.unlink()
    done = user.try_to_run("--before", *arguments, **OFFLINE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not user.models.exists()


@pytest.mark.parametrize("arguments", [(), ("--bench",), ("-c", "4096", "--backend", "cpu")], ids=" ".join)
def test_a_command_that_will_look_for_a_model_finds_one(user: User, arguments: tuple[str, ...]) -> None:
    assert FILE in user.run("--before", *arguments)
    assert (user.models / FILE).exists()


def test_without_a_network_the_app_may_start_all_the_same_and_the_tests_may_not(user: User) -> None:
    user.cached.unlink()
    done = user.try_to_run(**OFFLINE)
    assert (done.returncode, done.stdout) == (0, "")
    assert f"Put a GGUF file into {user.models} instead." in done.stderr
    assert not user.models.exists() and list(user.cached.parent.iterdir()) == []
    assert user.try_to_run("--cached", **OFFLINE).returncode == 1


def test_a_cache_that_cannot_be_written_keeps_nobody_from_starting(user: User) -> None:
    shutil.rmtree(user.cached.parent.parent)
    user.cached.parent.parent.write_text("a file where the folder should be")
    done = user.try_to_run(**OFFLINE)
    assert done.returncode == 0 and "Traceback" not in done.stderr and "llmtui" in done.stderr


def test_make_tells_which_model_the_app_was_given() -> None:
    said = subprocess.run(
        ["make", "-C", CHECKOUT, "-n", "run", "ARGS=own.gguf -c 4096"], capture_output=True, text=True, check=True
    ).stdout
    assert "scripts/small_model.py --before own.gguf -c 4096" in said
