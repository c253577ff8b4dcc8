"""What the commands without a screen share, `llmtui --bench` and `llmtui ask`: which model is taken, whether it may be
loaded, the line that says how far something is, what is said when it fails, and what ends it.

Never computes, and never writes a result: stdout belongs to the commands.

Begin with `load_guard.py` for what comes before a load, `trouble.py` for what is said after one.
"""
