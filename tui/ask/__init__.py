"""`llmtui ask`: one question, from the command line, a pipe and files, to an answer on stdout and an exit code.

Never computes by itself: that is `tui.session`.

Begin with `command.py`; `material.py` makes the prompt, `reply.py` hears the answer.
"""
