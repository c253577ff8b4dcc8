"""Model files: what their headers say, what they are for, and the library of those on this machine.

Never reads a weight and never loads a model.

Begin with `modelfile.py` for one file, `library.py` for all, `info.py` for what a header says.
"""
