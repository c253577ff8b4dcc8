"""What crosses a process: settings, devices and messages as records, commands and events, frames on a pipe, what an
engine's last words and log lines mean.

Never starts a process and never looks at a file's contents.

Begin with `messages.py`, which has the commands and events (those of measuring are in `bench_messages.py`) and says
what a new one takes; `records.py` for what they are made of; `codec.py` for how frames become them.
"""
