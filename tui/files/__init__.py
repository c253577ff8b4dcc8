"""Files that prompts are about: found in what is written, read whatever their encoding, and put before a question.

Never knows a conversation, a model or a screen.

Begin with `attachment.py` for what a file is here, `gathering.py` for how the files of a prompt are read.
"""
