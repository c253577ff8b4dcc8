"""What a front end may ask of an engine, and the local one: a process that is started, spoken to, and seen to die.
Other kinds of engines belong here.

Never computes and knows no screen.

Begin with `local.py`: the docstring of `Engine` is a whole program.
"""
