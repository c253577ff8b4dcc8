"""The `llmtui` command, which `python -m tui` is the same as. Nothing is imported here that takes time: Ctrl-C is for
the command to answer, in its first moments too."""

import gc
import sys

_NEW_OBJECTS = 20_000
"""Python looks for garbage among what was made since it last looked, by default 700 objects. Imports and screens make
hundreds of thousands that stay: to look so often takes a tenth of a command's start, and a fifth of the app's."""


def main() -> int:
    """Run the command; the process's exit code."""
    gc.set_threshold(_NEW_OBJECTS, *gc.get_threshold()[1:])
    try:
        from tui.cli.main import main as run
    except KeyboardInterrupt:
        return 130  # `ExitCode.INTERRUPTED`
    return run()


if __name__ == "__main__":
    sys.exit(main())
