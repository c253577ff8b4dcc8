"""What the user may write and what is remembered: settings, state, themes, keys, the tables of actions and of load
settings, paths, and the order in which built-in, written, remembered and chosen values go.

Never asks the machine or a model.

Begin with `settings.py` for a setting, `loadtable.py` for a load setting, `actions.py` for a key.
"""
