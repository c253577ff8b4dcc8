"""What `make run` says before anything else."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.places import CHECKOUT

VENV = CHECKOUT / "scripts" / "venv.sh"


@pytest.mark.parametrize("has_wheel", [False, True])
def test_the_first_start_says_at_once_how_long_it_takes_and_what_comes_then(
    home: Path, monkeypatch: pytest.MonkeyPatch, has_wheel: bool
) -> None:
    if has_wheel:
        wheel = home / ".cache" / "llmtui" / "wheels" / "key" / "llama_cpp_python.whl"
        wheel.parent.mkdir(parents=True)
        wheel.touch()
    monkeypatch.setenv("PYTHON", "/no/such/python")
    done = subprocess.run(["sh", VENV, home / "venv"], capture_output=True, text=True, check=False)
    assert ("about 4 minutes" in done.stdout and "Then llmtui opens." in done.stdout) is not has_wheel
    assert done.returncode == 1 and "/no/such/python is not" in done.stderr
