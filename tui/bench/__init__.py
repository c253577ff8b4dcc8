"""`llmtui --bench`: from options to figures on stdout and an exit code.

Never measures by itself: that is `tui.measure`.

Begin with `command.py`.
"""
