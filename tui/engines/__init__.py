"""What a front end may ask of an engine, and the local one: a process that is started, spoken to, and seen to die.
Other kinds of engines belong here.

Never computes and knows no screen.

Begin with `interface.py`, which says what an engine is and can do; the docstring of `local.py` is a whole program.
"""
