"""The whole app without a screen: which model is loaded, the open conversation, answering, switching, replacing,
keeping contexts, what waits, what is remembered, what is read of the machine.

Never imports Textual, and never decides how something looks or is worded: it tells what happens as records.

Begin with `events.py`, all that a session tells, and `controller.py`, the door: it puts the parts together, and each
part gets what it works with. Then `answering.py` and `writing.py` for an answer, `model_loading.py` for a load.
"""
