"""Small things that know nothing of llmtui: text made safe for a terminal, paths as people write them, sizes and
durations as people read them, private files, names of split files, exit codes.

Never imports another room.

Begin with `text.py` for what comes from strangers, `format.py` for what people read.
"""
