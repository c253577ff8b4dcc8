"""The whole app without a screen: which model is loaded, the open conversation, answering, switching, replacing,
keeping contexts, what waits, what is remembered.

Never imports Textual; tells what happens as events (`events.py`).

Begin with `controller.py`, then `writing.py` for an answer and `loads.py` for a load.
"""
