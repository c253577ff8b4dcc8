"""What several tests of model files begin with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder_of_a_plain_user() -> Iterator[Path]:
    """A folder in the hands of somebody who may not read everything, even where root runs the tests."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)
        yield Path(name)
        os.seteuid(me)
