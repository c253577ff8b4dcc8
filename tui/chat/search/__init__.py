"""Finding conversations by what was said in them.

Begin with `searcher.py` for what can be asked, `query.py` for how it is answered. The database is only read here; what
makes that quick is an index in a file of its own (`index.py`), which may be missing, old or lost at any time.
"""
