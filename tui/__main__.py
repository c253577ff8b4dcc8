"""The `llmtui` command, which `python -m tui` is the same as. Nothing is imported here that takes time: Ctrl-C is for
the command to answer, in its first moments too."""

import sys


def main() -> int:
    """Run the command; the process's exit code."""
    try:
        from tui.cli.main import main as run
    except KeyboardInterrupt:
        return 130  # `ExitCode.INTERRUPTED`
    return run()


if __name__ == "__main__":
    sys.exit(main())
