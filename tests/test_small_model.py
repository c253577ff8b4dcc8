"""The model of the first start: who gets it and who does not. A tiny model stands in the cache for the real one, so
that nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parent.parent
TINY = CHECKOUT / "tests" / "models" / "tiny-qwen3-q8_0.gguf"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


class User:
    """A home folder of its own, with the model of the first start in the cache."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.models = home / ".local" / "share" / "llmtui" / "models"
        self.cached = home / ".cache" / "llmtui" / "models" / FILE
        self.cached.parent.mkdir(parents=True)
        shutil.copyfile(TINY, self.cached)

    def run(self, *arguments: str) -> str:
        """What `small_model.py` says on stdout."""
        own = ("XDG_", "HF_", "HUGGINGFACE_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
        environment["HOME"] = str(self.home)
        command = [sys.executable, str(CHECKOUT / "scripts" / "small_model.py"), *arguments]
        return subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout


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
