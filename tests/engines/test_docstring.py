"""The program in the docstring of the client is one that runs."""

from __future__ import annotations

import subprocess
import sys
import textwrap

from tests.conftest import DENSE
from tui.engines import local as client


def test_the_whole_program_of_the_docstring_prints_an_answer() -> None:
    _, _, program = client.__doc__.partition("A whole program:\n")
    assert program.count('"model.gguf"') == 1
    program = textwrap.dedent(program).replace('"model.gguf"', repr(str(DENSE)))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("The user greets me.")  # it thinks first
    assert done.stdout.endswith("How can I help you today?")
