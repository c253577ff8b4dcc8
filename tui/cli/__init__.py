"""The `llmtui` command: arguments, `--help`, what each option starts, `--devices` and `--locate`.

Imports nothing that takes time before it is needed.

Begin with `parser.py` for an option, `main.py` for what it does.
"""
