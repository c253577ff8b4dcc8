"""The whole app without a screen: which model is loaded, the open conversation, answering, switching, replacing,
keeping contexts, what waits, what is remembered.

Never imports Textual; tells a `listener` what happens.

Begin with `controller.py`, then `writing.py` for an answer and `moves.py` for a load.
"""
